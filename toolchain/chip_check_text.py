"""A cross-check on SANA-FE's Loihi, for people."""

from snn_tool.exporters.sanafe.report import SanafeReport, TileCheck
from snn_tool.tables import printable

PICO, MICRO = 1e12, 1e6


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
