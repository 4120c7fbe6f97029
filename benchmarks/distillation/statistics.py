"""What the distillation study computes of scores: paired differences, Holm's correction, verdicts, goals."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.stats import t

HELPS, HURTS, NONE, SMALL, OPEN = "helps", "hurts", "no difference", "small", "not resolved"


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean difference to a reference, paired by seed.

    Attributes:
        pairs: number of seeds.
        mean: in the unit of the values.
        standard_error: sample standard deviation of the differences / sqrt(n); None for one seed.
        p: two-sided, Student's t with n - 1 degrees of freedom; None likewise.
    """

    pairs: int
    mean: float
    standard_error: float | None
    p: float | None

    def half_width(self, confidence: float) -> float | None:
        """Of the two-sided interval around the mean; None for one seed."""
        if self.standard_error is None:
            return None
        return float(t.ppf((1 + confidence) / 2, self.pairs - 1)) * self.standard_error


def spread(values: Sequence[float]) -> float | None:
    """Sample standard deviation (n - 1); None for one value."""
    return statistics.stdev(values) if len(values) > 1 else None


def paired(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Difference:
    """Compare two variants by their scores of the seeds that both have, so that a seed's own luck cancels.

    Raises:
        ValueError: they share no seed.
    """
    seeds = sorted(ours.keys() & theirs.keys())
    if not seeds:
        raise ValueError("no seed in common")
    differences = [ours[seed] - theirs[seed] for seed in seeds]
    mean, deviation = statistics.fmean(differences), spread(differences)
    if deviation is None:
        return Difference(1, mean, None, None)
    error = deviation / math.sqrt(len(differences))
    if error == 0:
        return Difference(len(seeds), mean, 0.0, 0.0 if mean else 1.0)
    return Difference(len(seeds), mean, error, float(2 * t.sf(abs(mean) / error, len(seeds) - 1)))


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """P-values corrected for their number n: rank k times n - k + 1 (Holm, Scand. J. Statist. 6, 1979).

    A corrected value is never below that of a smaller one, and at most 1.
    """
    corrected: dict[str, float] = {}
    largest = 0.0
    for rank, name in enumerate(sorted(p, key=lambda name: p[name])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[name]))
        corrected[name] = largest
    return corrected


def verdict(found: Difference, corrected_p: float, smallest: float, confidence: float = 0.95) -> str:
    """What a difference says, by the words that were registered.

    Args:
        found: against the reference.
        corrected_p: of it, after Holm.
        smallest: the smallest effect of interest.
        confidence: 1 - the level of every test; the two one-sided tests of equivalence have the same level,
            so that their interval is narrower.
    """
    resolved = corrected_p < 1 - confidence
    if resolved and abs(found.mean) >= smallest:
        return HELPS if found.mean > 0 else HURTS
    half = found.half_width(2 * confidence - 1)
    if half is not None and abs(found.mean) + half < smallest:
        return NONE
    return SMALL if resolved else OPEN


def first_reach(places: Sequence[float], psnr_db: Sequence[float], goal_db: float) -> float | None:
    """The first place (step or second) at which a curve is at the goal, straight between validations.

    Returns:
        None if it never is; the first validation's place if it is there already.
    """
    for index, value in enumerate(psnr_db):
        if value >= goal_db:
            if index == 0:
                return float(places[0])
            before, since = psnr_db[index - 1], places[index - 1]
            return since + (places[index] - since) * (goal_db - before) / (value - before)
    return None
