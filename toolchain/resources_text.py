"""The resource report on the terminal: one line per layer, 80 columns."""

from collections.abc import Mapping
from typing import Any

from snn_tool.energy.pages.numbers import count
from snn_tool.exporters.loihi.chips import KAPOHO_POINT_CHIPS, LABEL, LOIHI_1, LOIHI_2, Span
from snn_tool.exporters.loihi.report import ResourceReport
from snn_tool.exporters.loihi_report_file import resource_document
from snn_tool.exporters.loihi_resources import LayerResources
from snn_tool.tables import plain_table, rendered


def resources_text(report: ResourceReport) -> str:
    """Counts by layer, cores and chips, the latency and the largest tiles."""
    table = plain_table(
        f"{report.width}x{report.height} pixels: {LABEL}",
        ("layer",),
        ("neurons", "shared", "expand.", "in", "out", "KiB", "Loihi 1", "Loihi 2"),
        gap=0,
    )
    uses = (report.use(LOIHI_1), report.use(LOIHI_2))
    for index, layer in enumerate(report.layers):
        table.add_row(*_row(layer, [use.by_layer[index] for use in uses]))
    table.add_section()
    table.add_row(*_row(report.total, [use.cores for use in uses]))
    table.add_row("chips", *[""] * 6, *(_span(use.chips) for use in uses))
    total = report.total
    return rendered(
        table,
        "shared, expanded: synapses with one kernel per layer, with every connection stored"
        f" ({count(total.shared_bytes)}B, {count(total.expanded_bytes)}B); cores and chips from the one to"
        " the other. in, out: axons. KiB: neuron state. name*: accumulator of the stream that starts there;"
        " name+k: its k-th delay relay."
        f" {report.relay_neurons:,} of {total.neurons:,} neurons are relays and accumulators.",
        summary_text(resource_document(report)),
    )


def summary_text(document: Mapping[str, Any]) -> str:
    """Latency and largest tiles out of `resources.json`."""
    tiles = document["largest_tile"]
    return (
        f"one image takes {document['latency_steps']} steps (T = {document['timesteps']}, "
        f"{document['depth']} hops); largest square tile by the low count: {_tile(tiles['one_chip'])} on a "
        f"Loihi 2 chip, {_tile(tiles['kapoho_point'])} on the {KAPOHO_POINT_CHIPS} of a Kapoho Point"
    )


def _tile(side: int) -> str:
    return f"{side}x{side}" if side else "none"


def _row(layer: LayerResources, cores: list[Span]) -> list[str]:
    counts = (
        layer.neurons,
        layer.shared_synapses,
        layer.expanded_synapses,
        layer.axons_in,
        layer.axons_out,
    )
    state = f"{layer.state_bytes / 1024:.0f}"
    name = layer.name.replace("_stream", "*").replace("_relay", "+")
    return [name, *(count(value).replace(" ", "") for value in counts), state, *map(_span, cores)]


def _span(span: Span) -> str:
    return f"{span.low}" if span.low == span.high else f"{span.low}–{span.high}"
