"""What stands in a report before anything is priced: the networks with their loads, and rows of counts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from snn_tool.energy.counts.counts import EdgeCount, ImageActivity, NetworkActivity
from snn_tool.energy.counts.dense import count_macs
from snn_tool.energy.counts.dense_layer import DenseLayer
from snn_tool.energy.counts.fan_out import network_macs
from snn_tool.energy.estimators.charges import SpikeCharge
from snn_tool.energy.estimators.constants import Constant
from snn_tool.energy.estimators.estimate import AnnLoad
from snn_tool.energy.estimators.memory import tier
from snn_tool.energy.estimators.prices import Prices, Pricing
from snn_tool.energy.report.networks import (
    COLUMNS,
    AccumulatorRow,
    Column,
    ImageRow,
    LayerRow,
    Quality,
    RelayRow,
)
from snn_tool.energy.report.pricing import LoadedColumn, PricedRow, spread
from snn_tool.energy.report.types import ModelRow
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.topology import IMAGE, Topology
from torch import nn


def model_rows(priced: Sequence[PricedRow]) -> tuple[ModelRow, ...]:
    """Every model with the precisions, columns and constants that it was evaluated with."""
    grouped: dict[str, list[PricedRow]] = {}
    for row in priced:
        grouped.setdefault(row.model.name, []).append(row)
    return tuple(_model_row(rows) for rows in grouped.values())


def _model_row(rows: Sequence[PricedRow]) -> ModelRow:
    model = rows[0].model
    shown = {name for row in rows for name in row.cells}
    return ModelRow(
        name=model.name,
        title=model.title,
        source=model.source,
        precisions=tuple(row.prices.precision.name for row in rows),
        columns=tuple(name for name in COLUMNS if name in shown),
        constants=tuple(sorted({key for row in rows for key in model.constants_at(row.prices.precision)})),
    )


def image_row(name: str, image: ImageActivity) -> ImageRow:
    """One image and what it made the student do."""
    return ImageRow(
        name,
        image.height,
        image.width,
        image.synops_levels,
        image.synops_events,
        image.macs_uncached,
        image.spikes_per_neuron,
    )


def used_constants(models: Sequence[ModelRow], pricing: Pricing) -> dict[str, Constant]:
    """The constants that any of the models uses, in the order of their table."""
    used = {key for model in models for key in model.constants}
    return {key: constant for key, constant in pricing.constants.items() if key in used}


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


@dataclass(frozen=True, slots=True, eq=False)
class Teacher:
    """The network that the student was distilled from.

    Attributes:
        name: as the report calls it.
        module: maps an image [1, 3, H, W] to one of the same shape; it is only counted. If it has an
            attribute `multiple`, it is counted on sides extended to multiples of it, as when it restores.
    """

    name: str
    module: nn.Module


def loaded_columns(
    network: IntegerNetwork, activity: NetworkActivity, teacher: Teacher | None
) -> dict[str, LoadedColumn]:
    """The loads of every column by name, in the order of the report; dense ones are counted once per size.

    Raises:
        UnsupportedLayerError: the teacher holds an operation that cannot be counted.
    """
    images, topology = activity.images, network.topology
    bits = activation_bits(network)
    sizes = sorted({(image.height, image.width) for image in images})
    dense: dict[str, dict[tuple[int, int], AnnLoad]] = {}
    if teacher is not None:
        dense["teacher"] = {size: _teacher_load(teacher, *size) for size in sizes}
    dense["twin"] = {size: twin_load(topology, *size) for size in sizes}
    dense["qann"] = {size: twin_load(topology, *size, bits) for size in sizes}
    columns = {
        name: LoadedColumn(name, tuple(loads[image.height, image.width] for image in images))
        for name, loads in dense.items()
    }
    return {**columns, "student": LoadedColumn("student", images)}


def _teacher_load(teacher: Teacher, height: int, width: int) -> AnnLoad:
    multiple = int(getattr(teacher.module, "multiple", 1))
    counted = count_macs(teacher.module, (1, 3, height + -height % multiple, width + -width % multiple))
    return AnnLoad.of(counted.calls)


def column(
    loaded: LoadedColumn,
    network: IntegerNetwork,
    teacher: Teacher | None,
    quality: Mapping[str, Quality],
    names: Sequence[str],
) -> Column:
    """One column as the report shows it.

    Args:
        loaded: its loads.
        network: the student.
        teacher: as given to the audit.
        quality: by column, as measured.
        names: of the images.
    """
    loads = loaded.loads
    return Column(
        name=loaded.name,
        title=_title(loaded.name, network, teacher, quality),
        parameters=_parameters(loaded.name, network, teacher),
        padded_macs=spread([_macs(load, padded=True) for load in loads], names),
        exact_macs=spread([_macs(load, padded=False) for load in loads], names),
        activation_bits=activation_bits(network) if loaded.name == "qann" else None,
        quality=quality.get(loaded.name),
    )


def _macs(load: AnnLoad | ImageActivity, padded: bool) -> int:
    if isinstance(load, ImageActivity):
        return load.macs_uncached
    return load.padded_macs if padded else load.exact_macs


def _parameters(name: str, network: IntegerNetwork, teacher: Teacher | None) -> int:
    if name == "teacher" and teacher is not None:
        return sum(p.numel() for p in teacher.module.parameters())
    if name == "student":
        return network.topology.parameters
    return sum(synapse.parameters for synapse in network.topology.synapses)


def _title(
    name: str, network: IntegerNetwork, teacher: Teacher | None, quality: Mapping[str, Quality]
) -> str:
    if name == "teacher":
        return teacher.name if teacher else ""
    if name == "twin":
        return "ANN twin of the student: same wiring, ReLU"
    if name == "student":
        return f"spiking student, {network.neuron}, T = {network.timesteps}"
    shape = f"quantised ANN of the same wiring: {activation_bits(network)}-bit activations, 8-bit weights"
    if network.neuron == "graded":
        return (
            f"{shape}; the student's integers computed densely, so that its quality is the student's, exactly"
        )
    return shape if name in quality else f"{shape}; counted, not trained"


def layer_rows(activity: NetworkActivity, charge: SpikeCharge, prices: Prices) -> tuple[LayerRow, ...]:
    """Means per image for each synapse, in the order of the topology.

    Args:
        activity: counts of all images.
        charge: of spikes.
        prices: that shares are computed with.
    """
    names = [layer.synapse for layer in activity.images[0].layers]
    energies = {
        name: fmean(_energy_pj(image, name, charge, prices) for image in activity.images) for name in names
    }
    total = sum(energies.values())
    return tuple(_row(activity, index, name, energies[name] / total) for index, name in enumerate(names))


def _edges(image: ImageActivity, synapse: str) -> list[EdgeCount]:
    return [edge for edge in image.edges if edge.synapse == synapse]


def _energy_pj(image: ImageActivity, synapse: str, charge: SpikeCharge, prices: Prices) -> float:
    """Synaptic energy of one deployed synapse; the first layer's is never zero."""
    edges = _edges(image, synapse)
    spikes_pj = charge.synop_pj(prices) * charge.synops(edges)
    return spikes_pj + prices.mac_pj * image.timesteps * sum(edge.image_macs for edge in edges)


def _row(activity: NetworkActivity, index: int, name: str, share: float) -> LayerRow:
    images = activity.images
    edges = [_edges(image, name) for image in images]
    readers = len(edges[0])
    source = edges[0][0].source
    per_neuron = fmean(_source_spikes(image, source) for image in images)
    exact = fmean(image.layers[index].exact_macs for image in images)
    levels = fmean(sum(edge.synops_levels for edge in of_image) for of_image in edges)
    return LayerRow(
        synapse=name,
        source=source,
        readers=readers,
        synops_levels=levels,
        synops_events=fmean(sum(edge.synops_events for edge in of_image) for of_image in edges),
        shared_synops=levels / readers,
        spikes_per_neuron=per_neuron,
        spike_rate=per_neuron / images[0].timesteps,
        spikes_per_synapse=levels / (readers * exact),
        twin_padded_macs=fmean(image.layers[index].padded_macs for image in images),
        twin_exact_macs=exact,
        student_macs=fmean(
            image.timesteps * sum(edge.image_macs for edge in e)
            for image, e in zip(images, edges, strict=True)
        ),
        neuron_steps=fmean(
            image.timesteps * sum(edge.outputs for edge in e) for image, e in zip(images, edges, strict=True)
        ),
        weight_bytes=images[0].layers[index].weights,
        tier=tier(images[0].layers[index].weights),
        share=share,
    )


def _source_spikes(image: ImageActivity, source: str) -> float:
    """Nonzero spikes per neuron of a synapse's source; 0 for the image, which has no spikes."""
    if source == IMAGE:
        return 0.0
    population = next(p for p in image.populations if p.name == source)
    return population.events / population.neurons


def relay_rows(activity: NetworkActivity) -> tuple[RelayRow, ...]:
    """Means per image of every relay chain."""
    columns = zip(*(image.relays for image in activity.images), strict=True)
    return tuple(
        RelayRow(
            population=chain[0].population,
            stages=chain[0].stages,
            neurons=fmean(relay.neurons for relay in chain),
            updates=fmean(relay.updates for relay in chain),
            synops_levels=fmean(relay.synops_levels for relay in chain),
            synops_events=fmean(relay.synops_events for relay in chain),
        )
        for chain in columns
    )


def accumulator_rows(activity: NetworkActivity) -> tuple[AccumulatorRow, ...]:
    """Means per image of every accumulator with the relays behind it."""
    columns = zip(*(image.accumulators for image in activity.images), strict=True)
    return tuple(
        AccumulatorRow(
            name=held[0].name,
            readers=held[0].readers,
            stages=held[0].stages,
            neurons=fmean(count.neurons * (1 + count.stages) for count in held),
            updates=fmean(count.updates for count in held),
            synops_events=fmean(count.synops_events for count in held),
        )
        for held in columns
    )
