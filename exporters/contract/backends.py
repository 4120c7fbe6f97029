"""Opening a backend by its name, and the boundary behind which another package's code runs."""

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint
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
from snn_tool.exporters.contract.export import Export
from snn_tool.exporters.contract.targets import (
    BUILT_IN_BACKENDS,
    GROUP,
    Backend,
    Context,
    Plugin,
    failure,
    open_plugin,
    plugin_names,
)
from snn_tool.exporters.contract.traces import RecordedTrace, Trace
from snn_tool.exporters.nir.program import PopulationNode, Program


def backend_names(export: Export) -> tuple[str, ...]:
    """Names of all backends that an export can be verified by, those of other packages last."""
    fitting = (name for name, one in BUILT_IN_BACKENDS.items() if one.only_for in ("", export.target))
    own = (name for name in export.usual if name not in BUILT_IN_BACKENDS)
    return tuple(dict.fromkeys((*fitting, *own, *plugin_names())))


def open_backend(name: str) -> Backend:
    """The backend of a name, imported now.

    Raises:
        BackendUnavailableError: there is no such name, it cannot be used, or is a target only.
    """
    if name not in BUILT_IN_BACKENDS:
        return PackageBackend(open_plugin(name))
    found: Backend = EntryPoint(name, BUILT_IN_BACKENDS[name].factory, GROUP).load()(name)
    return found


TILES_PER_RUN = 8
QUANTITIES = ("spikes", "membranes")


class PackageBackend:
    """Another package's backend: what it gives is checked, what it raises and prints is contained.

    Args:
        plugin: an imported entry point.

    Raises:
        BackendUnavailableError: it is a target only.
    """

    def __init__(self, plugin: Plugin) -> None:
        if plugin.backend is None:
            raise BackendUnavailableError(
                f"{plugin.declared} is a target and no backend: it has no run(network, tiles)"
            )
        self.plugin, self.backend = plugin, plugin.backend

    def versions(self, export: Export, context: Context) -> Mapping[str, str]:
        """The package, and what a backend that fits `Backend` says beside."""
        item, further = self.plugin.declared, dict[str, str]()
        if isinstance(self.backend, Backend):
            with foreign_code(self.plugin, VerificationError):
                told = self.backend.versions(export, context)
                further = {str(name): str(version) for name, version in told.items()}
        return {**further, item.package: item.version}

    def trace(
        self, export: Export, tiles: NDArray[np.int16], record: Sequence[str], context: Context
    ) -> RecordedTrace:
        """Run tiles [N, 3, H, W] and keep the populations of `record`; the read-out is always there.

        Raises:
            UnsupportedLayerError: the backend cannot hold a node.
            BackendUnavailableError: it misses something.
            VerificationError: it fails, or does not return the integers of every population and timestep.
        """
        parts = [
            self._part(export, tiles[start : start + TILES_PER_RUN], record, context)
            for start in range(0, len(tiles), TILES_PER_RUN)
        ]
        spikes = {name: np.concatenate([part.spikes[name] for part in parts], axis=1) for name in record}
        membranes = {
            name: np.concatenate([part.membranes[name] for part in parts], axis=1) for name in record
        }
        return RecordedTrace(np.concatenate([part.readout for part in parts]), spikes, membranes)

    def _part(
        self, export: Export, tiles: NDArray[np.int16], record: Sequence[str], context: Context
    ) -> RecordedTrace:
        with foreign_code(self.plugin, VerificationError):
            if isinstance(self.backend, Backend):
                found = self.backend.trace(export, tiles.copy(), export.order, context)
            else:
                found = self.backend.run(export.network.path, tiles.copy())
        return _checked(found, export.program, len(tiles), record, self.plugin.declared.name)


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
    size = (tiles, program.readout.channels, program.readout.height, program.readout.width)
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
