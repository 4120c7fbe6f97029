"""The energy report as one self-contained HTML page: no script, no request, inline style, SVG and PNG.

The same report gives the same bytes: nothing in the page depends on time or place.
"""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from snn_tool.energy.estimators.arrays import READINGS
from snn_tool.energy.pages import charts, equal_integers, findings, numbers, readings
from snn_tool.energy.report.document import EnergyReport
from snn_tool.tables import printable_in_page


def base_style() -> str:
    """The style that all pages of the tool begin with, without its tag."""
    return _templates().get_template("base_style.html").render()


def render(report: EnergyReport) -> str:
    """The page as a string; every value from the caller is escaped."""
    environment = _templates()
    environment.filters.update(
        energy=numbers.energy,
        count=numbers.count,
        factor=numbers.factor,
        percent=numbers.percent,
        deviation=numbers.deviation,
        number=numbers.number,
    )
    return environment.get_template("energy.html").render(_context(report))


def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("snn_tool.energy.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=printable_in_page,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _context(report: EnergyReport) -> dict[str, Any]:
    """Everything that the templates name."""
    return {
        "report": report,
        "versus": numbers.versus(report),
        "headline": numbers.span(report.headline),
        "qann_headline": numbers.span(report.qann_headline),
        "pays": equal_integers.pays(report),
        "why": equal_integers.why(report),
        "equal": equal_integers.equal_rows(report),
        "equal_title": equal_integers.TITLE,
        "equal_notes": equal_integers.notes(report),
        "spikes_mark": equal_integers.SPIKES_MARK,
        "outcome": numbers.outcome(report),
        "qann_outcome": numbers.qann_outcome(report),
        "driver": findings.driver(report),
        "reversal": findings.reversal(report),
        "memories": readings.memories(report),
        "reading": readings.WHAT,
        "memory_rows": readings.memory_rows(report),
        "memory_names": [memories.name for memories in READINGS],
        "all_readings": list(readings.other_rows(report)),
        "hardware": findings.chips(report),
        "grid": charts.grid(report),
        "marks": charts.MARKS,
        "standing": lambda ratio: charts.standing(report, ratio),
        "axis": charts.ratio_axis(report),
        "bounds": charts.threshold_axis(report),
        "strongest": charts.strongest(report),
        "chart": charts.sweep_chart(report),
        "pictures": charts.pictures(report),
        "input_uri": charts.input_uri(report),
        "student_cells": [c for c in report.cells if c.column == "student" and c.model == "exact-ops"],
    }
