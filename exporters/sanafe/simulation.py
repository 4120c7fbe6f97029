"""A chip network executed by SANA-FE, in another interpreter and process: files go in and files come out."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import BackendUnavailableError, VerificationError
from snn_tool.exporters.lava.environment import clean_variables
from snn_tool.exporters.contract.process import Finished, run_group
from snn_tool.exporters.sanafe.environment import REMEDY, RUNNER, SanafeEnvironment
from snn_tool.exporters.sanafe_network import NEURONS_PER_CORE, ChipNetwork
from snn_tool.exporters.sanafe_result import ChipRun, read_result
from snn_tool.files.temporaries import temporary_folder

TIME_LIMIT_S = 1800.0
REFUSED = 4
"""The runner's exit code for a network that SANA-FE does not take."""


def run_on_sanafe(
    network: ChipNetwork,
    tiles: NDArray[np.integer],
    environment: SanafeEnvironment,
    *,
    timeout_s: float = TIME_LIMIT_S,
    log: Callable[[str], None] | None = None,
) -> ChipRun:
    """Run integer tiles [N, 3, H, W] through a network on SANA-FE's Loihi, each from rest.

    Raises:
        VerificationError: SANA-FE refuses the network, or its membranes are no 64ths.
        BackendUnavailableError: SANA-FE died, exceeded the limit, or left no usable result.
    """
    with temporary_folder("sanafe") as folder:
        _write(folder, network, tiles)
        finished = run_group(
            [environment.python, "-B", RUNNER, folder],
            timeout_s=timeout_s,
            environment=clean_variables(),
            on_line=log,
        )
        _demand_success(finished, timeout_s)
        return read_result(folder, network, len(tiles))


def _write(folder: Path, network: ChipNetwork, tiles: NDArray[np.integer]) -> None:
    drives = [network.drives(tile) for tile in tiles]
    arrays = {f"drive.{g.name}": np.stack([drive[g.name] for drive in drives]) for g in network.groups}
    for index, connections in enumerate(network.connections):
        for part in ("sources", "targets", "weights"):
            arrays[f"{part}.{index}"] = getattr(connections, part)
    np.savez(folder / "network.npz", allow_pickle=False, **arrays)
    document = {
        "tiles": len(tiles),
        "timesteps": network.timesteps,
        "steps": network.steps,
        "neurons_per_core": NEURONS_PER_CORE,
        "groups": [
            {
                "name": group.name,
                "neurons": group.neurons,
                "first_core": group.first_core,
                "threshold": group.threshold,
                "leak": group.leak,
                "depth": group.depth,
                "record": not group.is_relay,
            }
            for group in network.groups
        ],
        "connections": [{"source": c.source, "target": c.target} for c in network.connections],
    }
    (folder / "network.json").write_text(json.dumps(document), encoding="utf-8")


def _demand_success(finished: Finished, timeout_s: float) -> None:
    if finished.code == 0:
        return
    if finished.code is None:
        raise BackendUnavailableError(
            f"SANA-FE did not finish within {timeout_s:.0f} s; use fewer tiles (--tiles) or smaller ones"
        )
    if finished.code == REFUSED:
        raise VerificationError(f"SANA-FE refuses the network: {finished.last_words}")
    raise BackendUnavailableError(
        f"SANA-FE died with exit code {finished.code}: {finished.last_words}; "
        f"check free memory, or install it anew: `{REMEDY}`"
    )
