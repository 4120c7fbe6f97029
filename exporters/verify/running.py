"""The backends of one export, each opened once, and the engine that they are held against on other images."""

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import ConfigError
from snn_tool.exporters.contract.backends import backend_names, open_backend
from snn_tool.exporters.contract.export import Export
from snn_tool.exporters.contract.targets import DEFAULT, Backend, Context
from snn_tool.exporters.contract.traces import Trace
from snn_tool.exporters.nir.network import integer_network
from snn_tool.exporters.nir.program import Program
from snn_tool.models.integer.engine import IntegerEngine


class Runner:
    """Runs integer tiles of an export's size by any of its backends.

    Args:
        export: whose network is run.
        context: how backends run.
    """

    def __init__(self, export: Export, context: Context = DEFAULT) -> None:
        self.export, self.context = export, context
        self._opened: dict[str, Backend] = {}

    @property
    def program(self) -> Program:
        """What network.nir says."""
        return self.export.program

    @property
    def order(self) -> list[str]:
        """Populations in execution order, the read-out last."""
        return self.export.order

    @cached_property
    def engine(self) -> IntegerEngine:
        """The reference for any image.

        Raises:
            ArtifactError: no integer network is what network.nir says.
        """
        return IntegerEngine(integer_network(self.program))

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
