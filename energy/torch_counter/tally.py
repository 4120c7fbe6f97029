"""What one row of a count has gathered so far, and how the rows of a network are made of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from snn_tool.energy.counts.operation_costs import OperationCost
from snn_tool.energy.torch_counter.products import SynopTally
from snn_tool.energy.torch_counter.result import PARAMETERS_ONLY, SpikeRow
from torch import nn

Key = tuple[str, str]
"""Path of a module, and the kind of what it computed."""


@dataclass(slots=True)
class Tally:
    """Of one module and one kind of computation.

    Attributes:
        read: what its products read, of `spikes`, `real`.
        synops: of products that read spikes.
        macs, exact_macs: of products that read real values.
        dense, dense_exact: of all its products.
    """

    read: set[str] = field(default_factory=set)
    synops: SynopTally = field(default_factory=SynopTally)
    macs: int = 0
    exact_macs: int = 0
    dense: int = 0
    dense_exact: int = 0
    elementwise: int = 0
    calls: int = 0
    updates: int = 0
    spikes: int = 0
    levels: int = 0
    state: int = 0

    def add(self, cost: OperationCost, real: bool) -> None:
        """One operation; `real` if its products are multiply-accumulates."""
        self.calls += 1
        self.dense += cost.padded_macs
        self.dense_exact += cost.exact_macs
        self.elementwise += cost.elementwise_ops
        if real and cost.padded_macs:
            self.read.add("real")
            self.multiply(cost)

    def multiply(self, cost: OperationCost) -> None:
        """Products of real values."""
        self.macs += cost.padded_macs
        self.exact_macs += cost.exact_macs

    def row(self, key: Key, parameters: int, weight_bytes: int) -> SpikeRow:
        """As it stands now."""
        levels, events = self.synops.total()
        return SpikeRow(
            *key,
            source="both" if len(self.read) > 1 else "".join(self.read),
            calls=self.calls,
            synops_levels=levels,
            synops_events=events,
            padded_macs=self.macs,
            exact_macs=self.exact_macs,
            dense_padded_macs=self.dense,
            dense_exact_macs=self.dense_exact,
            elementwise_ops=self.elementwise,
            neuron_updates=self.updates,
            spikes=self.spikes,
            spike_levels=self.levels,
            parameters=parameters,
            weight_bytes=weight_bytes,
            state_bytes=self.state,
        )


def rows(module: nn.Module, tallies: Mapping[Key, Tally]) -> tuple[SpikeRow, ...]:
    """One row for each tally, parameters on their owner's first row, then owners that computed nothing."""
    unbooked: dict[str, list[nn.Parameter]] = {}
    for path, parameter in module.named_parameters():
        owner = path.rpartition(".")[0] or type(module).__name__
        unbooked.setdefault(owner, []).append(parameter)
    booked = [tally.row(key, *_size(unbooked.pop(key[0], ()))) for key, tally in tallies.items()]
    silent = [Tally().row((name, PARAMETERS_ONLY), *_size(own)) for name, own in unbooked.items()]
    return tuple(booked + silent)


def _size(parameters: Iterable[nn.Parameter]) -> tuple[int, int]:
    """Values and bytes."""
    own = list(parameters)
    return sum(p.numel() for p in own), sum(p.numel() * p.element_size() for p in own)
