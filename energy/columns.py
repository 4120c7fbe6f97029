"""From loads to estimated energies: every column by every model and precision, aggregated over the images."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

from snn_tool.energy.constants import PRECISIONS
from snn_tool.energy.estimate import Load, Reading
from snn_tool.energy.registry import MODELS
from snn_tool.energy.report_types import Cell, Range, RatioRow, ReadingEnergy, Spread
from snn_tool.energy.verdict import split


@dataclass(frozen=True, slots=True)
class LoadedColumn:
    """The loads of one network, one for each image.

    Attributes:
        name: `teacher`, `twin` or `student`.
        loads: in the order of the images.
    """

    name: str
    loads: tuple[Load, ...]


@dataclass(frozen=True, slots=True)
class PricedCell:
    """A cell with the energies of single images, in picojoules, by reading name."""

    cell: Cell
    per_image_pj: dict[str, tuple[float, ...]]

    @property
    def headline_pj(self) -> tuple[float, ...]:
        """The headline reading's energy for each image."""
        return self.per_image_pj[self.cell.headline.name]


def spread(values: Sequence[float], names: Sequence[str]) -> Spread:
    """Mean, spread and the worst of the images; independent of their order (ties go to the first name)."""
    most = max(values)
    worst = min(name for name, value in zip(names, values, strict=True) if value == most)
    return Spread(fmean(values), pstdev(values), min(values), most, worst)


def price(column: LoadedColumn, model: str, precision: str, names: Sequence[str]) -> PricedCell:
    """Estimate one column by one model at one precision."""
    estimates = [MODELS[model](load, PRECISIONS[precision]) for load in column.loads]
    by_reading = list(zip(*(estimate.readings for estimate in estimates), strict=True))
    aggregated = [_aggregate(readings, names) for readings in by_reading]
    headline = max((r for r in aggregated if r.deployed), key=lambda reading: reading.energy_pj.mean)
    others = tuple(reading for reading in aggregated if reading is not headline)
    per_image = {readings[0].name: tuple(r.total_pj for r in readings) for readings in by_reading}
    return PricedCell(Cell(column.name, model, precision, headline, others), per_image)


def _aggregate(readings: Sequence[Reading], names: Sequence[str]) -> ReadingEnergy:
    items = {item: fmean(reading.items[item] for reading in readings) for item in readings[0].items}
    totals = spread([reading.total_pj for reading in readings], names)
    return ReadingEnergy(readings[0].name, readings[0].deployed, totals, items)


def price_all(columns: Sequence[LoadedColumn], names: Sequence[str]) -> tuple[PricedCell, ...]:
    """Every model, precision and column, in this order of nesting."""
    return tuple(
        price(column, model, precision, names)
        for model in MODELS
        for precision in PRECISIONS
        for column in columns
    )


def ratio_rows(cells: Sequence[PricedCell]) -> tuple[RatioRow, ...]:
    """One row for each model and precision."""
    grid: dict[str, dict[str, PricedCell]] = {}
    for priced in cells:
        grid.setdefault(f"{priced.cell.model}/{priced.cell.precision}", {})[priced.cell.column] = priced
    return tuple(_ratio_row(name, of_model) for name, of_model in grid.items())


def _ratio_row(name: str, of_model: dict[str, PricedCell]) -> RatioRow:
    twin, student, teacher = of_model["twin"], of_model["student"], of_model.get("teacher")
    reference = teacher or twin
    single = [r / s for r, s in zip(reference.headline_pj, student.headline_pj, strict=True)]
    readings = (student.cell.headline, *student.cell.alternatives)
    return RatioRow(
        model=name,
        split=split(
            teacher.cell.headline.energy_pj.mean if teacher else None,
            twin.cell.headline.energy_pj.mean,
            student.cell.headline.energy_pj.mean,
        ),
        least=min(single),
        most=max(single),
        by_reading={r.name: reference.cell.headline.energy_pj.mean / r.energy_pj.mean for r in readings},
    )


def ratios_to(reference: str, rows: Sequence[RatioRow]) -> dict[str, float]:
    """Energy of `teacher` or `twin` over the student's, by model."""
    if reference == "twin":
        return {row.model: row.split.twin_over_student for row in rows}
    return {
        row.model: row.split.teacher_over_student
        for row in rows
        if row.split.teacher_over_student is not None
    }


def extent(ratios: dict[str, float]) -> Range:
    """Least and most over the models."""
    return Range(min(ratios.values()), max(ratios.values()))
