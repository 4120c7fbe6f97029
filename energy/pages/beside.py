"""Several students side by side: what spikes save for each in every row, as a table and as Markdown."""

from collections.abc import Iterator, Mapping

from snn_tool.energy.pages import numbers
from snn_tool.energy.pages.equal_integers import SPIKES_MARK, Balanced, pays, why
from snn_tool.energy.report.split import Split
from snn_tool.tables import TextTable, plain_table

TITLE = "What is divided by each student's energy"
RIVALS = (
    ("spikes", "qann_over_student"),
    ("int8 CNN", "cnn_over_student"),
    ("teacher", "teacher_over_student"),
)
"""Heading and field of `Split` of each rival, equal integers first."""


def beside_table(students: Mapping[str, Balanced]) -> TextTable:
    """A row for each model and precision, and for each student the rivals that it has.

    Args:
        students: reports by name.
    """
    shown = list(_columns(students))
    headings = tuple(f"{name} {heading}" for name, heading, _ in shown)
    table = plain_table(TITLE, ("model",), headings)
    for row in _rows(students):
        table.add_row(row, *(_cell(students[name], row, field) for name, _, field in shown))
    return table


def beside_markdown(students: Mapping[str, Balanced]) -> str:
    """The same as a Markdown table; cells in which spikes save are bold and marked."""
    shown = list(_columns(students))
    head = ["model", *(f"{name}: {heading}" for name, heading, _ in shown)]
    lines = [head, ["---", *("--:" for _ in shown)]]
    for row in _rows(students):
        cells = (_cell(students[name], row, field) for name, _, field in shown)
        lines.append([row, *(f"**{cell}**" if cell.startswith(SPIKES_MARK) else cell for cell in cells)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def sentences(students: Mapping[str, Balanced]) -> tuple[str, ...]:
    """For each student in how many cells spikes save, and why."""
    return tuple(f"{name}: {pays(report)} {why(report)}" for name, report in students.items())


def _columns(students: Mapping[str, Balanced]) -> Iterator[tuple[str, str, str]]:
    """Name, heading and field; a rival that a student has in no row is left out."""
    for name, report in students.items():
        for heading, field in RIVALS:
            if any(getattr(row.split, field) is not None for row in report.ratios):
                yield name, heading, field


def _rows(students: Mapping[str, Balanced]) -> list[str]:
    """Every row that any report has, in the order of the first that has it."""
    return list(dict.fromkeys(row.model for report in students.values() for row in report.ratios))


def _cell(report: Balanced, row: str, field: str) -> str:
    split: Split | None = next((r.split for r in report.ratios if r.model == row), None)
    value = None if split is None else getattr(split, field)
    mark = f"{SPIKES_MARK} " if field == "qann_over_student" and row in report.spikes.saving else ""
    return mark + numbers.factor(value)
