"""The tables of the terminal page that hold counts: layers, relays, accumulators."""

from collections.abc import Iterator

from snn_tool.energy.pages import numbers as figures
from snn_tool.energy.report.types import EnergyReport
from snn_tool.tables import TextTable, plain_table


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
            figures.count(row.synops_levels),
            f"{row.spikes_per_neuron:.3f}",
            figures.count(row.student_macs),
            figures.count(row.twin_exact_macs),
            figures.percent(row.share),
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
            figures.count(row.neurons),
            figures.count(row.updates),
            figures.count(row.synops_levels),
            figures.count(row.synops_events),
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
            figures.count(row.neurons),
            figures.count(row.updates),
            figures.count(row.synops_events),
        )
    return table
