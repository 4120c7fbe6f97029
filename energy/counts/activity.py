"""Exact operation counts of a deployed integer network on real images: every spike times its own fan-out.

With z[t, c, y, x] the spikes of a synapse's source, and f(y, x) how many kernel positions read (y, x), one
delivery of a synapse counts

    levels = out_channels * sum over t, c, y, x of |z| f            each level is one accumulate
    events = out_channels * sum over t, c, y, x of [z != 0] f       each event is one small MAC

A membrane shortcut is deployed by one of two lowerings (`models.streams`). By `fanout`, a synapse is
delivered once to each population that names it; by `relay`, once at all, and accumulators pass the sums on
(`count_accumulators`). The deployed number is the headline; `shared`, each synapse computed once, beside it.
Whether a source carries spikes is read from the wiring, never from values: a black image still costs MACs.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from snn_tool.energy.counts.counts import (
    AccumulatorCount,
    EdgeCount,
    ImageActivity,
    NetworkActivity,
    PopulationCount,
    RelayCount,
)
from snn_tool.energy.counts.fan_out import conv_synops, network_macs, synapse_macs
from snn_tool.energy.counts.spike_maps import Map, SpikeMaps
from snn_tool.errors import DataError, TargetLimitError
from snn_tool.models.integer.engine import IntegerEngine
from snn_tool.models.integer.network import WRAP, IntegerNetwork, IntegerPopulation, stream_range
from snn_tool.models.streams import FANOUT, LoweredPopulation, lower, lowered_sources, relay_counts
from snn_tool.models.topology import IMAGE, Population, Synapse, Topology

Values = NDArray[np.int64]


def require_range(network: IntegerNetwork, lowered: Sequence[LoweredPopulation]) -> None:
    """Refuse to count accumulators that no export would make: their sums must be proved to fit 24 bits.

    Raises:
        TargetLimitError: names the accumulators that could leave the range.
    """
    held = [population for population in lowered if population.accumulates]
    wide = [p.name for p in held if stream_range(p.stream, network).largest >= WRAP]
    if wide:
        raise TargetLimitError(
            f"{', '.join(wide)}: the summed current may leave 24 bits, so that --lowering relay cannot be "
            "deployed; use --lowering fanout, or quantise again"
        )


def count_accumulators(
    engine: IntegerEngine,
    lowered: Sequence[LoweredPopulation],
    stages: Mapping[str, int],
    emitted: Mapping[str, NDArray[np.int16]],
) -> tuple[AccumulatorCount, ...]:
    """Count every accumulator of a lowered network on one image.

    Args:
        engine: of the network.
        lowered: its populations and accumulators.
        stages: delay relays behind each of them.
        emitted: spikes [T, 1, C, H, W] of every spiking population, and the image [1, 3, H, W].
    """
    counts = []
    for held, values in _stream_values(engine, lowered, emitted):
        neurons, timesteps = values[0].size, engine.network.timesteps
        readers = sum(population.accumulator == held.name for population in lowered)
        fired = int(np.count_nonzero(values))
        counts.append(
            AccumulatorCount(
                name=held.name,
                neurons=neurons,
                stages=stages[held.name],
                readers=readers,
                updates=timesteps * neurons * (1 + stages[held.name]),
                events=fired,
                synops_events=fired * (readers + stages[held.name]),
            )
        )
    return tuple(counts)


def _stream_values(
    engine: IntegerEngine, lowered: Sequence[LoweredPopulation], emitted: Mapping[str, NDArray[np.int16]]
) -> list[tuple[LoweredPopulation, Values]]:
    """Each accumulator with what it emits [T, 1, C, H, W]: what it takes over, and what arrives directly."""
    values: dict[str, Values] = {}
    held = [population for population in lowered if population.accumulates]
    for population in held:
        sources = {name: engine.network.by_name[name].wiring.source for name in population.synapses}
        parts = [engine.current(name, emitted[source]) for name, source in sources.items()]
        parts += [values[population.accumulator]] if population.accumulator else []
        shape = (engine.network.timesteps, *parts[0].shape[1:])
        values[population.name] = np.broadcast_to(sum(parts, start=np.int64(0)), shape)
    return [(population, values[population.name]) for population in held]


Watch = Callable[[list[NDArray[np.int16]]], Iterable[NDArray[np.int16]]]


def count_network(
    network: IntegerNetwork,
    images: list[NDArray[np.int16]],
    watch: Watch = iter,
    lowering: str = FANOUT,
) -> NetworkActivity:
    """Run the integer network and count what it did.

    Args:
        network: the deployed network.
        images: integer inputs [C, H, W] of `quantize_image`; sides in multiples of the topology's own.
        watch: iterates over the images, and may show how far it is.
        lowering: of membrane shortcuts, `fanout` or `relay`.

    Raises:
        ConfigError: the lowering is unknown.
        TargetLimitError: the lowering is `relay` and an accumulator could leave its range.
        DataError: no image, or an image of another type or shape (its position in the list is named).
    """
    if not images:
        raise DataError("energy is counted on images and none was given; name at least one")
    for position, image in enumerate(images, start=1):
        _require_image(image, position, network.topology)
    lowered = lower({p.name: p.inputs for p in network.topology.populations}, lowering)
    require_range(network, lowered)
    engine = IntegerEngine(network)
    counts = tuple(_count_image(engine, lowered, image) for image in watch(images))
    return NetworkActivity(network.neuron, counts)


def _require_image(image: NDArray[np.int16], position: int, topology: Topology) -> None:
    channels, multiple = topology.image_channels, topology.multiple
    if image.dtype != np.int16:
        raise DataError(f"image {position} holds {image.dtype}; quantise it to int16 first")
    if image.ndim != 3 or image.shape[0] != channels or 0 in image.shape:
        raise DataError(f"image {position} has the shape {image.shape}; use [{channels}, H, W]")
    if image.shape[1] % multiple or image.shape[2] % multiple:
        raise DataError(
            f"image {position} is {image.shape[1]} x {image.shape[2]} pixels; "
            f"pad its sides to multiples of {multiple}"
        )


def _count_image(
    engine: IntegerEngine, lowered: tuple[LoweredPopulation, ...], image: NDArray[np.int16]
) -> ImageActivity:
    network = engine.network
    _, height, width = image.shape
    maps = SpikeMaps(*network.spike_range)
    # Accumulators are recomputed from spikes; nothing else asks for them position by position.
    held = any(population.accumulates for population in lowered)
    recorded = [p.name for p in network.topology.spiking] if held else []
    trace = engine.run(image[None], recorded, maps.add)
    stages = relay_counts(lowered_sources(lowered, network.synapse_sources), IMAGE)
    return ImageActivity(
        height,
        width,
        network.timesteps,
        network.levels == 1,
        _edges(network, lowered, maps, (height, width)),
        tuple(_population(p, network, maps, height * width) for p in network.populations),
        _relays(network, stages, maps, height * width),
        count_accumulators(engine, lowered, stages, {IMAGE: image[None], **trace.spikes}),
        network_macs(network.topology, height, width),
        image.size,
        network.levels,
        network.signed,
    )


def _edges(
    network: IntegerNetwork,
    lowered: tuple[LoweredPopulation, ...],
    maps: SpikeMaps,
    size: tuple[int, int],
) -> tuple[EdgeCount, ...]:
    """Every synapse once per reader; the counts of a synapse are the same for each of its readers."""
    scale = {p.name: p.downscale for p in network.topology.populations}
    shape = {p.inputs: (p.channels, p.downscale) for p in network.topology.populations}
    counted: dict[str, tuple[int, int, int]] = {}
    edges = []
    for population in lowered:
        channels, downscale = shape[population.stream]
        outputs = channels * (size[0] // downscale) * (size[1] // downscale)
        for name in population.synapses:
            wiring = network.by_name[name].wiring
            first = name not in counted
            if first and wiring.source == IMAGE:
                counted[name] = (synapse_macs(wiring, *size).exact_macs, 0, 0)
            elif first:
                assert maps.levels[wiring.source].shape[1] == size[0] // scale[wiring.source]
                by_level = _synops(wiring, maps.levels[wiring.source])
                binary = maps.levels[wiring.source] is maps.events[wiring.source]
                by_event = by_level if binary else _synops(wiring, maps.events[wiring.source])
                counted[name] = (0, by_level, by_event)
            macs, by_level, by_event = counted[name]
            edges.append(
                EdgeCount(name, wiring.source, population.name, first, macs, outputs, by_level, by_event)
            )
    return tuple(edges)


def _synops(wiring: Synapse, spikes: Map) -> int:
    return conv_synops(
        spikes, wiring.out_channels, wiring.kernel, wiring.stride, wiring.padding, wiring.dilation
    )


def _population(
    population: IntegerPopulation,
    network: IntegerNetwork,
    maps: SpikeMaps,
    pixels: int,
) -> PopulationCount:
    wiring = population.wiring
    spiking = population is not network.populations[-1]
    neurons = wiring.channels * pixels // wiring.downscale**2
    updates = network.timesteps * neurons
    fired = int(maps.events[wiring.name].sum()) if spiking else 0
    return PopulationCount(
        name=wiring.name,
        neurons=neurons,
        events=fired,
        levels=int(maps.levels[wiring.name].sum()) if spiking else 0,
        bias_adds=updates if _has_bias(wiring, network) else 0,
        leak_multiplies=updates if network.decay_of(population) else 0,
        compares=updates * _thresholds(network).bit_length() if spiking else 0,
        ladder_compares=updates * _thresholds(network) if spiking else 0,
        resets=fired if network.neuron == "lif" else 0,
        membrane_adds=updates * (len(wiring.inputs) - 1),
        scales=0 if spiking else neurons,
    )


def _has_bias(population: Population, network: IntegerNetwork) -> bool:
    return any(network.by_name[name].wiring.bias for name in population.inputs)


def _thresholds(network: IntegerNetwork) -> int:
    """One for each nonzero level; a search in t thresholds needs ceil(log2(t + 1)), the bit length of t."""
    low, high = network.spike_range
    return high - low


def _relays(
    network: IntegerNetwork, stages: dict[str, int], maps: SpikeMaps, pixels: int
) -> tuple[RelayCount, ...]:
    """Of the network's own populations; those behind accumulators are counted with them."""
    return tuple(
        _relay(network, population, stages[population.name], maps, pixels)
        for population in network.topology.spiking
        if stages[population.name]
    )


def _relay(
    network: IntegerNetwork, population: Population, stages: int, maps: SpikeMaps, pixels: int
) -> RelayCount:
    neurons = stages * population.channels * pixels // population.downscale**2
    emitted = stages * int(maps.events[population.name].sum())
    return RelayCount(
        population=population.name,
        stages=stages,
        neurons=neurons,
        updates=neurons * network.timesteps,
        synops_levels=stages * int(maps.levels[population.name].sum()),
        synops_events=emitted,
        resets=emitted if network.neuron == "lif" else 0,
    )
