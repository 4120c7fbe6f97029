"""Where the marks of the page's charts lie, computed from the report alone."""

from dataclasses import dataclass
from itertools import pairwise

from snn_tool.energy.axes import LinearAxis, LogAxis
from snn_tool.energy.pages.numbers import count
from snn_tool.energy.report_robustness import Sensitivity
from snn_tool.energy.report.types import EnergyReport
from snn_tool.energy.sensitivity import swing


def ratio_axis(report: EnergyReport) -> LogAxis:
    """An axis that holds every ratio, every image, the claim, and 1."""
    values = [1.0, report.verdict.claim]
    for row in report.ratios:
        values += [value for value in (row.ratio, row.least, row.most) if value is not None]
        values.append(row.split.twin_over_student)
    return LogAxis.around(values)


def threshold_axis(report: EnergyReport) -> LogAxis:
    """An axis that holds every published bound and this network's figures, if it fires at all."""
    values = [value for row in report.thresholds for value in (row.low, row.high, row.figure)]
    return LogAxis.around(value for value in values if value > 0)


def strongest(report: EnergyReport) -> tuple[Sensitivity, ...]:
    """For each model the constant that moves one of its ratios most."""
    found: dict[str, Sensitivity] = {}
    for row in sorted(report.sensitivity, key=lambda row: -swing(row)):
        found.setdefault(row.model.split("/", 1)[0], row)
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
        tuple((position, count(value)) for position, value in across.ticks),
        tuple((100 - position, f"{value:g}") for position, value in up.ticks),
    )
