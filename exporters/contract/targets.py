"""What a package brings to add a target or a backend of its own (docs/targets.md).

Any object that fits, usually a module with two functions and a text, declared as an entry point of the group
`snn_tool.targets`; the entry point's name is what `--target` and `--backend` take. One object may be both.
"""

import contextlib
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import Distribution, EntryPoint, distributions
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import (
    BackendUnavailableError,
    ExportError,
    SnnToolError,
    UnsupportedLayerError,
    VerificationError,
)
from snn_tool.exporters.contract.traces import NOT_RUN, BackendResult, RecordedTrace, Trace, compare
from snn_tool.exporters.nir.program import PopulationNode, Program

GROUP = "snn_tool.targets"


@runtime_checkable
class Target(Protocol):
    """Something that a network is exported for."""

    description: str
    """One line for `snn-tool backend list`."""

    def export(self, network: Path, folder: Path) -> None:
        """Write files of any kind and name for a network, or raise `UnsupportedLayerError`.

        Args:
            network: the exported network.nir.
            folder: where to write; network.nir and golden.npz lie in it and must stay as they are. It is
                renamed afterwards, so that nothing in it may name its path.
        """
        ...


@runtime_checkable
class Backend(Protocol):
    """Something that runs a network and tells every integer of the run."""

    description: str
    """One line for `snn-tool backend list`."""

    def run(self, network: Path, tiles: NDArray[np.int16]) -> Trace:
        """Run tiles from rest, or raise `UnsupportedLayerError` or `BackendUnavailableError`.

        Args:
            network: network.nir; beside it lies what else its export holds.
            tiles: integers [N, 3, H, W] of the file's size and input range; N differs from call to call.

        Returns:
            Integers of every population and timestep; see `Trace`.
        """
        ...


BUILT_IN_TARGETS: Mapping[str, str] = {
    "nir": "one NIR file of standard nodes",
    "loihi": "bundle with plan, range proof and resources for a Loihi-class chip",
    "netx": "network.net for lava-dl's hdf5.Network",
    "onnx": "one ONNX file, compared in onnxruntime before it is written",
}

BUILT_IN_BACKENDS: Mapping[str, str] = {
    "integer": "the engine that usually makes the golden integers",
    "nir": "interpreter of network.nir in numpy int64",
    "lava": "Lava's fixed-point simulation of a bundle",
    "netx": "lava-dl, running network.net",
    "norse": "norse in float64, by its importer",
    "snntorch": "snntorch in float64, by its importer",
    "spikingjelly": "spikingjelly in float64, by its importer",
    "sinabs": "sinabs in float64, by maps of this tool",
    "nirtorch": "a plain torch neuron in float64, by nirtorch",
}

RESERVED = frozenset({*BUILT_IN_TARGETS, *BUILT_IN_BACKENDS, "sanafe"})
"""Names that no other package can take."""


LOGGER = logging.getLogger(__name__)
SHOWN = 200
UNREADABLE = (AttributeError, LookupError, OSError, TypeError, ValueError)
"""What importlib.metadata raises on damaged metadata."""


@dataclass(frozen=True, slots=True)
class Declared:
    """An entry point of the group, not imported.

    Attributes:
        name: what `--target` and `--backend` take.
        package, version: of the distribution.
        entry: what is to be imported.
    """

    name: str
    package: str
    version: str
    entry: EntryPoint

    def __str__(self) -> str:
        return f"{self.name} of {self.package} {self.version}"


@dataclass(frozen=True, slots=True, eq=False)
class Plugin:
    """An imported entry point; at least one of `target` and `backend` is there."""

    declared: Declared
    description: str
    target: Target | None
    backend: Backend | None


def declared() -> tuple[Declared, ...]:
    """Every entry point of the group, by name, then package."""
    found: dict[tuple[str, str], Declared] = {}
    for distribution in distributions():
        for item in _entries(distribution):
            # As for imports, of two copies of a package the first on the path counts.
            found.setdefault((item.name, item.package), item)
    return tuple(found[key] for key in sorted(found))


def _entries(distribution: Distribution) -> Iterator[Declared]:
    try:
        entries = list(distribution.entry_points.select(group=GROUP))
        head = (str(distribution.name), str(distribution.version)) if entries else ("", "")
    except UNREADABLE as error:
        LOGGER.debug("metadata of a package cannot be read: %s", error)
        return
    for entry in entries:
        yield Declared(entry.name, *head, entry)


def plugin_names() -> tuple[str, ...]:
    """Names that can be asked for; one that is built in stays what it is, which a warning says."""
    found = declared()
    for item in found:
        if item.name in RESERVED:
            LOGGER.warning("%s", name_fault(item, found))
    return tuple(sorted({item.name for item in found} - RESERVED))


def name_fault(item: Declared, among: tuple[Declared, ...]) -> str:
    """Why an entry point cannot be told by its name; empty if it can."""
    if item.name in RESERVED:
        return f"{item} is not used: the name {item.name} is built in; rename the entry point"
    namesakes = [str(other) for other in among if other.name == item.name]
    if len(namesakes) > 1:
        return f"{' and '.join(namesakes)} have one name; uninstall one of the packages"
    return ""


def open_plugin(name: str) -> Plugin:
    """Import what a name stands for and look at its parts.

    Raises:
        BackendUnavailableError: no package has it, or two have; it cannot be imported, or is neither a target
            nor a backend.
    """
    found = declared()
    item = next((one for one in found if one.name == name), None)
    if item is None:
        raise BackendUnavailableError(f"{name}: no package declares it in {GROUP}; install the one that does")
    if fault := name_fault(item, found):
        raise BackendUnavailableError(fault)
    return load_plugin(item)


def load_plugin(item: Declared) -> Plugin:
    """Import an entry point.

    Raises:
        BackendUnavailableError: it cannot be imported, or is neither a target nor a backend.
    """
    try:
        found: Any = item.entry.load()
    except (Exception, SystemExit) as error:  # another package may raise anything
        reason = failure(item, error)
        raise BackendUnavailableError(
            f"{item} cannot be imported: {reason}; update or uninstall it"
        ) from error
    if isinstance(found, type):
        raise _unfit(item, f"{item.entry.value} is a class; name an object of it")
    for method in ("export", "run"):
        if hasattr(found, method) and not callable(getattr(found, method)):
            raise _unfit(item, f"its {method} cannot be called")
    description = getattr(found, "description", None)
    if not isinstance(description, str) or not description.strip():
        raise _unfit(item, "it has no description, a text of one line")
    target = found if isinstance(found, Target) else None
    backend = found if isinstance(found, Backend) else None
    if target is None and backend is None:
        raise _unfit(item, "it has neither export(network, folder) nor run(network, tiles)")
    return Plugin(item, " ".join(description.split()), target, backend)


def _unfit(item: Declared, reason: str) -> BackendUnavailableError:
    return BackendUnavailableError(f"{item} cannot be used: {reason} (docs/targets.md)")


def failure(item: Declared, error: BaseException) -> str:
    """What another package raised, in one line; -v shows where."""
    LOGGER.debug("%s", item, exc_info=error)
    text = " ".join(str(error).split())[:SHOWN]
    return f"{type(error).__name__}: {text} (-v shows where)" if text else type(error).__name__


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
