"""A backend of another package: it is run a few tiles at a time, and what it returns is looked at first.

A float, a NaN or a missing timestep is refused by name before anything is compared: no value is rounded,
broadcast or left out to make it fit.
"""

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import (
    BackendUnavailableError,
    ExportError,
    SnnToolError,
    UnsupportedLayerError,
    VerificationError,
)
from snn_tool.exporters.comparison import NOT_RUN, BackendResult, compare
from snn_tool.exporters.nir.program import PopulationNode, Program
from snn_tool.exporters.plugin_registry import Plugin, failure, open_plugin
from snn_tool.exporters.contract.targets import Backend
from snn_tool.exporters.contract.traces import RecordedTrace, Trace

TILES_PER_RUN = 8
QUANTITIES = ("spikes", "membranes")


class PluginBackend:
    """A backend by its name.

    Raises:
        BackendUnavailableError: there is no such name, it cannot be used, or is a target only.
    """

    def __init__(self, name: str) -> None:
        self.plugin: Plugin = open_plugin(name)
        if self.plugin.backend is None:
            raise BackendUnavailableError(
                f"{self.plugin.declared} is a target and no backend: it has no run(network, tiles)"
            )
        self.backend: Backend = self.plugin.backend

    def trace(
        self, network: Path, program: Program, tiles: NDArray[np.int16], record: Sequence[str]
    ) -> RecordedTrace:
        """Run tiles [N, 3, H, W] and keep the populations of `record`; the read-out is always there.

        Raises:
            UnsupportedLayerError: the backend cannot hold a node.
            BackendUnavailableError: it misses something.
            VerificationError: it fails, or does not return the integers of every population and timestep.
        """
        parts = [
            self._part(network, program, tiles[start : start + TILES_PER_RUN], record)
            for start in range(0, len(tiles), TILES_PER_RUN)
        ]
        spikes = {name: np.concatenate([part.spikes[name] for part in parts], axis=1) for name in record}
        membranes = {
            name: np.concatenate([part.membranes[name] for part in parts], axis=1) for name in record
        }
        return RecordedTrace(np.concatenate([part.readout for part in parts]), spikes, membranes)

    def _part(
        self, network: Path, program: Program, tiles: NDArray[np.int16], record: Sequence[str]
    ) -> RecordedTrace:
        with foreign_code(self.plugin, VerificationError):
            found = self.backend.run(network, tiles.copy())
        return _checked(found, program, len(tiles), record, self.plugin.declared.name)


@contextlib.contextmanager
def foreign_code(plugin: Plugin, fault: type[SnnToolError]) -> Iterator[None]:
    """Keep what another package prints off stdout, and make what it raises one line.

    Args:
        plugin: whose code runs.
        fault: what is raised where it failed in a way that it did not foresee.

    Raises:
        UnsupportedLayerError: it cannot hold the network.
        BackendUnavailableError: it misses something.
    """
    item = plugin.declared
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except ExportError as error:
        raise UnsupportedLayerError(f"{item}: {error}") from error
    except BackendUnavailableError as error:
        raise BackendUnavailableError(f"{item}: {error}") from error
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:  # another package may raise anything
        raise fault(f"{item} fails: {failure(item, error)}; report it to its author") from error


def _checked(found: Trace, program: Program, tiles: int, record: Sequence[str], name: str) -> RecordedTrace:
    size = (tiles, 3, program.height, program.width)
    readout = _integers(getattr(found, "readout", None), size, f"{name} gives as readout")
    kept: dict[str, dict[str, NDArray[Any]]] = {quantity: {} for quantity in QUANTITIES}
    for quantity in QUANTITIES:
        values = getattr(found, quantity, None)
        if not isinstance(values, Mapping):
            raise VerificationError(f"{name} gives no {quantity} by population, but {type(values).__name__}")
        for node in program.populations:
            array = _population(values, node, program.timesteps, tiles, f"{node.name}: {name}", quantity)
            if node.name in record:
                kept[quantity][node.name] = array
    return RecordedTrace(readout, kept["spikes"], kept["membranes"])


def _population(
    values: Mapping[str, Any], node: PopulationNode, timesteps: int, tiles: int, who: str, quantity: str
) -> NDArray[Any]:
    if node.name not in values:
        raise VerificationError(f"{who} gives no {quantity}; every population must be there")
    shape = (timesteps, tiles, node.channels, node.height, node.width)
    return _integers(values[node.name], shape, f"{who} gives as {quantity}")


def _integers(values: Any, shape: tuple[int, ...], what: str) -> NDArray[Any]:
    """The array, if it has the shape and an integer type (bool counts)."""
    if not isinstance(values, np.ndarray):
        raise VerificationError(f"{what} {type(values).__name__}, not a numpy array")
    if values.shape != shape:
        raise VerificationError(f"{what} {list(values.shape)} instead of {list(shape)}")
    if values.dtype.kind not in "iub":
        raise VerificationError(f"{what} {values.dtype}{_first_nan(values)}, not integers")
    return values


def _first_nan(values: NDArray[Any]) -> str:
    """Where the first NaN or infinity of a float array stands."""
    if values.dtype.kind != "f" or np.isfinite(values).all():
        return ""
    where = np.unravel_index(int((~np.isfinite(values)).argmax()), values.shape)
    return f" with {values[where]} at index {tuple(int(i) for i in where)}"


def verify_plugin(
    name: str, network: Path, program: Program, tiles: NDArray[np.int16], reference: Trace
) -> BackendResult:
    """Run integer tiles [N, 3, H, W] by a backend of another package and compare with their trace.

    Raises:
        VerificationError: the backend fails, or does not return integers of the right shapes.
    """
    order = [population.name for population in program.populations]
    try:
        backend = PluginBackend(name)
        found = backend.trace(network, program, tiles, order)
    except (BackendUnavailableError, UnsupportedLayerError) as error:
        return BackendResult(name, NOT_RUN, reason=str(error))
    item = backend.plugin.declared
    return replace(compare(reference, found, order, name), versions={item.package: item.version})
