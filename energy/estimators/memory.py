"""Arithmetic and memory after Lemaire et al. 2022, with both ends of what a dense network may reuse."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from snn_tool.energy.counts.counts import ImageActivity
from snn_tool.energy.counts.dense_layer import DenseLayer
from snn_tool.energy.estimators import excluded
from snn_tool.energy.estimators.estimate import COLUMNS, AnnLoad, EnergyModel, Estimate, Load, Reading
from snn_tool.energy.estimators.exact_ops import dense_items, deployed_readings
from snn_tool.energy.estimators.prices import Prices
from snn_tool.models.topology import IMAGE

ACCESS_BITS = 64
"""The width of the accesses that the table prices."""

ADDRESS_BITS = 32
"""Of a queue entry: row, column and channel of a spike, with its level."""

TIERS = ((8 << 10, "sram-8kb", "8 KB"), (32 << 10, "sram-32kb", "32 KB"), (1 << 20, "sram-1mb", "1 MB"))
"""Bytes, key of the constant, and name of each memory of the table; DRAM is what is larger."""

DRAM, DRAM_NAME = "dram", "DRAM"
CONSTANTS = (*(key for _, key, _ in TIERS), DRAM, "add-int32", "mul-int32")
"""Keys of all constants that memory and addresses are charged with."""

CORE_BYTES = 128 << 10
CORES = "cores of 128 KB"
"""The synaptic memory of a core of Loihi (Davies et al., IEEE Micro 38(1), 2018), for the comparison."""


def access_pj(values: int, bits: int, prices: Prices, largest: int | None = None) -> float:
    """One access of `bits` bits to a memory that holds `values` such values, in picojoules.

        e(size) bits / 64

    e is linear between the sizes of the table (8 KB, 32 KB, 1 MB), constant below, and DRAM above.

    Args:
        values: in the memory.
        bits: of each.
        prices: of the table's sizes.
        largest: bytes of the largest single memory, if what is larger is spread over several.
    """
    size = -(-values * bits // 8)
    return size_pj(size if largest is None else min(size, largest), prices) * bits / ACCESS_BITS


def size_pj(size: int, prices: Prices) -> float:
    """One access of 64 bits to a memory of `size` bytes, in picojoules."""
    low, low_pj = 0, prices[TIERS[0][1]]
    for high, key, _ in TIERS:
        if size <= high:
            return low_pj + (prices[key] - low_pj) * (size - low) / (high - low)
        low, low_pj = high, prices[key]
    return prices[DRAM]


def tier(size: int) -> str:
    """The smallest memory of the table that holds `size` bytes."""
    return next((name for high, _, name in TIERS if size <= high), DRAM_NAME)


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


def in_cores(reading: str) -> str:
    """Name of the comparison that stands beside a reading: the same with memories no larger than a core's."""
    return f"{reading}, {CORES}"


def estimate_no_reuse(load: Load, prices: Prices) -> Estimate:
    """Charge every operand of a dense network's MACs with an access to memory of its own.

        E = arithmetic of `exact-ops` + sum over accesses of e(size) width / 64 + addresses

        ANN product:   MAC input reads, MAC weight reads, outputs writes, outputs bias reads,
                       inputs + outputs + weights address additions
        ANN scalar:    inputs reads, outputs writes
        SNN delivery:  S weight reads, S potential reads, S potential writes, theta queue reads,
                       2 theta address MACs, S address additions
        SNN update:    T N potential reads and writes, T N bias reads, Z queue writes

    e(size) is the table of SRAM energies per 64 bits, interpolated by the bytes of the array that is
    accessed, and DRAM above 1 MB (`access_pj`). Weights and activations have the precision's width,
    membranes and biases its state's, queue entries and addresses 32 bits. S, theta and Z are deployed counts:
    a synapse is charged for each of its readers, relays and accumulators as what they are. A graded spike
    fetches its weight once, whatever its level. The image is a spike of every pixel at every timestep.

    Each layer has a memory for itself, as in the publication, so that the membranes of a whole image at full
    resolution lie in DRAM. A chip of many cores holds them in small memories and pays for the way instead,
    which this model does not charge: the reading `cores of 128 KB` stands beside the headline.

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
    as long as a layer's results leave the arithmetic. The student is the same as in `estimate_no_reuse`:
    spikes come in no order that would let a weight or a membrane be kept.

    Source: as there; that a comparison without reuse flatters the student is the point of Dampfhoffer et al.,
    IEEE TETCI 7(3), 2023.
    """
    if isinstance(load, AnnLoad):
        return _dense(load, prices, "full reuse", _accesses_with_reuse)
    return _student(load, prices)


Accesses = tuple[tuple[str, int, int, int], ...]
"""Item, number of accesses, values in the memory, bits of each."""

Rule = Callable[[DenseLayer, Prices], Accesses]


def _accesses_without_reuse(layer: DenseLayer, prices: Prices) -> Accesses:
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
    )


def _accesses_with_reuse(layer: DenseLayer, prices: Prices) -> Accesses:
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
    items = dense_items(load, prices) | dict.fromkeys(("weights", "activations", "biases", "addresses"), 0.0)
    for layer in load.detailed:
        moved = accesses(layer, prices)
        for item, count, values, bits in moved:
            items[item] += count * access_pj(values, bits, prices)
        if moved:
            items["addresses"] += (layer.inputs + layer.outputs + layer.weights) * prices["add-int32"]
    return Estimate((Reading(name, True, items),))


def _student(load: ImageActivity, prices: Prices) -> Estimate:
    per_layer = memory_items(load, prices)
    per_core = memory_items(load, prices, CORE_BYTES)
    arithmetic = deployed_readings(load, prices)
    readings = [_with_memory(reading, reading.name, True, per_layer) for reading in arithmetic]
    readings += [_with_memory(reading, in_cores(reading.name), False, per_core) for reading in arithmetic]
    return Estimate(tuple(readings))


def _with_memory(reading: Reading, name: str, deployed: bool, memory: MemoryItems) -> Reading:
    items = {**reading.items, **memory.items}
    driven = reading.spike_driven | memory.spike_driven
    return Reading(name, deployed, items, driven, reading.once, reading.charge)


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
    )


NO_REUSE = _model(
    "memory-no-reuse", "arithmetic and memory; dense operands fetched for every MAC", estimate_no_reuse
)
FULL_REUSE = _model(
    "memory-full-reuse", "arithmetic and memory; dense operands moved once", estimate_full_reuse
)
