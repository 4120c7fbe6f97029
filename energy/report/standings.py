"""Whole networks beside the break-even curves: how often they fire, and what they cost against each rival."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from snn_tool.energy.counts.counts import ImageActivity, NetworkActivity
from snn_tool.energy.counts.dense_layer import DenseLayer
from snn_tool.energy.estimators.estimate import AnnLoad
from snn_tool.energy.estimators.prices import Pricing
from snn_tool.energy.estimators.workloads import Workload
from snn_tool.energy.report.columns import loaded_columns
from snn_tool.energy.report.document import Cell, ReadingEnergy
from snn_tool.energy.report.equality import Comparison, comparisons, memory_comparisons
from snn_tool.energy.report.hidden_layer import Neurons
from snn_tool.energy.report.pricing import LoadedColumn, price
from snn_tool.energy.report.robustness import equal_factor
from snn_tool.models.integer.network import IntegerNetwork


@dataclass(frozen=True, slots=True)
class Standing:
    """A whole student by one model against one rival.

    Attributes:
        model, rival, precision, memory: as in `Comparison`.
        ratio: mean energy of the rival over the student's; above 1 spikes pay.
        rate: spikes per neuron and timestep at which both cost the same; null where there is none.
        note: why it is null.
    """

    model: str
    rival: str
    precision: str
    memory: str
    ratio: float
    rate: float | None
    note: str


@dataclass(frozen=True, slots=True)
class StudentPoint:
    """A student on the charts, means over its images.

    Attributes:
        name: of the student.
        neurons: kind, `Neurons.name`.
        timesteps: T.
        fan_out: synapses that a spike reaches, all readers.
        rate: nonzero spikes per neuron and timestep.
        mean_level: of nonzero spikes.
        images: how many.
        lowering: of its membrane shortcuts.
        standings: by model and rival.
    """

    name: str
    neurons: str
    timesteps: int
    fan_out: float
    rate: float
    mean_level: float
    images: int
    lowering: str
    standings: tuple[Standing, ...]


def kind_of(network: IntegerNetwork, activity: NetworkActivity) -> Neurons:
    """How a student's neurons spike, with the mean level that the images gave."""
    low, high = network.spike_range
    events = sum(p.events for image in activity.images for p in image.populations)
    levels = sum(p.levels for image in activity.images for p in image.populations)
    return Neurons(network.timesteps, low, high, network.neuron == "lif", levels / events if events else 1.0)


def student_point(
    name: str, network: IntegerNetwork, activity: NetworkActivity, lowering: str, pricing: Pricing
) -> StudentPoint:
    """A student's place on the charts, and by every model its ratio and its own break-even.

    Args:
        name: of the student.
        network: it.
        activity: counts of its images.
        lowering: by which they were counted.
        pricing: constants and precisions.
    """
    columns = loaded_columns(network, activity, None)
    rate = fmean(map(events_per_step, activity.images))
    kind = kind_of(network, activity)
    return StudentPoint(
        name=name,
        neurons=kind.name,
        timesteps=network.timesteps,
        fan_out=fmean(map(reach, activity.images)),
        rate=rate,
        mean_level=kind.mean_level,
        images=len(activity.images),
        lowering=lowering,
        standings=tuple(_standings(columns, pricing, rate)),
    )


def events_per_step(image: ImageActivity) -> float:
    """Nonzero spikes per neuron and timestep; the read-out, which is last, fires none."""
    neurons = sum(p.neurons for p in image.populations[:-1])
    return sum(p.events for p in image.populations) / (image.steps * neurons)


def reach(image: ImageActivity) -> float:
    """Synapses that a spike reaches, all readers; 0 without a spike."""
    return image.synops_events / (sum(p.events for p in image.populations) or 1)


def _standings(columns: Mapping[str, LoadedColumn], pricing: Pricing, rate: float) -> Iterable[Standing]:
    names = [str(index) for index in range(len(columns["student"].loads))]
    apart = memory_comparisons(pricing)
    for by in comparisons(pricing):
        cells = {c: price(columns[c], by.model, by.prices, names).cell for c in (by.rival, "student")}
        same = [other for other in apart if replace(other, memory="") == by]
        for each in (by, *same):
            yield _standing(each, cells[by.rival], cells["student"], rate)


def _standing(by: Comparison, rival: Cell, student: Cell, rate: float) -> Standing:
    """Of several readings with one memory, as graded spikes have, the dearest decides."""
    reference = max(reading.energy_pj.mean for reading in _held(by, rival))
    readings = _held(by, student)
    factors = [equal_factor(reading, reference) for reading in readings]
    known = [factor for factor, _ in factors if factor is not None]
    solved = len(known) == len(factors)
    return Standing(
        model=by.model.name,
        rival=by.rival,
        precision=by.precision,
        memory=by.memory,
        ratio=reference / max(reading.energy_pj.mean for reading in readings),
        rate=rate * min(known) if solved else None,
        note="" if solved else next(note for _, note in factors if note),
    )


def _held(by: Comparison, cell: Cell) -> list[ReadingEnergy]:
    if not by.memory:
        return [cell.headline]
    return [reading for reading in cell.alternatives if reading.memory == by.memory]


def measured_point(workload: Workload, pricing: Pricing) -> StudentPoint:
    """A workload that somebody measured on a chip; its rivals compute each of its layers once.

    Its input spikes as its layers do, and is as wide as theirs in the rivals.

    Args:
        workload: of binary spikes, with its counts.
        pricing: constants and precisions.
    """
    activity, kind = workload.activity(), Neurons(workload.timesteps)
    sizes = [population.neurons for population in activity.populations[1:]]
    edges = tuple(replace(edge, outputs=size) for edge, size in zip(activity.edges, sizes, strict=True))
    load = replace(activity, edges=edges)
    rate = events_per_step(load)
    columns = {
        "twin": LoadedColumn("twin", (_dense(workload, sizes, None),)),
        "qann": LoadedColumn("qann", (_dense(workload, sizes, kind.bits),)),
        "student": LoadedColumn("student", (load,)),
    }
    return StudentPoint(
        name=workload.title.partition(" ")[0],
        neurons=kind.name,
        timesteps=workload.timesteps,
        fan_out=reach(load),
        rate=rate,
        mean_level=1.0,
        images=1,
        lowering="",
        standings=tuple(_standings(columns, pricing, rate)),
    )


def _dense(workload: Workload, outputs: Sequence[int], bits: int | None) -> AnnLoad:
    """The workload's layers on a dense array: products, and a bias and an activation for each output."""
    return AnnLoad.of(
        DenseLayer(
            name=layer.name,
            padded_macs=layer.macs,
            exact_macs=layer.macs,
            elementwise_ops=2 * size,
            inputs=layer.neurons,
            weights=layer.weights,
            biases=0,
            outputs=size,
            input_bits=bits,
            output_bits=bits,
        )
        for layer, size in zip(workload.layers, outputs, strict=True)
    )
