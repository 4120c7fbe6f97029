"""Synaptic operations of convolutions that read spikes: maps by position, exact in int64."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np
from snn_tool.energy.counts.fan_out import Counts, conv_fan_out, transposed_conv_fan_out
from snn_tool.energy.counts.operation_costs import single_input, spread
from snn_tool.energy.torch_counter.arithmetic import KindOf, Outcome, Rule
from snn_tool.energy.torch_counter.kinds import Kind, Plain, Spikes, event_sum, level_sum
from snn_tool.errors import UnsupportedLayerError
from torch import Tensor

Call = Mapping[str, Any]
Synops = tuple[int, int]
"""Accumulates if a spike of level n is n unit spikes, and deliveries of nonzero spikes."""

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


@dataclass(slots=True)
class ConvMaps:
    """Spikes by position that one convolution read, over all its calls of one geometry.

    Attributes:
        fan_outs: per dimension, int64 [size]: outputs that each position reaches.
        out_channels: per group.
        events, levels: int64, one value per position; the same tensor for unit spikes.
    """

    fan_outs: tuple[Counts, ...]
    out_channels: int
    events: Tensor | None = None
    levels: Tensor | None = None

    def add(self, values: Tensor, spikes: Spikes) -> None:
        """One call's input [N, C, ...]."""
        events = event_sum(values, spikes, [0, 1])
        levels = events if spikes.unit else level_sum(values, spikes, [0, 1])
        self.events = events if self.events is None else self.events + events
        self.levels = levels if self.levels is None else self.levels + levels

    def synops(self) -> Synops:
        """Levels and events times their fan-out, S = C_out / g sum over positions of z f."""
        return self._reached(self.levels), self._reached(self.events)

    def _reached(self, counts: Tensor | None) -> int:
        if counts is None:
            return 0
        total = counts.numpy(force=True).astype(object if int(counts.sum()) > 1 << 40 else np.int64)
        for fan_out in reversed(self.fan_outs):
            total = total @ fan_out
        return self.out_channels * int(total)


@dataclass(slots=True)
class SynopTally:
    """Synaptic operations of one layer, kept as maps until the end for convolutions."""

    maps: dict[tuple[Any, ...], ConvMaps] = field(default_factory=dict)
    products: list[Synops] = field(default_factory=list)

    def total(self) -> Synops:
        """Of all calls so far."""
        parts = [*self.products, *(one.synops() for one in self.maps.values())]
        return sum(levels for levels, _ in parts), sum(events for _, events in parts)


def count_convolution(call: Call, out: Tensor, kinds: tuple[Kind, Kind], tally: SynopTally) -> None:
    """Add the spikes that a convolution reads; its weights must carry none.

    Raises:
        UnsupportedLayerError: the kernel carries spikes.
    """
    spikes, kernel = kinds
    if isinstance(kernel, Spikes):
        raise UnsupportedLayerError(
            "a convolution whose kernel carries spikes has no counting rule; write it as a matrix product"
        )
    assert isinstance(spikes, Spikes)
    source, weight, transposed = call["input"], call["weight"], bool(call["transposed"])
    shape = weight.shape[2:]
    geometry = tuple(tuple(spread(call[key], len(shape))) for key in ("stride", "padding", "dilation"))
    key = (
        tuple(source.shape[2:]),
        tuple(out.shape[2:]),
        tuple(weight.shape),
        geometry,
        transposed,
        call["groups"],
    )
    if key not in tally.maps:
        fan_out = transposed_conv_fan_out if transposed else conv_fan_out
        lines = zip(source.shape[2:], out.shape[2:], shape, *geometry, strict=True)
        channels = int(weight.shape[1]) if transposed else int(weight.shape[0]) // int(call["groups"])
        tally.maps[key] = ConvMaps(tuple(fan_out(*line) for line in lines), channels)
    tally.maps[key].add(source, spikes)


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


def factors(name: str, call: Call) -> tuple[Tensor, Tensor]:
    """The two factors as [B, M, K] and [B, K, N]."""
    first, second = (call[key] for key in MATRICES[name])
    first = first if first.dim() > 1 else first[None]
    second = second if second.dim() > 1 else second[:, None]
    return first.reshape(-1, *first.shape[-2:]), second.reshape(-1, *second.shape[-2:])


@dataclass(frozen=True, slots=True)
class Window:
    """What every window of a pool divides its sum by, and how many values it sums."""

    divisor: float
    values: int


def kept(change: Callable[[Spikes], Kind], folded: bool = False, every: bool = False) -> Rule:
    """One input, changed as a whole."""

    def rule(call: Call, out: Any, kind_of: KindOf) -> Outcome:
        kind = kind_of(single_input(call))
        return Outcome(change(kind), folded, every) if isinstance(kind, Spikes) else Outcome(Plain.REAL)

    return rule


def pooled(window: Callable[[Call, Any], Window | None]) -> Rule:
    """Sums of spikes over windows, divided by a constant: levels that the next layer reads through the pool.

    Spikes of both signs may cancel in a window, which only a pool that computes its sums can use: they cost.
    """

    def rule(call: Call, out: Any, kind_of: KindOf) -> Outcome:
        kind, over = kind_of(single_input(call)), window(call, out)
        if not isinstance(kind, Spikes) or kind.amplitude is None or over is None:
            return Outcome(Plain.REAL)
        unit = kind.unit and over.values == 1
        return Outcome(replace(kind, amplitude=kind.amplitude / over.divisor, unit=unit), not kind.signed)

    return rule


def sum_window(call: Call, out: Any) -> Window:
    """Of a sum over dimensions."""
    return Window(1.0, int(single_input(call).numel()) // int(out.numel()))


def mean_window(call: Call, out: Any) -> Window:
    """Of a mean over dimensions."""
    values = sum_window(call, out).values
    return Window(float(values), values)


def average_window(dimensions: int) -> Callable[[Call, Any], Window | None]:
    """None where windows at the border have other divisors."""

    def window(call: Call, out: Any) -> Window | None:
        if call["ceil_mode"] or (any(call["padding"]) and not call["count_include_pad"]):
            return None
        values = prod(spread(call["kernel_size"], dimensions))
        return Window(float(call.get("divisor_override") or values), values)

    return window


def adaptive_window(call: Call, out: Any) -> Window | None:
    """None where windows differ in size."""
    dimensions = len(call["output_size"])
    sizes = zip(single_input(call).shape[-dimensions:], out.shape[-dimensions:], strict=True)
    return None if any(n % m for n, m in sizes) else mean_window(call, out)
