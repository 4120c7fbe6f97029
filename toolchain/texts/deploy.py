"""An export and a verification, for people and as JSON."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from snn_tool.deploy.export import Exported
from snn_tool.deploy.lowering_costs import LoweringCost, LoweringRefused
from snn_tool.deploy.photographs import photograph_lines
from snn_tool.energy.pages.numbers import count
from snn_tool.exporters.c.steps import StepFootprint
from snn_tool.exporters.c.target import SHOWN_MEMORIES_KIB, Footprint
from snn_tool.exporters.contract.export import EXPORT
from snn_tool.exporters.lava.netx import NETX
from snn_tool.exporters.loihi.bundle import MANIFEST, MadeBundle
from snn_tool.exporters.loihi.chips import (
    KAPOHO_POINT_CHIPS,
    LABEL,
    LOIHI_1,
    LOIHI_2,
    LayerResources,
    Span,
)
from snn_tool.exporters.loihi.limits import OBSERVED, PROVED, SATURATES, Quantity
from snn_tool.exporters.loihi.ranges import CURRENT, MEMBRANE, SUM, RangeProof
from snn_tool.exporters.loihi.report import ResourceReport
from snn_tool.exporters.verify.report import VerificationReport
from snn_tool.tables import TextTable, plain_table, printable, rendered

RELAY = re.compile(r"_relay(\d+)$")
FIXED_NAMES = {"mantissa": ("weight mantissa",), "bias": ("bias", "bias_mant")}
ORDER = (PROVED, SATURATES, OBSERVED)
"""From the strongest statement to the weakest."""


def ranges_text(proof: RangeProof) -> str:
    """A table of the populations, one of what the lowering adds, and what their words mean."""
    table = plain_table(
        f"Range proof, T = {proof.timesteps}: headroom in bits of the least favourable channel",
        ("population",),
        ("conv sums", "current", "membrane", "seen", "mantissa", "bias", "status"),
        gap=1,
    )
    for name, convs in proof.inputs.items():
        if convs:
            table.add_row(*_row(name, proof.of(name)))
    return rendered(
        table,
        *_carriers(proof),
        "seen: the membrane on the golden tiles, of its limit. proved: no image can exceed any of it."
        " saturates: a bound lies beyond a clip at which all implementations agree."
        " observed: a bound lies beyond a wrap, which the golden tiles do not reach.",
    )


def _carriers(proof: RangeProof) -> list[TextTable]:
    """Accumulators and delay relays; the relays of a chain hold the same and share a row."""
    added = [name for name, convs in proof.inputs.items() if not convs]
    if not added:
        return []
    table = plain_table(
        "Accumulators (_stream) and delay relays that the lowering adds",
        ("process",),
        ("conv sums", "current", "membrane", "seen", "status"),
        gap=1,
    )
    chains = Counter(RELAY.sub("", name) for name in added if RELAY.search(name))
    for name in added:
        stage = RELAY.search(name)
        if stage is None or stage[1] == "1":
            last = chains[RELAY.sub("", name)] if stage else 0
            row = _registers(proof.of(name))
            table.add_row(name + (f"..{last}" if last > 1 else ""), *row, weakest(proof.of(name)))
    return [table]


def _row(population: str, quantities: tuple[Quantity, ...]) -> list[str]:
    fixed = {name: [q for q in quantities if q.name in names] for name, names in FIXED_NAMES.items()}
    parameters = (_bits(fixed["mantissa"]), _bits(fixed["bias"]))
    return [population, *_registers(quantities), *parameters, weakest(quantities)]


def _registers(quantities: tuple[Quantity, ...]) -> list[str]:
    """Headroom of sums, current and membrane, and how far golden tiles drive the membrane."""
    by_name = {name: [q for q in quantities if q.name == name] for name in (SUM, CURRENT, MEMBRANE)}
    return [*(_bits(found) for found in by_name.values()), _seen(by_name[MEMBRANE][0])]


def weakest(quantities: Iterable[Quantity]) -> str:
    """The weakest of the statements about some quantities."""
    return max((quantity.status for quantity in quantities), key=ORDER.index)


def _bits(quantities: list[Quantity]) -> str:
    headroom = [one.headroom_bits for one in quantities if one.headroom_bits is not None]
    return f"{min(headroom):.1f}" if headroom else "–"


def _seen(membrane: Quantity) -> str:
    if membrane.observed is None:
        return "–"
    share = max(abs(value) for value in membrane.observed) / membrane.limit[1]
    return f"{100 * share:.1f} %"


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
        table.add_row(*_resource_row(layer, [use.by_layer[index] for use in uses]))
    table.add_section()
    table.add_row(*_resource_row(report.total, [use.cores for use in uses]))
    table.add_row("chips", *[""] * 6, *(_span(use.chips) for use in uses))
    total = report.total
    return rendered(
        table,
        "shared, expanded: synapses with one kernel per layer, with every connection stored"
        f" ({count(total.shared_bytes)}B, {count(total.expanded_bytes)}B); cores and chips from the one to"
        " the other. in, out: axons. KiB: neuron state. name*: accumulator of the stream that starts there;"
        " name+k: its k-th delay relay."
        f" {report.relay_neurons:,} of {total.neurons:,} neurons are relays and accumulators.",
        summary_text(report),
        registers_text(report),
    )


def summary_text(report: ResourceReport) -> str:
    """Latency and largest tiles."""
    return (
        f"one image takes {report.steps} steps (T = {report.timesteps}, {report.depth} hops); largest square "
        f"tile by the low count: {_tile(report.tile_on_chip)} on a Loihi 2 chip, "
        f"{_tile(report.tile_on_board)} on the {KAPOHO_POINT_CHIPS} of a Kapoho Point"
    )


def registers_text(report: ResourceReport) -> str:
    """Where the simulation goes beyond the registers; empty if nowhere."""
    if not report.emulated:
        return ""
    notes = "; ".join(
        f"{printable(one.where)} {one.quantity} {one.value:,} (register: {one.limit:,}; "
        f"a chip holds {one.on_chip})"
        for one in report.emulated
    )
    return f"simulated beyond the registers: {notes}"


def _tile(side: int) -> str:
    return f"{side}x{side}" if side else "none"


def _resource_row(layer: LayerResources, cores: list[Span]) -> list[str]:
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


def export_document(exported: Exported) -> dict[str, Any]:
    """An export as JSON values."""
    report, bundle = exported.verification, exported.bundle
    return {
        "folder": str(exported.folder),
        "manifest": MANIFEST if bundle else EXPORT,
        "golden_tiles": list(exported.tiles_shape),
        "lowering": bundle.lowering if bundle else None,
        "lowerings": [asdict(cost) for cost in exported.lowerings],
        "resources": asdict(bundle.resources) if bundle else None,
        "ranges": _weakest_statements(bundle.made) if bundle and bundle.made else None,
        "beyond_registers": [asdict(one) for one in bundle.made.resources.emulated]
        if bundle and bundle.made
        else None,
        "netx": asdict(exported.netx) if exported.netx else None,
        "c": footprint_document(exported.taken, exported.tiles_shape[-1]) if exported.taken else None,
        "made_by": exported.made_by or None,
        "verification": report.to_dict() if report else None,
    }


def footprint_text(taken: Footprint | StepFootprint, width: int, ram_kib: int | None = None) -> str:
    """What a program in C takes, before it is compiled, and how wide an image some memory is enough for."""
    if isinstance(taken, StepFootprint):
        fits = (
            ""
            if ram_kib is None
            else f", {'fits' if taken.ram <= ram_kib << 10 else 'more than'} {ram_kib:,} KiB"
        )
        return (
            f"{taken.constants:,} bytes of weights and biases, beside the code; {taken.ram:,} bytes RAM{fits}"
        )
    memories = [ram_kib] if ram_kib else SHOWN_MEMORIES_KIB
    widest = ", ".join(f"{taken.largest_width(kib << 10) or 'none'} in {kib:,} KiB" for kib in memories)
    return (
        f"{taken.constants:,} bytes of weights and tables, beside the code; {taken.ram(width):,} bytes RAM "
        f"for images of {width} columns, any height; largest width: {widest}"
    )


def footprint_document(
    taken: Footprint | StepFootprint, width: int, ram_kib: int | None = None
) -> dict[str, Any]:
    """The same as JSON values; `layers` has the bytes of each convolution's weights."""
    if isinstance(taken, StepFootprint):
        return {
            "schema": 1,
            "constants_bytes": taken.constants,
            "layers": dict(taken.layers),
            "width": None,
            "ram_bytes": taken.ram,
            "largest_width": {},
        }
    memories = [ram_kib] if ram_kib else SHOWN_MEMORIES_KIB
    return {
        "schema": 1,
        "constants_bytes": taken.constants,
        "layers": dict(taken.layers),
        "width": width,
        "ram_bytes": taken.ram(width),
        "largest_width": {str(kib): taken.largest_width(kib << 10) for kib in memories},
    }


def _weakest_statements(made: MadeBundle) -> dict[str, str]:
    return {population: weakest(made.ranges.of(population)) for population in made.ranges.inputs}


def verification_text(report: VerificationReport) -> str:
    """One line for each backend, then what the export's files state."""
    lines = []
    for result in report.results:
        line = f"{result.backend}: {result.status}"
        if result.values_compared:
            line += f", {result.mismatches:,} of {result.values_compared:,} integers differ"
        line += f" ({', '.join(f'{k} {v}' for k, v in result.versions.items())})" if result.versions else ""
        line += f"; {result.reason}" if result.reason else ""
        line += f"; first: {result.first}" if result.first else ""
        lines.append(line)
    if report.photographs:
        lines += photograph_lines(report.photographs)
    if report.statements:
        lines += report.statements.lines()
    return "\n".join(map(printable, lines))


def lowering_text(cost: LoweringCost | LoweringRefused, exported: str) -> str:
    """What a lowering costs, in one line; a user chooses by --lowering."""
    title = f"lowering {cost.lowering}{' (exported)' if cost.lowering == exported else ''}"
    if isinstance(cost, LoweringRefused):
        return f"{title}: not possible, {cost.reason}"
    return (
        f"{title}: {cost.depth} hops, {cost.steps} steps; "
        f"{cost.shared_synapses:,} synapses shared, {cost.expanded_synapses:,} expanded; "
        f"{cost.neurons:,} neurons ({cost.delay_relays:,} delay relays, {cost.accumulators:,} accumulators); "
        f"per golden tile {cost.image_macs:,} MACs on the image, {cost.synops_levels:,.0f} synops by level, "
        f"{cost.synops_events:,.0f} by event"
    )


def export_text(exported: Exported) -> str:
    """What an export left behind, in a few lines."""
    count, *_, height, width = exported.tiles_shape
    folder = printable(exported.folder)
    lines = [f"{folder}: {count} golden tiles of {width}x{height} pixels"]
    if exported.bundle:
        uses, bundle = exported.bundle.resources, exported.bundle
        lines[0] = (
            f"{folder}: Loihi-style bundle, {bundle.neuron} neurons, T = {bundle.timesteps}, "
            f"lowering {bundle.lowering}, {count} golden tiles of {width}x{height} pixels"
        )
        lines.append(
            f"{uses.neurons:,} neurons ({uses.relay_neurons:,} of them relays and accumulators), "
            f"{uses.shared_synapses:,} synapses with shared kernels, {uses.expanded_synapses:,} expanded; "
            f"{uses.cores_low} to {uses.cores_high} cores, "
            f"{uses.chips_low} to {uses.chips_high} Loihi 2 chips: {LABEL}"
        )
        lines += [lowering_text(cost, bundle.lowering) for cost in exported.lowerings]
        if bundle.made:
            lines += [summary_text(bundle.made.resources), ranges_text(bundle.made.ranges)]
            lines += filter(None, [registers_text(bundle.made.resources)])
    if exported.program.passes > 1:
        where = MANIFEST if exported.bundle else EXPORT
        passes = exported.program.passes
        lines.append(f"{passes} passes on every image, with tiles of each; {where} says how they chain")
    if exported.taken:
        one_size = isinstance(exported.taken, StepFootprint)
        what = "inputs, one timestep at a time" if one_size else f"tiles of {width}x{height} pixels"
        lines[0] = f"{folder}: C99, {count} golden {what}"
        lines.append(footprint_text(exported.taken, width))
    if exported.made_by:
        lines[0] += f", with files by {printable(exported.made_by)}"
    if exported.netx:
        run = exported.netx
        lines.append(
            f"{NETX}: {run.depth} layers for lava-dl's hdf5.Network(net_config, "
            f"input_message_bits={run.input_message_bits}, reset_interval={run.reset_interval}, "
            f"reset_offset={run.reset_offset}); present the integer image for {run.timesteps} steps"
        )
    if exported.verification:
        lines.append(verification_text(exported.verification))
    return "\n".join(lines)
