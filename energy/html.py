"""The energy report as one self-contained HTML page: no script, no request, inline style and SVG.

The same report gives the same bytes: nothing in the page depends on time, place or a drawing library.
"""

import math
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined
from snn_tool.energy import figures
from snn_tool.energy.report_types import EnergyReport

_AXIS_WIDTH = 270.0


@dataclass(frozen=True, slots=True)
class LogAxis:
    """A logarithmic axis of ratios, `_AXIS_WIDTH` units wide, from a power of ten to a power of ten."""

    low: int
    high: int

    def at(self, ratio: float) -> float:
        """Horizontal position of a ratio, rounded to a tenth of a unit."""
        return round(_AXIS_WIDTH * (math.log10(ratio) - self.low) / (self.high - self.low), 1)

    @property
    def ticks(self) -> tuple[tuple[float, str], ...]:
        """Position and label of each power of ten."""
        return tuple((self.at(10.0**power), f"{10.0**power:g}×") for power in range(self.low, self.high + 1))


def ratio_axis(report: EnergyReport) -> LogAxis:
    """An axis that holds every ratio, every image, the claim, and 1."""
    values = [1.0, report.verdict.claim, report.twin_headline.least, report.twin_headline.most]
    for row in report.ratios:
        values += [value for value in (row.least, row.most) if value is not None]
        values.append(row.split.twin_over_student)
    return LogAxis(math.floor(math.log10(min(values))), math.ceil(math.log10(max(values) * 1.01)))


def render(report: EnergyReport) -> str:
    """The page as a string; every value from the caller is escaped."""
    environment = Environment(
        loader=PackageLoader("snn_tool.energy"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        energy=figures.energy,
        count=figures.count,
        factor=figures.factor,
        percent=figures.percent,
        number=figures.number,
    )
    return environment.get_template("energy.html").render(
        report=report,
        axis=ratio_axis(report),
        versus=figures.versus(report),
        student_cells=[c for c in report.cells if c.column == "student" and c.model == "exact-ops"],
        headline=figures.span(report.headline),
        twin_headline=figures.span(report.twin_headline),
        outcome=figures.outcome(report),
        twin_outcome=figures.twin_outcome(report),
    )
