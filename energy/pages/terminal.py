"""The energy report on a rich console of 80 columns; energy.json and the page hold the rest."""

from collections.abc import Callable, Iterator
from statistics import fmean

from rich.console import Console
from rich.text import Text
from snn_tool.energy.estimators.arrays import READINGS
from snn_tool.energy.pages import equal_integers, findings, numbers, readings
from snn_tool.energy.pages.mapped import mapped_tables
from snn_tool.energy.report.document import Cell, ChipCheck, EnergyReport, RatioRow, Sensitivity, row_name
from snn_tool.energy.report.networks import Sweep
from snn_tool.energy.report.robustness import strongest_by
from snn_tool.tables import TextTable, plain_table, printable, rendered

MOST_SENSITIVE = 3
"""Constants shown; energy.json holds all of them."""

DIM = "dim"


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
            numbers.count(column.padded_macs.mean),
            numbers.count(column.exact_macs.mean),
            "–" if psnr is None else f"{psnr:.2f}",
            "–" if ssim is None else f"{ssim:.4f}",
        )
    return table


def _equal_integers(report: EnergyReport) -> TextTable:
    """The three factors of every row, and the rival of equal quality."""
    headings = ("spikes", "", "int8 CNN", "smaller", "bits", "teacher")
    table = plain_table(equal_integers.TITLE, ("model",), headings)
    for row in equal_integers.equal_rows(report):
        table.add_row(row.row, row.spikes, row.mark, row.cnn, row.smaller, row.bits, row.teacher)
    return table


def judgement(report: EnergyReport) -> Iterator[TextTable]:
    """Ratios, energies, break-even, sensitivity, thresholds."""
    yield _grid(report, f"Estimated ratio {numbers.versus(report)}", lambda r: r.ratio)
    yield from _readings(report)
    yield _energies(report)
    yield from chips(report)
    yield _break_even(report)
    yield _sensitivity(report)
    if report.unsourced:
        yield _unsourced(report)
    yield _thresholds(report)


def most_sensitive(report: EnergyReport) -> list[Sensitivity]:
    """For each of the constants that move any ratio most, the row that it moves most, greatest first."""
    found = strongest_by(report.sensitivity, lambda row: row.constant)
    return list(found.values())[:MOST_SENSITIVE]


def _grid(report: EnergyReport, title: str, value: Callable[[RatioRow], float | None]) -> TextTable:
    """Models by precisions; a dash where a combination makes no sense."""
    precisions = [precision.name for precision in report.precisions]
    rows = {row.model: value(row) for row in report.ratios}
    table = plain_table(title, ("model",), tuple(precisions))
    for model in report.models:
        cells = (rows.get(row_name(model.name, precision)) for precision in precisions)
        table.add_row(model.name, *map(numbers.factor, cells))
    return table


def _readings(report: EnergyReport) -> Iterator[TextTable]:
    """A row for each model that charges memory, and a column for each reading of where memories lie."""
    rows = readings.memory_rows(report)
    if rows:
        names = tuple(memories.name for memories in READINGS)
        title = f"Readings: {numbers.versus(report)} with the same memories on both sides"
        table = plain_table(title, ("model",), names)
        for row in rows:
            table.add_row(row.model, *(numbers.factor(row.ratios.get(name)) for name in names))
        yield table


def _energies(report: EnergyReport) -> TextTable:
    """A row for each model and precision; headline readings."""
    names = [column.name for column in report.columns]
    table = plain_table("Estimated energy per image", ("model",), tuple(names))
    rows: dict[str, dict[str, Cell]] = {}
    for cell in report.cells:
        rows.setdefault(cell.row, {})[cell.column] = cell
    for model, cells in rows.items():
        means = (numbers.energy(cells[n].headline.energy_pj.mean) if n in cells else "–" for n in names)
        table.add_row(model, *means)
    return table


def chips(report: EnergyReport) -> Iterator[TextTable]:
    """What stands beside a chip's joules: chips, watts and time, and how far a measurement is."""
    yield _chips(report)
    yield _calibration(report)


def _chips(report: EnergyReport) -> TextTable:
    table = plain_table(
        "The student on chips, deployed readings (time: image to image, without gaps)",
        ("model", "runs"),
        ("chips", "static W", "ms", "frames/s", "static"),
    )
    for row in report.chips:
        if row.deployed:
            table.add_row(
                row.model,
                "no" if row.lacks else "yes",
                f"{row.chips:,}",
                numbers.number(row.static_w),
                numbers.number(row.time_ms),
                numbers.number(row.frames_per_s),
                numbers.percent(row.static_share),
            )
    return table


def _calibration(report: EnergyReport) -> TextTable:
    table = plain_table(
        "Counts times constants against a PilotNet measured on Loihi 2",
        ("model",),
        ("mJ", "measured", "deviation", "without static", "time"),
    )
    for row in report.calibration:
        table.add_row(
            row.model,
            numbers.number(row.total_mj),
            numbers.number(row.measured_total_mj),
            numbers.deviation(row.total_deviation),
            f"{numbers.deviation(row.dynamic_deviation)}{' (fitted)' if row.fitted else ''}",
            numbers.deviation(row.time_deviation),
        )
    return table


def _break_even(report: EnergyReport) -> TextTable:
    table = plain_table(
        f"Break-even, where {numbers.versus(report)} is 1 (a dash: never)",
        ("model",),
        ("spikes ×", "spikes/neuron/image", "timesteps"),
    )
    for row in report.break_even:
        table.add_row(
            row.model,
            numbers.number(row.factor),
            numbers.number(row.spikes_per_neuron),
            numbers.number(row.timesteps),
        )
    return table


def _sensitivity(report: EnergyReport) -> TextTable:
    table = plain_table(
        f"The {MOST_SENSITIVE} constants that move a ratio most",
        ("constant", "in model"),
        ("× 0.5", "as is", "× 1.5", "claim"),
    )
    for row in most_sensitive(report):
        ratios = (numbers.factor(value) for value in (row.low, row.base, row.high))
        table.add_row(row.constant, row.model, *ratios, "flips" if row.flips else "stays")
    return table


def _unsourced(report: EnergyReport) -> TextTable:
    """What is taken on trust, and what hangs on it."""
    table = plain_table(
        "Constants not found at a source, and in how many rows they decide",
        ("constant", "moves most"),
        ("× 0.5", "× 1.5", "claim", "winner"),
    )
    for row in report.unsourced:
        ratios = (numbers.factor(value) for value in (row.strongest.low, row.strongest.high))
        table.add_row(row.constant, row.strongest.model, *ratios, str(len(row.flips)), str(len(row.reverses)))
    return table


def _thresholds(report: EnergyReport) -> TextTable:
    table = plain_table(
        "Published bounds below which spikes pay, under their assumptions",
        ("source", "quantity"),
        ("bound", "here", ""),
    )
    for row in report.thresholds:
        bound = f"{row.low:g}" if row.low == row.high else f"{row.low:g} to {row.high:g}"
        table.add_row(row.source, row.quantity, bound, numbers.number(row.figure), row.position)
    return table


def counts(report: EnergyReport) -> Iterator[TextTable]:
    """Layers, relays, accumulators."""
    yield _layers(report)
    if report.relays:
        yield _relays(report)
    if report.accumulators:
        yield _accumulators(report)


def _layers(report: EnergyReport) -> TextTable:
    table = plain_table(
        "Layers, means per image (share: of synaptic energy, exact-ops/fp32)",
        ("synapse", "source"),
        ("readers", "synops", "spikes/neuron", "MACs", "twin MACs", "share"),
    )
    for row in report.layers:
        table.add_row(
            row.synapse,
            row.source,
            str(row.readers),
            numbers.count(row.synops_levels),
            f"{row.spikes_per_neuron:.3f}",
            numbers.count(row.student_macs),
            numbers.count(row.twin_exact_macs),
            numbers.percent(row.share),
        )
    return table


def _relays(report: EnergyReport) -> TextTable:
    table = plain_table(
        "Relays that delay skips, means per image",
        ("population",),
        ("stages", "neurons", "updates", "synops", "events"),
    )
    for row in report.relays:
        table.add_row(
            row.population,
            str(row.stages),
            numbers.count(row.neurons),
            numbers.count(row.updates),
            numbers.count(row.synops_levels),
            numbers.count(row.synops_events),
        )
    return table


def _accumulators(report: EnergyReport) -> TextTable:
    table = plain_table(
        "Accumulators of residual streams, means per image",
        ("accumulator",),
        ("readers", "relays", "neurons", "updates", "events"),
    )
    for row in report.accumulators:
        table.add_row(
            row.name,
            str(row.readers),
            str(row.stages),
            numbers.count(row.neurons),
            numbers.count(row.updates),
            numbers.count(row.synops_events),
        )
    return table


def spikes(report: EnergyReport) -> Iterator[TextTable]:
    """Those of the two that a report holds."""
    if report.sweep:
        yield _sweep(report.sweep)
    if report.sanafe:
        yield _chip(report.sanafe)
    if report.mapping:
        yield from mapped_tables(report.mapping)


def _sweep(sweep: Sweep) -> TextTable:
    table = plain_table(
        f"Quality against spikes: the same weights with fewer {sweep.setting}",
        (sweep.setting,),
        ("PSNR dB", "synops", "events", "spikes/neuron", "MACs on image"),
    )
    for point in sweep.points:
        table.add_row(
            str(point.setting),
            "–" if point.psnr_db is None else f"{point.psnr_db:.2f}",
            numbers.count(point.synops_levels),
            numbers.count(point.synops_events),
            f"{point.spikes_per_neuron:.3f}",
            numbers.count(point.first_layer_macs),
        )
    return table


def _chip(chip: ChipCheck) -> TextTable:
    exact = "every integer, synop and spike exact" if chip.passed else "DIFFERS from the integer engine"
    table = plain_table(
        f"SANA-FE's Loihi, {chip.tiles} tile(s) of {chip.width} x {chip.height}: {exact}",
        ("component",),
        ("per tile", "pJ/synop", "loihi1-sanafe here, pJ/synop"),
    )
    rows = [(p.name, p.energy_pj, p.per_synop_pj, p.model_per_synop_pj) for p in chip.parts]
    for name, energy_pj, per_synop, modelled in (
        *rows,
        ("total", chip.energy_pj, chip.per_synop_pj, chip.model_per_synop_pj),
    ):
        table.add_row(name, numbers.energy(energy_pj), numbers.number(per_synop), numbers.number(modelled))
    return table


def headlines_text(report: EnergyReport) -> str:
    """What an audit found, in few lines: what spikes save, the ratio, the verdict, and what was counted."""
    student = next(column for column in report.columns if column.name == "student")
    quality = ", ".join(
        f"{column.name} {column.quality.psnr_db:.2f} dB"
        for column in report.columns
        if column.quality and column.quality.psnr_db is not None
    )
    lines = [
        f"Spikes at equal integers, quantised ANN twin / student: {numbers.span(report.qann_headline)}; "
        f"they save energy in {len(report.spikes.saving)} of {report.spikes.cells} estimates."
    ]
    if report.reference != "qann":
        lines.append(
            f"Estimated {numbers.versus(report)}: {numbers.span(report.headline)}. {numbers.outcome(report)}"
        )
    else:
        lines.append(numbers.outcome(report))
    synops = fmean(image.synops_levels for image in report.images)
    exact = f"Exact: {synops:,.0f} synops per image, {student.parameters:,} parameters"
    exact += f"; {quality}" if quality else ""
    return rendered(*lines, exact)


def print_report(report: EnergyReport, console: Console) -> None:
    """Print the verdict first, then what it rests on; the caller owns the console."""
    alone = numbers.span(report.qann_headline)
    _line(console, f"Spikes at equal integers, quantised ANN twin / student: {alone}", "bold")
    _line(console, f"{equal_integers.pays(report)} {equal_integers.why(report)}")
    if report.reference != "qann":
        _line(console, f"Estimated {numbers.versus(report)}: {numbers.span(report.headline)}", "bold")
    _line(console, numbers.outcome(report))
    _print_sides(report, console)
    for finding in (findings.driver(report), findings.reversal(report), *readings.memories(report)):
        _line(console, finding)
    if readings.memory_rows(report):
        _line(console, readings.WHAT, DIM)
    if report.reference != "qann":
        _line(console, numbers.qann_outcome(report))
    _table(console, _equal_integers(report))
    for note in equal_integers.notes(report):
        _line(console, note, DIM)
    _table(console, networks(report))
    _line(console, f"lowering of membrane shortcuts: {report.lowering}", DIM)
    for column in report.columns:
        _line(console, f"{column.name}: {column.title}", DIM)
    for tables in (judgement, counts, spikes):
        for table in tables(report):
            _table(console, table)
    _print_chips(report, console)
    _print_small_print(report, console)


def _line(console: Console, text: str, style: str = "") -> None:
    """A line of text as it is: names in it are no markup."""
    console.print(Text(printable(text), style=style))


def _table(console: Console, table: TextTable) -> None:
    console.print(table, crop=False)


def _print_sides(report: EnergyReport, console: Console) -> None:
    """The models on each side of a claim that depends on the model."""
    if report.verdict.outcome == "depends":
        _line(console, f"For: {', '.join(report.verdict.supporting)}.")
        _line(console, f"Against: {', '.join(report.verdict.refuting)}.")


def _print_chips(report: EnergyReport, console: Console) -> None:
    """What a chip needs or lacks to run the student as it is priced, and what its registers do not hold."""
    for line in findings.chips(report):
        _line(console, line, DIM)


def _print_small_print(report: EnergyReport, console: Console) -> None:
    _line(console, report.note, DIM)
    if report.profile:
        _line(console, f"constants and precisions changed by {report.profile}", DIM)
    for left_out in report.excluded:
        every = len(left_out.models) == len(report.models)
        by = "every model" if every else ", ".join(left_out.models)
        _line(console, f"Not included by {by}: {left_out.term} (favours: {left_out.favours})", DIM)
