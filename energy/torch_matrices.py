"""Synaptic operations of matrix products whose factors carry spikes, exact in int64."""

from collections.abc import Callable, Mapping
from typing import Any

from snn_tool.energy.torch_counter.products import Synops
from snn_tool.energy.torch_counter.kinds import Kind, Spikes
from snn_tool.energy.torch_sums import event_sum, level_sum
from torch import Tensor

Call = Mapping[str, Any]


def matrix_synops(first: Tensor, second: Tensor, kinds: tuple[Kind, Kind]) -> Synops:
    """Of [B, M, K] times [B, K, N]: each spike meets every weight of its row or column.

    Spikes on both sides act only where both are present: per inner index, the spikes of the column of the
    first times those of the row of the second, which is the number of coincidences without the product.
    """
    left, right = kinds
    if isinstance(left, Spikes) and isinstance(right, Spikes):
        return _coincidences(first, second, left, right, level_sum), _coincidences(
            first, second, left, right, event_sum
        )
    spiking, spikes, reached = (
        (first, left, second.shape[-1]) if isinstance(left, Spikes) else (second, right, first.shape[-2])
    )
    assert isinstance(spikes, Spikes)
    every = list(range(spiking.dim()))
    return tuple(int(count(spiking, spikes, every)) * int(reached) for count in (level_sum, event_sum))  # type: ignore[return-value]


def _coincidences(
    first: Tensor,
    second: Tensor,
    left: Spikes,
    right: Spikes,
    count: Callable[[Tensor, Spikes, list[int]], Tensor],
) -> int:
    columns, rows = count(first, left, [1]), count(second, right, [2])
    return int((columns * rows).sum())


MATRICES: dict[str, tuple[str, str]] = {
    "mm": ("self", "mat2"),
    "bmm": ("self", "mat2"),
    "mv": ("self", "vec"),
    "dot": ("self", "tensor"),
    "addmm": ("mat1", "mat2"),
    "baddbmm": ("batch1", "batch2"),
    "addmv": ("mat", "vec"),
}
"""The factors of each matrix product by the names of its schema."""


def factors(name: str, call: Call) -> tuple[Tensor, Tensor]:
    """The two factors as [B, M, K] and [B, K, N]."""
    first, second = (call[key] for key in MATRICES[name])
    first = first if first.dim() > 1 else first[None]
    second = second if second.dim() > 1 else second[:, None]
    return first.reshape(-1, *first.shape[-2:]), second.reshape(-1, *second.shape[-2:])
