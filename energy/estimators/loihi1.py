"""What both models of Loihi 1 share: traffic in binary spikes, cores, time, and the dense rival.

Loihi 1 has binary spikes, so that a graded student cannot run on it as it is. What could run is priced as the
deployment (`codings`): a signed population becomes two, one for each sign, which both need the whole input;
a spike of level n becomes n spikes, one in each of as many steps as there are levels. The readings in one
step, with levels as unit spikes or as one event each, are comparisons, and say why no chip runs them.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from snn_tool.energy.counts.counts import EdgeCount, ImageActivity
from snn_tool.energy.estimators import excluded
from snn_tool.energy.estimators.charges import SpikeCharge
from snn_tool.energy.estimators.chip_use import ChipUse
from snn_tool.energy.estimators.estimate import AnnLoad, Estimate, Load, Reading
from snn_tool.energy.estimators.prices import Prices

CHIP = "Loihi 1"
NEURONS_PER_CORE = 1024
WEIGHT_BYTES_PER_CORE = 128 << 10
CORES_PER_TILE, TILES_PER_CHIP = 4, 32
CORES_PER_CHIP = CORES_PER_TILE * TILES_PER_CHIP
"""Davies et al., Loihi, IEEE Micro 38(1), 2018: 128 cores of 1,024 compartments and 128 KB of synapses, in
tiles of four."""

LARGEST_SYSTEM = 768
"""Chips of Pohoiki Springs, the largest that was built (Frady et al., NICE 2020)."""

TIME_CONSTANTS = (
    "loihi1-synop-time",
    "loihi1-active-time",
    "loihi1-idle-time",
    "loihi1-barrier-1",
    "loihi1-barrier-32",
    "loihi1-static",
)
RIVAL_CONSTANTS = ("edge-mac", "edge-utilisation")
EXCLUDED = (
    excluded.CHIP_LINKS,
    excluded.FILL,
    excluded.WIDE,
    excluded.INPUT,
    excluded.IMAGE_BITS,
    excluded.SCALARS,
)
IMAGE_ENCODER = (
    "an encoder that turns the image into binary spikes or biases; charged as one operation a connection"
)
SIGN_PAIRS = "two neurons for each signed one, as spikes have no sign"
LEVEL_STEPS = "neurons that take in one image while they send the last, a level a step"
GRADED_EVENTS = "spikes carry no level"
LEVELS_AT_ONCE = "a neuron sends one spike a step, not as many as its level"
WIDE_STREAMS = "accumulators pass on values of up to 24 bits; lower membrane shortcuts by fanout"


@dataclass(frozen=True, slots=True)
class Coding:
    """One way to send a student's spikes.

    Attributes:
        name: of its reading.
        deployed: it describes what the chip could run.
        charge: how a graded spike counts.
        pairs: each signed population is two.
        steps: that one image takes.
        lacks, needs: as in `ChipUse`, before the chips are counted.
    """

    name: str
    deployed: bool
    charge: SpikeCharge
    pairs: bool
    steps: int
    lacks: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


def codings(load: ImageActivity) -> tuple[Coding, ...]:
    """What could run on the chip, then what is compared with it.

    The steps are a lower bound: a neuron that cannot take in one image while it sends the last needs twice as
    many.
    """
    wide = (WIDE_STREAMS,) if load.accumulators else ()
    once = load.steps
    if load.unit_spikes:
        return (Coding("binary spikes", True, SpikeCharge.LEVELS, False, once, wide, (IMAGE_ENCODER,)),)
    name = "sign pairs, a step for each level" if load.signed else "a step for each level"
    needs = (*((SIGN_PAIRS,) if load.signed else ()), LEVEL_STEPS, IMAGE_ENCODER)
    return (
        Coding(name, True, SpikeCharge.LEVELS, load.signed, once * load.levels, wide, needs),
        Coding(
            "levels as unit spikes", False, SpikeCharge.LEVELS, False, once, (*wide, LEVELS_AT_ONCE), needs
        ),
        Coding(
            "one event per graded spike",
            False,
            SpikeCharge.EVENTS,
            False,
            once,
            (*wide, GRADED_EVENTS),
            needs,
        ),
    )


@dataclass(frozen=True, slots=True)
class Traffic:
    """Counts of one image in one coding; all are exact integers.

    Attributes:
        image_synops: connections from the input, once per timestep of each pass; each is charged as one
            synaptic operation, which is a lower bound, because the image has many bits.
        synops: deliveries of spikes, relays included; both neurons of a sign pair take each of them.
        stream_synops: deliveries of accumulators, one per nonzero value.
        active, idle: neuron updates whatever the spikes: neurons of populations and accumulators have a bias,
            a membrane or a current at every step and count as active; relays count as idle.
        woken: updates of relays by a spike; they are in `idle` too, and cost the difference.
        spikes: emitted by populations and relays.
        stream_spikes: by accumulators and their relays.
        packets, stream_packets: one for each reader of a spike's source.
    """

    image_synops: int
    synops: int
    stream_synops: int
    active: int
    idle: int
    woken: int
    spikes: int
    stream_spikes: int
    packets: int
    stream_packets: int


def copies(load: ImageActivity, pairs: bool) -> dict[str, int]:
    """Neurons for each neuron of a population: two in a sign pair; the read-out has no spikes."""
    return {p.name: 2 if pairs and p is not load.populations[-1] else 1 for p in load.populations}


def traffic(load: ImageActivity, coding: Coding) -> Traffic:
    """Count one image in one coding."""
    charge, twice = coding.charge, copies(load, coding.pairs)
    fired = {p.name: charge.spikes(p) for p in load.populations}
    relayed = charge.synops(load.relays)
    streamed = sum(a.synops_events for a in load.accumulators)
    stretch = coding.steps // load.steps
    relay_updates = sum(r.updates for r in load.relays) * stretch * (2 if coding.pairs else 1)
    return Traffic(
        image_synops=load.steps * _delivered(load, twice, lambda edge: edge.image_macs),
        synops=_delivered(load, twice, lambda edge: charge.synops((edge,))) + relayed,
        stream_synops=streamed,
        active=coding.steps * sum(p.neurons * twice[p.name] for p in load.populations)
        + stretch * sum(a.updates for a in load.accumulators),
        idle=relay_updates,
        woken=relayed,
        spikes=sum(fired.values()) + relayed,
        stream_spikes=sum(a.events * (1 + a.stages) for a in load.accumulators),
        packets=sum(fired.get(edge.source, 0) for edge in load.edges) + relayed,
        stream_packets=streamed,
    )


def _delivered(load: ImageActivity, twice: Mapping[str, int], count: Callable[[EdgeCount], int]) -> int:
    return sum(count(edge) * twice.get(edge.reader, 1) for edge in load.edges)


def cores(load: ImageActivity, pairs: bool = False, neurons_per_core: int = NEURONS_PER_CORE) -> int:
    """Cores that the populations, relays and accumulators fill at least, each its own; kernels once."""
    return sum(
        max(-(-neurons // neurons_per_core), -(-weights // WEIGHT_BYTES_PER_CORE))
        for neurons, weights in _sizes(load, pairs)
    )


def _sizes(load: ImageActivity, pairs: bool) -> Iterator[tuple[int, int]]:
    """Neurons and bytes of weights of each population and each stage of relays."""
    twice, spikes = copies(load, pairs), 2 if pairs else 1
    held = _held_weights(load)
    for population in load.populations:
        times = twice[population.name]
        yield times * population.neurons, times * held.get(population.name, 0)
    for relay in load.relays:
        yield from [(spikes * relay.neurons // relay.stages, 1)] * relay.stages
    for accumulator in load.accumulators:
        yield accumulator.neurons, held.get(accumulator.name, 0)
        yield from [(accumulator.neurons, 1)] * accumulator.stages


def _held_weights(load: ImageActivity) -> dict[str, int]:
    """Weights that arrive at each population or accumulator, each kernel once."""
    weights = {layer.synapse: layer.weights for layer in load.layers}
    held: dict[str, int] = {}
    for edge in load.edges:
        held[edge.reader] = held.get(edge.reader, 0) + weights[edge.synapse]
    return held


def chip_use(load: ImageActivity, coding: Coding, counts: Traffic, prices: Prices) -> ChipUse:
    """Chips, static power and time.

        t = (synops t_synop + active t_active + idle t_idle) / cores + steps t_barrier

    A lower bound but for t_synop, which is published as a maximum: all cores are equally busy, no packet
    waits, a barrier spans at most one chip, and images follow each other without a gap. Chips come from
    `cores`, which is a lower bound, too.
    """
    used = cores(load, coding.pairs)
    chips = -(-used // CORES_PER_CHIP)
    time = sum(_times(counts, used, coding.steps, prices).values())
    many = f"{chips} chips, more than the {LARGEST_SYSTEM} of the largest system that was built"
    lacks = (*coding.lacks, *((many,) if chips > LARGEST_SYSTEM else ()))
    return ChipUse(
        CHIP, used, chips, prices["loihi1-static"] * chips, time, coding.steps, lacks, coding.needs
    )


def static_items(counts: Traffic, use: ChipUse, prices: Prices) -> dict[str, float]:
    """Static power over the time of an image, picojoules (mW times ns): E = chips P t."""
    times = _times(counts, use.cores, use.steps, prices)
    return {f"static power, {what}": use.static_mw * time for what, time in times.items()}


def _times(counts: Traffic, used: int, steps: int, prices: Prices) -> dict[str, float]:
    """Nanoseconds by cause."""
    extra = prices["loihi1-active-time"] - prices["loihi1-idle-time"]
    image = (counts.image_synops + counts.stream_synops) * prices["loihi1-synop-time"]
    neurons = counts.active * prices["loihi1-active-time"] + counts.idle * prices["loihi1-idle-time"]
    spikes = counts.synops * prices["loihi1-synop-time"] + counts.woken * extra
    return {
        "image and neurons": (image + neurons) / used,
        "spikes": spikes / used,
        "barriers": steps * _barrier_ns(used, prices),
    }


def _barrier_ns(used: int, prices: Prices) -> float:
    """Linear in the tiles of one chip between the two published times."""
    tiles = min(-(-used // CORES_PER_TILE), TILES_PER_CHIP)
    least, most = prices["loihi1-barrier-1"], prices["loihi1-barrier-32"]
    return least + (most - least) * (tiles - 1) / (TILES_PER_CHIP - 1)


def hops(use: ChipUse, prices: Prices) -> float:
    """Links that a packet crosses: none where everything fits one tile, else what is assumed."""
    return prices["loihi1-hops"] if use.cores > CORES_PER_TILE else 0.0


def dense_rival(load: AnnLoad, prices: Prices) -> Estimate:
    """The dense network as an int8 product on an edge accelerator: the vendor's peak over the utilisation.

        E = MAC e_peak / utilisation

    MAC is the padded count, as an array computes it. The figure covers the whole accelerator, so that nothing
    is added to it; a quantised twin of fewer bits costs the same there.
    """
    energy = prices["edge-mac"] / prices["edge-utilisation"] * load.padded_macs
    return Estimate(
        (Reading("int8 on an edge accelerator", True, {"MACs at peak over utilisation": energy}),)
    )


Items = Callable[[Traffic, ChipUse, Prices], dict[str, float]]


def estimate(load: Load, prices: Prices, items: Items, spike_driven: frozenset[str]) -> Estimate:
    """What both models of this chip have in common: the rival, and how graded spikes are sent.

    Args:
        load: of one network on one image.
        prices: of one precision.
        items: charges a student's traffic on the chips that it uses; static power is added here.
        spike_driven: the items that are proportional to the number of spikes.
    """
    if isinstance(load, AnnLoad):
        return dense_rival(load, prices)
    return Estimate(tuple(_reading(load, coding, prices, items, spike_driven) for coding in codings(load)))


def _reading(
    load: ImageActivity, coding: Coding, prices: Prices, items: Items, spike_driven: frozenset[str]
) -> Reading:
    counts = traffic(load, coding)
    use = chip_use(load, coding, counts, prices)
    charged = {**items(counts, use, prices), **static_items(counts, use, prices)}
    return Reading(coding.name, coding.deployed, charged, spike_driven, charge=coding.charge, chip=use)
