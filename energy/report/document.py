"""The energy report as data: frozen dataclasses that become JSON, a terminal page or an HTML page.

Every joule in here is an estimate: a count of operations times a published price of one operation. Here are
the rows about energies: estimates, ratios, verdicts, and what would change them. Those about the networks and
the images, which rest on counts alone, are in `networks`.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from snn_tool.energy.estimators.constants import Constant, Traced
from snn_tool.energy.estimators.excluded import Excluded
from snn_tool.energy.estimators.prices import Precision
from snn_tool.energy.report.hardware import Calibration, ChipRow, RegisterNote
from snn_tool.energy.report.mapped import MappedRival
from snn_tool.energy.report.networks import (
    AccumulatorRow,
    Column,
    FiringMaps,
    ImageRow,
    LayerRow,
    RelayRow,
    Spread,
    Sweep,
)
from snn_tool.energy.report.split import Split
from snn_tool.errors import ConfigError
from snn_tool.results import Result

Outcome = Literal["holds", "fails", "depends"]
KIND = "energy"
SCHEMA = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """A claim and the models on each side of it.

    Attributes:
        claim: how many times less energy is claimed.
        outcome: `holds` if every model reaches the claim, `fails` if none does, else `depends`.
        supporting: models whose ratio is at least the claim, in the order given.
        refuting: the others.
    """

    claim: float
    outcome: Outcome
    supporting: tuple[str, ...]
    refuting: tuple[str, ...]


def verdict(claim: float, ratios: Mapping[str, float]) -> Verdict:
    """Compare a claimed ratio with what each model estimates.

    Args:
        claim: claimed factor, finite and above 0; 50 stands for "one fiftieth of the energy".
        ratios: reference energy over student energy by model, at least one, each finite and above 0.

    Raises:
        ConfigError: the claim or a ratio is not a positive number, or there is no ratio.
    """
    check_claim(claim)
    if not ratios:
        raise ConfigError("no energy ratio to judge the claim by; name at least one model")
    for name, ratio in ratios.items():
        if not (math.isfinite(ratio) and ratio > 0):
            raise ConfigError(f"the ratio of model {name} is {ratio!r}; it must be a finite number above 0")
    supporting = tuple(name for name, ratio in ratios.items() if ratio >= claim)
    refuting = tuple(name for name, ratio in ratios.items() if ratio < claim)
    outcome: Outcome = "depends" if supporting and refuting else "holds" if supporting else "fails"
    return Verdict(claim, outcome, supporting, refuting)


def check_claim(claim: float) -> None:
    """Refuse what cannot be claimed.

    Raises:
        ConfigError: the claim is not a positive number.
    """
    if not (math.isfinite(claim) and claim > 0):
        raise ConfigError(f"claim = {claim!r} is not allowed; use a finite factor above 0, such as 50")


@dataclass(frozen=True, slots=True)
class ReadingEnergy:
    """One reading of a model.

    Attributes:
        deployed: it describes what runs on the target, so it may be a headline; others are comparisons.
        energy_pj: estimated energy per image in picojoules.
        items_pj: means of its items, picojoules per image.
        spike_driven: the items that are proportional to the number of spikes.
        once: the items that are paid once per image, whatever T.
        memory: what it assumes of memories, by a name that all networks share; None where the model charges
            none.
    """

    name: str
    deployed: bool
    energy_pj: Spread
    items_pj: Mapping[str, float]
    spike_driven: tuple[str, ...]
    once: tuple[str, ...]
    memory: str | None


def row_name(model: str, precision: str) -> str:
    """`model/precision`, by which rows of ratios, break-even and sensitivity are called."""
    return f"{model}/{precision}"


def model_of(row: str) -> str:
    """The model of a row by its name."""
    return row.split("/", 1)[0]


@dataclass(frozen=True, slots=True)
class Cell:
    """One column by one model at one precision; the headline is the dearest deployed reading."""

    column: str
    model: str
    precision: str
    headline: ReadingEnergy
    alternatives: tuple[ReadingEnergy, ...]

    @property
    def row(self) -> str:
        """Name of the row that it stands in."""
        return row_name(self.model, self.precision)


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One energy model, as far as a reader needs to know it.

    Attributes:
        name: as cells call it.
        title: what it charges, in a line.
        source: publication that it follows, and how closely.
        precisions: names of those it was evaluated at.
        columns: networks that have cells in it.
        constants: keys of the constants it uses at any of these precisions.
    """

    name: str
    title: str
    source: str
    precisions: tuple[str, ...]
    columns: tuple[str, ...]
    constants: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RatioRow:
    """How many times less energy the student is estimated to need, by one model at one precision.

    Attributes:
        model: `model/precision`.
        split: ratios of mean energies, headline readings.
        ratio: mean energy of the reference over the student's; None where the reference has no cell.
        least, most: the same for single images.
        by_reading: for each of the student's readings, by column: that network's mean energy over the
            student's. Both assume the same memories; what else a reading assumes is about spikes alone, and
            the other network's headline stands against it.
    """

    model: str
    split: Split
    ratio: float | None
    least: float | None
    most: float | None
    by_reading: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Range:
    """The headline: the least and the most that any model at any precision says."""

    least: float
    most: float


@dataclass(frozen=True, slots=True)
class SpikeBalance:
    """Where spikes pay at equal integers, and what decides it; means over the images.

    Attributes:
        saving: rows of the grid in which the quantised twin needs more energy than the student.
        cells: number of rows.
        binary: spikes are 0 or +-1, so that a delivery is an addition; else it is a small multiplication.
        deliveries_per_mac: nonzero spikes delivered, to all readers, for each MAC of the dense network behind
            its first layer.
        fan_out: by how much delivering a synapse to each of its readers multiplies these.
        image_macs: by how much readers and timesteps multiply the MACs on the image.
        membranes_least, membranes_most: the share of the student's energy that reads and writes membranes,
            over the rows that charge it; None where none does.
    """

    saving: tuple[str, ...]
    cells: int
    binary: bool
    deliveries_per_mac: float
    fan_out: float
    image_macs: float
    membranes_least: float | None
    membranes_most: float | None


@dataclass(frozen=True, slots=True)
class BreakEven:
    """Where student and reference are estimated to need equal energy, by one model at one precision.

    Attributes:
        model: `model/precision`.
        factor: on every spike-driven item of the student's headline; above 1 there is room for more spikes.
            None where the student needs more than the reference even without a spike, or nothing depends on
            spikes.
        spikes_per_neuron: the student's nonzero spikes per neuron and image at that factor; None likewise.
        timesteps: T at which both are equal if each step did what it does now; None where what is paid once
            per image exceeds the reference already.
        note: why a number is missing; empty if none is.
    """

    model: str
    factor: float | None
    spikes_per_neuron: float | None
    timesteps: float | None
    note: str


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What half as much and half again of one constant do to one model's ratio.

    Attributes:
        constant: key in `constants`.
        model: `model/precision`.
        low: ratio of reference over student with the constant times 0.5.
        base: as reported.
        high: with the constant times 1.5 (a fraction: at most 1).
        flips: the claim is met by one or two of the three, not by all or none.
    """

    constant: str
    model: str
    low: float
    base: float
    high: float
    flips: bool


@dataclass(frozen=True, slots=True)
class Unsourced:
    """A constant found at no source, or a choice, and what it decides between half and half again.

    Attributes:
        constant: key in `constants`.
        read_in: where it comes from instead.
        strongest: the row that it moves most.
        models: rows that use it, those that it moves most first.
        flips: rows in which the claim is met at one value and not at another.
        reverses: rows in which another network needs less energy at one value than at another.
    """

    constant: str
    read_in: str
    strongest: Sensitivity
    models: tuple[str, ...]
    flips: tuple[str, ...]
    reverses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Threshold:
    """A published bound below which spikes are said to pay, with this network's figure beside it.

    Attributes:
        source: the publication.
        quantity: what is bounded, `spikes per synapse per inference`, `spikes per neuron per inference` or
            `spikes per neuron and timestep`.
        low, high: the bound, or the range of bounds over the publication's cases.
        figure: this network's own value of that quantity, mean over images.
        position: `below` low, `between`, or `above` high.
        assumptions: under which the publication derives it.
        reading: whether the bound was read there.
    """

    source: str
    quantity: str
    low: float
    high: float
    figure: float
    position: str
    assumptions: str
    reading: Traced


@dataclass(frozen=True, slots=True)
class ChipPart:
    """One component of the chip.

    Attributes:
        name: `synapse`, `dendrite`, `soma` or `network`.
        energy_pj: by SANA-FE, mean per tile.
        per_synop_pj: the same over the tile's synops; None if there was none.
        model_per_synop_pj: the same items by this report's `loihi1-sanafe`, over the synops of its own
            images, relays included, without the layers on the image and without static power; None likewise.
    """

    name: str
    energy_pj: float
    per_synop_pj: float | None
    model_per_synop_pj: float | None


@dataclass(frozen=True, slots=True)
class ChipCheck:
    """Small tiles of the same student on a simulated Loihi: whether the counts are exact, and what it costs.

    Attributes:
        architecture: name of SANA-FE's file of constants.
        versions: of SANA-FE and of its Python.
        tiles, height, width: how many, and their sides in pixels.
        timesteps, steps: T, and the steps that a single image takes on the chip.
        passed: integers, synops and spikes are all exact.
        values_compared, mismatches: membranes, spikes and read-outs against the golden integers.
        synops, exact_synops: in all tiles, by SANA-FE and by this package, relays included.
        spikes, exact_spikes: likewise.
        energy_pj: mean per tile.
        idle_access_pj: the part of it that images in a row would share.
        per_synop_pj, model_per_synop_pj: as in `ChipPart`, over all parts.
        parts: that sum to the energy.
        image_macs: of a tile's layers on the image, for which SANA-FE charges nothing.
        excluded: costs that the figures leave out.
    """

    architecture: str
    versions: Mapping[str, str]
    tiles: int
    height: int
    width: int
    timesteps: int
    steps: int
    passed: bool
    values_compared: int
    mismatches: int
    synops: int
    exact_synops: int
    spikes: int
    exact_spikes: int
    energy_pj: float
    idle_access_pj: float
    per_synop_pj: float | None
    model_per_synop_pj: float | None
    parts: tuple[ChipPart, ...]
    image_macs: int
    excluded: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EnergyReport(Result):
    """A complete audit.

    Attributes:
        note: that these are estimates.
        neuron, timesteps, levels: of the student.
        passes: how often it runs on an image; counts and energies are of all passes, spike rates of one.
        lowering: of its membrane shortcuts, `fanout` or `relay`.
        reference: `teacher`, `twin`, `cnn` or `qann`; what `headline` and `verdict` compare with.
        headline: reference over student, over all models and precisions in which the reference has a cell.
        twin_headline, twin_verdict: twin over student, what fewer bits and spikes save together.
        qann_headline, qann_verdict: quantised twin over student, what spikes alone save at equal integers.
        spikes: where spikes pay at equal integers, and what decides it.
        models: in the order of the grid; `ratios` and `cells` follow it.
        break_even: a row for each row of `ratios` that has a ratio.
        sensitivity: the constants of each such row, those that move the ratio most first within a row.
        unsourced: what the constants decide that were not found at a source.
        chips: the student on each chip by each reading of its model.
        registers: numbers that a simulation takes and a register does not.
        calibration: the chip models against a workload that was measured.
        firing: where in one image the student fires.
        sweep: quality against spikes over T or levels, or None if it was skipped or has one point only.
        sanafe: tiles of the student on SANA-FE's Loihi, or None if no such check was given.
        mapping: the dense columns mapped onto an accelerator, or None if no such file was given.
        excluded: what models leave out; each term names its models.
        constants: those that a model of this report uses, in the order of their table.
        profile: name of the file that overrode or added constants, or None.
        hashes: SHA-256 of inputs by name, as the caller passed them.
    """

    note: str
    neuron: str
    timesteps: int
    levels: int
    passes: int
    lowering: str
    reference: str
    headline: Range
    verdict: Verdict
    twin_headline: Range
    twin_verdict: Verdict
    qann_headline: Range
    qann_verdict: Verdict
    spikes: SpikeBalance
    models: tuple[ModelRow, ...]
    columns: tuple[Column, ...]
    ratios: tuple[RatioRow, ...]
    break_even: tuple[BreakEven, ...]
    sensitivity: tuple[Sensitivity, ...]
    unsourced: tuple[Unsourced, ...]
    thresholds: tuple[Threshold, ...]
    cells: tuple[Cell, ...]
    chips: tuple[ChipRow, ...]
    registers: tuple[RegisterNote, ...]
    calibration: tuple[Calibration, ...]
    layers: tuple[LayerRow, ...]
    relays: tuple[RelayRow, ...]
    accumulators: tuple[AccumulatorRow, ...]
    images: tuple[ImageRow, ...]
    firing: FiringMaps
    sweep: Sweep | None
    sanafe: ChipCheck | None
    mapping: MappedRival | None
    excluded: tuple[Excluded, ...]
    precisions: tuple[Precision, ...]
    constants: Mapping[str, Constant]
    profile: str | None
    hashes: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """The body of `energy.json` (kind `energy`, schema 3) in plain dicts, lists, numbers and strings.

        Raises:
            ValueError: a number is NaN or infinite (a bug: neither is JSON).
        """
        body: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self), allow_nan=False))
        return body
