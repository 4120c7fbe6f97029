"""Energy: exact operation counts, energy models, the audit report.

The counter of torch networks is imported on first use: it needs torch, which most of this package does not.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = ["Spikes", "arithmetic_pj", "count_spikes", "count_table"]

if TYPE_CHECKING:
    from snn_tool.energy.pages.count_table import arithmetic_pj, count_table
    from snn_tool.energy.torch_counter.kinds import Spikes
    from snn_tool.energy.torch_counter.spikes import count_spikes
else:
    _HOMES = {
        "Spikes": "torch_counter.kinds",
        "arithmetic_pj": "pages.count_table",
        "count_spikes": "torch_counter.spikes",
        "count_table": "pages.count_table",
    }

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
