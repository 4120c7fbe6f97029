"""Where the marks of the page's charts lie, computed from the report alone."""

import base64
import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from snn_tool.energy.pages import numbers
from snn_tool.energy.report.document import EnergyReport, Sensitivity, model_of, row_name
from snn_tool.energy.report.firing import block_sums, png
from snn_tool.energy.report.networks import FiringMap
from snn_tool.energy.report.robustness import strongest_by

MARKS = {"met": "●", "ahead": "◐", "behind": "○", "none": ""}
"""The claim is met; it is not, but the student needs less; the student does not need less."""

PNG_URI = "data:image/png;base64,"
RAMP = ((247, 249, 251), (86, 160, 200), (8, 44, 92))
"""The least, half-way, and the peak: lightness falls all the way, so that grey print keeps the order."""


@dataclass(frozen=True, slots=True)
class LogAxis:
    """A logarithmic axis from a power of ten to a power of ten."""

    low: int
    high: int

    @classmethod
    def around(cls, values: Iterable[float]) -> "LogAxis":
        """The shortest axis that holds all of the values, each above zero; at least one decade.

        The largest value has a hundredth of itself above it, so that its mark stands inside.
        """
        known = list(values)
        low = math.floor(math.log10(min(known)))
        return cls(low, max(low + 1, math.ceil(math.log10(max(known) * 1.01))))

    def at(self, value: float) -> float:
        """Position of a value in percent, rounded to hundredths."""
        return round(100 * (math.log10(value) - self.low) / (self.high - self.low), 2)

    @property
    def ticks(self) -> tuple[tuple[float, str], ...]:
        """Position and label of each power of ten."""
        return tuple((self.at(10.0**power), _power(power)) for power in range(self.low, self.high + 1))


@dataclass(frozen=True, slots=True)
class LinearAxis:
    """A linear axis between two multiples of a step of 1, 2 or 5 times a power of ten."""

    low: float
    high: float
    step: float

    @classmethod
    def around(cls, values: Iterable[float], most: int = 5) -> "LinearAxis":
        """An axis of at most `most` steps that holds all of the values."""
        known = list(values)
        step = _step((max(known) - min(known)) / (most - 1) or abs(known[0]) or 1.0)
        return cls(math.floor(min(known) / step) * step, (math.floor(max(known) / step) + 1) * step, step)

    def at(self, value: float) -> float:
        """Position of a value in percent, rounded to hundredths."""
        return round(100 * (value - self.low) / (self.high - self.low), 2)

    @property
    def ticks(self) -> tuple[tuple[float, float], ...]:
        """Position and value of each multiple of the step."""
        count = round((self.high - self.low) / self.step)
        values = [self.low + index * self.step for index in range(count + 1)]
        return tuple((self.at(value), round(value, 12)) for value in values)


def _power(power: int) -> str:
    """0.01 to 1000 in full, others as 10 to a power: a label must be short."""
    if -2 <= power <= 3:
        return f"{10.0**power:g}"
    return "10" + str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _step(least: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that is at least `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * digit for digit in (1, 2, 5, 10) if power * digit >= least * (1 - 1e-12))


def ratio_axis(report: EnergyReport) -> LogAxis:
    """An axis that holds every ratio, every image, the claim, and 1."""
    values = [1.0, report.verdict.claim]
    for row in report.ratios:
        values += [value for value in (row.ratio, row.least, row.most) if value is not None]
        values.append(row.split.qann_over_student)
    return LogAxis.around(values)


def threshold_axis(report: EnergyReport) -> LogAxis:
    """An axis that holds every published bound and this network's figures, if it fires at all."""
    values = [value for row in report.thresholds for value in (row.low, row.high, row.figure)]
    return LogAxis.around(value for value in values if value > 0)


def strongest(report: EnergyReport) -> tuple[Sensitivity, ...]:
    """For each model the constant that moves one of its ratios most."""
    found = strongest_by(report.sensitivity, lambda row: model_of(row.model))
    return tuple(found[model.name] for model in report.models if model.name in found)


@dataclass(frozen=True, slots=True)
class Point:
    """A mark in percent from the left and from the top, with its label."""

    x: float
    y: float
    label: str


@dataclass(frozen=True, slots=True)
class SweepChart:
    """PSNR over synops.

    Attributes:
        points: with increasing setting.
        lines: between neighbours.
        across, up: positions in percent and labels of both axes' ticks, from the left and from the top.
    """

    points: tuple[Point, ...]
    lines: tuple[tuple[Point, Point], ...]
    across: tuple[tuple[float, str], ...]
    up: tuple[tuple[float, str], ...]


def sweep_chart(report: EnergyReport) -> SweepChart | None:
    """The chart of a report's sweep; None without two points of finite PSNR."""
    sweep = report.sweep
    measured = [(p, p.psnr_db) for p in sweep.points if p.psnr_db is not None] if sweep else []
    if sweep is None or len(measured) < 2:
        return None
    across = LinearAxis.around([0.0, *(p.synops_levels for p, _ in measured)])
    up = LinearAxis.around([psnr for _, psnr in measured], most=4)
    symbol = "T" if sweep.setting == "timesteps" else "D"
    points = tuple(
        Point(across.at(p.synops_levels), 100 - up.at(psnr), f"{symbol} = {p.setting}")
        for p, psnr in measured
    )
    return SweepChart(
        points,
        tuple(pairwise(points)),
        tuple((position, numbers.count(value)) for position, value in across.ticks),
        tuple((100 - position, f"{value:g}") for position, value in up.ticks),
    )


@dataclass(frozen=True, slots=True)
class GridCell:
    """One combination.

    Attributes:
        standing: a key of `MARKS`; `none` where the combination makes no sense.
        ratio: reference over student, as text.
        spikes: quantised twin over student, as text; empty where that is the ratio already.
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
    cells = {row.model: _cell(report, row.ratio, row.split.qann_over_student) for row in report.ratios}
    return tuple(
        (model.name, tuple(cells.get(row_name(model.name, p.name), NOTHING) for p in report.precisions))
        for model in report.models
    )


def _cell(report: EnergyReport, ratio: float | None, spikes: float) -> GridCell:
    if ratio is None:
        return NOTHING
    alone = "" if report.reference == "qann" else numbers.factor(spikes)
    return GridCell(standing(report, ratio), numbers.factor(ratio), alone)


def standing(report: EnergyReport, ratio: float) -> str:
    """How a ratio stands to the claim and to 1."""
    if ratio >= report.verdict.claim:
        return "met"
    return "ahead" if ratio > 1 else "behind"


@dataclass(frozen=True, slots=True)
class Picture:
    """One map to show: its own least is white and its own peak is darkest, whatever the others do.

    Attributes:
        uri: PNG, one pixel for each block.
        rate, least, peak: spikes per neuron and timestep, of the population and of its extreme blocks.
    """

    population: str
    uri: str
    rate: float
    least: float
    peak: float


def pictures(report: EnergyReport) -> tuple[Picture, ...]:
    """All maps of a report."""
    return tuple(_picture(shown, report.timesteps * report.passes) for shown in report.firing.maps)


def input_uri(report: EnergyReport) -> str:
    """What the network was given."""
    return PNG_URI + report.firing.input_png


def data_uri(pixels: NDArray[np.uint8]) -> str:
    """A picture [H, W, 3] as a PNG within the page."""
    return PNG_URI + base64.b64encode(png(pixels)).decode("ascii")


def rates(shown: FiringMap, timesteps: int) -> NDArray[np.float64]:
    """Nonzero spikes per neuron and timestep of each block, float64 [rows, columns]."""
    spikes = np.array([[int(value) for value in row.split()] for row in shown.spikes], dtype=np.int64)
    neurons = block_sums(np.ones((shown.height, shown.width), np.int64), shown.block) * shown.channels
    found: NDArray[np.float64] = spikes / (neurons * timesteps)
    return found


def _picture(shown: FiringMap, timesteps: int) -> Picture:
    values = rates(shown, timesteps)
    least, peak = float(values.min()), float(values.max())
    uri = data_uri(ramp((values - least) / (peak - least or 1.0)))
    return Picture(shown.population, uri, shown.rate, least, peak)


def ramp(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Colours uint8 [..., 3] of values in [0, 1], linear between the three of `RAMP`."""
    stops = np.linspace(0, 1, len(RAMP))
    channels = [np.interp(values, stops, [colour[i] for colour in RAMP]) for i in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
