"""The tables of the terminal page about spikes: quality over timesteps or levels, and SANA-FE's Loihi."""

from collections.abc import Iterator

from snn_tool.energy.pages import numbers as figures
from snn_tool.energy.report_chip import ChipCheck
from snn_tool.energy.report_spikes import Sweep
from snn_tool.energy.report.types import EnergyReport
from snn_tool.tables import TextTable, plain_table


def spikes(report: EnergyReport) -> Iterator[TextTable]:
    """Those of the two that a report holds."""
    if report.sweep:
        yield _sweep(report.sweep)
    if report.sanafe:
        yield _chip(report.sanafe)


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
            figures.count(point.synops_levels),
            figures.count(point.synops_events),
            f"{point.spikes_per_neuron:.3f}",
            figures.count(point.first_layer_macs),
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
        table.add_row(name, figures.energy(energy_pj), figures.number(per_synop), figures.number(modelled))
    return table
