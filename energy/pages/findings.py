"""What stands behind a headline: what drives it, and which models reverse it."""

import math
from collections.abc import Iterable
from statistics import fmean

from snn_tool.energy.pages import numbers
from snn_tool.energy.report.types import EnergyReport, Range, model_of


def driver(report: EnergyReport) -> str:
    """Whether the smaller network or the spikes account for the ratio (by geometric means)."""
    smaller = [row.split.teacher_over_twin for row in report.ratios if row.split.teacher_over_twin]
    if report.reference != "teacher":
        return f"Both networks have one shape, so that only spikes can differ: {_saving(report)}"
    spikes = [row.split.twin_over_student for row in report.ratios]
    size, spiking = numbers.span(_extent(smaller)), numbers.span(_extent(spikes))
    if _mean(smaller) >= _mean(spikes):
        first = f"The smaller network drives it, worth {size} alone; spikes alone are worth {spiking}"
    else:
        first = f"Spikes drive it, worth {spiking} alone; the smaller network is worth {size}"
    return f"{first}. By themselves, {_saving(report)}"


def _saving(report: EnergyReport) -> str:
    """In how many estimates spikes save energy at all, against a network of one shape."""
    by_bits = report.reference == "qann"
    splits = [row.split for row in report.ratios]
    values = [split.qann_over_student if by_bits else split.twin_over_student for split in splits]
    known = [value for value in values if value is not None]
    return f"spikes save energy in {sum(value > 1 for value in known)} of {len(known)} estimates."


def reversal(report: EnergyReport) -> str:
    """Who needs less energy, and which models say the opposite."""
    ratios = {row.model: row.ratio for row in report.ratios if row.ratio is not None}
    ahead = [name for name, ratio in ratios.items() if ratio > 1]
    behind = [name for name in ratios if name not in ahead]
    names = ("the student", numbers.reference(report))
    (winner, won), (_, lost) = sorted(zip(names, (ahead, behind), strict=True), key=lambda s: -len(s[1]))
    if not lost:
        return f"In all {len(ratios)} estimates {winner} needs less energy."
    return (
        f"In {len(won)} of {len(ratios)} estimates {winner} needs less energy; the winner is reversed by "
        f"{', '.join(_grouped(lost, list(ratios)))}."
    )


def _grouped(rows: list[str], known: list[str]) -> list[str]:
    """Models of which all rows are among `rows`, by their name alone; other rows in full."""
    split = {model_of(name) for name in known if name not in rows}
    return list(dict.fromkeys(name if model_of(name) in split else model_of(name) for name in rows))


def _mean(values: Iterable[float]) -> float:
    """Mean of logarithms: factors multiply."""
    return fmean(math.log(value) for value in values)


def _extent(values: list[float]) -> Range:
    return Range(min(values), max(values))
