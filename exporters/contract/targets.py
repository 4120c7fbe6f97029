"""What a target and a backend are, and every one of them by its name.

This tool's own and those of other packages are told by one table: a name, a description, and where the object
is that is imported on first use. Another package declares its own as an entry point of the group
`snn_tool.targets` (docs/guides/targets.md); the entry point's name is what `--target` and `--backend` take.
One object may be both a target and a backend.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, distributions
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import BackendUnavailableError
from snn_tool.exporters.contract.export import Export
from snn_tool.exporters.contract.traces import Trace

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


class Interpreter(Protocol):
    """A Python of its own that a simulator runs in; `LavaEnvironment` is one."""

    @property
    def python(self) -> Path:
        """Of the interpreter."""

    @property
    def version(self) -> str:
        """Of the simulator."""

    @property
    def python_version(self) -> str:
        """Of the interpreter."""

    @property
    def shimmed(self) -> bool:
        """The Python is newer than the simulator supports."""

    @property
    def lava_dl(self) -> str:
        """Version of lava-dl; empty if it does not load."""

    @property
    def netx_fault(self) -> str:
        """Why it does not load."""

    @property
    def netx_remedy(self) -> str:
        """The command that brings it."""


REGISTER, FLOAT = "register", "float"
"""Arithmetics of a simulator's membrane: cut to the chip's register by the host, or left alone."""


@dataclass(frozen=True, slots=True)
class Context:
    """How backends run. Each takes what concerns it.

    Attributes:
        interpreter: one with Lava; looked for, never installed, if None.
        conv: Lava's convolution, `stock` or `blas`.
        timeout_s: wall-clock limit in seconds of a program that is started.
        log: receives progress lines.
        membrane: of simulators, `register` or `float`.
        cc: C compiler, perhaps with options; empty takes the variable CC, else cc.
    """

    interpreter: Interpreter | None = None
    conv: str = "stock"
    timeout_s: float = 1800.0
    log: Callable[[str], None] | None = None
    membrane: str = REGISTER
    cc: str = ""


DEFAULT = Context()


@runtime_checkable
class Backend(Protocol):
    """Something that runs an export's network and tells every integer of the run."""

    def versions(self, export: Export, context: Context) -> Mapping[str, str]:
        """Load what is needed, and tell the packages, with versions, that compute.

        Raises:
            BackendUnavailableError: it misses something.
            UnsupportedLayerError: it cannot hold a node.
        """
        ...

    def trace(
        self, export: Export, tiles: NDArray[np.int16], record: Sequence[str], context: Context
    ) -> Trace:
        """Run tiles from rest.

        Args:
            export: whose network is run; its files are what counts.
            tiles: integers [N, 3, H, W] of the network's size and input range; N differs from call to call.
            record: populations whose spikes and membranes are wanted, others may be there; the read-out
                always is.
            context: how to run.

        Returns:
            Integers of every timestep; see `Trace`.

        Raises:
            BackendUnavailableError: it misses something, or died.
            UnsupportedLayerError: it cannot hold a node.
            VerificationError: it refuses the network.
            ConfigError: the context asks for what there is not.
        """
        ...


@runtime_checkable
class PlainBackend(Protocol):
    """The least that another package's backend may be: a function of a file; `PackageBackend` adapts it."""

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
    "c": "C99, integers only, for any processor: rows that stream through, or timesteps",
    "wasm": "WebAssembly with an ES module, for pages and node, compiled of the same C",
    "onnx": "one ONNX file, compared in onnxruntime before it is written",
}


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A backend of this tool.

    Attributes:
        description: one line for `snn-tool backend list`.
        factory: `module:attribute`, imported on first use; called with the name it gives a `Backend`.
        only_for: the target whose exports alone it runs; empty if network.nir is all that it needs.
    """

    description: str
    factory: str
    only_for: str = ""


_SIMULATOR = "snn_tool.exporters.simulators.trace:SimulatorBackend"

BUILT_IN_BACKENDS: Mapping[str, BuiltIn] = {
    "integer": BuiltIn(
        "the engine that usually makes the golden integers",
        "snn_tool.exporters.verify.running:EngineBackend",
    ),
    "nir": BuiltIn(
        "interpreter of network.nir in numpy int64", "snn_tool.exporters.verify.running:InterpreterBackend"
    ),
    "lava": BuiltIn(
        "Lava's fixed-point simulation of a bundle", "snn_tool.exporters.lava.backend:LavaBackend", "loihi"
    ),
    "c": BuiltIn("the C of an export, compiled and run here", "snn_tool.exporters.c.backend:CBackend", "c"),
    "wasm": BuiltIn(
        "the WebAssembly of an export, run in node", "snn_tool.exporters.wasm.backend:WasmBackend", "wasm"
    ),
    "netx": BuiltIn("lava-dl, running network.net", "snn_tool.exporters.lava.backend:NetxBackend", "netx"),
    "onnx": BuiltIn(
        "the ONNX file of network.nir in onnxruntime", "snn_tool.exporters.onnx.backend:OnnxBackend"
    ),
    "norse": BuiltIn("norse in float64, by its importer", _SIMULATOR),
    "snntorch": BuiltIn("snntorch in float64, by its importer", _SIMULATOR),
    "spikingjelly": BuiltIn("spikingjelly in float64, by its importer", _SIMULATOR),
    "sinabs": BuiltIn("sinabs in float64, by maps of this tool", _SIMULATOR),
    "nirtorch": BuiltIn("a plain torch neuron in float64, by nirtorch", _SIMULATOR),
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
    backend: Backend | PlainBackend | None


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
    for method in ("export", "run", "trace", "versions"):
        if hasattr(found, method) and not callable(getattr(found, method)):
            raise _unfit(item, f"its {method} cannot be called")
    description = getattr(found, "description", None)
    if not isinstance(description, str) or not description.strip():
        raise _unfit(item, "it has no description, a text of one line")
    target = found if isinstance(found, Target) else None
    backend = found if isinstance(found, Backend | PlainBackend) else None
    if target is None and backend is None:
        raise _unfit(item, "it has neither export(network, folder) nor run(network, tiles)")
    return Plugin(item, " ".join(description.split()), target, backend)


def _unfit(item: Declared, reason: str) -> BackendUnavailableError:
    return BackendUnavailableError(f"{item} cannot be used: {reason} (docs/guides/targets.md)")


def failure(item: Declared, error: BaseException) -> str:
    """What another package raised, in one line; -v shows where."""
    LOGGER.debug("%s", item, exc_info=error)
    text = " ".join(str(error).split())[:SHOWN]
    return f"{type(error).__name__}: {text} (-v shows where)" if text else type(error).__name__
