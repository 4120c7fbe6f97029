"""How many spikes, and how many timesteps, the student could afford before the reference is cheaper."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from snn_tool.energy.counts.counts import ImageActivity, NetworkActivity
from snn_tool.energy.estimators.constants import Table, Traced
from snn_tool.energy.estimators.prices import Prices
from snn_tool.energy.report.document import BreakEven, ReadingEnergy, Sensitivity, Threshold, Unsourced
from snn_tool.energy.report.pricing import LoadedColumn, PricedRow, price
from snn_tool.models.topology import IMAGE

SILENT = "the student needs more than the reference even without a spike"
UNDRIVEN = "no spike was fired, so that there is nothing to scale"
STILL = "nothing is paid per timestep"
ONCE = "what the student pays once per image exceeds the reference"
LOW, HIGH = 0.5, 1.5
PER_SYNAPSE = "spikes per synapse per inference"
PER_STEP = "spikes per neuron and timestep"
PER_OUTPUT = "spikes per neuron per inference"


def break_even(row: PricedRow, reference: str, spikes_per_neuron: float, timesteps: int) -> BreakEven:
    """Solve for equal mean energies of the student's headline and the reference.

        spikes:     E_ref = fixed + f driven                 f multiplies every item that spikes drive
        timesteps:  E_ref = once + (T_equal / T) (E - once)  each step does what it does now

    Args:
        row: with cells of student and reference.
        reference: its column.
        spikes_per_neuron: of the student, mean over the images.
        timesteps: T of the student.
    """
    headline = row.cells["student"].cell.headline
    energy = row.cells[reference].mean_pj
    factor, spikes_note = equal_factor(headline, energy)
    steps, steps_note = _timesteps(headline, energy, timesteps)
    return BreakEven(
        model=row.name,
        factor=factor,
        spikes_per_neuron=None if factor is None else factor * spikes_per_neuron,
        timesteps=steps,
        note="; ".join(note for note in (spikes_note, steps_note) if note),
    )


def equal_factor(headline: ReadingEnergy, reference_pj: float) -> tuple[float | None, str]:
    """The factor on all spikes at which a reading needs what the reference does, or why there is none."""
    driven = _sum(headline, headline.spike_driven)
    fixed = _sum(headline, headline.items_pj.keys() - set(headline.spike_driven))
    if driven == 0:
        return None, UNDRIVEN
    if reference_pj < fixed:
        return None, SILENT
    return (reference_pj - fixed) / driven, ""


def _timesteps(headline: ReadingEnergy, reference_pj: float, timesteps: int) -> tuple[float | None, str]:
    once = _sum(headline, headline.once)
    steps = _sum(headline, headline.items_pj.keys() - set(headline.once))
    if steps == 0:
        return None, STILL
    if reference_pj < once:
        return None, ONCE
    return timesteps * (reference_pj - once) / steps, ""


def _sum(headline: ReadingEnergy, items: Iterable[str]) -> float:
    return sum(value for item, value in headline.items_pj.items() if item in set(items))


def sensitivity(
    row: PricedRow, columns: Mapping[str, LoadedColumn], reference: str, claim: float, names: Sequence[str]
) -> tuple[Sensitivity, ...]:
    """Evaluate one row again with each constant of its headlines scaled, those that matter most first.

    Args:
        row: with cells of student and reference.
        columns: loads by column name.
        reference: column that the claim is against.
        claim: factor that the ratio is held against.
        names: of the images.
    """

    def ratio(prices: Prices) -> float:
        against, student = (
            price(columns[c], row.model, prices, names).mean_pj for c in (reference, "student")
        )
        return against / student

    base = row.cells[reference].mean_pj / row.cells["student"].mean_pj
    found = []
    for key in row.model.constants_at(row.prices.precision):
        if key in row.model.comparisons:
            continue
        low, high = (ratio(row.prices.scaled(key, factor)) for factor in (LOW, HIGH))
        met = {value >= claim for value in (low, base, high)}
        found.append(Sensitivity(key, row.name, low, base, high, len(met) > 1))
    return tuple(sorted(found, key=lambda s: (-swing(s), s.constant)))


def swing(row: Sensitivity) -> float:
    """The larger of the two relative changes, as a logarithm."""
    return max(abs(math.log(value / row.base)) for value in (row.low, row.high))


def strongest_by(rows: Iterable[Sensitivity], key: Callable[[Sensitivity], str]) -> dict[str, Sensitivity]:
    """For each key the row that moves a ratio most; those that move it most come first."""
    found: dict[str, Sensitivity] = {}
    for row in sorted(rows, key=lambda row: -swing(row)):
        found.setdefault(key(row), row)
    return found


def unsourced(rows: Iterable[Sensitivity], constants: Table) -> tuple[Unsourced, ...]:
    """What each constant decides that was found at no source, those that move a ratio most first.

    Args:
        rows: of every constant in every row of the grid.
        constants: those of the report.
    """
    by_constant: dict[str, list[Sensitivity]] = {}
    for row in sorted(rows, key=lambda row: -swing(row)):
        if constants[row.constant].reading == "not found":
            by_constant.setdefault(row.constant, []).append(row)
    return tuple(
        Unsourced(
            constant=key,
            read_in=constants[key].read_in,
            strongest=found[0],
            models=tuple(row.model for row in found),
            flips=tuple(row.model for row in found if row.flips),
            reverses=tuple(row.model for row in found if _reverses(row)),
        )
        for key, found in by_constant.items()
    )


def _reverses(row: Sensitivity) -> bool:
    """Whether who needs less energy depends on the constant, between half of it and half again."""
    return len({value > 1 for value in (row.low, row.base, row.high)}) > 1


@dataclass(frozen=True, slots=True)
class Published:
    """A bound, or the range of bounds over a publication's cases, and whether it was read there.

    `timesteps` is T where a bound is stated for one alone.
    """

    source: str
    quantity: str
    low: float
    high: float
    assumptions: str
    reading: Traced
    timesteps: int | None = None


PUBLISHED = (
    Published(
        "Davidson and Furber, Front. Neurosci. 15:651141, 2021",
        PER_OUTPUT,
        1.72,
        1.72,
        "spikes used to transmit an output, at most 12 E / 7 E: rate-coded spikes and an ANN in the same "
        "digital technology, arithmetic and weight fetches",
        "transcribed",
    ),
    Published(
        "Dampfhoffer et al., IEEE TETCI 7(3), 2023",
        PER_SYNAPSE,
        0.15,
        1.38,
        "integrate-and-fire neurons with memory; the low end against an ANN with full reuse and sparsity",
        "found",
    ),
    Published(
        "Yan, Bai, Tang and Wong, arXiv 2409.08290v4, 2026",
        PER_STEP,
        0.057,
        0.057,
        "T = 5, 4-bit weights, a quantised ANN of ceil(log2(T + 1)) bits, 22 nm, one hop",
        "found",
        timesteps=5,
    ),
    Published(
        "Shen et al., Are Conventional SNNs Really Efficient?, CVPR 2024",
        PER_STEP,
        0.10,
        0.15,
        "a quantised ANN of as many bits as timesteps; the range as quoted by others",
        "not found",
    ),
)
"""Dampfhoffer and Yan are in the abstracts of the publications; Davidson's sentence was read in a quotation,
and bounds the spikes that transmit an *output*, not those of a synapse; Shen's range is in no abstract and
is given as others quote it."""


def thresholds(activity: NetworkActivity) -> tuple[Threshold, ...]:
    """Every published bound with the network's own figure, a mean over the images.

        spikes per synapse per inference = synops / connections, over all deliveries of spikes
        spikes per neuron per inference  = spikes / N, over all spiking populations
        spikes per neuron and timestep   = spikes / (T N), likewise

    A graded spike of level n counts as n spikes: the bounds are about binary ones.
    """
    figures = {
        PER_SYNAPSE: fmean(per_synapse(image) for image in activity.images),
        PER_OUTPUT: fmean(image.timesteps * per_step(image) for image in activity.images),
        PER_STEP: fmean(per_step(image) for image in activity.images),
    }
    return tuple(_placed(published, figures[published.quantity]) for published in PUBLISHED)


def per_synapse(image: ImageActivity) -> float:
    """Spikes per synapse and pass of one image, each reader's connections for themselves."""
    connections = {layer.synapse: image.passes * layer.exact_macs for layer in image.layers}
    return image.synops_levels / sum(connections[e.synapse] for e in image.edges if e.source != IMAGE)


def per_step(image: ImageActivity) -> float:
    """Spike rate of one image."""
    spiking = image.populations[:-1]
    return sum(p.levels for p in spiking) / (image.steps * sum(p.neurons for p in spiking))


def _placed(published: Published, figure: float) -> Threshold:
    position = "below" if figure < published.low else "above" if figure > published.high else "between"
    return Threshold(
        published.source,
        published.quantity,
        published.low,
        published.high,
        figure,
        position,
        published.assumptions,
        published.reading,
    )
