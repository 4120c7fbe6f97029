"""Models by precisions: each cell the ratio, and who wins, by colour and by a mark that needs none."""

from dataclasses import dataclass

from snn_tool.energy.pages import numbers as figures
from snn_tool.energy.report.types import EnergyReport

MARKS = {"met": "●", "ahead": "◐", "behind": "○", "none": ""}
"""The claim is met; it is not, but the student needs less; the student does not need less."""


@dataclass(frozen=True, slots=True)
class GridCell:
    """One combination.

    Attributes:
        standing: a key of `MARKS`; `none` where the combination makes no sense.
        ratio: reference over student, as text.
        spikes: twin over student, as text; empty where that is the ratio already.
    """

    standing: str
    ratio: str
    spikes: str

    @property
    def mark(self) -> str:
        """The standing without colour."""
        return MARKS[self.standing]


NOTHING = GridCell("none", "–", "")


def grid(report: EnergyReport) -> tuple[tuple[str, tuple[GridCell, ...]], ...]:
    """A row of cells for each model, in the order of the precisions."""
    cells = {row.model: _cell(report, row.ratio, row.split.twin_over_student) for row in report.ratios}
    return tuple(
        (model.name, tuple(cells.get(f"{model.name}/{p.name}", NOTHING) for p in report.precisions))
        for model in report.models
    )


def _cell(report: EnergyReport, ratio: float | None, spikes: float) -> GridCell:
    if ratio is None:
        return NOTHING
    alone = "" if report.reference == "twin" else figures.factor(spikes)
    return GridCell(standing(report, ratio), figures.factor(ratio), alone)


def standing(report: EnergyReport, ratio: float) -> str:
    """How a ratio stands to the claim and to 1."""
    if ratio >= report.verdict.claim:
        return "met"
    return "ahead" if ratio > 1 else "behind"
