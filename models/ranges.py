"""Interval arithmetic on the integer weights: what no image whatsoever can exceed."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from snn_tool.models.integer.network import IntegerNetwork, IntegerPopulation, IntegerSynapse


@dataclass(frozen=True, slots=True, eq=False)
class CurrentRange:
    """Proved bounds of a current per channel, int64 [C], in LSB of the target population."""

    low: NDArray[np.int64]
    high: NDArray[np.int64]

    @property
    def largest(self) -> int:
        """Largest magnitude over all channels."""
        return int(max(np.abs(self.low).max(), np.abs(self.high).max()))


def synapse_range(synapse: IntegerSynapse, network: IntegerNetwork) -> CurrentRange:
    """Bounds of one synapse's current: each product at its worst; zero padding only shrinks them.

    The source's range contains 0, so a padded position never lies outside it.
    """
    low, high = network.source_range(synapse.wiring.source)
    weight = synapse.mantissa.astype(np.int64) << synapse.exponent
    smallest = np.minimum(weight * low, weight * high).sum(axis=(1, 2, 3))
    largest = np.maximum(weight * low, weight * high).sum(axis=(1, 2, 3))
    factor = synapse.wiring.upsample**2
    # Pixel-shuffle sends channels c * factor .. c * factor + factor - 1 to channel c.
    return CurrentRange(smallest.reshape(-1, factor).min(axis=1), largest.reshape(-1, factor).max(axis=1))


def population_range(population: IntegerPopulation, network: IntegerNetwork) -> CurrentRange:
    """Bounds of the summed current of one population at one timestep, without its bias."""
    return stream_range(population.wiring.inputs, network)


def stream_range(stream: Iterable[str], network: IntegerNetwork) -> CurrentRange:
    """Bounds of the sum of several synapses' currents at one timestep, by their names."""
    ranges = [synapse_range(network.by_name[name], network) for name in stream]
    return CurrentRange(
        np.sum([r.low for r in ranges], axis=0, dtype=np.int64),
        np.sum([r.high for r in ranges], axis=0, dtype=np.int64),
    )
