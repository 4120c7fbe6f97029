"""What an energy model takes and returns; a model is one function of type `Model`, in `energy.registry`."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from snn_tool.energy.constants import Precision
from snn_tool.energy.counts import ImageActivity


@dataclass(frozen=True, slots=True)
class AnnLoad:
    """What a conventional network computes for one image.

    Attributes:
        padded_macs: MACs with padded borders, the conventional count.
        exact_macs: MACs with real inputs only.
        elementwise_ops: additions and comparisons outside of convolutions.
    """

    padded_macs: int
    exact_macs: int
    elementwise_ops: int


Load = AnnLoad | ImageActivity


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to charge a load, item by item.

    Attributes:
        name: what this reading assumes.
        deployed: it describes what runs on the target, so it may be a headline; others are comparisons.
        items: picojoules per image by item.
    """

    name: str
    deployed: bool
    items: Mapping[str, float]

    @property
    def total_pj(self) -> float:
        """Picojoules per image."""
        return math.fsum(self.items.values())


@dataclass(frozen=True, slots=True)
class Estimate:
    """A model's readings of one load, at least one of them deployed."""

    readings: tuple[Reading, ...]


Model = Callable[[Load, Precision], Estimate]
"""Estimates a load on one image at one precision."""
