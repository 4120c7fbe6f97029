"""A cross-check on SANA-FE's Loihi for the report: of the same student, and priced per synop."""

from pathlib import Path

from snn_tool.files.artifacts import sha256_file
from snn_tool.energy.report_chip import ChipCheck, ChipPart
from snn_tool.energy.report_estimates import Cell, ReadingEnergy
from snn_tool.energy.report.types import EnergyReport
from snn_tool.errors import ConfigError
from snn_tool.exporters.sanafe.report import SanafeReport
from snn_tool.exporters.sanafe_report_file import read_sanafe

PICO = 1e12
MODEL = "loihi1-sanafe"
ITEMS = {
    "synapse": ("synops", "stream synops"),
    "dendrite": (),
    "soma": (
        "neuron accesses",
        "neuron updates",
        "relay updates by spikes",
        "spikes out",
        "stream spikes out",
    ),
    "network": ("spike packets", "stream packets"),
}
"""Items of `loihi1-sanafe` by SANA-FE's components; the layers on the image and static power have none."""


def read_check(path: Path, student: Path) -> SanafeReport:
    """The file of a cross-check, of this student.

    Raises:
        ArtifactError: missing or damaged.
        ConfigError: it is of another student.
    """
    check = read_sanafe(path)
    if check.student_sha256 != sha256_file(student):
        raise ConfigError(
            f"--sanafe {path}: made with another student than {student}; export this one and run "
            "'snn-tool energy sanafe' on its bundle"
        )
    return check


def chip_check(check: SanafeReport, report: EnergyReport) -> ChipCheck:
    """The check as the report shows it, per synop beside the report's own model on its own images."""
    tiles, mean = [tile.activity for tile in check.tiles], check.mean_energy_j
    synops = sum(activity.synaptic_events for activity in tiles)
    per_tile = synops / len(tiles)
    modelled, model_synops = _modelled(report)
    parts = tuple(
        ChipPart(
            name,
            getattr(mean, name) * PICO,
            _ratio(getattr(mean, name) * PICO, per_tile),
            _ratio(_sum(modelled, items), model_synops),
        )
        for name, items in ITEMS.items()
    )
    return ChipCheck(
        architecture=check.architecture,
        versions=dict(check.versions),
        tiles=len(tiles),
        height=check.height,
        width=check.width,
        timesteps=check.timesteps,
        steps=check.steps,
        passed=check.passed,
        values_compared=check.result.values_compared,
        mismatches=check.result.mismatches,
        synops=synops,
        exact_synops=sum(tile.exact_synops for tile in check.tiles),
        spikes=sum(activity.neurons_fired for activity in tiles),
        exact_spikes=sum(tile.exact_spikes for tile in check.tiles),
        energy_pj=mean.total * PICO,
        idle_access_pj=check.mean_idle_access_j * PICO,
        per_synop_pj=_ratio(mean.total * PICO, per_tile),
        model_per_synop_pj=_ratio(sum(_sum(modelled, items) for items in ITEMS.values()), model_synops),
        parts=parts,
        image_macs=check.image_macs,
        excluded=check.excluded,
    )


def _modelled(report: EnergyReport) -> tuple[ReadingEnergy, float]:
    """The student by `loihi1-sanafe`, and what it was charged for: synops of edges, relays, accumulators."""
    cell: Cell = next(c for c in report.cells if c.model == MODEL and c.column == "student")
    synops = sum(row.synops_levels for row in report.layers)
    synops += sum(row.synops_levels for row in report.relays)
    return cell.headline, synops + sum(row.synops_events for row in report.accumulators)


def _sum(reading: ReadingEnergy, items: tuple[str, ...]) -> float:
    return sum(reading.items_pj[item] for item in items)


def _ratio(energy_pj: float, synops: float) -> float | None:
    return energy_pj / synops if synops else None
