"""Audits as text for a terminal: parameters and MACs, a check on a chip simulator, a NIR file's energy."""

from snn_tool.auditing.nir import RUN_BYTES, NirEnergyReport, spread
from snn_tool.energy.counts.profilers import ParameterAudit
from snn_tool.energy.torch_counter.result import INTEGRATOR, LEFT_OUT, NEURON
from snn_tool.exporters.sanafe.report import SanafeReport, TileCheck
from snn_tool.tables import TextTable, plain_table, printable, rendered

PICO, MICRO = 1e12, 1e6
WORD_BYTES = 4
"""The layers' bytes are shown as of fp32; `energy.json` has every precision."""

_COLUMNS = ("synops", "MACs", "updates", "spikes", "rate", "weight B", "state B")
_SHORT = {NEURON: "(neuron)", INTEGRATOR: "(integ.)"}
_QUANTITIES = ("synops_levels", "exact_macs", "neuron_updates", "spikes")


def audit_text(name: str, audit: ParameterAudit, rows: int) -> str:
    """Totals, reasons, and the modules that differ most."""
    height, width = audit.image_shape[2:]
    totals = plain_table(
        f"{name}, one image of {width}x{height}", ("",), ("real", "thop-like", "reported / real"), 2
    )
    for title, real, said in (
        ("parameters", audit.parameters, audit.reported_parameters),
        ("MACs", audit.macs, audit.reported_macs),
    ):
        totals.add_row(title, f"{real:,}", f"{said:,}", f"{said / real:.4g}" if real else "–")
    totals.add_row("MACs without padding", f"{audit.exact_macs:,}", "", "")
    parts = [totals]
    if audit.reasons:
        why = plain_table("Why", ("",), ("modules", "parameters missing", "MACs missing"), 1)
        for reason, (modules, parameters, macs) in audit.reasons.items():
            why.add_row(reason, f"{modules:,}", f"{parameters:,}", f"{macs:,}")
        why.columns[0].no_wrap = False
        parts.append(why)
    differing = sorted(
        (row for row in audit.rows if row.reason),
        key=lambda row: (
            -abs(row.parameters - row.reported_parameters),
            -abs(row.macs - row.reported_macs),
        ),
    )[:rows]
    if differing:
        table = plain_table(
            "Modules that differ most (real / reported)", ("module",), ("parameters", "MACs"), 1
        )
        for row in differing:
            table.add_row(
                f"{row.path} ({row.class_name})",
                f"{row.parameters:,} / {row.reported_parameters:,}",
                f"{row.macs:,} / {row.reported_macs:,}",
            )
        table.columns[0].no_wrap = False
        parts.append(table)
    return rendered(*parts)


def chip_check_text(report: SanafeReport) -> str:
    """What was compared, what was counted, and what it costs per tile and per synop."""
    result, versions = report.result, ", ".join(f"{k} {v}" for k, v in report.versions.items())
    first = f"; first: {result.first}" if result.first else ""
    lines = [
        f"sanafe: {result.status}, {result.mismatches:,} of {result.values_compared:,} integers differ "
        f"({versions}){first}",
        f"{report.neurons:,} neurons on {report.cores} of Loihi's cores, {report.synapses:,} synapses, "
        f"{report.width}x{report.height} pixels, {report.steps} steps per image",
    ]
    lines += [_tile_line(index, tile) for index, tile in enumerate(report.tiles)]
    return "\n".join(map(printable, [*lines, *_energy_lines(report)]))


def _tile_line(index: int, tile: TileCheck) -> str:
    found = tile.activity
    return (
        f"tile {index}: {found.synaptic_events:,} synaptic events "
        f"{_against(found.synaptic_events, tile.exact_synops)}, {found.neurons_fired:,} spikes "
        f"{_against(found.neurons_fired, tile.exact_spikes)}; {found.packets:,} packets, {found.hops:,} hops"
    )


def _against(found: int, exact: int) -> str:
    return "(exact)" if found == exact else f"(the engine counts {exact:,})"


def _energy_lines(report: SanafeReport) -> list[str]:
    energy = report.mean_energy_j
    synops = sum(tile.activity.synaptic_events for tile in report.tiles) / len(report.tiles)
    idle = report.mean_idle_access_j
    lines = [
        f"energy per tile by {report.architecture}: {energy.total * MICRO:.3g} µJ (synapse "
        f"{energy.synapse * MICRO:.3g}, dendrite {energy.dendrite * MICRO:.3g}, "
        f"soma {energy.soma * MICRO:.3g}, network {energy.network * MICRO:.3g}); "
        f"{idle * MICRO:.3g} µJ of it are accesses outside the windows, which images in a row share"
    ]
    if synops:
        lines.append(
            f"per synop: {energy.synapse / synops * PICO:.3g} pJ in the synapse, "
            f"{(energy.total - idle) / synops * PICO:.3g} pJ all-in for images in a row, "
            f"{energy.total / synops * PICO:.3g} pJ for a single one"
        )
    return lines


def layer_table(report: NirEnergyReport) -> TextTable:
    """One line for each layer that computed, means over the images, and the totals."""
    images = f"{len(report.images)} image(s)"
    title = f"{report.file}: T = {report.timesteps}, dt = {report.dt_s:g} s, mean of {images}"
    table = plain_table(title, ("layer", "reads"), _COLUMNS)
    for row in report.rows:
        numbers = [report.mean(row, name) for name in _QUANTITIES]
        rate = report.rate(row)
        cells = [*(f"{n:,.0f}" for n in numbers), "" if rate is None else f"{rate:.3f}"]
        stored = (row.parameters * WORD_BYTES, row.state_bytes // RUN_BYTES * WORD_BYTES)
        table.add_row(row.name, row.source or _SHORT.get(row.kind, ""), *cells, *(f"{n:,}" for n in stored))
    table.add_section()
    mean = report.to_dict()["totals"]
    table.add_row(
        "total",
        "",
        *(f"{mean[name]['mean']:,.0f}" for name in _QUANTITIES),
        f"{spread(image.rate for image in report.images)['mean']:.3f}",
        *(f"{n:,.0f}" for n in report.stored_bytes()["fp32"].values()),
    )
    return table


def energy_table(report: NirEnergyReport) -> TextTable:
    """Nanojoules per image at each precision: mean, spread, least and most."""
    table = plain_table("nJ per image", ("model", "precision"), ("mean", "stdev", "min", "max"))
    for model, by in report.energies().items():
        for precision, values in by.items():
            table.add_row(model, precision, *(f"{n / 1e3:,.3f}" for n in spread(values).values()))
    return table


def nir_report_text(report: NirEnergyReport) -> str:
    """Both tables, how many images they are of, what never fires, and which models are left out."""
    left_out = f"left out: {', '.join(LEFT_OUT)}; energy.json says why"
    used = report.samples.text() if report.samples else report.used.text()
    remarks = filter(None, (used, report.warning, left_out))
    return rendered(layer_table(report), energy_table(report), *remarks)
