"""The energy report as data: frozen dataclasses that become JSON, a terminal page or an HTML page.

Every joule in here is an estimate: a count of operations times a published price of one operation.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from snn_tool.energy.constants import Constant, Precision
from snn_tool.energy.excluded import Excluded
from snn_tool.energy.verdict import Split, Verdict

KIND = "energy"
SCHEMA = 1
COLUMNS = ("teacher", "twin", "student")


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
        name: `teacher`, `twin` or `student`.
        title: what it is, in words.
        parameters: trainable values.
        padded_macs, exact_macs: per image; for the student, those of its first layer as deployed
            (both are edge-exact there), because its other layers have none.
        quality: as measured by the caller, or None.
    """

    name: str
    title: str
    parameters: int
    padded_macs: Spread
    exact_macs: Spread
    quality: Quality | None


@dataclass(frozen=True, slots=True)
class ReadingEnergy:
    """One reading of a model: its estimated energy per image, and its items' means, in picojoules."""

    name: str
    deployed: bool
    energy_pj: Spread
    items_pj: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Cell:
    """One column by one model at one precision; the headline is the dearest deployed reading."""

    column: str
    model: str
    precision: str
    headline: ReadingEnergy
    alternatives: tuple[ReadingEnergy, ...]


@dataclass(frozen=True, slots=True)
class RatioRow:
    """How many times less energy the student is estimated to need, by one model at one precision.

    Attributes:
        model: `model/precision`.
        split: ratios of mean energies, headline readings.
        least, most: reference over student for single images; the reference is the teacher, or else the twin.
        by_reading: mean reference energy over the student's, for each of the student's readings.
    """

    model: str
    split: Split
    least: float
    most: float
    by_reading: Mapping[str, float]


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
        reference: `teacher`, or `twin` without a teacher; what `headline` and `verdict` compare with.
        headline: reference over student.
        twin_headline, twin_verdict: twin over student, what spikes alone save.
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
    columns: tuple[Column, ...]
    ratios: tuple[RatioRow, ...]
    cells: tuple[Cell, ...]
    layers: tuple[LayerRow, ...]
    relays: tuple[RelayRow, ...]
    accumulators: tuple[AccumulatorRow, ...]
    images: tuple[ImageRow, ...]
    excluded: tuple[Excluded, ...]
    precisions: tuple[Precision, ...]
    constants: Mapping[str, Constant]
    hashes: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """The body of `energy.json` (kind `energy`, schema 1) in plain dicts, lists, numbers and strings.

        Raises:
            ValueError: a number is NaN or infinite (a bug: neither is JSON).
        """
        body: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self), allow_nan=False))
        return body
