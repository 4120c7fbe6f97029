"""Axes of the page's charts in percent of their width: on a phone tracks shrink and text does not."""

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LogAxis:
    """A logarithmic axis from a power of ten to a power of ten."""

    low: int
    high: int

    @classmethod
    def around(cls, values: Iterable[float]) -> "LogAxis":
        """The shortest axis that holds all of the values, each above zero; at least one decade.

        The largest value has a hundredth of itself above it, so that its mark stands inside.
        """
        known = list(values)
        low = math.floor(math.log10(min(known)))
        return cls(low, max(low + 1, math.ceil(math.log10(max(known) * 1.01))))

    def at(self, value: float) -> float:
        """Position of a value in percent, rounded to hundredths."""
        return round(100 * (math.log10(value) - self.low) / (self.high - self.low), 2)

    @property
    def ticks(self) -> tuple[tuple[float, str], ...]:
        """Position and label of each power of ten."""
        return tuple((self.at(10.0**power), _power(power)) for power in range(self.low, self.high + 1))


@dataclass(frozen=True, slots=True)
class LinearAxis:
    """A linear axis between two multiples of a step of 1, 2 or 5 times a power of ten."""

    low: float
    high: float
    step: float

    @classmethod
    def around(cls, values: Iterable[float], most: int = 5) -> "LinearAxis":
        """An axis of at most `most` steps that holds all of the values."""
        known = list(values)
        step = _step((max(known) - min(known)) / (most - 1) or abs(known[0]) or 1.0)
        return cls(math.floor(min(known) / step) * step, (math.floor(max(known) / step) + 1) * step, step)

    def at(self, value: float) -> float:
        """Position of a value in percent, rounded to hundredths."""
        return round(100 * (value - self.low) / (self.high - self.low), 2)

    @property
    def ticks(self) -> tuple[tuple[float, float], ...]:
        """Position and value of each multiple of the step."""
        count = round((self.high - self.low) / self.step)
        values = [self.low + index * self.step for index in range(count + 1)]
        return tuple((self.at(value), round(value, 12)) for value in values)


def _power(power: int) -> str:
    """0.01 to 1000 in full, others as 10 to a power: a label must be short."""
    if -2 <= power <= 3:
        return f"{10.0**power:g}"
    return "10" + str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _step(least: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that is at least `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * digit for digit in (1, 2, 5, 10) if power * digit >= least * (1 - 1e-12))
