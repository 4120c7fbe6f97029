"""The energy report as data: frozen dataclasses that become JSON, a terminal page or an HTML page.

Every joule in here is an estimate: a count of operations times a published price of one operation.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from snn_tool.energy.constants import Constant
from snn_tool.energy.excluded import Excluded
from snn_tool.energy.precisions import Precision
from snn_tool.energy.verdict import Split, Verdict

KIND = "energy"
SCHEMA = 2
COLUMNS = ("teacher", "twin", "qann", "student")
"""In the order of a report; `teacher` is absent without one."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A quantity over the images: mean, population standard deviation, extremes, and the image with most."""

    mean: float
    std: float
    least: float
    most: float
    worst_image: str


@dataclass(frozen=True, slots=True)
class Quality:
    """Restoration quality that the caller measured on the same images; None where it was not.

    Attributes:
        psnr_db: mean peak signal-to-noise ratio in decibels.
        ssim: mean structural similarity.
    """

    psnr_db: float | None = None
    ssim: float | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """One network of the comparison.

    Attributes:
        name: `teacher`, `twin`, `qann` or `student`.
        title: what it is, in words.
        parameters: trainable values.
        padded_macs, exact_macs: per image; for the student, those of its first layer as deployed
            (both are edge-exact there), because its other layers have none.
        activation_bits: of hidden activations, of the `qann` alone; None where the precision decides.
        quality: as measured by the caller, or None.
    """

    name: str
    title: str
    parameters: int
    padded_macs: Spread
    exact_macs: Spread
    activation_bits: int | None
    quality: Quality | None


@dataclass(frozen=True, slots=True)
class ReadingEnergy:
    """One reading of a model.

    Attributes:
        deployed: it describes what runs on the target, so it may be a headline; others are comparisons.
        energy_pj: estimated energy per image in picojoules.
        items_pj: means of its items, picojoules per image.
        spike_driven: the items that are proportional to the number of spikes.
        once: the items that are paid once per image, whatever T.
    """

    name: str
    deployed: bool
    energy_pj: Spread
    items_pj: Mapping[str, float]
    spike_driven: tuple[str, ...]
    once: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """One column by one model at one precision; the headline is the dearest deployed reading."""

    column: str
    model: str
    precision: str
    headline: ReadingEnergy
    alternatives: tuple[ReadingEnergy, ...]


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
        by_reading: mean reference energy over the student's, for each of the student's readings; empty where
            the reference has no cell.
    """

    model: str
    split: Split
    ratio: float | None
    least: float | None
    most: float | None
    by_reading: Mapping[str, float]


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
class Threshold:
    """A published bound below which spikes are said to pay, with this network's figure beside it.

    Attributes:
        source: the publication.
        quantity: what is bounded, `spikes per synapse per inference` or `spikes per neuron and timestep`.
        low, high: the bound, or the range of bounds over the publication's cases.
        figure: this network's own value of that quantity, mean over images.
        position: `below` low, `between`, or `above` high.
        assumptions: under which the publication derives it.
    """

    source: str
    quantity: str
    low: float
    high: float
    figure: float
    position: str
    assumptions: str


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One synapse, means per image.

    Attributes:
        readers: populations that it is delivered to.
        synops_levels, synops_events: deployed, all readers; 0 on the image.
        shared_synops: synops by level if it were delivered once.
        spikes_per_neuron: of its source, nonzero spikes per image; 0 on the image.
        spike_rate: the same per timestep.
        spikes_per_synapse: deployed synops by level over the edge-exact connections of all readers.
        twin_padded_macs, twin_exact_macs: of the ANN twin.
        student_macs: of the student, first layer only, all readers and timesteps.
        neuron_steps: updates of the neurons that read it, all readers and timesteps.
        weight_bytes: at 8 bits.
        tier: the smallest memory of the table that holds them, `8 KB`, `32 KB`, `1 MB` or `DRAM`.
        share: of the student's synaptic energy without relays, `exact-ops` at fp32.
    """

    synapse: str
    source: str
    readers: int
    synops_levels: float
    synops_events: float
    shared_synops: float
    spikes_per_neuron: float
    spike_rate: float
    spikes_per_synapse: float
    twin_padded_macs: float
    twin_exact_macs: float
    student_macs: float
    neuron_steps: float
    weight_bytes: int
    tier: str
    share: float


@dataclass(frozen=True, slots=True)
class RelayRow:
    """Relays behind one population, means per image; deployed, so charged."""

    population: str
    stages: int
    neurons: float
    updates: float
    synops_levels: float
    synops_events: float


@dataclass(frozen=True, slots=True)
class AccumulatorRow:
    """An accumulator of a residual stream with its relays, means per image; deployed, so charged.

    Attributes:
        readers, stages: identity synapses to readers, and delay relays behind it.
        neurons: of accumulator and relays.
        updates: of these neurons.
        synops_events: identity deliveries of nonzero values.
    """

    name: str
    readers: int
    stages: int
    neurons: float
    updates: float
    synops_events: float


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One image: its size in pixels and what it made the student do (deployed)."""

    name: str
    height: int
    width: int
    synops_levels: int
    synops_events: int
    first_layer_macs: int
    spikes_per_neuron: float


@dataclass(frozen=True, slots=True)
class Range:
    """The headline: the least and the most that any model at any precision says."""

    least: float
    most: float


@dataclass(frozen=True, slots=True)
class EnergyReport:
    """A complete audit.

    Attributes:
        note: that these are estimates.
        neuron, timesteps, levels: of the student.
        lowering: of its membrane shortcuts, `fanout` or `relay`.
        reference: `teacher`, `twin` or `qann`; what `headline` and `verdict` compare with.
        headline: reference over student, over all models and precisions in which the reference has a cell.
        twin_headline, twin_verdict: twin over student, what spikes alone save.
        models: in the order of the grid; `ratios` and `cells` follow it.
        break_even: a row for each row of `ratios` that has a ratio.
        sensitivity: the constants of each such row, those that move the ratio most first within a row.
        excluded: what models leave out; each term names its models.
        constants: those that a model of this report uses, in the order of their table.
        profile: name of the file that overrode or added constants, or None.
        hashes: SHA-256 of inputs by name, as the caller passed them.
    """

    note: str
    neuron: str
    timesteps: int
    levels: int
    lowering: str
    reference: str
    headline: Range
    verdict: Verdict
    twin_headline: Range
    twin_verdict: Verdict
    models: tuple[ModelRow, ...]
    columns: tuple[Column, ...]
    ratios: tuple[RatioRow, ...]
    break_even: tuple[BreakEven, ...]
    sensitivity: tuple[Sensitivity, ...]
    thresholds: tuple[Threshold, ...]
    cells: tuple[Cell, ...]
    layers: tuple[LayerRow, ...]
    relays: tuple[RelayRow, ...]
    accumulators: tuple[AccumulatorRow, ...]
    images: tuple[ImageRow, ...]
    excluded: tuple[Excluded, ...]
    precisions: tuple[Precision, ...]
    constants: Mapping[str, Constant]
    profile: str | None
    hashes: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """The body of `energy.json` (kind `energy`, schema 2) in plain dicts, lists, numbers and strings.

        Raises:
            ValueError: a number is NaN or infinite (a bug: neither is JSON).
        """
        body: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self), allow_nan=False))
        return body
