"""What the distillation benchmark computes from curves: spread, paired differences, steps to a goal."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import t

CONFIDENCE = 0.95
HELPS, UNRESOLVED, HURTS = "helps", "no difference resolved", "hurts"


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean difference to a reference, paired by seed.

    Attributes:
        mean: in the unit of the values.
        standard_error: sample standard deviation of the differences / sqrt(n); None for one seed.
        half_width: of the two-sided 95 % interval, Student's t, n - 1 degrees of freedom; None likewise.
        verdict: `helps` or `hurts` if that interval leaves out zero.
    """

    mean: float
    standard_error: float | None
    half_width: float | None
    verdict: str


def spread(values: Sequence[float]) -> float | None:
    """Sample standard deviation (n - 1); None for one value."""
    return statistics.stdev(values) if len(values) > 1 else None


def paired(values: Sequence[float], reference: Sequence[float]) -> Difference:
    """Compare two variants; place i of both is the same seed, so that the seed's own luck cancels."""
    differences = [ours - theirs for ours, theirs in zip(values, reference, strict=True)]
    mean, deviation = statistics.fmean(differences), spread(differences)
    if deviation is None:
        return Difference(mean, None, None, UNRESOLVED)
    error = deviation / math.sqrt(len(differences))
    half = float(t.ppf((1 + CONFIDENCE) / 2, len(differences) - 1)) * error
    verdict = UNRESOLVED if abs(mean) <= half else HELPS if mean > 0 else HURTS
    return Difference(mean, error, half, verdict)


def steps_to_reach(steps: Sequence[int], psnr_db: Sequence[float], goal_db: float) -> float | None:
    """The first step at which a curve is at the goal, on straight lines between validations.

    Returns:
        None if it never is; the first validation's step if it is there already.
    """
    for place, value in enumerate(psnr_db):
        if value >= goal_db:
            if place == 0:
                return float(steps[0])
            before, since = psnr_db[place - 1], steps[place - 1]
            return since + (steps[place] - since) * (goal_db - before) / (value - before)
    return None
