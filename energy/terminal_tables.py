"""The tables of the terminal page, each at most 80 columns wide."""

from collections.abc import Callable, Iterator

from snn_tool.energy.pages import numbers as figures
from snn_tool.energy.report_estimates import Cell, RatioRow
from snn_tool.energy.report_robustness import Sensitivity
from snn_tool.energy.report.types import EnergyReport
from snn_tool.energy.sensitivity import swing
from snn_tool.tables import TextTable, plain_table

MOST_SENSITIVE = 3
"""Constants shown; energy.json holds all of them."""


def networks(report: EnergyReport) -> TextTable:
    """Parameters, MACs and quality of every column."""
    table = plain_table(
        f"Networks, means over {len(report.images)} image(s)",
        ("network",),
        ("parameters", "MACs padded", "MACs exact", "PSNR dB", "SSIM"),
    )
    for column in report.columns:
        psnr = column.quality.psnr_db if column.quality else None
        ssim = column.quality.ssim if column.quality else None
        table.add_row(
            column.name,
            f"{column.parameters:,}",
            figures.count(column.padded_macs.mean),
            figures.count(column.exact_macs.mean),
            "–" if psnr is None else f"{psnr:.2f}",
            "–" if ssim is None else f"{ssim:.4f}",
        )
    return table


def judgement(report: EnergyReport) -> Iterator[TextTable]:
    """Ratios, energies, break-even, sensitivity, thresholds."""
    yield _grid(report, f"Estimated ratio {figures.versus(report)}", lambda r: r.ratio)
    if report.reference != "twin":
        title = "What spikes alone save: ANN twin / student"
        yield _grid(report, title, lambda row: row.split.twin_over_student)
    yield _energies(report)
    yield _break_even(report)
    yield _sensitivity(report)
    yield _thresholds(report)


def most_sensitive(report: EnergyReport) -> list[Sensitivity]:
    """For each of the constants that move any ratio most, the row that it moves most, greatest first."""
    found: dict[str, Sensitivity] = {}
    for row in sorted(report.sensitivity, key=lambda row: -swing(row)):
        found.setdefault(row.constant, row)
    return list(found.values())[:MOST_SENSITIVE]


def _grid(report: EnergyReport, title: str, value: Callable[[RatioRow], float | None]) -> TextTable:
    """Models by precisions; a dash where a combination makes no sense."""
    precisions = [precision.name for precision in report.precisions]
    rows = {row.model: value(row) for row in report.ratios}
    table = plain_table(title, ("model",), tuple(precisions))
    for model in report.models:
        cells = (rows.get(f"{model.name}/{precision}") for precision in precisions)
        table.add_row(model.name, *map(figures.factor, cells))
    return table


def _energies(report: EnergyReport) -> TextTable:
    """A row for each model and precision; headline readings."""
    names = [column.name for column in report.columns]
    table = plain_table("Estimated energy per image", ("model",), tuple(names))
    rows: dict[str, dict[str, Cell]] = {}
    for cell in report.cells:
        rows.setdefault(f"{cell.model}/{cell.precision}", {})[cell.column] = cell
    for model, cells in rows.items():
        means = (figures.energy(cells[n].headline.energy_pj.mean) if n in cells else "–" for n in names)
        table.add_row(model, *means)
    return table


def _break_even(report: EnergyReport) -> TextTable:
    table = plain_table(
        f"Break-even, where {figures.versus(report)} is 1 (a dash: never)",
        ("model",),
        ("spikes ×", "spikes/neuron/image", "timesteps"),
    )
    for row in report.break_even:
        table.add_row(
            row.model,
            figures.number(row.factor),
            figures.number(row.spikes_per_neuron),
            figures.number(row.timesteps),
        )
    return table


def _sensitivity(report: EnergyReport) -> TextTable:
    table = plain_table(
        f"The {MOST_SENSITIVE} constants that move a ratio most",
        ("constant", "in model"),
        ("× 0.5", "as is", "× 1.5", "claim"),
    )
    for row in most_sensitive(report):
        ratios = (figures.factor(value) for value in (row.low, row.base, row.high))
        table.add_row(row.constant, row.model, *ratios, "flips" if row.flips else "stays")
    return table


def _thresholds(report: EnergyReport) -> TextTable:
    table = plain_table(
        "Published bounds below which spikes pay, under their assumptions",
        ("source", "quantity"),
        ("bound", "here", ""),
    )
    for row in report.thresholds:
        bound = f"{row.low:g}" if row.low == row.high else f"{row.low:g} to {row.high:g}"
        table.add_row(row.source, row.quantity, bound, figures.number(row.figure), row.position)
    return table
