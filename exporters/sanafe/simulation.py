"""A chip network executed by SANA-FE, in another interpreter and process: files go in and files come out."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import ArtifactError, BackendUnavailableError, VerificationError
from snn_tool.exporters.contract.npz import read_arrays
from snn_tool.exporters.contract.process import demand_result, run_group
from snn_tool.exporters.lava.environment import clean_variables
from snn_tool.exporters.sanafe.environment import REMEDY, RUNNER, SanafeEnvironment
from snn_tool.exporters.sanafe.layout import NEURONS_PER_CORE, ChipNetwork
from snn_tool.files.artifacts import parse_json
from snn_tool.files.documents import Count, convert
from snn_tool.files.temporaries import temporary_folder

Joules = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
"""What a file may state: a number that is finite, not negative and not absurd; a tile takes µJ and ms."""

MEMBRANE_UNITS = 64
"""Golden membranes count 64ths of an LSB."""

TIME_LIMIT_S = 1800.0
TIME_IS_UP = "use fewer tiles (--tiles) or smaller ones"


@dataclass(frozen=True, slots=True)
class ChipEnergy:
    """Joules of one tile, dynamic energy only; `total` is the sum of the four parts.

    Attributes:
        synapse: every connection that a spike is processed at.
        dendrite: 0 in SANA-FE's Loihi, whose synapses include it.
        soma: every neuron's access at every step, updates, and spikes.
        network: packets out, and hops between tiles of the mesh.
    """

    total: Joules
    synapse: Joules
    dendrite: Joules
    soma: Joules
    network: Joules


@dataclass(frozen=True, slots=True)
class ChipActivity:
    """One tile on the chip, from rest to the read-out's last step.

    Attributes:
        energy_j: see `ChipEnergy`.
        synaptic_events: connections that a spike was processed at, hence synops.
        neurons_fired: spikes sent, the relays' included.
        neuron_updates: neuron-steps with a current, a bias or a membrane other than 0.
        packets: messages from a neuron to a core; one for each core that it reaches.
        hops: between tiles of the mesh.
        time_s: the chip's time by SANA-FE's detailed timing model.
    """

    energy_j: ChipEnergy
    synaptic_events: Count
    neurons_fired: Count
    neuron_updates: Count
    packets: Count
    hops: Count
    time_s: Seconds


@dataclass(frozen=True, slots=True, eq=False)
class ChipTrace:
    """What SANA-FE computed; fits `Trace`.

    Attributes:
        readout: int64 [N, 3, H, W], the read-out's membrane at its window's last step, in 64ths of its LSB.
        spikes: for each population int64 [T, N, C, H, W].
        membranes: likewise, after the reset, in 64ths of an LSB.
    """

    readout: NDArray[np.int64]
    spikes: dict[str, NDArray[np.int64]]
    membranes: dict[str, NDArray[np.int64]]


@dataclass(frozen=True, slots=True, eq=False)
class ChipRun:
    """One run of several tiles.

    Attributes:
        trace: of all populations, for comparison.
        activity: of each tile.
        constants: joules per operation, as the architecture file names them.
    """

    trace: ChipTrace
    activity: tuple[ChipActivity, ...]
    constants: Mapping[str, float]


class _Result(msgspec.Struct):
    """result.json; the runner writes more, which is looked at elsewhere."""

    tiles: tuple[ChipActivity, ...]
    constants: dict[str, Joules]


def read_result(folder: Path, network: ChipNetwork, tiles: int) -> ChipRun:
    """Read result.json and result.npz of a number of tiles.

    Raises:
        BackendUnavailableError: they are missing or of another form.
        VerificationError: membranes are no 64ths of an LSB.
    """
    try:
        written = parse_json((folder / "result.json").read_bytes())
        document = convert(written, _Result, "result.json")
        if len(document.tiles) != tiles:
            raise ValueError(f"{len(document.tiles)} tiles of {tiles}")
        trace = _trace(read_arrays(folder / "result.npz", kinds="biuf"), network, tiles)
    except (ArtifactError, OSError, KeyError, RecursionError, ValueError) as error:
        raise BackendUnavailableError(
            f"SANA-FE left no usable result ({error!r}); install it anew: `{REMEDY}`"
        ) from error
    return ChipRun(trace, document.tiles, document.constants)


def _trace(arrays: Mapping[str, NDArray[Any]], network: ChipNetwork, tiles: int) -> ChipTrace:
    """Recordings (N, T, neurons) as [T, N, C, H, W]."""
    found: dict[str, dict[str, NDArray[np.int64]]] = {"spikes": {}, "membranes": {}}
    for kind, unit in (("spikes", 1), ("membranes", MEMBRANE_UNITS)):
        for group in (group for group in network.groups if not group.is_relay):
            values = arrays[f"{kind}.{group.name}"].reshape(tiles, network.timesteps, *group.shape)
            whole = (values * unit).astype(np.int64)
            if not np.array_equal(whole, values * unit):
                raise VerificationError(f"{group.name}: SANA-FE holds membranes that are no 64ths of an LSB")
            found[kind][group.name] = whole.transpose(1, 0, 4, 3, 2)
    return ChipTrace(found["membranes"][network.groups[-1].name][-1], found["spikes"], found["membranes"])


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
        demand_result(finished, "SANA-FE", timeout_s, (TIME_IS_UP, REMEDY))
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
