"""The networks of an audit: what each computes per image, and how the report introduces it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from snn_tool.energy.report.pricing import LoadedColumn, spread
from snn_tool.energy.counts.counts import ImageActivity, NetworkActivity
from snn_tool.energy.estimators.estimate import AnnLoad
from snn_tool.energy.counts.dense import count_macs
from snn_tool.energy.report_networks import Column, Quality
from snn_tool.energy.twin import activation_bits, twin_load
from snn_tool.models.integer.network import IntegerNetwork
from torch import nn


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
