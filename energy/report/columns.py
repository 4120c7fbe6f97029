"""The networks that a report compares, each with what it computes for every image."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from snn_tool.energy.counts.counts import ImageActivity, NetworkActivity
from snn_tool.energy.counts.dense import count_macs
from snn_tool.energy.counts.dense_layer import DenseLayer
from snn_tool.energy.counts.fan_out import network_macs
from snn_tool.energy.estimators.estimate import AnnLoad
from snn_tool.energy.report.networks import (
    Column,
    Quality,
)
from snn_tool.energy.report.pricing import LoadedColumn, spread
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.topology import COLOUR, IMAGE, Topology
from torch import nn


@dataclass(frozen=True, slots=True)
class Cnn:
    """An int8 CNN of the student's quality: what an engineer without spikes would build.

    Attributes:
        title: what it is, in words.
        topology: its wiring; ReLU stands between its convolutions, and its activations have 8 bits.
    """

    title: str
    topology: Topology


@dataclass(frozen=True, slots=True, eq=False)
class Teacher:
    """The network that the student was distilled from.

    Attributes:
        name: as the report calls it.
        module: maps an image [1, C, H, W] to one of the same shape; it is only counted. If it has an
            attribute `multiple`, it is counted on sides extended to multiples of it, as when it restores; C
            is its attribute `image_channels`, or 3.
    """

    name: str
    module: nn.Module


def loaded_columns(
    network: IntegerNetwork, activity: NetworkActivity, teacher: Teacher | None, cnn: Cnn | None = None
) -> dict[str, LoadedColumn]:
    """The loads of every column by name, in the order of the report; dense ones are counted once per size.

    In floating point the quantised twin's load is the twin's: few-valued activations save nothing there.

    Raises:
        UnsupportedLayerError: the teacher holds an operation that cannot be counted.
    """
    images, topology = activity.images, network.topology
    bits = activation_bits(network)
    sizes = sorted({(image.height, image.width) for image in images})
    dense: dict[str, dict[tuple[int, int], AnnLoad]] = {}
    if teacher is not None:
        dense["teacher"] = {size: teacher_load(teacher, *size) for size in sizes}
    dense["twin"] = {size: twin_load(topology, *size) for size in sizes}
    if cnn is not None:
        dense["cnn"] = {size: twin_load(cnn.topology, *size) for size in sizes}
    dense["qann"] = {size: twin_load(topology, *size, bits) for size in sizes}
    loads = {
        name: tuple(by_size[image.height, image.width] for image in images) for name, by_size in dense.items()
    }
    columns = {
        name: LoadedColumn(name, of_images, loads["twin"] if name == "qann" else None)
        for name, of_images in loads.items()
    }
    return {**columns, "student": LoadedColumn("student", images)}


def teacher_load(teacher: Teacher, height: int, width: int) -> AnnLoad:
    """What the teacher computes and moves for one image, on sides extended to its multiple.

    Raises:
        UnsupportedLayerError: it holds an operation that cannot be counted.
    """
    multiple = int(getattr(teacher.module, "multiple", 1))
    channels = int(getattr(teacher.module, "image_channels", COLOUR))
    shape = (1, channels, height + -height % multiple, width + -width % multiple)
    counted = count_macs(teacher.module, shape)
    return AnnLoad.of(counted.calls)


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

    additions and comparisons: biases, sums of synapses, activations, and the global skip of a residual. All
    of it again for each further pass.

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
    once = [*_products(topology, height, width, bits), *_scalars(topology, sizes, bits)]
    return AnnLoad.of(topology.passes * once)


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
            nests=(layer.nest,) if layer.nest else (),
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


def column(
    loaded: LoadedColumn,
    network: IntegerNetwork,
    teacher: Teacher | None,
    cnn: Cnn | None,
    quality: Mapping[str, Quality],
    names: Sequence[str],
) -> Column:
    """One column as the report shows it.

    Args:
        loaded: its loads.
        network: the student.
        teacher: as given to the audit.
        cnn: likewise.
        quality: by column, as measured.
        names: of the images.
    """
    loads = loaded.loads
    return Column(
        name=loaded.name,
        title=_title(loaded.name, network, teacher, cnn, quality),
        parameters=_parameters(loaded.name, network, teacher, cnn),
        padded_macs=spread([_macs(load, padded=True) for load in loads], names),
        exact_macs=spread([_macs(load, padded=False) for load in loads], names),
        activation_bits=activation_bits(network) if loaded.name == "qann" else None,
        quality=quality.get(loaded.name),
    )


def _macs(load: AnnLoad | ImageActivity, padded: bool) -> int:
    if isinstance(load, ImageActivity):
        return load.macs_uncached
    return load.padded_macs if padded else load.exact_macs


def _parameters(name: str, network: IntegerNetwork, teacher: Teacher | None, cnn: Cnn | None) -> int:
    if name == "teacher" and teacher is not None:
        return sum(p.numel() for p in teacher.module.parameters())
    if name == "student":
        return network.topology.parameters
    topology = cnn.topology if name == "cnn" and cnn is not None else network.topology
    return sum(synapse.parameters for synapse in topology.synapses)


def _title(
    name: str,
    network: IntegerNetwork,
    teacher: Teacher | None,
    cnn: Cnn | None,
    quality: Mapping[str, Quality],
) -> str:
    if name == "teacher":
        return teacher.name if teacher else ""
    if name == "twin":
        return f"ANN twin of the student: same wiring, ReLU{_passes(network)}"
    if name == "cnn":
        return cnn.title if cnn else ""
    if name == "student":
        return f"spiking student, {network.neuron}, T = {network.timesteps}{_passes(network)}"
    bits = activation_bits(network)
    shape = f"quantised ANN of the same wiring{_passes(network)}: {bits}-bit activations, 8-bit weights"
    if network.neuron == "graded":
        return (
            f"{shape}; the student's integers computed densely, so that its quality is the student's, exactly"
        )
    return shape if name in quality else f"{shape}; counted, not trained"


def _passes(network: IntegerNetwork) -> str:
    return f", {network.passes} passes" if network.passes > 1 else ""
