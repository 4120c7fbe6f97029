"""What readings do to a ratio: the same memories on both sides, and other ways to charge a spike."""

from collections.abc import Iterator
from dataclasses import dataclass

from snn_tool.energy.estimators.arrays import PER_LAYER, READINGS
from snn_tool.energy.pages import numbers
from snn_tool.energy.report.document import Cell, EnergyReport, RatioRow

WHAT = (
    "A reading is one answer to a question that a model leaves open, such as where memories lie or whether "
    "a graded spike is one event: counts stay as they are, and both networks are charged by one answer."
)


@dataclass(frozen=True, slots=True)
class MemoryRow:
    """One row of the grid whose model charges memory.

    Attributes:
        model: `model/precision`.
        ratios: reference over student by the name of the memories, in the order of `arrays.READINGS`.
        spikes: the same with the quantised twin.
    """

    model: str
    ratios: dict[str, float]
    spikes: dict[str, float]


def memory_rows(report: EnergyReport) -> tuple[MemoryRow, ...]:
    """What each reading of memories says, by the headline's way to charge spikes."""
    students = {cell.row: cell for cell in report.cells if cell.column == "student"}
    rows = (_memory_row(row, students.get(row.model), report.reference) for row in report.ratios)
    return tuple(row for row in rows if row is not None)


def _memory_row(row: RatioRow, student: Cell | None, reference: str) -> MemoryRow | None:
    if student is None or student.headline.memory is None:
        return None
    found = {one.name: row.by_reading.get(one.reading(student.headline.name), {}) for one in READINGS}
    ratios, spikes = (
        {name: by_column[rival] for name, by_column in found.items() if rival in by_column}
        for rival in (reference, "qann")
    )
    return MemoryRow(row.model, ratios, spikes)


def memories(report: EnergyReport) -> tuple[str, ...]:
    """A sentence for each end of the headline that rests on where memories lie."""
    ratios = {row.model: row.ratio for row in report.ratios if row.ratio is not None}
    rows = {row.model: row for row in memory_rows(report)}
    ends = (("lower", min(ratios, key=ratios.__getitem__)), ("upper", max(ratios, key=ratios.__getitem__)))
    return tuple(_end(end, rows[name]) for end, name in ends if name in rows and len(rows[name].ratios) > 1)


def _end(end: str, row: MemoryRow) -> str:
    others = {name: value for name, value in row.ratios.items() if name != PER_LAYER.name}
    said = ", ".join(f"{numbers.factor(value)} ({name})" for name, value in others.items())
    return (
        f"The {end} end, {numbers.factor(row.ratios[PER_LAYER.name])}, is {row.model} with one memory for "
        "each layer of both networks, as large and as dear as a whole image needs, up to DRAM. Other "
        f"memories, again on both sides, make it {said}."
    )


def other_rows(report: EnergyReport) -> Iterator[tuple[str, str, dict[str, float]]]:
    """Row of the grid, reading of the student, and every other network over it; headlines first in a row."""
    for row in report.ratios:
        for reading, by_column in row.by_reading.items():
            yield row.model, reading, dict(by_column)
