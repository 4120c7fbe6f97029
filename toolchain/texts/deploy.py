"""An export and a verification, for people and as JSON."""

from dataclasses import asdict
from typing import Any

from snn_tool.files.artifacts import read_json
from snn_tool.deploy.export import EXPORT, Exported
from snn_tool.exporters import loihi_report_file
from snn_tool.exporters.loihi.bundle import MANIFEST, RANGES, RESOURCES, Bundle
from snn_tool.exporters.loihi.chips import LABEL
from snn_tool.exporters.loihi_ranges_file import read_ranges
from snn_tool.exporters.netx_folder import NETX
from snn_tool.exporters.verify.report import VerificationReport
from snn_tool.deploy.lowering_costs import LoweringCost, LoweringRefused
from snn_tool.ranges_text import ranges_text, weakest
from snn_tool.resources_text import summary_text
from snn_tool.tables import printable
from snn_tool.deploy.photographs import photograph_lines


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
        "ranges": _weakest_statements(bundle) if bundle else None,
        "netx": asdict(exported.netx) if exported.netx else None,
        "made_by": exported.made_by or None,
        "verification": report.to_json() if report else None,
    }


def _weakest_statements(bundle: Bundle) -> dict[str, str]:
    proof = read_ranges(bundle.folder / RANGES)
    return {population: weakest(proof.of(population)) for population in proof.inputs}


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
    count, _, height, width = exported.tiles_shape
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
        counts = read_json(bundle.folder / RESOURCES, loihi_report_file.KIND, loihi_report_file.SCHEMA)
        lines += [summary_text(counts), ranges_text(read_ranges(bundle.folder / RANGES))]
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
