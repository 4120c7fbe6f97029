"""The energy report as tables on a rich console of 80 columns; energy.json and the page hold the rest."""

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from snn_tool.energy import figures
from snn_tool.energy.report_types import Cell, EnergyReport


def print_report(report: EnergyReport, console: Console) -> None:
    """Print the verdict first, then what it rests on; the caller owns the console."""
    console.print(f"[bold]Estimated {_versus(report)}: {figures.span(report.headline)}[/bold]")
    console.print(figures.outcome(report))
    if report.reference == "teacher":
        console.print(
            f"ANN twin / student alone: {figures.span(report.twin_headline)}. {figures.twin_outcome(report)}"
        )
    console.print(_columns(report))
    console.print(f"[dim]lowering of membrane shortcuts: {report.lowering}[/dim]")
    for column in report.columns:
        console.print(f"[dim]{column.name}: {escape(column.title)}[/dim]")
    console.print(_ratios(report))
    console.print(_energies(report))
    console.print(_layers(report))
    if report.relays:
        console.print(_relays(report))
    if report.accumulators:
        console.print(_accumulators(report))
    console.print(f"[dim]{escape(report.note)}[/dim]")
    for left_out in report.excluded:
        console.print(
            f"[dim]Not included: {escape(left_out.term)} (favours: {escape(left_out.favours)})[/dim]"
        )


def _versus(report: EnergyReport) -> str:
    return f"{'teacher' if report.reference == 'teacher' else 'ANN twin'} / student"


def _table(title: str, text: tuple[str, ...], numbers: tuple[str, ...]) -> Table:
    table = Table(
        title=f"\n{title}", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
    )
    for heading in text:
        table.add_column(heading)
    for heading in numbers:
        table.add_column(heading, justify="right")
    return table


def _columns(report: EnergyReport) -> Table:
    table = _table(
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


def _ratios(report: EnergyReport) -> Table:
    table = _table(
        "How many times less energy: two factors (estimates)",
        ("model",),
        ("teacher/twin", "twin/student", "teacher/student", "images"),
    )
    for row in report.ratios:
        table.add_row(
            row.model,
            figures.factor(row.split.teacher_over_twin),
            figures.factor(row.split.twin_over_student),
            figures.factor(row.split.teacher_over_student),
            f"{figures.factor(row.least)} to {figures.factor(row.most)}",
        )
    return table


def _energies(report: EnergyReport) -> Table:
    """A row for each model and precision; the student's other readings as a range."""
    names = [column.name for column in report.columns]
    table = _table("Estimated energy per image", ("model",), (*names, "student, other readings"))
    rows: dict[str, dict[str, Cell]] = {}
    for cell in report.cells:
        rows.setdefault(f"{cell.model}/{cell.precision}", {})[cell.column] = cell
    for model, cells in rows.items():
        others = [reading.energy_pj.mean for reading in cells["student"].alternatives]
        between = f"{figures.energy(min(others))} to {figures.energy(max(others))}" if others else "–"
        energies = (figures.energy(cells[name].headline.energy_pj.mean) for name in names)
        table.add_row(model, *energies, between)
    return table


def _layers(report: EnergyReport) -> Table:
    table = _table(
        "Layers, means per image (share: synaptic energy without relays, exact-ops/fp32)",
        ("synapse", "source"),
        ("readers", "synops", "spikes/neuron", "MACs", "twin MACs", "share"),
    )
    for row in report.layers:
        table.add_row(
            row.synapse,
            row.source,
            str(row.readers),
            figures.count(row.synops_levels),
            f"{row.spikes_per_neuron:.3f}",
            figures.count(row.student_macs),
            figures.count(row.twin_exact_macs),
            figures.percent(row.share),
        )
    return table


def _relays(report: EnergyReport) -> Table:
    table = _table(
        "Relays that delay skips, means per image (deployed, charged)",
        ("population",),
        ("stages", "neurons", "updates", "synops", "events"),
    )
    for row in report.relays:
        table.add_row(
            row.population,
            str(row.stages),
            figures.count(row.neurons),
            figures.count(row.updates),
            figures.count(row.synops_levels),
            figures.count(row.synops_events),
        )
    return table


def _accumulators(report: EnergyReport) -> Table:
    table = _table(
        "Accumulators of residual streams, means per image (deployed, charged)",
        ("accumulator",),
        ("readers", "relays", "neurons", "updates", "events"),
    )
    for row in report.accumulators:
        table.add_row(
            row.name,
            str(row.readers),
            str(row.stages),
            figures.count(row.neurons),
            figures.count(row.updates),
            figures.count(row.synops_events),
        )
    return table
