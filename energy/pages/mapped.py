"""Mapped rivals as tables of the terminal page."""

from collections.abc import Iterator

from snn_tool.energy.pages import numbers
from snn_tool.energy.report.mapped import MappedRival
from snn_tool.tables import TextTable, plain_table


def mapped_tables(rival: MappedRival) -> Iterator[TextTable]:
    """The networks on the accelerator, and each beside the student by the models of chips."""
    yield _networks(rival)
    yield _rows(rival)


def _networks(rival: MappedRival) -> TextTable:
    version = next(iter(rival.versions.values()))
    title = (
        f"Mapped by {rival.tool} {version} onto {rival.accelerator}: "
        f"one image of {rival.width} x {rival.height}, {rival.clock_mhz:g} MHz (assumed)"
    )
    headings = ("energy", "DRAM", "in 45 nm", "ms", "utilisation", "MACs left out")
    table = plain_table(title, ("column",), headings)
    for column in rival.columns:
        table.add_row(
            column.name,
            numbers.energy(column.energy_pj),
            numbers.percent(column.dram_pj / column.energy_pj),
            numbers.energy(column.at_45_nm_pj),
            numbers.number(column.time_ms),
            numbers.percent(column.utilisation),
            numbers.count(column.unmapped_macs),
        )
    return table


def _rows(rival: MappedRival) -> TextTable:
    assumed = "" if rival.assumed_utilisation is None else f", {numbers.percent(rival.assumed_utilisation)}"
    table = plain_table(
        "Mapped rival / student, by the model of the student's chip",
        ("column", "student by"),
        ("mapped", "no DRAM", "in 45 nm", "peak, mapped util.", f"peak{assumed}"),
    )
    for row in rival.rows:
        table.add_row(
            row.column,
            row.model,
            numbers.factor(row.over_student),
            numbers.factor(row.over_student_on_chip),
            numbers.factor(row.over_student_45_nm),
            numbers.factor(row.peak_over_student),
            numbers.factor(row.assumed_over_student),
        )
    return table
