"""The per-layer rows of the report: where the synops and the synaptic energy go."""

from statistics import fmean

from snn_tool.energy.counts.counts import EdgeCount, ImageActivity, NetworkActivity
from snn_tool.energy.estimators.exact_ops import EVENTS
from snn_tool.energy.memory_access import tier
from snn_tool.energy.estimators.prices import Prices
from snn_tool.energy.report_layers import AccumulatorRow, LayerRow, RelayRow
from snn_tool.models.topology import IMAGE


def layer_rows(activity: NetworkActivity, charge: str, prices: Prices) -> tuple[LayerRow, ...]:
    """Means per image for each synapse, in the order of the topology.

    Args:
        activity: counts of all images.
        charge: the name of the reading that is charged; it says whether graded events count as MACs.
        prices: that shares are computed with.
    """
    by_events = EVENTS in charge
    names = [layer.synapse for layer in activity.images[0].layers]
    energies = {
        name: fmean(_energy_pj(image, name, by_events, prices) for image in activity.images) for name in names
    }
    total = sum(energies.values())
    return tuple(_row(activity, index, name, energies[name] / total) for index, name in enumerate(names))


def _edges(image: ImageActivity, synapse: str) -> list[EdgeCount]:
    return [edge for edge in image.edges if edge.synapse == synapse]


def _energy_pj(image: ImageActivity, synapse: str, by_events: bool, prices: Prices) -> float:
    """Synaptic energy of one deployed synapse; the first layer's is never zero."""
    edges = _edges(image, synapse)
    if by_events:
        spikes_pj = prices.mac_pj * sum(edge.synops_events for edge in edges)
    else:
        spikes_pj = prices.ac_pj * sum(edge.synops_levels for edge in edges)
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
