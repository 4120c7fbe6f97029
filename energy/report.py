"""The audit: counts, prices, ratios and a verdict in one report."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from snn_tool.energy.activity import Watch, count_network
from snn_tool.energy.columns import LoadedColumn, PricedCell, extent, price_all, ratio_rows, ratios_to, spread
from snn_tool.energy.constants import HOROWITZ, PRECISIONS, Constant
from snn_tool.energy.counts import ImageActivity, NetworkActivity
from snn_tool.energy.estimate import AnnLoad
from snn_tool.energy.excluded import EXCLUDED
from snn_tool.energy.layer_table import accumulator_rows, layer_rows, relay_rows
from snn_tool.energy.macs import count_macs
from snn_tool.energy.network_macs import twin_elementwise_ops
from snn_tool.energy.report_types import COLUMNS, Column, EnergyReport, ImageRow, Quality
from snn_tool.energy.verdict import verdict
from snn_tool.errors import ConfigError
from snn_tool.models.integer import IntegerNetwork
from snn_tool.models.streams import FANOUT
from torch import nn

NOTE = (
    "Every energy in this report is an estimate: exact counts of operations times published prices of single "
    "operations. Nothing was measured on a chip."
)


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


def audit(
    network: IntegerNetwork,
    images: list[NDArray[np.int16]],
    *,
    claim: float = 50.0,
    teacher: Teacher | None = None,
    quality: Mapping[str, Quality] | None = None,
    hashes: Mapping[str, str] | None = None,
    image_names: Sequence[str] | None = None,
    watch: Watch = iter,
    lowering: str = FANOUT,
) -> EnergyReport:
    """Estimate the energy of teacher, ANN twin and student on the same images, by every model and precision.

    Args:
        network: the deployed student.
        images: its integer inputs [3, H, W] of `quantize_image`; sizes may differ.
        claim: how many times less energy is claimed.
        teacher: counted at every image's size; without it the twin is the reference.
        quality: by column (`teacher`, `twin`, `student`), measured by the caller on the same images.
        hashes: SHA-256 of weights and images by name; carried into the report.
        image_names: one for each image; by default `image 1`, `image 2`, ...
        watch: iterates over the images while they are counted, and may show how far it is.
        lowering: of the student's membrane shortcuts, as it is deployed: `fanout` or `relay`.

    Raises:
        ConfigError: the lowering is unknown, the claim is not a positive number, a column of `quality` is
            unknown or its value not finite, or there are not as many names as images.
        TargetLimitError: the network cannot be deployed by this lowering.
        DataError: no image, or an image that the network cannot read.
        UnsupportedLayerError: the teacher holds an operation that cannot be counted.
    """
    quality = _checked_quality(quality or {})
    activity = count_network(network, images, watch, lowering)
    names = list(image_names) if image_names else [f"image {i}" for i in range(1, len(images) + 1)]
    if len(names) != len(images):
        raise ConfigError(f"{len(names)} image names were given for {len(images)} images; give one for each")
    columns = _loaded_columns(network, activity, teacher)
    priced = price_all(columns, names)
    rows = ratio_rows(priced)
    reference = columns[0].name
    ratios, twin_ratios = ratios_to(reference, rows), ratios_to("twin", rows)
    return EnergyReport(
        note=NOTE,
        neuron=network.neuron,
        timesteps=network.timesteps,
        levels=network.levels,
        lowering=lowering,
        reference=reference,
        headline=extent(ratios),
        verdict=verdict(claim, ratios),
        twin_headline=extent(twin_ratios),
        twin_verdict=verdict(claim, twin_ratios),
        columns=tuple(_column(loaded, network, teacher, quality, names) for loaded in columns),
        ratios=rows,
        cells=tuple(cell.cell for cell in priced),
        layers=layer_rows(activity, _charge(priced)),
        relays=relay_rows(activity),
        accumulators=accumulator_rows(activity),
        images=tuple(_image_row(name, image) for name, image in zip(names, activity.images, strict=True)),
        excluded=EXCLUDED,
        precisions=tuple(PRECISIONS.values()),
        constants=_used_constants(),
        hashes=dict(hashes or {}),
    )


def _checked_quality(quality: Mapping[str, Quality]) -> Mapping[str, Quality]:
    for column, values in quality.items():
        if column not in COLUMNS:
            raise ConfigError(f"quality of {column!r} is not shown; use one of {', '.join(COLUMNS)}")
        for key, value in (("psnr_db", values.psnr_db), ("ssim", values.ssim)):
            if value is not None and not math.isfinite(value):
                raise ConfigError(f"quality.{column}.{key} = {value!r} is not a finite number; leave it out")
    return quality


def _loaded_columns(
    network: IntegerNetwork, activity: NetworkActivity, teacher: Teacher | None
) -> tuple[LoadedColumn, ...]:
    twin = LoadedColumn("twin", tuple(_twin_load(network, image) for image in activity.images))
    student = LoadedColumn("student", activity.images)
    if teacher is None:
        return twin, student
    sizes = {(image.height, image.width) for image in activity.images}
    loads = {size: _teacher_load(teacher, *size) for size in sorted(sizes)}
    dense = tuple(loads[image.height, image.width] for image in activity.images)
    return LoadedColumn("teacher", dense), twin, student


def _twin_load(network: IntegerNetwork, image: ImageActivity) -> AnnLoad:
    return AnnLoad(
        sum(layer.padded_macs for layer in image.layers),
        sum(layer.exact_macs for layer in image.layers),
        twin_elementwise_ops(network.topology, image.height, image.width),
    )


def _teacher_load(teacher: Teacher, height: int, width: int) -> AnnLoad:
    multiple = int(getattr(teacher.module, "multiple", 1))
    counted = count_macs(teacher.module, (1, 3, height + -height % multiple, width + -width % multiple))
    return AnnLoad(counted.padded_macs, counted.exact_macs, counted.elementwise_ops)


def _column(
    loaded: LoadedColumn,
    network: IntegerNetwork,
    teacher: Teacher | None,
    quality: Mapping[str, Quality],
    names: Sequence[str],
) -> Column:
    titles = {
        "teacher": teacher.name if teacher else "",
        "twin": "ANN twin of the student: same wiring, ReLU",
        "student": f"spiking student, {network.neuron}, T = {network.timesteps}",
    }
    if loaded.name == "teacher" and teacher is not None:
        parameters = sum(p.numel() for p in teacher.module.parameters())
    elif loaded.name == "twin":
        parameters = sum(s.parameters for s in network.topology.synapses)
    else:
        parameters = network.topology.parameters
    padded = [load.padded_macs if isinstance(load, AnnLoad) else load.macs_uncached for load in loaded.loads]
    exact = [load.exact_macs if isinstance(load, AnnLoad) else load.macs_uncached for load in loaded.loads]
    return Column(
        loaded.name,
        titles[loaded.name],
        parameters,
        spread(padded, names),
        spread(exact, names),
        quality.get(loaded.name),
    )


def _charge(priced: Sequence[PricedCell]) -> str:
    """The student's headline reading by `exact-ops` at fp32."""
    return next(
        p.cell.headline.name
        for p in priced
        if (p.cell.column, p.cell.model, p.cell.precision) == ("student", "exact-ops", "fp32")
    )


def _image_row(name: str, image: ImageActivity) -> ImageRow:
    return ImageRow(
        name,
        image.height,
        image.width,
        image.synops_levels,
        image.synops_events,
        image.macs_uncached,
        image.spikes_per_neuron,
    )


def _used_constants() -> dict[str, Constant]:
    used = {key for precision in PRECISIONS.values() for key in precision.constants}
    return {key: constant for key, constant in HOROWITZ.items() if key in used}
