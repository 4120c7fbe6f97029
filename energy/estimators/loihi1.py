"""What both models of Loihi 1 share: traffic in binary spikes, cores, time, and the dense rival.

Loihi 1 has binary spikes: a graded spike of level n is charged as n of them (`levels as unit spikes`), and
the reading with one event per graded spike, as chips with graded payloads would need, stands beside it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from snn_tool.energy.counts.counts import ImageActivity
from snn_tool.energy.estimators import excluded
from snn_tool.energy.estimators.charges import SpikeCharge
from snn_tool.energy.estimators.estimate import AnnLoad, Estimate, Load, Reading
from snn_tool.energy.estimators.prices import Prices

NEURONS_PER_CORE = 1024
WEIGHT_BYTES_PER_CORE = 128 << 10
CORES_PER_TILE, TILES_PER_CHIP = 4, 32
CORES_PER_CHIP = CORES_PER_TILE * TILES_PER_CHIP
"""Davies et al., Loihi, IEEE Micro 38(1), 2018: 128 cores of 1,024 compartments and 128 KB of synapses, in
tiles of four."""

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
    excluded.SCALARS,
)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Counts of one image in one spike charge; all are exact integers.

    Attributes:
        image_synops: connections from the image, once per timestep; each is charged as one synaptic
            operation, which is a lower bound, because the image has many bits.
        synops: deliveries of spikes, relays included.
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


def traffic(load: ImageActivity, charge: SpikeCharge) -> Traffic:
    """Count one image, with graded spikes as unit spikes or as one event each."""
    fired = {p.name: charge.spikes(p) for p in load.populations}
    relayed = charge.synops(load.relays)
    streamed = sum(a.synops_events for a in load.accumulators)
    return Traffic(
        image_synops=load.macs_uncached,
        synops=charge.synops(load.edges) + relayed,
        stream_synops=streamed,
        active=load.timesteps * sum(p.neurons for p in load.populations)
        + sum(a.updates for a in load.accumulators),
        idle=sum(r.updates for r in load.relays),
        woken=relayed,
        spikes=sum(fired.values()) + relayed,
        stream_spikes=sum(a.events * (1 + a.stages) for a in load.accumulators),
        packets=sum(fired.get(edge.source, 0) for edge in load.edges) + relayed,
        stream_packets=streamed,
    )


def cores(load: ImageActivity) -> int:
    """Cores that the populations, relays and accumulators fill at least, each its own; kernels once."""
    weights = {layer.synapse: layer.weights for layer in load.layers}
    held: dict[str, int] = {}
    for edge in load.edges:
        held[edge.reader] = held.get(edge.reader, 0) + weights[edge.synapse]
    sizes = [(p.neurons, held.get(p.name, 0)) for p in load.populations]
    sizes += [(r.neurons // r.stages, 1) for r in load.relays for _ in range(r.stages)]
    sizes += [(a.neurons, held.get(a.name, 0)) for a in load.accumulators]
    sizes += [(a.neurons, 1) for a in load.accumulators for _ in range(a.stages)]
    return sum(max(-(-n // NEURONS_PER_CORE), -(-w // WEIGHT_BYTES_PER_CORE)) for n, w in sizes)


def static_items(load: ImageActivity, counts: Traffic, prices: Prices) -> dict[str, float]:
    """Static power over the time of an image, picojoules (mW times ns).

        t = (synops t_synop + active t_active + idle t_idle) / cores + T t_barrier        E = chips P t

    A lower bound but for t_synop, which is published as a maximum: all cores are equally busy, no packet
    waits, a barrier spans at most one chip, and images follow each other without a gap. Chips come from
    `cores`, which is a lower bound, too.
    """
    used = cores(load)
    power = prices["loihi1-static"] * -(-used // CORES_PER_CHIP)
    extra = prices["loihi1-active-time"] - prices["loihi1-idle-time"]
    image = (counts.image_synops + counts.stream_synops) * prices["loihi1-synop-time"]
    neurons = counts.active * prices["loihi1-active-time"] + counts.idle * prices["loihi1-idle-time"]
    spikes = counts.synops * prices["loihi1-synop-time"] + counts.woken * extra
    return {
        "static power, image and neurons": power * (image + neurons) / used,
        "static power, spikes": power * spikes / used,
        "static power, barriers": power * load.timesteps * _barrier_ns(used, prices),
    }


def _barrier_ns(used: int, prices: Prices) -> float:
    """Linear in the tiles of one chip between the two published times."""
    tiles = min(-(-used // CORES_PER_TILE), TILES_PER_CHIP)
    least, most = prices["loihi1-barrier-1"], prices["loihi1-barrier-32"]
    return least + (most - least) * (tiles - 1) / (TILES_PER_CHIP - 1)


def hops(load: ImageActivity, prices: Prices) -> float:
    """Links that a packet crosses: none where everything fits one tile, else what is assumed."""
    return prices["loihi1-hops"] if cores(load) > CORES_PER_TILE else 0.0


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


def estimate(
    load: Load, prices: Prices, reading: Callable[[ImageActivity, Prices, str, bool, SpikeCharge], Reading]
) -> Estimate:
    """What both models of this chip have in common: the rival, and how graded spikes are read.

    Args:
        load: of one network on one image.
        prices: of one precision.
        reading: charges a student; takes a name, whether it is deployed, and how spikes are charged.
    """
    if isinstance(load, AnnLoad):
        return dense_rival(load, prices)
    if load.unit_spikes:
        return Estimate((reading(load, prices, "binary spikes", True, SpikeCharge.LEVELS),))
    return Estimate(
        (
            reading(load, prices, "levels as unit spikes", True, SpikeCharge.LEVELS),
            reading(load, prices, "one event per graded spike", False, SpikeCharge.EVENTS),
        )
    )
