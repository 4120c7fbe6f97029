"""When spikes pay: the spike rate at which a spiking layer costs what its dense rival does, by every model.

Nothing is derived anew here: the models price a layer (`hidden_layer`) and whole students, and the rate is
solved for. A student has a break-even of its own, because it also pays for the layers on the image, for
relays and for the read-out, which no hidden layer has.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, Literal

from snn_tool.energy.counts.counts import ImageActivity, NetworkActivity
from snn_tool.energy.estimators.estimate import EnergyModel, Load, Reading
from snn_tool.energy.estimators.prices import Prices, Pricing
from snn_tool.energy.estimators.registry import MODELS
from snn_tool.energy.report.audit import NOTE
from snn_tool.energy.report.columns import loaded_columns
from snn_tool.energy.report.hidden_layer import BINARY, TAPS, HiddenLayer, Neurons
from snn_tool.energy.report.pricing import LoadedColumn, price
from snn_tool.energy.report.robustness import PUBLISHED, equal_factor
from snn_tool.energy.report.types import Cell, ReadingEnergy
from snn_tool.errors import ConfigError
from snn_tool.models.integer.network import IntegerNetwork

KIND, SCHEMA = "energy-pays", 1
RIVALS = (("qann", "int8"), ("twin", "int8"), ("twin", "fp32"))
"""Column and precision of each dense rival; equal integers come first."""

STEPS = (1, 2, 4, 8, 16, 32, 64)
CHANNELS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
USUAL_CHANNELS, USUAL_STEPS = 24, (1, 4, 16)
"""Of the layer in the charts against timesteps, a spike of which reaches 216 synapses; T in those against
fan-out."""

USUAL = Neurons(4)
"""Of the curves that are shown for every rival and every reading of memories."""

Swept = Literal["fan_out", "timesteps"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A model with a dense rival that it can price.

    Attributes:
        model: that prices both sides.
        prices: of one precision.
        rival: `qann`, with as many bits as the neurons have outcomes, or `twin`.
        memory: what both sides assume of memories, by the name of a reading; empty for what is deployed.
    """

    model: EnergyModel
    prices: Prices
    rival: str
    memory: str = ""

    @property
    def precision(self) -> str:
        """Name of it."""
        return self.prices.precision.name

    def readings(self, load: Load) -> list[Reading]:
        """The readings that count, of which the dearest is meant."""
        found = self.model.estimate(load, self.prices).readings
        return [r for r in found if (r.memory == self.memory if self.memory else r.deployed)]


def comparisons(pricing: Pricing) -> tuple[Comparison, ...]:
    """Every model with each of its rivals."""
    return tuple(
        Comparison(model, pricing.at(precision), rival)
        for model in MODELS.values()
        for rival, precision in RIVALS
        if model.takes(pricing.precisions[precision]) and rival in model.columns
    )


def memory_comparisons(pricing: Pricing) -> tuple[Comparison, ...]:
    """The comparisons again by each reading of memories that is not the deployed one, where there are any."""
    tiny = HiddenLayer(1, 1).firing(Neurons(1))
    found = []
    for by in comparisons(pricing):
        readings = by.model.estimate(tiny, by.prices).readings
        deployed = {reading.memory for reading in readings if reading.deployed}
        names = dict.fromkeys(r.memory for r in readings if r.memory and r.memory not in deployed)
        found += [replace(by, memory=name) for name in names]
    return tuple(found)


def break_even_rate(comparison: Comparison, layer: HiddenLayer, kind: Neurons) -> float | None:
    """Spikes per neuron and timestep at which a layer costs what its dense rival does.

        E_rival = fixed + rate driven        rate = (E_rival - fixed) / driven

    `driven` is what a layer that always fires pays for its spikes. The dearest deployed reading counts on
    both sides, as in the report. More than 1 can be no rate of a binary neuron: then spikes always pay.

    Args:
        comparison: who prices, and against what.
        layer: the load.
        kind: how its neurons spike.

    Returns:
        The rate; None where the layer costs more even in silence.
    """
    dense = layer.dense(kind.bits if comparison.rival == "qann" else None)
    reference = max(reading.total_pj for reading in comparison.readings(dense))
    rates = [_rate(reading, reference) for reading in comparison.readings(layer.firing(kind))]
    known = [rate for rate in rates if rate is not None]
    return min(known) if len(known) == len(rates) else None


def _rate(reading: Reading, reference_pj: float) -> float | None:
    driven = sum(reading.items[item] for item in reading.spike_driven)
    fixed = sum(value for item, value in reading.items.items() if item not in reading.spike_driven)
    return None if reference_pj < fixed else (reference_pj - fixed) / driven


@dataclass(frozen=True, slots=True)
class Curve:
    """Break-even of one kind of neurons against one rival.

    Attributes:
        model, rival, precision, memory: by which it was computed, as in `Comparison`.
        neurons: of which kind, `Neurons.name`.
        across: what is swept, `fan_out` (with the kind's T) or `timesteps` (with the usual fan-out).
        points: value of `across`, and the rate; null where the layer costs more even in silence.
    """

    model: str
    rival: str
    precision: str
    memory: str
    neurons: str
    across: Swept
    points: tuple[tuple[int, float | None], ...]


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


@dataclass(frozen=True, slots=True)
class Bound:
    """A published threshold.

    Attributes:
        source: the publication.
        quantity: that it limits; per inference, or per timestep.
        low, high: the bound, or the range of its cases.
        assumptions: under which it is derived.
        timesteps: T for which it is stated, or None.
        reading: `found` at the source, `transcribed` from a quotation, or `not found`.
    """

    source: str
    quantity: str
    low: float
    high: float
    assumptions: str
    timesteps: int | None
    reading: str


@dataclass(frozen=True, slots=True)
class PaysReport:
    """All charts as data.

    Attributes:
        note: that these are estimates.
        neurons: of the layer.
        usual_fan_out: of the curves against timesteps.
        models: names, in the order of the charts.
        curves: by model, rival and kind.
        students: those that were given.
        bounds: published.
        profile: name of the file that changed constants or precisions, or None.
    """

    note: str
    neurons: int
    usual_fan_out: int
    models: tuple[str, ...]
    curves: tuple[Curve, ...]
    students: tuple[StudentPoint, ...]
    bounds: tuple[Bound, ...]
    profile: str | None

    def to_json(self) -> dict[str, Any]:
        """The body of the document (kind `energy-pays`, schema 1)."""
        body: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self), allow_nan=False))
        return body


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
    return sum(p.events for p in image.populations) / (image.timesteps * neurons)


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


def curves(pricing: Pricing, kinds: Sequence[Neurons], neurons: int) -> tuple[Curve, ...]:
    """Break-even curves of every model and rival: over fan-out for each kind, over T for binary spikes.

    By the readings of memories that are not deployed they are of binary spikes with T = 4 alone.

    Args:
        pricing: constants and precisions.
        kinds: of neurons.
        neurons: of the layer.
    """
    found: list[Curve] = []
    for by in comparisons(pricing):
        found += [_over_fan_out(by, kind, neurons) for kind in kinds] + [_over_time(by, neurons)]
    for by in memory_comparisons(pricing):
        found += [_over_fan_out(by, USUAL, neurons), _over_time(by, neurons)]
    return tuple(found)


def _over_fan_out(by: Comparison, kind: Neurons, neurons: int) -> Curve:
    layers = [HiddenLayer(channels, neurons) for channels in CHANNELS]
    points = tuple((layer.fan_out, break_even_rate(by, layer, kind)) for layer in layers)
    return Curve(by.model.name, by.rival, by.precision, by.memory, kind.name, "fan_out", points)


def _over_time(by: Comparison, neurons: int) -> Curve:
    layer = HiddenLayer(USUAL_CHANNELS, neurons)
    points = tuple((timesteps, break_even_rate(by, layer, Neurons(timesteps))) for timesteps in STEPS)
    return Curve(by.model.name, by.rival, by.precision, by.memory, BINARY, "timesteps", points)


def bounds() -> tuple[Bound, ...]:
    """The published thresholds, as `robustness` holds them."""
    return tuple(
        Bound(p.source, p.quantity, p.low, p.high, p.assumptions, p.timesteps, p.reading) for p in PUBLISHED
    )


def pays_report(
    students: Sequence[StudentPoint], kinds: Sequence[Neurons], pricing: Pricing, neurons: int
) -> PaysReport:
    """Everything that the charts show.

    Args:
        students: on the charts; none is allowed.
        kinds: of their neurons; binary ones of the usual T come on top.
        pricing: constants and precisions.
        neurons: of the layer.

    Raises:
        ConfigError: the layer has no neuron.
    """
    if neurons < 1:
        raise ConfigError(f"--neurons {neurons}: a layer has at least one; leave the option out")
    found = curves(pricing, distinct(kinds), neurons)
    return PaysReport(
        note=NOTE,
        neurons=neurons,
        usual_fan_out=TAPS * USUAL_CHANNELS,
        models=tuple(dict.fromkeys(curve.model for curve in found)),
        curves=found,
        students=tuple(students),
        bounds=bounds(),
        profile=pricing.profile,
    )


def distinct(kinds: Sequence[Neurons]) -> tuple[Neurons, ...]:
    """The usual binary kinds, then each other kind once, with its mean level over those given."""
    given: dict[str, list[Neurons]] = {}
    for kind in (*(Neurons(timesteps) for timesteps in USUAL_STEPS), *kinds):
        given.setdefault(kind.name, []).append(kind)
    return tuple(replace(same[0], mean_level=fmean(k.mean_level for k in same)) for same in given.values())
