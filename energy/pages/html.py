"""The energy report as one self-contained HTML page: no script, no request, inline style, SVG and PNG.

The same report gives the same bytes: nothing in the page depends on time or place.
"""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from snn_tool.energy.pages import charts as page_charts
from snn_tool.energy.pages import charts as page_maps
from snn_tool.energy.pages import findings
from snn_tool.energy.pages import numbers as figures
from snn_tool.energy.pages.charts import MARKS, grid, standing
from snn_tool.energy.report.types import EnergyReport
from snn_tool.tables import printable_in_page


def render(report: EnergyReport) -> str:
    """The page as a string; every value from the caller is escaped."""
    environment = Environment(
        loader=PackageLoader("snn_tool.energy.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=printable_in_page,
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
    return environment.get_template("energy.html").render(_context(report))


def _context(report: EnergyReport) -> dict[str, Any]:
    """Everything that the templates name."""
    return {
        "report": report,
        "versus": figures.versus(report),
        "headline": figures.span(report.headline),
        "twin_headline": figures.span(report.twin_headline),
        "outcome": figures.outcome(report),
        "twin_outcome": figures.twin_outcome(report),
        "driver": findings.driver(report),
        "reversal": findings.reversal(report),
        "memories": findings.memories(report),
        "grid": grid(report),
        "marks": MARKS,
        "standing": lambda ratio: standing(report, ratio),
        "axis": page_charts.ratio_axis(report),
        "bounds": page_charts.threshold_axis(report),
        "strongest": page_charts.strongest(report),
        "chart": page_charts.sweep_chart(report),
        "pictures": page_maps.pictures(report),
        "input_uri": page_maps.input_uri(report),
        "student_cells": [c for c in report.cells if c.column == "student" and c.model == "exact-ops"],
    }
