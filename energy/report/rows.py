"""Rows of a report that restate what was counted or used: models, constants, images, layers, relays."""

from collections.abc import Sequence
from statistics import fmean

from snn_tool.energy.counts.counts import EdgeCount, ImageActivity, NetworkActivity
from snn_tool.energy.estimators.arrays import tier
from snn_tool.energy.estimators.charges import SpikeCharge
from snn_tool.energy.estimators.constants import Constant
from snn_tool.energy.estimators.estimate import COLUMNS
from snn_tool.energy.estimators.prices import Prices, Pricing
from snn_tool.energy.report.document import ModelRow
from snn_tool.energy.report.networks import (
    AccumulatorRow,
    ImageRow,
    LayerRow,
    RelayRow,
)
from snn_tool.energy.report.pricing import PricedRow
from snn_tool.models.topology import IMAGE


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
    return spikes_pj + prices.mac_pj * image.steps * sum(edge.image_macs for edge in edges)


def _row(activity: NetworkActivity, index: int, name: str, share: float) -> LayerRow:
    images = activity.images
    edges = [_edges(image, name) for image in images]
    readers = len(edges[0])
    source = edges[0][0].source
    per_neuron = fmean(_source_spikes(image, source) for image in images)
    exact = fmean(image.passes * image.layers[index].exact_macs for image in images)
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
        twin_padded_macs=fmean(image.passes * image.layers[index].padded_macs for image in images),
        twin_exact_macs=exact,
        student_macs=fmean(
            image.steps * sum(edge.image_macs for edge in e) for image, e in zip(images, edges, strict=True)
        ),
        neuron_steps=fmean(
            image.steps * sum(edge.outputs for edge in e) for image, e in zip(images, edges, strict=True)
        ),
        weight_bytes=images[0].layers[index].weights,
        tier=tier(images[0].layers[index].weights),
        share=share,
    )


def _source_spikes(image: ImageActivity, source: str) -> float:
    """Nonzero spikes per neuron and pass of a synapse's source; 0 for the image, which has no spikes."""
    if source == IMAGE:
        return 0.0
    population = next(p for p in image.populations if p.name == source)
    return population.events / (image.passes * population.neurons)


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
