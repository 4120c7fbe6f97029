"""The two backends that Lava executes: the plan of a bundle, and the `.net` file that lava-dl loads."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import BackendUnavailableError, UnsupportedLayerError
from snn_tool.exporters.contract.export import Export
from snn_tool.exporters.contract.targets import Context, Interpreter
from snn_tool.exporters.lava.environment import REMEDY, find_lava
from snn_tool.exporters.lava.netx import NetxFolder
from snn_tool.exporters.lava.simulation import LavaTrace, run_on_lava, run_on_netx


class _InLava(ABC):
    """What both have in common: an interpreter, looked for once, never installed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._found: Interpreter | None = None

    def interpreter(self, context: Context) -> Interpreter:
        """The context's interpreter, or the first that has Lava.

        Raises:
            BackendUnavailableError: there is none.
        """
        self._found = context.interpreter or self._found or find_lava()
        if self._found is None:
            raise BackendUnavailableError(f"Lava is not installed; run `{REMEDY}`")
        return self._found

    def versions(self, export: Export, context: Context) -> Mapping[str, str]:
        """Of Lava and its Python, and which convolution it is asked for."""
        found = self.interpreter(context)
        python = found.python_version + (" (unsupported Python, shimmed)" if found.shimmed else "")
        return {"lava": found.version, **self.further(found), "python": python, "conv": context.conv}

    def further(self, found: Interpreter) -> dict[str, str]:
        """Versions of what comes beside Lava."""
        return {}

    @abstractmethod
    def trace(
        self, export: Export, tiles: NDArray[np.int16], record: Sequence[str], context: Context
    ) -> LavaTrace:
        """See `Backend`."""


class LavaBackend(_InLava):
    """Lava's fixed-point simulation of plan.json and plan.npz."""

    def trace(
        self, export: Export, tiles: NDArray[np.int16], record: Sequence[str], context: Context
    ) -> LavaTrace:
        """Run the plan in the export's folder; raises as `run_on_lava`."""
        return run_on_lava(export.folder, tiles, self.interpreter(context), record, context)


class NetxBackend(_InLava):
    """lava-dl, which loads and executes network.net."""

    def interpreter(self, context: Context) -> Interpreter:
        """One with lava-dl.

        Raises:
            BackendUnavailableError: there is none, or its Lava has no lava-dl that loads.
        """
        found = super().interpreter(context)
        if not found.lava_dl:
            raise BackendUnavailableError(f"{found.python}: {found.netx_fault}; run `{found.netx_remedy}`")
        return found

    def further(self, found: Interpreter) -> dict[str, str]:
        """Of lava-dl."""
        return {"lava-dl": found.lava_dl}

    def trace(
        self, export: Export, tiles: NDArray[np.int16], record: Sequence[str], context: Context
    ) -> LavaTrace:
        """Run the file in a netx folder; raises as `run_on_netx`."""
        if not isinstance(export, NetxFolder):
            raise UnsupportedLayerError(f"{export.folder}: holds no network.net; export with --target netx")
        return run_on_netx(export.folder, export.run, tiles, self.interpreter(context), record, context)
