"""One number of one layer held against one limit.

What happens beyond the limit decides what is still acceptable:

- `fixed`: parameters (mantissas, biases, thresholds, decays). They are known; outside is a violation.
- `clips`: registers that saturate. Lava, the integer engine and the interpreter clip at the same value, so a
  bound beyond it is exact but no longer linear.
- `wraps`: registers that lose their upper bits. If no bound excludes it, the golden tiles must show that it
  does not happen on photographs; if they show that it does, that is a violation.
"""

import math
from dataclasses import dataclass

from snn_tool.exporters.nir.program import Integers

Limit = tuple[int, int]
"""Smallest and largest value, both allowed."""

FIXED, CLIPS, WRAPS = "fixed", "clips", "wraps"
PROVED, SATURATES, OBSERVED, VIOLATED = "proved", "saturates", "observed", "violated"


@dataclass(frozen=True, slots=True)
class Quantity:
    """The range of one number of one layer against its limit, both ends inclusive.

    Attributes:
        node: name of the convolution or population.
        name: of the quantity; `loihi_ranges` states the units.
        limit: what the register or the parameter field holds.
        beyond: `fixed`, `clips` or `wraps`, what happens outside.
        channel_low, channel_high: bounds per output channel (before a pixel-shuffle), or one value.
        observed: extremes on the golden tiles; None for a parameter, and where nothing was run.
    """

    node: str
    name: str
    limit: Limit
    beyond: str
    channel_low: tuple[int, ...]
    channel_high: tuple[int, ...]
    observed: Limit | None = None

    @property
    def bound(self) -> Limit:
        """Smallest and largest value over all channels."""
        return min(self.channel_low), max(self.channel_high)

    @property
    def status(self) -> str:
        """`proved`, `saturates`, `observed` or `violated`."""
        if _holds(self.limit, self.bound):
            return PROVED
        if self.beyond == CLIPS:
            return SATURATES
        if self.beyond == WRAPS and self.observed and _holds(self.limit, self.observed):
            return OBSERVED
        return VIOLATED

    @property
    def headroom_bits(self) -> float | None:
        """log2(limit / bound) on the tighter side, negative beyond the limit; None for a bound of 0."""
        ratios = [
            limit / bound for limit, bound in zip(self.limit, self.bound, strict=True) if limit * bound > 0
        ]
        return math.log2(min(ratios)) if ratios else None

    @property
    def violation(self) -> str:
        """The quantity, its worst value and its limit."""
        low, high, where = *self.bound, ""
        if self.observed:
            low, high, where = *self.observed, " on the golden tiles"
        worst = low if low < self.limit[0] else high
        return f"{self.node}: {self.name} {worst}{where} outside {self.limit[0]}..{self.limit[1]}"


def _holds(limit: Limit, values: Limit) -> bool:
    return limit[0] <= values[0] and values[1] <= limit[1]


def bounded(
    node: str,
    name: str,
    limit: Limit,
    beyond: str,
    low: Integers,
    high: Integers,
    observed: Limit | None = None,
) -> Quantity:
    """A quantity from bounds int64 [channels]."""
    return Quantity(node, name, limit, beyond, tuple(low.tolist()), tuple(high.tolist()), observed)
