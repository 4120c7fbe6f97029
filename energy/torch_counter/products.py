"""Synaptic operations of convolutions that read spikes: maps by position, exact in int64."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from snn_tool.energy.counts.fan_out import Counts, conv_fan_out, transposed_conv_fan_out
from snn_tool.energy.counts.operation_costs import spread
from snn_tool.energy.torch_counter.kinds import Kind, Spikes
from snn_tool.energy.torch_sums import event_sum, level_sum
from snn_tool.errors import UnsupportedLayerError
from torch import Tensor

Call = Mapping[str, Any]
Synops = tuple[int, int]
"""Accumulates if a spike of level n is n unit spikes, and deliveries of nonzero spikes."""


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
