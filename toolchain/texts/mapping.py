"""Mapped rivals as text for a terminal: each network's totals, and the layers that cost most."""

from collections import Counter

from snn_tool.exporters.zigzag.report import MappedNetwork, MappingReport, Totals
from snn_tool.tables import TextTable, plain_table, rendered

MICRO = 1e6
DEAREST = 8
"""Nests of each network that are listed; mapping.json has all."""


def mapping_text(report: MappingReport) -> str:
    """What was mapped onto what, the networks, and the dearest nests of each."""
    accelerator = report.accelerator
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    first = (
        f"{accelerator.name}, {accelerator.units:,} multipliers, mapped for least {report.objective} by "
        f"{versions}; {len(report.nests)} different loop nests"
    )
    different = {network.layers: network for network in reversed(report.networks)}
    nests = [_nests(report, network) for network in report.networks if network in different.values()]
    return rendered(
        first,
        _networks(report),
        *nests,
        *_missing(report),
        *(f"not included: {line}" for line in report.excluded),
    )


def _networks(report: MappingReport) -> TextTable:
    title = f"One image of {report.width}x{report.height}, int8, {report.clock_mhz:g} MHz"
    headings = ("MACs", "µJ", "DRAM", "pJ/MAC", "cycles", "ms", "util.")
    table = plain_table(title, ("column",), headings)
    for network in report.networks:
        table.add_row(network.column, *_cells(report, report.totals(network)))
    return table


def _cells(report: MappingReport, totals: Totals) -> list[str]:
    return [
        f"{totals.macs:,}",
        f"{totals.energy_pj / MICRO:,.1f}",
        f"{totals.dram_pj / totals.energy_pj:.1%}" if totals.energy_pj else "–",
        f"{totals.energy_pj / totals.macs:.3f}" if totals.macs else "–",
        f"{totals.cycles:,}",
        f"{totals.cycles / report.clock_mhz / 1e3:.2f}",
        f"{totals.utilisation:.1%}",
    ]


def _nests(report: MappingReport, network: MappedNetwork) -> TextTable:
    counted = Counter(number for layer in network.layers for number in layer.nests)
    cost = {number: times * report.nests[number].mapped.energy_pj for number, times in counted.items()}
    dearest = sorted(cost, key=lambda number: (-cost[number], number))[:DEAREST]
    title = f"{network.column}: {len(dearest)} of {len(cost)} loop nests, each once"
    table = plain_table(title, ("nest",), ("times", "MACs", "µJ", "cycles", "util."))
    for number in dearest:
        nest, mapped = report.nests[number].nest, report.nests[number].mapped
        table.add_row(
            nest.text,
            str(counted[number]),
            f"{nest.macs:,}",
            f"{mapped.energy_pj / MICRO:,.2f}",
            f"{mapped.cycles:,}",
            f"{nest.macs / (mapped.cycles * report.accelerator.units):.1%}",
        )
    return table


def _missing(report: MappingReport) -> list[str]:
    """Products that no figure holds."""
    return [
        f"not mapped in {network.column}: {each.name}, {each.macs:,} MACs ({each.reason})"
        for network in report.networks
        for each in network.unmapped
    ]
