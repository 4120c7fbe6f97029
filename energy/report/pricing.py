"""From loads to estimated energies: every column by every model and precision, aggregated over the images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

from snn_tool.energy.estimators.charges import SpikeCharge
from snn_tool.energy.estimators.chip_use import ChipUse
from snn_tool.energy.estimators.estimate import EnergyModel, Load, Reading
from snn_tool.energy.estimators.prices import Precision, Prices, Pricing
from snn_tool.energy.estimators.registry import MODELS
from snn_tool.energy.report.document import Cell, Range, RatioRow, ReadingEnergy, row_name
from snn_tool.energy.report.networks import Spread
from snn_tool.energy.report.split import split, why_one
from snn_tool.errors import ConfigError


@dataclass(frozen=True, slots=True)
class LoadedColumn:
    """The loads of one network, one for each image.

    Attributes:
        name: one of `COLUMNS`.
        loads: in the order of the images.
        float_loads: the same in floating point, where narrow activations have no price; None for `loads`.
    """

    name: str
    loads: tuple[Load, ...]
    float_loads: tuple[Load, ...] | None = None

    def at(self, precision: Precision) -> tuple[Load, ...]:
        """What is priced at a precision."""
        return self.loads if precision.integer or self.float_loads is None else self.float_loads


@dataclass(frozen=True, slots=True)
class PricedCell:
    """A cell, the energies of single images in picojoules by reading name, and the headline's charge.

    Attributes:
        chips: by reading name what each image fills; empty by models of no chip.
    """

    cell: Cell
    per_image_pj: dict[str, tuple[float, ...]]
    charge: SpikeCharge | None
    chips: Mapping[str, tuple[ChipUse, ...]]

    @property
    def headline_pj(self) -> tuple[float, ...]:
        """The headline reading's energy for each image."""
        return self.per_image_pj[self.cell.headline.name]

    @property
    def mean_pj(self) -> float:
        """Mean over the images of the headline."""
        return self.cell.headline.energy_pj.mean


@dataclass(frozen=True, slots=True)
class PricedRow:
    """One model at one precision, with its cells by column name."""

    model: EnergyModel
    prices: Prices
    cells: Mapping[str, PricedCell]

    @property
    def name(self) -> str:
        """`model/precision`."""
        return row_name(self.model.name, self.prices.precision.name)


def spread(values: Sequence[float], names: Sequence[str]) -> Spread:
    """Mean, spread and the worst of the images; independent of their order (ties go to the first name)."""
    most = max(values)
    worst = min(name for name, value in zip(names, values, strict=True) if value == most)
    return Spread(fmean(values), pstdev(values), min(values), most, worst)


def price(column: LoadedColumn, model: EnergyModel, prices: Prices, names: Sequence[str]) -> PricedCell:
    """Estimate one column by one model at one precision; images of one size share a dense network's load.

    Raises:
        ConfigError: the constants make the column cost nothing.
    """
    loads = column.at(prices.precision)
    distinct = {id(load): model.estimate(load, prices).readings for load in _distinct(loads)}
    by_reading = list(zip(*(distinct[id(load)] for load in loads), strict=True))
    aggregated = [_aggregate(readings, names) for readings in by_reading]
    headline = max((r for r in aggregated if r.deployed), key=lambda reading: reading.energy_pj.mean)
    if headline.energy_pj.mean <= 0:
        raise ConfigError(
            f"{row_name(model.name, prices.precision.name)}: {column.name} would need no energy, so that "
            "there is no ratio; give at least one constant that it uses a value above 0"
        )
    others = tuple(reading for reading in aggregated if reading is not headline)
    per_image = {readings[0].name: tuple(r.total_pj for r in readings) for readings in by_reading}
    cell = Cell(column.name, model.name, prices.precision.name, headline, others)
    charges = {readings[0].name: readings[0].charge for readings in by_reading}
    chips = {readings[0].name: tuple(r.chip for r in readings if r.chip) for readings in by_reading}
    return PricedCell(cell, per_image, charges[headline.name], chips)


def _distinct(loads: Sequence[Load]) -> list[Load]:
    return list({id(load): load for load in loads}.values())


def _aggregate(readings: Sequence[Reading], names: Sequence[str]) -> ReadingEnergy:
    first = readings[0]
    return ReadingEnergy(
        name=first.name,
        deployed=first.deployed,
        energy_pj=spread([reading.total_pj for reading in readings], names),
        items_pj={item: fmean(reading.items[item] for reading in readings) for item in first.items},
        spike_driven=tuple(item for item in first.items if item in first.spike_driven),
        once=tuple(item for item in first.items if item in first.once),
        memory=first.memory,
    )


def price_all(
    columns: Sequence[LoadedColumn], pricing: Pricing, names: Sequence[str]
) -> tuple[PricedRow, ...]:
    """Every model, precision and column that make sense together, in this order of nesting."""
    return tuple(
        _priced_row(columns, model, pricing.at(precision.name), names)
        for model in MODELS.values()
        for precision in pricing.precisions.values()
        if model.takes(precision)
    )


def _priced_row(
    columns: Sequence[LoadedColumn], model: EnergyModel, prices: Prices, names: Sequence[str]
) -> PricedRow:
    cells = {c.name: price(c, model, prices, names) for c in columns if c.name in model.columns}
    return PricedRow(model, prices, cells)


def ratio_row(row: PricedRow, reference: str, bits: int) -> RatioRow:
    """The factors of one row, and its reference over the student; `bits` are the quantised twin's."""
    mean = {name: cell.mean_pj for name, cell in row.cells.items()}
    student, against = row.cells["student"], row.cells.get(reference)
    single = _single(against, student)
    return RatioRow(
        model=row.name,
        split=split(
            mean.get("teacher"),
            mean["twin"],
            mean["qann"],
            mean["student"],
            mean.get("cnn"),
            why_one(row.prices.precision, bits, mean["twin"], mean["qann"]),
        ),
        ratio=against.mean_pj / mean["student"] if against else None,
        least=min(single, default=None),
        most=max(single, default=None),
        by_reading={
            reading.name: _by_column(row, reading)
            for reading in (student.cell.headline, *student.cell.alternatives)
        },
    )


def _by_column(row: PricedRow, reading: ReadingEnergy) -> dict[str, float]:
    """Every other network over one reading of the student, where it has a reading of the same memories."""
    others = {name: like(priced.cell, reading) for name, priced in row.cells.items() if name != "student"}
    return {
        name: other.energy_pj.mean / reading.energy_pj.mean
        for name, other in others.items()
        if other is not None
    }


def like(cell: Cell, reading: ReadingEnergy) -> ReadingEnergy | None:
    """The reading of another network that assumes the same memories; the headline if several do."""
    readings = (cell.headline, *cell.alternatives)
    return next((other for other in readings if other.memory == reading.memory), None)


def _single(against: PricedCell | None, student: PricedCell) -> list[float]:
    if against is None:
        return []
    return [r / s for r, s in zip(against.headline_pj, student.headline_pj, strict=True)]


def extent(ratios: Mapping[str, float]) -> Range:
    """Least and most over the models."""
    return Range(min(ratios.values()), max(ratios.values()))
