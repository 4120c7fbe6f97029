"""The two backends that need nothing but this tool: the integer engine and the interpreter."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray
from snn_tool.exporters.contract.export import Export
from snn_tool.exporters.contract.targets import Context
from snn_tool.exporters.contract.traces import Trace
from snn_tool.exporters.nir.interpreter import run_program
from snn_tool.exporters.nir.network import integer_network
from snn_tool.exporters.nir.program import Program
from snn_tool.models.integer.engine import IntegerEngine


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
