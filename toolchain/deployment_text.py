"""An export and a verification, for people and as JSON."""

from dataclasses import asdict
from typing import Any

from snn_tool.deployment import EXPORT, NETX, Exported
from snn_tool.exporters.loihi_bundle import MANIFEST
from snn_tool.exporters.verification import VerificationReport


def export_document(exported: Exported) -> dict[str, Any]:
    """An export as JSON values."""
    report, bundle = exported.verification, exported.bundle
    return {
        "folder": str(exported.folder),
        "manifest": MANIFEST if bundle else EXPORT,
        "golden_tiles": list(exported.tiles_shape),
        "resources": asdict(bundle.resources) if bundle else None,
        "netx": asdict(exported.netx) if exported.netx else None,
        "verification": verification_document(report) if report else None,
    }


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
            f"{uses.chips_low} to {uses.chips_high} Loihi 2 chips: model-feasible, physical fit unverified"
        )
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
