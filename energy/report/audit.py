"""The audit: counts, prices, ratios and a verdict in one report."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from snn_tool.energy.counts.activity import Watch, count_network
from snn_tool.energy.counts.counts import ImageActivity
from snn_tool.energy.estimators import exact_ops
from snn_tool.energy.estimators.charges import SpikeCharge
from snn_tool.energy.estimators.estimate import COLUMNS
from snn_tool.energy.estimators.excluded import excluded_terms
from snn_tool.energy.estimators.prices import Pricing, packaged_pricing
from snn_tool.energy.report.balance import spike_balance
from snn_tool.energy.report.chips import calibrations, chip_rows, register_notes
from snn_tool.energy.report.columns import Cnn, Teacher, activation_bits, column, loaded_columns
from snn_tool.energy.report.document import EnergyReport, check_claim, verdict
from snn_tool.energy.report.firing import firing_maps
from snn_tool.energy.report.networks import Quality, Sweep
from snn_tool.energy.report.pricing import PricedRow, extent, price_all, ratio_row
from snn_tool.energy.report.robustness import break_even, sensitivity, thresholds, unsourced
from snn_tool.energy.report.rows import (
    accumulator_rows,
    image_row,
    layer_rows,
    model_rows,
    relay_rows,
    used_constants,
)
from snn_tool.errors import ConfigError, check_known
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.streams import FANOUT

REFERENCES = ("teacher", "twin", "cnn", "qann")
SHARES_AT = "fp32"
"""The precision at which the layers' shares of the synaptic energy are priced."""

NOTE = (
    "Every energy in this report is an estimate: exact counts of operations times published prices of single "
    "operations. Nothing was measured on a chip."
)


def check_reference(against: str | None, has_teacher: bool, has_cnn: bool) -> str:
    """What a claim is against; a teacher if there is one, or else the quantised twin, unless told otherwise.

    Raises:
        ConfigError: unknown, or a teacher or a CNN without one.
    """
    if against is None:
        return "teacher" if has_teacher else "qann"
    check_known("--against", against, REFERENCES)
    if against == "teacher" and not has_teacher:
        raise ConfigError("--against teacher: no teacher was given; name one with --teacher")
    if against == "cnn" and not has_cnn:
        raise ConfigError("--against cnn: no int8 CNN of the student's quality is known; name one with --cnn")
    return against


def checked_names(given: Sequence[str] | None, images: int) -> list[str]:
    """A name for each image.

    Raises:
        ConfigError: there are not as many names as images.
    """
    names = list(given) if given else [f"image {i}" for i in range(1, images + 1)]
    if len(names) != images:
        raise ConfigError(f"{len(names)} image names were given for {images} images; give one for each")
    return names


def checked_quality(quality: Mapping[str, Quality], network: IntegerNetwork) -> Mapping[str, Quality]:
    """Quality by column; a graded student's is its quantised twin's, too.

    Raises:
        ConfigError: a column is unknown, or a value is not finite.
    """
    for name, values in quality.items():
        if name not in COLUMNS:
            raise ConfigError(f"quality of {name!r} is not shown; use one of {', '.join(COLUMNS)}")
        for key, value in (("psnr_db", values.psnr_db), ("ssim", values.ssim)):
            if value is not None and not math.isfinite(value):
                raise ConfigError(f"quality.{name}.{key} = {value!r} is not a finite number; leave it out")
    if network.neuron == "graded" and "student" in quality:
        return {**quality, "qann": quality["student"]}
    return quality


def audit(
    network: IntegerNetwork,
    images: list[NDArray[np.int16]],
    *,
    claim: float = 50.0,
    against: str | None = None,
    teacher: Teacher | None = None,
    cnn: Cnn | None = None,
    quality: Mapping[str, Quality] | None = None,
    hashes: Mapping[str, str] | None = None,
    image_names: Sequence[str] | None = None,
    watch: Watch = iter,
    lowering: str = FANOUT,
    pricing: Pricing | None = None,
    sweep: Sweep | None = None,
) -> EnergyReport:
    """Estimate the energy of all columns on the same images, by every model and precision.

    Args:
        network: the deployed student.
        images: its integer inputs [3, H, W] of `quantize_image`; sizes may differ.
        claim: how many times less energy is claimed.
        against: what the claim is against, `teacher`, `twin`, `cnn` or `qann`; by default the teacher, or
            else the quantised twin, which computes the same integers.
        teacher: counted at every image's size.
        cnn: an int8 CNN of the student's quality, likewise.
        quality: by column (one of `COLUMNS`), measured by the caller on the same images.
            A graded student's is also its `qann`'s, which computes the same integers.
        hashes: SHA-256 of weights and images by name; carried into the report.
        image_names: one for each image; by default `image 1`, `image 2`, ...
        watch: iterates over the images while they are counted, and may show how far it is.
        lowering: of the student's membrane shortcuts, as it is deployed: `fanout` or `relay`.
        pricing: constants and precisions; by default the packaged ones.
        sweep: quality against spikes, measured by the caller on the same images.

    Raises:
        ConfigError: the lowering or the reference is unknown, the reference is a teacher or a CNN without
            one, the claim is not a positive number, a column of `quality` is unknown or its value not
            finite, there are not as many names as images, or a column would cost nothing.
        TargetLimitError: the network cannot be deployed by this lowering.
        DataError: no image, or an image that the network cannot read.
        UnsupportedLayerError: the teacher holds an operation that cannot be counted.
    """
    check_claim(claim)
    reference = check_reference(against, teacher is not None, cnn is not None)
    pricing = pricing or packaged_pricing()
    quality = checked_quality(quality or {}, network)
    activity = count_network(network, images, watch, lowering)
    names = checked_names(image_names, len(images))
    columns = loaded_columns(network, activity, teacher, cnn)
    priced = price_all(tuple(columns.values()), pricing, names)
    bits = activation_bits(network)
    rows = tuple(ratio_row(row, reference, bits) for row in priced)
    ratios = {row.model: row.ratio for row in rows if row.ratio is not None}
    twin_ratios = {row.model: row.split.twin_over_student for row in rows}
    qann_ratios = {row.model: row.split.qann_over_student for row in rows}
    judged = [row for row in priced if reference in row.cells]
    spikes = fmean(image.spikes_per_neuron for image in activity.images)
    models = model_rows(priced)
    used = used_constants(models, pricing)
    moved = tuple(s for row in judged for s in sensitivity(row, columns, reference, claim, names))
    shown = _most_active(activity.images, names)
    return EnergyReport(
        note=NOTE,
        neuron=network.neuron,
        timesteps=network.timesteps,
        levels=network.levels,
        passes=network.passes,
        lowering=lowering,
        reference=reference,
        headline=extent(ratios),
        verdict=verdict(claim, ratios),
        twin_headline=extent(twin_ratios),
        twin_verdict=verdict(claim, twin_ratios),
        qann_headline=extent(qann_ratios),
        qann_verdict=verdict(claim, qann_ratios),
        spikes=spike_balance(activity.images, priced, rows),
        models=models,
        columns=tuple(column(c, network, teacher, cnn, quality, names) for c in columns.values()),
        ratios=rows,
        break_even=tuple(break_even(row, reference, spikes, network.timesteps) for row in judged),
        sensitivity=moved,
        unsourced=unsourced(moved, used),
        thresholds=thresholds(activity),
        cells=tuple(cell.cell for row in priced for cell in row.cells.values()),
        chips=chip_rows(priced),
        registers=register_notes(network),
        calibration=calibrations(priced),
        layers=layer_rows(activity, _charge(priced, SHARES_AT), pricing.at(SHARES_AT)),
        relays=relay_rows(activity),
        accumulators=accumulator_rows(activity),
        images=tuple(image_row(name, image) for name, image in zip(names, activity.images, strict=True)),
        firing=firing_maps(network, images[shown], names[shown]),
        sweep=sweep,
        sanafe=None,
        mapping=None,
        excluded=excluded_terms({row.model.name: row.model.excluded for row in priced}),
        precisions=tuple(pricing.precisions.values()),
        constants=used,
        profile=pricing.profile,
        hashes=dict(hashes or {}),
    )


def _most_active(images: Sequence[ImageActivity], names: Sequence[str]) -> int:
    """Position of the image with most synops, whatever the order (ties go to the first name)."""
    return min(range(len(images)), key=lambda i: (-images[i].synops_levels, names[i]))


def _charge(priced: Sequence[PricedRow], precision: str) -> SpikeCharge:
    """How the student's headline by `exact-ops` charges spikes."""
    row = next(r for r in priced if r.model is exact_ops.MODEL and r.prices.precision.name == precision)
    charge = row.cells["student"].charge
    assert charge, "every reading of a student by this model has a charge"
    return charge
