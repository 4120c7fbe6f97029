"""Arithmetic and memory after Lemaire et al. 2022, with both ends of what a dense network may reuse."""

from collections.abc import Callable

from snn_tool.energy.estimators import excluded
from snn_tool.energy.counts.counts import ImageActivity
from snn_tool.energy.counts.dense_layer import DenseLayer
from snn_tool.energy.estimators.estimate import AnnLoad, EnergyModel, Estimate, Load, Reading
from snn_tool.energy.estimators.exact_ops import dense_items, deployed_readings
from snn_tool.energy.memory_access import CONSTANTS, access_pj
from snn_tool.energy.memory_student import MemoryItems, memory_items
from snn_tool.energy.estimators.prices import Prices

CORE_BYTES = 128 << 10
CORES = "cores of 128 KB"
"""The synaptic memory of a core of Loihi (Davies et al., IEEE Micro 38(1), 2018), for the comparison."""


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
    accessed, and DRAM above 1 MB (`memory_access`). Weights and activations have the precision's width,
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
    readings += [_with_memory(reading, f"{reading.name}, {CORES}", False, per_core) for reading in arithmetic]
    return Estimate(tuple(readings))


def _with_memory(reading: Reading, name: str, deployed: bool, memory: MemoryItems) -> Reading:
    items = {**reading.items, **memory.items}
    return Reading(name, deployed, items, reading.spike_driven | memory.spike_driven, reading.once)


def _model(name: str, title: str, estimate: Callable[[Load, Prices], Estimate]) -> EnergyModel:
    return EnergyModel(
        name=name,
        title=title,
        source="Lemaire et al., ICONIP 2022 (arXiv 2210.13107), with exact counts and a DRAM tier",
        estimate=estimate,
        columns=("teacher", "twin", "qann", "student"),
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
