"""Exact operation counts of a deployed integer network on real images: every spike times its own fan-out.

With z[t, c, y, x] the spikes of a synapse's source, and f(y, x) how many kernel positions read (y, x), one
delivery of a synapse counts

    levels = out_channels * sum over t, c, y, x of |z| f            each level is one accumulate
    events = out_channels * sum over t, c, y, x of [z != 0] f       each event is one small MAC

A membrane shortcut is deployed by one of two lowerings (`models.streams`). By `fanout`, a synapse is
delivered once to each population that names it; by `relay`, once at all, and accumulators pass the sums on
(`count_accumulators`). The deployed number is the headline; `shared`, each synapse computed once, beside it.
Whether a source carries spikes is read from the wiring, never from values: a black image still costs MACs.
An input is spikes where the network's grid says so, and then counts as a population's; a real one that
changes with time costs its MACs at each timestep. A recurrent synapse delivers the spikes of all timesteps
but the last, and one whose weights are all zero, the clock of bias neurons, nothing. A 1x1 synapse from each
channel to itself is one connection for each neuron, whatever zeros stand beside it.
"""

import math
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
    over_passes,
)
from snn_tool.energy.counts.fan_out import conv_synops, network_macs, synapse_macs
from snn_tool.energy.counts.spike_maps import Map, SpikeMaps
from snn_tool.errors import DataError, TargetLimitError
from snn_tool.models.integer.engine import IntegerEngine
from snn_tool.models.integer.network import (
    INSTANT,
    WRAP,
    IntegerNetwork,
    IntegerPopulation,
    IntegerSynapse,
    stream_range,
)
from snn_tool.models.integer.passes import first_inputs, next_inputs
from snn_tool.models.streams import FANOUT, LoweredPopulation, lower, lowered_sources, relay_counts
from snn_tool.models.topology import IMAGE, Population, Synapse
from snn_tool.ranks import shared

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
        emitted: spikes [T, 1, C, H, W] of every spiking population, and the input [1, C, H, W].
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


Watch = Callable[[Sequence[NDArray[np.int16]]], Iterable[NDArray[np.int16]]]


def count_network(
    network: IntegerNetwork,
    images: Sequence[NDArray[np.int16]],
    watch: Watch = iter,
    lowering: str = FANOUT,
) -> NetworkActivity:
    """Run the integer network and count what it did; processes of torchrun share the images.

    Args:
        network: the deployed network.
        images: integers [C, H, W] of `quantize_image`, or [T, C, H, W] of a network whose input changes with
            time; sides in multiples of the topology's own. A network of several passes runs as often on
            each, every time on what it is given then.
        watch: iterates over the images, and may show how far it is.
        lowering: of membrane shortcuts, `fanout` or `relay`.

    Raises:
        ConfigError: the lowering is unknown.
        TargetLimitError: the lowering is `relay` and an accumulator could leave its range.
        DataError: no image, or an image of another type or shape (its position in the list is named).
    """
    _require_images(images, network.topology.image_channels, network)
    lowered = _lowered(network, lowering)
    engine = IntegerEngine(network)
    counts = shared(images, lambda image: _count_image(engine, lowered, image), ImageActivity, watch)
    return NetworkActivity(network.neuron, tuple(counts))


def count_runs(
    network: IntegerNetwork, inputs: Sequence[NDArray[np.int16]], lowering: str = FANOUT
) -> tuple[ImageActivity, ...]:
    """Count one run on each input [C, H, W], which of several passes is the image and a result.

    Raises:
        ConfigError, TargetLimitError, DataError: as `count_network` does.
    """
    _require_images(inputs, network.topology.input_channels, network)
    lowered = _lowered(network, lowering)
    engine = IntegerEngine(network)
    return tuple(_count_run(engine, lowered, given[None])[0] for given in inputs)


def _lowered(network: IntegerNetwork, lowering: str) -> tuple[LoweredPopulation, ...]:
    lowered = lower({p.name: p.inputs for p in network.topology.populations}, lowering)
    require_range(network, lowered)
    return lowered


def _require_images(images: Sequence[NDArray[np.int16]], channels: int, network: IntegerNetwork) -> None:
    if not images:
        raise DataError("energy is counted on images and none was given; name at least one")
    for position, image in enumerate(images, start=1):
        _require_image(image, position, channels, network)


def _require_image(
    image: NDArray[np.int16], position: int, wanted_channels: int, network: IntegerNetwork
) -> None:
    if image.dtype != np.int16:
        raise DataError(f"image {position} holds {image.dtype}; quantise it to int16 first")
    topology = network.topology
    leading = (network.timesteps,) if network.over_time else ()
    channels = (*leading, wanted_channels)
    if image.shape[:-2] != channels or 0 in image.shape:
        wanted = ", ".join(map(str, channels))
        raise DataError(f"image {position} has the shape {image.shape}; use [{wanted}, H, W]")
    height, width = image.shape[-2:]
    if network.image_size not in (None, (height, width)):
        raise DataError(f"image {position} is {height} x {width}; the network takes {network.image_size}")
    if network.image_size is None and (height % topology.multiple or width % topology.multiple):
        raise DataError(
            f"image {position} is {height} x {width} pixels; "
            f"pad its sides to multiples of {topology.multiple}"
        )


def _count_image(
    engine: IntegerEngine, lowered: tuple[LoweredPopulation, ...], image: NDArray[np.int16]
) -> ImageActivity:
    """All passes on an image [C, H, W]."""
    network = engine.network
    inputs, runs = first_inputs(image[None], network.passes), []
    for later in reversed(range(network.passes)):
        counted, readout = _count_run(engine, lowered, inputs)
        runs.append(counted)
        if later:
            inputs = next_inputs(inputs, readout, network)
    return over_passes(runs)


def _count_run(
    engine: IntegerEngine, lowered: tuple[LoweredPopulation, ...], inputs: NDArray[np.int16]
) -> tuple[ImageActivity, NDArray[np.int64]]:
    """One run on inputs [1, C, H, W], or [1, T, C, H, W], and its read-out."""
    network = engine.network
    size = (inputs.shape[-2], inputs.shape[-1])
    maps = SpikeMaps(*network.spike_range)
    # Accumulators are recomputed from spikes; nothing else asks for them position by position.
    held = any(population.accumulates for population in lowered)
    late = {s.wiring.name: s.wiring.source for s in network.synapses if s.wiring.delay}
    recorded = [p.name for p in network.topology.spiking] if held else sorted(set(late.values()))
    trace = engine.run(inputs, recorded, maps.add)
    arriving = _arriving(network, maps, inputs[0], {name: trace.spikes[name] for name in late.values()})
    now = {name: source for name, source in network.synapse_sources.items() if name not in late}
    stages = relay_counts(
        lowered_sources(lowered, now),
        IMAGE,
        {p.name: tuple(late[name] for name in p.synapses if name in late) for p in lowered},
    )
    spikes = network.grid is not None and network.grid.kind == "spikes"
    sizes = network.topology.sizes(*size)
    counted = ImageActivity(
        *size,
        network.timesteps,
        network.levels == 1,
        _edges(network, lowered, arriving, sizes),
        tuple(_population(p, network, maps, sizes[p.wiring.name]) for p in network.populations),
        _relays(network, stages, maps, sizes),
        count_accumulators(engine, lowered, stages, {IMAGE: inputs, **trace.spikes}),
        network_macs(network.topology, *size),
        network.topology.image_channels * math.prod(size),
        network.levels,
        network.signed,
        network.over_time or spikes,
    )
    return counted, trace.readout


Arriving = Mapping[str, tuple[Map, Map]]
"""For each synapse whose source spikes, the summed levels and events int64 [1, H, W] that it delivers."""


def _arriving(
    network: IntegerNetwork,
    maps: SpikeMaps,
    image: NDArray[np.int16],
    late: Mapping[str, NDArray[np.int16]],
) -> Arriving:
    found: dict[str, tuple[Map, Map]] = {}
    for synapse in network.synapses:
        source = synapse.wiring.source
        if synapse.wiring.delay:
            found[synapse.wiring.name] = _summed(late[source][:-1, 0])
        elif source != IMAGE:
            found[synapse.wiring.name] = (maps.levels[source], maps.events[source])
        elif network.grid and network.grid.kind == "spikes":
            frames = image if network.over_time else np.repeat(image[None], network.timesteps, axis=0)
            found[synapse.wiring.name] = _summed(frames)
    return found


def _summed(spikes: NDArray[np.int16]) -> tuple[Map, Map]:
    """Levels and events [1, H, W] of spikes [T, C, H, W]."""
    levels = np.abs(spikes.astype(np.int64)).sum(axis=(0, 1))[None]
    events = (spikes != 0).sum(axis=(0, 1), dtype=np.int64)[None]
    return levels, levels if np.array_equal(levels, events) else events


def _edges(
    network: IntegerNetwork,
    lowered: tuple[LoweredPopulation, ...],
    arriving: Arriving,
    sizes: Mapping[str, tuple[int, int]],
) -> tuple[EdgeCount, ...]:
    """Every synapse once per reader; the counts of a synapse are the same for each of its readers."""
    shape = {p.inputs: (p.channels, *sizes[p.name]) for p in network.topology.populations}
    counted: dict[str, tuple[int, int, int]] = {}
    edges = []
    for population in lowered:
        outputs = math.prod(shape[population.stream])
        for name in population.synapses:
            wiring = network.by_name[name].wiring
            if first := name not in counted:
                counted[name] = _delivered(network.by_name[name], arriving.get(name), sizes)
            macs, by_level, by_event = counted[name]
            edges.append(
                EdgeCount(name, wiring.source, population.name, first, macs, outputs, by_level, by_event)
            )
    return tuple(edges)


def _delivered(
    synapse: IntegerSynapse, spikes: tuple[Map, Map] | None, sizes: Mapping[str, tuple[int, int]]
) -> tuple[int, int, int]:
    """MACs of one presentation of real values, and synops by level and by event of spikes."""
    wiring = synapse.wiring
    if not synapse.mantissa.any():
        return 0, 0, 0
    if spikes is None:
        return synapse_macs(wiring, *sizes[IMAGE]).exact_macs, 0, 0
    levels, events = spikes
    assert levels.shape[1:] == sizes[wiring.source]
    by_level, by_event = _synops(wiring, levels), _synops(wiring, events)
    if _one_to_one(synapse):
        return 0, by_level // wiring.out_channels, by_event // wiring.out_channels
    return 0, by_level, by_event


def _one_to_one(synapse: IntegerSynapse) -> bool:
    """Whether each neuron feeds the one in its place alone, as in a reset by subtraction."""
    mantissa, wiring = synapse.mantissa, synapse.wiring
    if (wiring.kernel, wiring.upsample, wiring.in_channels) != (1, 1, wiring.out_channels):
        return False
    return wiring.out_channels > 1 and not (mantissa[:, :, 0, 0] * ~np.eye(len(mantissa), dtype=bool)).any()


def _synops(wiring: Synapse, spikes: Map) -> int:
    return conv_synops(
        spikes, wiring.out_channels, wiring.kernel, wiring.stride, wiring.padding, wiring.dilation
    )


def _population(
    population: IntegerPopulation,
    network: IntegerNetwork,
    maps: SpikeMaps,
    size: tuple[int, int],
) -> PopulationCount:
    wiring = population.wiring
    spiking = population is not network.populations[-1]
    lasts = population.current_decay < INSTANT
    neurons = wiring.channels * math.prod(size)
    updates = network.timesteps * neurons
    fired = int(maps.events[wiring.name].sum()) if spiking else 0
    return PopulationCount(
        name=wiring.name,
        neurons=neurons,
        events=fired,
        levels=int(maps.levels[wiring.name].sum()) if spiking else 0,
        bias_adds=updates * (_has_bias(wiring, network) + lasts),
        leak_multiplies=updates * ((network.decay_of(population) > 0) + lasts),
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
    network: IntegerNetwork, stages: dict[str, int], maps: SpikeMaps, sizes: Mapping[str, tuple[int, int]]
) -> tuple[RelayCount, ...]:
    """Of the network's own populations; those behind accumulators are counted with them."""
    return tuple(
        _relay(network, population, stages[population.name], maps, sizes[population.name])
        for population in network.topology.spiking
        if stages[population.name]
    )


def _relay(
    network: IntegerNetwork, population: Population, stages: int, maps: SpikeMaps, size: tuple[int, int]
) -> RelayCount:
    neurons = stages * population.channels * math.prod(size)
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
