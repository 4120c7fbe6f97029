"""The memory accesses of a deployed student, spike by spike; see `memory_model` for the equations."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from snn_tool.energy.counts.counts import ImageActivity
from snn_tool.energy.memory_access import ADDRESS_BITS, access_pj
from snn_tool.energy.estimators.prices import Prices
from snn_tool.models.topology import IMAGE


@dataclass(frozen=True, slots=True)
class Delivery:
    """Events of one source to one reader.

    Attributes:
        driven: they are spikes, so that their number follows the spike rate.
        sources: events taken from the queue.
        synops: events delivered, each to one synapse.
        weights: values in the memory of the weights.
        targets: membranes in the memory of the reader.
    """

    driven: bool
    sources: int
    synops: int
    weights: int
    targets: int


@dataclass(frozen=True, slots=True)
class MemoryItems:
    """Picojoules per image by item, and which of them are proportional to the number of spikes."""

    items: Mapping[str, float]
    spike_driven: frozenset[str]


def memory_items(load: ImageActivity, prices: Prices, largest: int | None = None) -> MemoryItems:
    """All memory accesses and address computations of one image.

    Args:
        load: the image's counts.
        prices: of memories and address arithmetic.
        largest: bytes of the largest memory; None gives each layer one memory, whatever its size.
    """
    spikes, others = "spikes: ", "image and streams: "
    items = dict.fromkeys(
        (
            f"{who}{what}"
            for who in (spikes, others)
            for what in ("weights", "membranes", "queues", "addresses")
        ),
        0.0,
    )
    for delivery in deliveries(load):
        who = spikes if delivery.driven else others
        for what, energy in _delivery_items(delivery, prices, largest).items():
            items[who + what] += energy
    items[f"{spikes}queues"] += _queue_pj(prices) * _written(load)
    items["membrane updates"] = _updates_pj(load, prices, largest)
    # The biases of a population are few: they fit the smallest memory.
    items["bias reads"] = access_pj(0, prices.precision.state_bits, prices) * sum(
        p.bias_adds for p in load.populations
    )
    return MemoryItems(items, frozenset(item for item in items if item.startswith(spikes)))


def deliveries(load: ImageActivity) -> Iterator[Delivery]:
    """Every edge, relay and accumulator; a relay and an accumulator deliver through identity synapses."""
    weights = {layer.synapse: layer.weights for layer in load.layers}
    events = {p.name: p.events for p in load.populations}
    for edge in load.edges:
        if edge.source == IMAGE:
            pixels, synops = load.timesteps * load.skip_adds, load.timesteps * edge.image_macs
            yield Delivery(False, pixels, synops, weights[edge.synapse], edge.outputs)
        else:
            yield Delivery(True, events[edge.source], edge.synops_events, weights[edge.synapse], edge.outputs)
    for relay in load.relays:
        yield Delivery(True, relay.synops_events, relay.synops_events, 1, relay.neurons // relay.stages)
    for held in load.accumulators:
        yield Delivery(False, held.synops_events, held.synops_events, 1, held.neurons)


def _delivery_items(delivery: Delivery, prices: Prices, largest: int | None) -> dict[str, float]:
    precision = prices.precision
    return {
        "weights": delivery.synops * access_pj(delivery.weights, precision.bits, prices, largest),
        "membranes": 2 * delivery.synops * access_pj(delivery.targets, precision.state_bits, prices, largest),
        "queues": delivery.sources * _queue_pj(prices),
        "addresses": 2 * delivery.sources * (prices["mul-int32"] + prices["add-int32"])
        + delivery.synops * prices["add-int32"],
    }


def _queue_pj(prices: Prices) -> float:
    """One entry of a queue, which is short: the smallest memory."""
    return access_pj(0, ADDRESS_BITS, prices)


def _written(load: ImageActivity) -> int:
    """Spikes put into queues; what accumulators emit comes on top of it in `_updates_pj`."""
    return sum(p.events for p in load.populations) + sum(r.synops_events for r in load.relays)


def _updates_pj(load: ImageActivity, prices: Prices, largest: int | None) -> float:
    """A read and a write of every membrane at every timestep, and the queue entries of accumulators."""
    held = [(load.timesteps * p.neurons, p.neurons) for p in load.populations]
    held += [(relay.updates, relay.neurons // relay.stages) for relay in load.relays]
    held += [(accumulator.updates, accumulator.neurons) for accumulator in load.accumulators]
    bits = prices.precision.state_bits
    streams = sum(a.events * (1 + a.stages) for a in load.accumulators) * _queue_pj(prices)
    return sum(2 * updates * access_pj(size, bits, prices, largest) for updates, size in held) + streams
