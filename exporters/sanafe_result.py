"""What SANA-FE's runner leaves behind, read and turned to the layout of every other trace."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from snn_tool.files.artifacts import parse_json
from snn_tool.files.documents import convert
from snn_tool.errors import ArtifactError, BackendUnavailableError, VerificationError
from snn_tool.exporters.contract.npz import read_arrays
from snn_tool.exporters.sanafe_activity import ChipActivity, Joules
from snn_tool.exporters.sanafe.environment import REMEDY
from snn_tool.exporters.sanafe_network import ChipNetwork

MEMBRANE_UNITS = 64
"""Golden membranes count 64ths of an LSB."""


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
