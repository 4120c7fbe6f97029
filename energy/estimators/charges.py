"""The two ways to charge a graded spike, with what each of them counts and what it costs.

Binary spikes have one level, so that both ways count the same; they are charged as `LEVELS`.
"""

from collections.abc import Iterable
from enum import Enum
from typing import Protocol

from snn_tool.energy.counts.counts import PopulationCount
from snn_tool.energy.estimators.prices import Prices


class Delivered(Protocol):
    """Counts of deliveries in both ways: an edge, a relay or a whole image."""

    @property
    def synops_levels(self) -> int:
        """Deliveries, a spike of level n being n of them."""

    @property
    def synops_events(self) -> int:
        """Deliveries, one for each nonzero spike."""


class SpikeCharge(Enum):
    """What a spike of level n is taken for; the value is how a reading is named after it."""

    LEVELS = "levels as ACs"
    """n unit spikes, each of them one accumulate."""

    EVENTS = "events as MACs"
    """One event that carries its level: one multiply-accumulate."""

    @property
    def moved(self) -> str:
        """How a reading is named in which a graded spike travels in this way."""
        return "levels as unit spikes" if self is SpikeCharge.LEVELS else "one event per graded spike"

    def synops(self, counts: Iterable[Delivered]) -> int:
        """Synaptic operations of some deliveries."""
        if self is SpikeCharge.LEVELS:
            return sum(count.synops_levels for count in counts)
        return sum(count.synops_events for count in counts)

    def spikes(self, population: PopulationCount) -> int:
        """Spikes that a population emits."""
        return population.levels if self is SpikeCharge.LEVELS else population.events

    def synop_pj(self, prices: Prices) -> float:
        """Arithmetic of one synaptic operation, in picojoules."""
        return prices.ac_pj if self is SpikeCharge.LEVELS else prices.mac_pj
