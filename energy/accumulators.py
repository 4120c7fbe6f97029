"""What the accumulators of the lowering `relay` emit and deliver, counted on a real run."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from snn_tool.energy.counts.counts import AccumulatorCount
from snn_tool.errors import TargetLimitError
from snn_tool.models.integer.network import WRAP, IntegerNetwork
from snn_tool.models.integer.engine import IntegerEngine
from snn_tool.models.ranges import stream_range
from snn_tool.models.streams import LoweredPopulation

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
