"""Numbers as people read them; used by the terminal page and the HTML page alike."""

import math

from snn_tool.energy.report.document import EnergyReport, Range

_PREFIXES = ((1e12, "J"), (1e9, "mJ"), (1e6, "µJ"), (1e3, "nJ"), (1.0, "pJ"))
_COUNTS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_OUTCOMES = {
    "holds": "holds in every model",
    "fails": "fails in every model",
    "depends": "depends on the model",
}
_REFERENCES = {
    "teacher": ("teacher", "the teacher"),
    "twin": ("ANN twin", "its ANN twin"),
    "cnn": ("int8 CNN", "an int8 CNN of its quality"),
    "qann": ("quantised ANN twin", "its quantised ANN twin"),
}


def energy(value_pj: float) -> str:
    """An energy in picojoules with a readable unit and three significant digits."""
    for factor, unit in _PREFIXES:
        if _rounded(value_pj) >= factor:
            return f"{_three_digits(value_pj / factor)} {unit}"
    return f"{_three_digits(value_pj)} pJ"


def count(value: float) -> str:
    """A count with a readable suffix: 1234567 is 1.23 M."""
    for factor, suffix in _COUNTS:
        if _rounded(value) >= factor:
            return f"{_three_digits(value / factor)} {suffix}"
    return f"{value:.0f}" if value == int(value) else _three_digits(value)


def factor(value: float | None) -> str:
    """A ratio, or a dash where there is none."""
    return "–" if value is None else f"{_three_digits(value)}×"


def number(value: float | None) -> str:
    """Three significant digits, or a dash where there is none."""
    return "–" if value is None else _three_digits(value)


def span(headline: Range) -> str:
    """A range of ratios; never one number."""
    return f"{factor(headline.least)} to {factor(headline.most)}"


def percent(share: float) -> str:
    """A share as percent with one decimal."""
    return f"{100 * share:.1f} %"


def deviation(value: float) -> str:
    """A relative difference in whole percent with its sign."""
    return f"{100 * value:+.0f} %"


def versus(report: EnergyReport) -> str:
    """What is divided by what."""
    return f"{_REFERENCES[report.reference][0]} / student"


def reference(report: EnergyReport) -> str:
    """What the claim is against, in a sentence."""
    return _REFERENCES[report.reference][1]


def outcome(report: EnergyReport) -> str:
    """The verdict on the claim as one sentence."""
    judged = report.verdict
    return f"The claim of {judged.claim:g}× less energy than {reference(report)} {_OUTCOMES[judged.outcome]}."


def qann_outcome(report: EnergyReport) -> str:
    """The verdict on the claim if only spikes may earn it."""
    judged = report.qann_verdict
    claim = f"a claim of {judged.claim:g}× {_OUTCOMES[judged.outcome]}"
    return f"Against the same function on a dense array, {claim}."


def _rounded(value: float) -> float:
    """Three significant digits, so that 999.6 already counts as 1000."""
    return float(f"{value:.3g}")


def _three_digits(value: float) -> str:
    """Three significant digits without an exponent: 0.0123, 1.23, 12.3, 123, and 1234 as it is."""
    rounded = abs(_rounded(value))
    if rounded == 0:
        return "0"
    if rounded >= 100:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.{2 - math.floor(math.log10(rounded))}f}"
