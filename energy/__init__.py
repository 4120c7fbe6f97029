"""Energy: exact operation counts, energy models, the audit report.

`count_spikes` is imported on first use: it needs torch, which most of this package does not.
"""

from typing import TYPE_CHECKING, Any

__all__ = ["count_spikes"]

if TYPE_CHECKING:
    from snn_tool.energy.torch_spikes import count_spikes as count_spikes
else:

    def __getattr__(name: str) -> Any:
        if name != "count_spikes":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from snn_tool.energy.torch_spikes import count_spikes

        return count_spikes
