"""What stands behind a headline: what drives it, and which models reverse it."""

import math
from collections.abc import Iterable
from statistics import fmean

from snn_tool.energy.pages import numbers
from snn_tool.energy.pages.equal_integers import grouped
from snn_tool.energy.report.document import EnergyReport, Range

_LIKE = {
    "twin": "Both networks have one shape: fewer bits and spikes alone can differ.",
    "qann": "Both networks compute one function on integers: spikes alone can differ.",
    "cnn": "Both networks have one quality: size, shape, bits and spikes may differ.",
}


def driver(report: EnergyReport) -> str:
    """Which of the three factors accounts for the ratio (by geometric means), or which can differ at all."""
    if report.reference != "teacher":
        return _LIKE[report.reference]
    factors = {
        "the smaller network": [row.split.teacher_over_twin or 1.0 for row in report.ratios],
        "fewer bits": [row.split.twin_over_qann for row in report.ratios],
        "spikes": [row.split.qann_over_student for row in report.ratios],
    }
    first, *others = sorted(factors, key=lambda name: -_mean(factors[name]))
    worth = {name: numbers.span(_extent(values)) for name, values in factors.items()}
    drives = f"{first[0].upper()}{first[1:]} drive{'s' if first.startswith('the') else ''} it"
    said = "; ".join(
        f"{name} {'is' if name.startswith('the') else 'are'} worth {worth[name]}" for name in others
    )
    return f"{drives}, worth {worth[first]}; {said}."


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
        f"{', '.join(grouped(lost, list(ratios)))}."
    )


def chips(report: EnergyReport) -> tuple[str, ...]:
    """What each deployment on a chip lacks or needs, and where a simulation goes beyond the registers."""
    lines = []
    for row in report.chips:
        if row.deployed:
            lacks = "".join(f" It cannot run: {text}." for text in row.lacks)
            lines.append(f"{row.chip}, {row.reading}, needs {'; '.join(row.needs)}.{lacks}")
    for note in report.registers:
        lines.append(
            f"{note.where}: a {note.quantity} of {note.value:,} is simulated, a register holds "
            f"{note.limit:,}; a chip would take {note.remedy}."
        )
    return tuple(dict.fromkeys(lines))


def _mean(values: Iterable[float]) -> float:
    """Mean of logarithms: factors multiply."""
    return fmean(math.log(value) for value in values)


def _extent(values: list[float]) -> Range:
    return Range(min(values), max(values))
