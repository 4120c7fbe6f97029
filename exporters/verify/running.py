"""Running an export: its backends, each opened once, and the two that this tool has of its own.

The engine that runs what network.nir says is a backend, and the reference on images beyond the golden tiles.
"""

from collections.abc import Mapping, Sequence
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import ConfigError
from snn_tool.exporters.contract.backends import backend_names, open_backend
from snn_tool.exporters.contract.export import Export
from snn_tool.exporters.contract.targets import DEFAULT, Backend, Context
from snn_tool.exporters.contract.traces import Trace
from snn_tool.exporters.nir.interpreter import run_program
from snn_tool.exporters.nir.network import integer_network
from snn_tool.exporters.nir.program import Program
from snn_tool.models.integer.engine import IntegerEngine

VALUES_AT_ONCE, TILES_AT_ONCE = 1 << 22, 512
"""Membranes of all populations and timesteps that a run keeps, and tiles: a start of Lava takes seconds."""


class InterpreterBackend:
    """network.nir, interpreted in int64."""

    def __init__(self, name: str) -> None:
        self.name = name

    def versions(self, export: Export, context: Context) -> Mapping[str, str]:
        """Of what reads the file and computes."""
        return {name: version(name) for name in ("nir", "numpy")}

    def trace(
        self, export: Export, tiles: NDArray[np.int16], record: Sequence[str], context: Context
    ) -> Trace:
        """Run integer tiles [N, 3, H, W]; every population is there.

        Raises:
            DataError: the tiles do not fit the network.
        """
        return run_program(export.program, tiles.astype(np.int64))


class EngineBackend:
    """The engine that usually makes the golden integers, run on what network.nir says now."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._engine: IntegerEngine | None = None
        self._program: Program | None = None

    def engine(self, export: Export) -> IntegerEngine:
        """Of the export's network, made once.

        Raises:
            ArtifactError: no integer network is what network.nir says.
        """
        if self._engine is None or self._program is not export.program:
            self._engine, self._program = IntegerEngine(integer_network(export.program)), export.program
        return self._engine

    def versions(self, export: Export, context: Context) -> Mapping[str, str]:
        """Of torch."""
        return {"torch": version("torch")}

    def trace(
        self, export: Export, tiles: NDArray[np.int16], record: Sequence[str], context: Context
    ) -> Trace:
        """Run integer tiles [N, 3, H, W] and keep the populations of `record`."""
        return self.engine(export).run(tiles, record)


class Runner:
    """Runs integer tiles of an export's size by any of its backends.

    Args:
        export: whose network is run.
        context: how backends run.
    """

    def __init__(self, export: Export, context: Context = DEFAULT) -> None:
        self.export, self.context = export, context
        self._reference = EngineBackend("integer")
        self._opened: dict[str, Backend] = {self._reference.name: self._reference}

    @property
    def program(self) -> Program:
        """What network.nir says."""
        return self.export.program

    @property
    def order(self) -> list[str]:
        """Populations in execution order, the read-out last."""
        return self.export.order

    @property
    def engine(self) -> IntegerEngine:
        """The reference for any image; raises as `EngineBackend.engine`."""
        return self._reference.engine(self.export)

    def trace(
        self,
        backend: str,
        tiles: NDArray[np.int16],
        record: Sequence[str],
        context: Context | None = None,
    ) -> Trace:
        """Run tiles [N, 3, H, W] and record populations; the read-out is always there.

        Raises:
            ConfigError: unknown backend.
            BackendUnavailableError: it cannot be used, or died.
            UnsupportedLayerError: it cannot hold a node.
            VerificationError: it fails, or returns no integers of the right shapes.
        """
        return self._open(backend).trace(self.export, tiles, record, context or self.context)

    def versions(self, backend: str) -> Mapping[str, str]:
        """Load a backend and tell what computes it; raises as `trace`."""
        return self._open(backend).versions(self.export, self.context)

    def tiles_at_once(self, least: int) -> int:
        """How many tiles are run together: `least`, or as many as fit into memory of a small network."""
        nodes = self.program.populations
        values = self.program.timesteps * sum(node.channels * node.height * node.width for node in nodes)
        return max(least, min(TILES_AT_ONCE, VALUES_AT_ONCE // values))

    def _open(self, backend: str) -> Backend:
        if backend not in self._opened:
            check_backends(self.export, [backend])
            self._opened[backend] = open_backend(backend)
        return self._opened[backend]


def check_backends(export: Export, names: Sequence[str]) -> None:
    """Refuse names of backends that an export does not have.

    Raises:
        ConfigError: names them, and those that exist.
    """
    known = backend_names(export)
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        given = ", ".join(unknown) or "none"
        raise ConfigError(f"backend {given} is not allowed; use one or more of {', '.join(known)}")
