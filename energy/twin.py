"""The ANN twin of a student, and its bit-matched quantised twin: the same wiring, computed densely."""

from collections.abc import Iterator

from snn_tool.energy.counts.dense_layer import DenseLayer
from snn_tool.energy.estimators.estimate import AnnLoad
from snn_tool.energy.network_macs import network_macs
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.topology import IMAGE, Topology


def activation_bits(network: IntegerNetwork) -> int:
    """Bits of an activation that has as many values as a neuron of the student has outcomes per image.

        lif: ceil(log2(T + 1)) for 0 to T spikes        graded: ceil(log2(high - low + 1)) levels

    After Yan, Bai, Tang and Wong, arXiv 2409.08290, who state it for `lif`.
    """
    low, high = network.spike_range
    outcomes = network.timesteps + 1 if network.neuron == "lif" else high - low + 1
    return (outcomes - 1).bit_length()


def twin_load(topology: Topology, height: int, width: int, bits: int | None = None) -> AnnLoad:
    """What the twin computes and moves for one image of `height` by `width` pixels.

    Every synapse is computed once, and its result is added wherever it is read:

        sum over synapses of [bias] outputs + sum over populations of (inputs - 1 + [spiking]) N + [skip] 3HW

    additions and comparisons: biases, sums of synapses, activations, and the global skip of a residual.

    Args:
        topology: the wiring.
        height: of the image; a multiple of the topology's own.
        width: likewise.
        bits: of hidden activations, for the quantised twin; None leaves them to the precision. The image, the
            read-out, and the summands of a population with several inputs keep the precision's width.
    """
    sizes = {
        p.name: p.channels * (height // p.downscale) * (width // p.downscale) for p in topology.populations
    }
    return AnnLoad.of([*_products(topology, height, width, bits), *_scalars(topology, sizes, bits)])


def _products(topology: Topology, height: int, width: int, bits: int | None) -> Iterator[DenseLayer]:
    """Convolutions with their biases; an activation follows at once where nothing else is added."""
    summed = {name for p in topology.populations if len(p.inputs) > 1 for name in p.inputs}
    summed |= set(topology.readout.inputs)
    for layer in network_macs(topology, height, width):
        yield DenseLayer(
            name=layer.synapse,
            padded_macs=layer.padded_macs,
            exact_macs=layer.exact_macs,
            elementwise_ops=layer.outputs if layer.biases else 0,
            inputs=layer.inputs,
            weights=layer.weights,
            biases=layer.biases,
            outputs=layer.outputs,
            input_bits=None if layer.source == IMAGE else bits,
            output_bits=None if layer.synapse in summed else bits,
        )


def _scalars(topology: Topology, sizes: dict[str, int], bits: int | None) -> Iterator[DenseLayer]:
    for population in topology.populations:
        size, inputs = sizes[population.name], len(population.inputs)
        if inputs > 1:
            yield _scalar(f"{population.name} sum", (inputs - 1) * size, inputs * size, size, None)
        if population is not topology.readout:
            yield _scalar(f"{population.name} activation", size, size, size, bits)
    readout = sizes[topology.readout.name]
    if topology.adds_image:
        yield _scalar("global skip", readout, 2 * readout, readout, None)


def _scalar(name: str, operations: int, inputs: int, outputs: int, bits: int | None) -> DenseLayer:
    return DenseLayer(name, 0, 0, operations, inputs, 0, 0, outputs, None, bits)
