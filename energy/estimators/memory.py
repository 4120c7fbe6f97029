"""Arithmetic and memory after Lemaire et al. 2022, with both ends of what a dense network may reuse."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from snn_tool.energy.counts.counts import ImageActivity
from snn_tool.energy.counts.dense_layer import DenseLayer
from snn_tool.energy.estimators import arrays, excluded
from snn_tool.energy.estimators.arrays import PER_LAYER, READINGS, Memories, access_pj
from snn_tool.energy.estimators.charges import SpikeCharge
from snn_tool.energy.estimators.estimate import COLUMNS, AnnLoad, EnergyModel, Estimate, Load, Reading
from snn_tool.energy.estimators.exact_ops import dense_items, deployed_readings
from snn_tool.energy.estimators.prices import Prices
from snn_tool.models.topology import IMAGE

ADDRESS_BITS = 32
"""Of a queue entry: row, column and channel of a spike, with its level."""

CONSTANTS = (*arrays.CONSTANTS, "add-int32", "mul-int32")
"""Keys of all constants that memory and addresses are charged with."""


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


def memory_items(
    load: ImageActivity, prices: Prices, memories: Memories, charge: SpikeCharge = SpikeCharge.EVENTS
) -> MemoryItems:
    """All memory accesses and address computations of one image.

    Args:
        load: the image's counts.
        prices: of memories and address arithmetic.
        memories: where arrays and membranes lie.
        charge: of graded spikes: one event that fetches its weight once, or as many as it has levels.
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
    for delivery in deliveries(load, charge):
        who = spikes if delivery.driven else others
        for what, energy in _delivery_items(delivery, prices, memories).items():
            items[who + what] += energy
    items[f"{spikes}queues"] += _queue_pj(prices) * _written(load, charge)
    items["membrane updates"] = _updates_pj(load, prices, memories)
    # The biases of a population are few: they fit the smallest memory.
    items["bias reads"] = memories.array_pj(0, prices.precision.state_bits, prices) * sum(
        p.bias_adds for p in load.populations
    )
    return MemoryItems(items, frozenset(item for item in items if item.startswith(spikes)))


def deliveries(load: ImageActivity, charge: SpikeCharge) -> Iterator[Delivery]:
    """Every edge, relay and accumulator; a relay and an accumulator deliver through identity synapses."""
    layers = {layer.synapse: layer for layer in load.layers}
    fired = {p.name: charge.spikes(p) for p in load.populations}
    for edge in load.edges:
        if edge.source == IMAGE:
            layer, synops = layers[edge.synapse], load.steps * edge.image_macs
            yield Delivery(False, load.steps * layer.inputs, synops, layer.weights, edge.outputs)
        else:
            synops = charge.synops((edge,))
            yield Delivery(True, fired[edge.source], synops, layers[edge.synapse].weights, edge.outputs)
    for relay in load.relays:
        synops = charge.synops((relay,))
        yield Delivery(True, synops, synops, 1, relay.neurons // relay.stages)
    for held in load.accumulators:
        yield Delivery(False, held.synops_events, held.synops_events, 1, held.neurons)


def _delivery_items(delivery: Delivery, prices: Prices, memories: Memories) -> dict[str, float]:
    weight = memories.array_pj(delivery.weights, prices.precision.bits, prices)
    return {
        "weights": delivery.synops * weight,
        "membranes": 2 * delivery.synops * memories.state_pj(delivery.targets, prices),
        "queues": delivery.sources * _queue_pj(prices),
        "addresses": 2 * delivery.sources * (prices["mul-int32"] + prices["add-int32"])
        + delivery.synops * prices["add-int32"],
    }


def _queue_pj(prices: Prices) -> float:
    """One entry of a queue, which is short: the smallest memory, in every reading."""
    return access_pj(0, ADDRESS_BITS, prices)


def _written(load: ImageActivity, charge: SpikeCharge) -> int:
    """Spikes put into queues; what accumulators emit comes on top of it in `_updates_pj`."""
    return sum(charge.spikes(p) for p in load.populations) + charge.synops(load.relays)


def _updates_pj(load: ImageActivity, prices: Prices, memories: Memories) -> float:
    """A read and a write of every membrane at every timestep, and the queue entries of accumulators."""
    held = [(load.steps * p.neurons, p.neurons) for p in load.populations]
    held += [(relay.updates, relay.neurons // relay.stages) for relay in load.relays]
    held += [(accumulator.updates, accumulator.neurons) for accumulator in load.accumulators]
    streams = sum(a.events * (1 + a.stages) for a in load.accumulators) * _queue_pj(prices)
    return sum(2 * updates * memories.state_pj(neurons, prices) for updates, neurons in held) + streams


def estimate_no_reuse(load: Load, prices: Prices) -> Estimate:
    """Charge every operand of a dense network's MACs with an access to memory of its own.

        E = arithmetic of `exact-ops` + sum over accesses of e(size) width / 64 + addresses

        ANN product:   MAC input reads, MAC weight reads, outputs writes, outputs bias reads,
                       inputs + outputs + weights address additions, 2 MAC accumulator accesses
        ANN scalar:    inputs reads, outputs writes
        SNN delivery:  S weight reads, S potential reads, S potential writes, theta queue reads,
                       2 theta address MACs, S address additions
        SNN update:    T N potential reads and writes, T N bias reads, Z queue writes

    e(size) is the table of SRAM energies per 64 bits, interpolated by the bytes of the array that is
    accessed, and DRAM above 1 MB (`arrays.size_pj`). Weights and activations have the precision's width,
    membranes, biases and accumulators its state's, queue entries and addresses 32 bits. S, theta and Z are
    deployed counts: a synapse is charged for each of its readers, relays and accumulators as what they are.
    The image is a spike of every pixel at every timestep.

    Each layer has a memory for itself, as in the publication, so that the membranes of a whole image at full
    resolution lie in DRAM, and the sum of a MAC is in a register, so that an accumulator costs nothing. Both
    are assumptions about hardware. The other readings of `arrays.READINGS` change them, for dense networks as
    for the student, and compare like with like.

    A graded spike fetches its weight once, whatever its level. The reading `levels as unit spikes` delivers
    it once for each level, as binary chips have to.

    Source: Lemaire et al., An Analytical Estimation of Spiking Neural Networks Energy Efficiency, ICONIP 2022
    (arXiv 2210.13107), equations 1 to 15, read in the docstrings of qualia-plugin-snn's implementation; the
    DRAM tier, the exact counts and the 64-bit accesses are this package's.
    """
    if isinstance(load, AnnLoad):
        return _dense(load, prices, "no reuse", _accesses_without_reuse)
    return _student(load, prices)


def estimate_full_reuse(load: Load, prices: Prices) -> Estimate:
    """Charge a dense network with moving each weight, input and output of a product once.

    Scalar operations ride on the product before them and move nothing. No dense accelerator can do with less,
    as long as a layer's results leave the arithmetic; the sum of a MAC stays in it. The student is that of
    `estimate_no_reuse`: spikes come in no order that would let a weight be kept, and a membrane only where
    the reading keeps it beside its neuron.

    Source: as there; that a comparison without reuse flatters the student is the point of Dampfhoffer et al.,
    IEEE TETCI 7(3), 2023.
    """
    if isinstance(load, AnnLoad):
        return _dense(load, prices, "full reuse", _accesses_with_reuse)
    return _student(load, prices)


Access = tuple[str, int, int, int]
"""Item, number of accesses, values in the memory, bits of each."""

Rule = Callable[[DenseLayer, Prices], tuple[Access, ...]]
SUMS = "accumulators"
MOVED = ("weights", "activations", "biases", SUMS)


def _accesses_without_reuse(layer: DenseLayer, prices: Prices) -> tuple[Access, ...]:
    read, written, state = _widths(layer, prices)
    if not layer.exact_macs:
        return (
            ("activations", layer.inputs, layer.inputs, read),
            ("activations", layer.outputs, layer.outputs, written),
            ("weights", layer.weights + layer.biases, layer.weights + layer.biases, prices.precision.bits),
        )
    # A product of two activations, as in attention, reads its second operand from activations, too.
    second = ("weights", layer.weights, prices.precision.bits)
    operand, held, bits = second if layer.weights else ("activations", layer.inputs, read)
    return (
        ("activations", layer.exact_macs, layer.inputs, read),
        (operand, layer.exact_macs, held, bits),
        ("activations", layer.outputs, layer.outputs, written),
        ("biases", layer.outputs if layer.biases else 0, layer.biases, state),
        (SUMS, 2 * layer.exact_macs, 0, state),
    )


def _accesses_with_reuse(layer: DenseLayer, prices: Prices) -> tuple[Access, ...]:
    read, written, state = _widths(layer, prices)
    if not layer.exact_macs:
        return ()
    return (
        ("activations", layer.inputs, layer.inputs, read),
        ("weights", layer.weights, layer.weights, prices.precision.bits),
        ("activations", layer.outputs, layer.outputs, written),
        ("biases", layer.biases, layer.biases, state),
    )


def _widths(layer: DenseLayer, prices: Prices) -> tuple[int, int, int]:
    bits = prices.precision.bits
    return layer.input_bits or bits, layer.output_bits or bits, prices.precision.state_bits


def _dense(load: AnnLoad, prices: Prices, name: str, accesses: Rule) -> Estimate:
    moved = [
        (layer.inputs + layer.outputs + layer.weights, found)
        for layer in load.detailed
        if (found := accesses(layer, prices))
    ]
    arithmetic = dense_items(load, prices)
    arithmetic["addresses"] = sum(addresses for addresses, _ in moved) * prices["add-int32"]
    counted = [access for _, found in moved for access in found]
    return Estimate(
        tuple(
            Reading(
                memories.reading(name),
                memories is PER_LAYER,
                arithmetic | _dense_memory(counted, prices, memories),
                memory=memories.name,
            )
            for memories in READINGS
        )
    )


def _dense_memory(counted: Iterable[Access], prices: Prices, memories: Memories) -> dict[str, float]:
    items = dict.fromkeys(MOVED, 0.0)
    for item, count, values, bits in counted:
        one = memories.sum_pj(prices) if item == SUMS else memories.array_pj(values, bits, prices)
        items[item] += count * one
    return items


def _student(load: ImageActivity, prices: Prices) -> Estimate:
    arithmetic = deployed_readings(load, prices)
    readings = []
    for memories in READINGS:
        items = memory_items(load, prices, memories)
        readings += [_with_memory(reading, reading.name, items, memories) for reading in arithmetic]
    for reading in arithmetic:
        if not load.unit_spikes and reading.charge is SpikeCharge.LEVELS:
            items = memory_items(load, prices, PER_LAYER, SpikeCharge.LEVELS)
            apart = _with_memory(reading, SpikeCharge.LEVELS.moved, items, PER_LAYER)
            readings.append(replace(apart, deployed=False))
    return Estimate(tuple(readings))


def _with_memory(reading: Reading, name: str, memory: MemoryItems, memories: Memories) -> Reading:
    return replace(
        reading,
        name=memories.reading(name),
        deployed=memories is PER_LAYER,
        items={**reading.items, **memory.items},
        spike_driven=reading.spike_driven | memory.spike_driven,
        memory=memories.name,
    )


def _model(name: str, title: str, estimate: Callable[[Load, Prices], Estimate]) -> EnergyModel:
    return EnergyModel(
        name=name,
        title=title,
        source="Lemaire et al., ICONIP 2022 (arXiv 2210.13107), with exact counts and a DRAM tier",
        estimate=estimate,
        columns=COLUMNS,
        precisions=None,
        constants=CONSTANTS,
        arithmetic=True,
        neuron_terms=True,
        beside=CONSTANTS,
        excluded=(
            excluded.NETWORK,
            excluded.DENSE_NETWORK,
            excluded.WIDE,
            excluded.STATIC,
            excluded.FILL,
            excluded.SKIPPING,
            excluded.SCALARS,
        ),
        comparisons=(arrays.BUFFER,),
    )


NO_REUSE = _model(
    "memory-no-reuse", "arithmetic and memory; dense operands fetched for every MAC", estimate_no_reuse
)
FULL_REUSE = _model(
    "memory-full-reuse", "arithmetic and memory; dense operands moved once", estimate_full_reuse
)
