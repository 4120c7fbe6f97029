"""An export and a verification, for people and as JSON."""

from dataclasses import asdict
from typing import Any

from snn_tool.artifacts import read_json
from snn_tool.deployment import EXPORT, Exported
from snn_tool.exporters import loihi_report_file
from snn_tool.exporters.loihi_bundle import MANIFEST, RANGES, RESOURCES, Bundle
from snn_tool.exporters.loihi_chips import LABEL
from snn_tool.exporters.loihi_ranges_file import read_ranges
from snn_tool.exporters.verification import VerificationReport
from snn_tool.ranges_text import ranges_text, weakest
from snn_tool.resources_text import summary_text


def export_document(exported: Exported) -> dict[str, Any]:
    """An export as JSON values."""
    report, bundle = exported.verification, exported.bundle
    return {
        "folder": str(exported.folder),
        "manifest": MANIFEST if bundle else EXPORT,
        "golden_tiles": list(exported.tiles_shape),
        "resources": asdict(bundle.resources) if bundle else None,
        "ranges": _weakest_statements(bundle) if bundle else None,
        "verification": verification_document(report) if report else None,
    }


def _weakest_statements(bundle: Bundle) -> dict[str, str]:
    proof = read_ranges(bundle.folder / RANGES)
    return {population: weakest(proof.of(population)) for population in proof.inputs}


def verification_document(report: VerificationReport) -> dict[str, Any]:
    """A verification as JSON values."""
    return {"passed": report.passed, **asdict(report)}


def verification_text(report: VerificationReport) -> str:
    """One line for each backend, and one if the plan is not the network's."""
    lines = []
    for result in report.results:
        line = f"{result.backend}: {result.status}"
        if result.values_compared:
            line += f", {result.mismatches:,} of {result.values_compared:,} integers differ"
        line += f" ({', '.join(f'{k} {v}' for k, v in result.versions.items())})" if result.versions else ""
        line += f"; {result.reason}" if result.reason else ""
        line += f"; first: {result.first}" if result.first else ""
        lines.append(line)
    if report.plan_follows_network is False:
        lines.append("plan.json is not the plan that network.nir gives; export the network again")
    return "\n".join(lines)


def export_text(exported: Exported) -> str:
    """What an export left behind, in a few lines."""
    count, _, height, width = exported.tiles_shape
    lines = [f"{exported.folder}: {count} golden tiles of {width}x{height} pixels"]
    if exported.bundle:
        uses, bundle = exported.bundle.resources, exported.bundle
        lines[0] = (
            f"{exported.folder}: Loihi-style bundle, {bundle.neuron} neurons, T = {bundle.timesteps}, "
            f"{count} golden tiles of {width}x{height} pixels"
        )
        lines.append(
            f"{uses.neurons:,} neurons ({uses.relay_neurons:,} of them relays), "
            f"{uses.shared_synapses:,} synapses with shared kernels, {uses.expanded_synapses:,} expanded; "
            f"{uses.cores_low} to {uses.cores_high} cores, "
            f"{uses.chips_low} to {uses.chips_high} Loihi 2 chips: {LABEL}"
        )
        counts = read_json(bundle.folder / RESOURCES, loihi_report_file.KIND, loihi_report_file.SCHEMA)
        lines += [summary_text(counts), ranges_text(read_ranges(bundle.folder / RANGES))]
    if exported.verification:
        lines.append(verification_text(exported.verification))
    return "\n".join(lines)
