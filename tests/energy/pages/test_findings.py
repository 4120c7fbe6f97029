"""The sentences and the grid of both pages, on ratios made by hand, and memories on a real audit."""

import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console
from snn_tool.energy.pages import findings, readings
from snn_tool.energy.pages import numbers as figures
from snn_tool.energy.pages.charts import grid, standing, strongest, sweep_chart
from snn_tool.energy.pages.html import render
from snn_tool.energy.pages.terminal import print_report
from snn_tool.energy.report.audit import audit
from snn_tool.energy.report.columns import Teacher
from snn_tool.energy.report.document import EnergyReport, RatioRow
from snn_tool.energy.report.networks import Sweep, SweepPoint
from snn_tool.energy.report.split import split
from snn_tool.models.integer.network import IntegerNetwork
from torch import nn


@pytest.fixture(scope="module")
def report(make_network: Callable[..., IntegerNetwork]) -> EnergyReport:
    """A layer holds the membranes of 256 x 256 pixels: 768 KB, six times what a core of 128 KB does."""
    image = np.random.default_rng(0).integers(-64, 64, (3, 256, 256)).astype(np.int16)
    teacher = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), nn.Conv2d(64, 3, 3, padding=1))
    return audit(make_network("lif"), [image], teacher=Teacher("two layers", teacher))


def with_ratios(
    report: EnergyReport, reference: str, *rows: tuple[str, float, float], bits: float = 2.0
) -> EnergyReport:
    """A report with other ratios: name, teacher over twin, quantised twin over student."""
    made = []
    for name, size, spikes in rows:
        parts = split(size * bits * spikes, bits * spikes, spikes, 1.0)
        ratio = parts.teacher_over_student if reference == "teacher" else spikes
        made.append(RatioRow(name, parts, ratio, ratio, ratio, {}))
    return replace(report, reference=reference, ratios=tuple(made))


@pytest.mark.slow
def test_the_larger_factor_drives_the_headline(report: EnergyReport) -> None:
    """Geometric means: 10 of 4 and 25 for the size, 1 of 2 and 0.5 for the spikes, and vice versa."""
    by_size = with_ratios(report, "teacher", ("paper/fp32", 4, 2), ("exact-ops/fp32", 25, 0.5))
    assert findings.driver(by_size) == (
        "The smaller network drives it, worth 4.00× to 25.0×; fewer bits are worth 2.00× to 2.00×; spikes "
        "are worth 0.500× to 2.00×."
    )
    by_spikes = with_ratios(report, "teacher", ("paper/fp32", 2, 4), ("exact-ops/fp32", 0.5, 25))
    assert findings.driver(by_spikes).startswith("Spikes drive it, worth 4.00× to 25.0×; fewer bits are")
    by_bits = with_ratios(report, "teacher", ("paper/fp32", 2, 4), bits=30)
    assert findings.driver(by_bits).startswith("Fewer bits drive it, worth 30.0× to 30.0×; spikes are")
    for reference, what in (("twin", "one shape"), ("qann", "one function"), ("cnn", "one quality")):
        assert what in findings.driver(with_ratios(report, reference, ("paper/fp32", 4, 2)))


def test_whoever_wins_less_often_reverses_the_winner(report: EnergyReport) -> None:
    rows = [("paper/fp32", 1.0, 3.0), ("paper/int8", 1.0, 0.5), ("exact-ops/fp32", 1.0, 2.0)]
    ahead = with_ratios(report, "teacher", *rows, ("exact-ops/int8", 1.0, 4.0))
    assert findings.reversal(ahead) == (
        "In 3 of 4 estimates the student needs less energy; the winner is reversed by paper/int8."
    )
    behind = with_ratios(
        report, "twin", *rows[:2], ("exact-ops/fp32", 1.0, 0.1), ("exact-ops/int8", 1.0, 1.0)
    )
    assert findings.reversal(behind) == (
        "In 3 of 4 estimates its ANN twin needs less energy; the winner is reversed by paper/fp32."
    )
    whole = with_ratios(report, "teacher", *rows[:1], ("exact-ops/fp32", 1, 0.1), ("exact-ops/int8", 1, 0.2))
    assert findings.reversal(whole).endswith(
        "the teacher needs less energy; the winner is reversed by paper."
    )
    assert findings.reversal(with_ratios(report, "teacher", rows[0])) == (
        "In all 1 estimates the student needs less energy."
    )


def test_memories_are_named_where_they_set_an_end(report: EnergyReport) -> None:
    """Every ratio of the sentence is recomputed from the cells of both sides."""
    least = min(report.ratios, key=lambda row: row.ratio or 0.0)
    assert least.model.startswith("memory-full-reuse/")
    energies = {(c.column, f"{c.model}/{c.precision}"): c for c in report.cells}
    (warning,) = readings.memories(report)
    assert warning.startswith(f"The lower end, {figures.factor(least.ratio)}, is {least.model}")
    student, teacher = energies["student", least.model], energies["teacher", least.model]
    shown = {}
    for reading in student.alternatives:
        (other,) = [one for one in teacher.alternatives if one.memory == reading.memory]
        shown[reading.memory] = other.energy_pj.mean / reading.energy_pj.mean
    assert list(shown) == [
        "cores of 128 KB",
        "SRAM of 8 MB",
        "state in registers",
        "state in SRAM beside the neuron",
    ]
    said = ", ".join(f"{figures.factor(ratio)} ({name})" for name, ratio in shown.items())
    assert warning.endswith(f"again on both sides, make it {said}.")
    assert max(shown.values()) > 2 * (least.ratio or 0.0)
    (row,) = [row for row in readings.memory_rows(report) if row.model == least.model]
    assert row.ratios == pytest.approx({"one memory per layer": least.ratio, **shown})
    for row in readings.memory_rows(report):
        headline = energies["student", row.model].headline
        assert row.spikes["one memory per layer"] == pytest.approx(
            energies["qann", row.model].headline.energy_pj.mean / headline.energy_pj.mean
        )
    others = tuple(row for row in report.ratios if not row.model.startswith("memory-"))
    assert readings.memories(replace(report, ratios=others)) == ()


def test_a_row_is_found_by_its_name_and_not_by_its_ratio(report: EnergyReport) -> None:
    """Another model with the very same least ratio does not stand in for the first."""
    least = min(report.ratios, key=lambda row: row.ratio or 0.0)
    double = replace(report.ratios[0], ratio=least.ratio)
    assert not double.model.startswith("memory-")
    twice = replace(report, ratios=(*report.ratios[1:], double))
    assert readings.memories(twice) == readings.memories(report) != ()


@pytest.mark.slow
def test_both_pages_say_it(report: EnergyReport) -> None:
    stream = io.StringIO()
    print_report(report, Console(file=stream, width=400))
    said = (findings.driver(report), findings.reversal(report), *readings.memories(report), readings.WHAT)
    for sentence in said:
        assert sentence in stream.getvalue()
        assert sentence in render(report)


@pytest.mark.slow
def test_the_page_shows_each_reading_with_the_ratio_of_each_rival(report: EnergyReport) -> None:
    page = render(report)
    rows = [row for row in report.ratios for _ in row.by_reading]
    assert f"All {len(rows)} readings of the student" in page
    for row in readings.memory_rows(report):
        for name, ratio in row.ratios.items():
            text = f"<b>{figures.factor(ratio)}</b><small>spikes {figures.factor(row.spikes[name])}</small>"
            assert text in page
    for _, name, by_column in readings.other_rows(report):
        cells = "".join(
            f'<td class="n">{figures.factor(by_column.get(column.name))}</td>'
            for column in report.columns[:-1]
        )
        assert f"<td>{name}</td>{cells}</tr>" in page


def test_the_grid_marks_every_standing(report: EnergyReport) -> None:
    report = replace(report, verdict=replace(report.verdict, claim=10.0))
    assert [standing(report, ratio) for ratio in (10.0, 9.99, 1.01, 1.0, 0.1)] == [
        "met",
        "ahead",
        "ahead",
        "behind",
        "behind",
    ]
    cells = {
        f"{model}/{precision.name}": cell
        for model, row in grid(report)
        for precision, cell in zip(report.precisions, row, strict=True)
    }
    assert len(cells) == 8 * 4
    for row in report.ratios:
        cell = cells.pop(row.model)
        assert cell.ratio == figures.factor(row.ratio)
        assert cell.spikes == figures.factor(row.split.qann_over_student)
    assert {(cell.standing, cell.ratio, cell.mark) for cell in cells.values()} == {("none", "–", "")}


def test_the_strongest_constant_of_each_model(report: EnergyReport) -> None:
    chosen = {row.model.split("/")[0]: row for row in strongest(report)}
    assert list(chosen) == [model.name for model in report.models]
    for row in report.sensitivity:
        swings = [
            max(abs(np.log(v / r.base)) for v in (r.low, r.high)) for r in (row, chosen[_model(row.model)])
        ]
        assert swings[0] <= swings[1]


def _model(name: str) -> str:
    return name.split("/")[0]


def test_points_of_the_sweep_lie_where_they_belong(report: EnergyReport) -> None:
    """x: 0 to 2 G in steps of 500 M; y: 22 to 28 dB, downwards on the page."""
    points = [SweepPoint(1, 0.5e9, 0.5e9, 1.0, 0.1, 22.0), SweepPoint(2, 1.5e9, 1.5e9, 2.0, 0.2, 26.5)]
    chart = sweep_chart(replace(report, sweep=Sweep("timesteps", tuple(points))))
    assert chart is not None
    assert [(p.x, p.y, p.label) for p in chart.points] == [(25.0, 100.0, "T = 1"), (75.0, 25.0, "T = 2")]
    assert chart.lines == ((chart.points[0], chart.points[1]),)
    assert [label for _, label in chart.across] == ["0", "500 M", "1.00 G", "1.50 G", "2.00 G"]
    assert chart.up[0] == (100, "22") and chart.up[-1] == (0, "28")
    unknown = replace(points[0], psnr_db=None)
    assert sweep_chart(replace(report, sweep=Sweep("levels", (unknown, points[1])))) is None
    assert sweep_chart(replace(report, sweep=None)) is None
    assert "22.00" in render(replace(report, sweep=Sweep("levels", (points[0], unknown))))
