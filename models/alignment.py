"""Delay balance: how many hops each population lies from the image, and which spikes must wait.

A chip of the Loihi kind adds one timestep for each synaptic hop. In a layer-wise definition of the network
all inputs of a population belong to the same timestep, so a skip that is shorter than the longest path must
be delayed by relays. Both the deployed graph and its energy need these numbers.
"""

from collections.abc import Mapping, Sequence


def hop_depths(sources: Mapping[str, Sequence[str]], start: str) -> dict[str, int]:
    """Longest distance in hops from `start` to every population.

    Args:
        sources: for each population, in execution order, the populations (or `start`) that it reads through
            synapses.
        start: the input, at depth 0.
    """
    depths = {start: 0}
    for name, readers in sources.items():
        depths[name] = 1 + max(depths[source] for source in readers)
    return depths


def relay_counts(sources: Mapping[str, Sequence[str]], start: str) -> dict[str, int]:
    """Relay stages behind each population, so that every reader receives its spikes at its own depth.

    A chain of k relays offers the spikes delayed by 1..k steps; readers at different depths tap one chain.
    The image needs none: the host presents it at any step.
    """
    depths = hop_depths(sources, start)
    relays = {name: 0 for name in sources}
    for name, readers in sources.items():
        for source in readers:
            if source != start:
                relays[source] = max(relays[source], depths[name] - depths[source] - 1)
    return relays
