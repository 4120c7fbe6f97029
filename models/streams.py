"""Membrane shortcuts lowered to spikes: which synapse is delivered where, and what carries a stream.

A residual stream only grows: the inputs of a later reader begin with the inputs of an earlier one, (head,),
(head, enc_conv2), (head, enc_conv2, up) and so on. A chip exchanges spikes, so the stream itself, a sum of
currents, has to reach its readers in one of two forms:

- `fanout`: every reader receives every synapse of its stream; a synapse with k readers is delivered k times.
- `relay`: an accumulator, a population without threshold, bias or memory, emits as a graded spike the sum of
  the currents that arrived in this step. Each reader of the stream, and the accumulator of the next longer
  one, takes that sum through one identity synapse, so that no synapse of a stream is delivered twice. A
  stream with one reader needs no accumulator: the reader takes the shorter stream's sum and what was added.

Biases belong to the readers in both. Export and energy audit both count what this module lays out.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from snn_tool.errors import ExportError, check_known

FANOUT, RELAY = "fanout", "relay"
LOWERINGS = (FANOUT, RELAY)

Stream = tuple[str, ...]
"""Names of the synapses whose currents a population sums, in the order of its inputs."""


@dataclass(frozen=True, slots=True)
class LoweredPopulation:
    """A population of the lowered graph: one of the network's own, or an accumulator.

    Attributes:
        name: the population's own; an accumulator is `<first reader>_stream`.
        stream: every synapse whose current reaches it, directly or in an accumulator's sum.
        synapses: those that are delivered to it directly.
        accumulator: whose sum it receives through one identity synapse, or None.
        accumulates: it is an accumulator.
    """

    name: str
    stream: Stream
    synapses: Stream
    accumulator: str | None
    accumulates: bool


def lower(inputs: Mapping[str, Stream], lowering: str) -> tuple[LoweredPopulation, ...]:
    """Lay out all populations, and under `relay` the accumulators, each after all that it reads.

    Args:
        inputs: for each population, in execution order, the synapses whose currents it sums.
        lowering: one of `LOWERINGS`.

    Raises:
        ConfigError: the lowering is unknown.
        ExportError: a population has the name that an accumulator would have.
    """
    check_lowering(lowering)
    if lowering == FANOUT:
        return tuple(LoweredPopulation(name, stream, stream, None, False) for name, stream in inputs.items())
    return tuple(_Streams(inputs).populations())


def check_lowering(lowering: str) -> None:
    """Refuse an unknown lowering.

    Raises:
        ConfigError: names those that are known.
    """
    check_known("--lowering", lowering, LOWERINGS)


def lowered_sources(
    populations: Iterable[LoweredPopulation], source: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """For each population what it reads through synapses; the input of `relay_counts`.

    Args:
        populations: of `lower`.
        source: of each synapse that counts, a population or the image.
    """
    return {
        s.name: (
            *((s.accumulator,) if s.accumulator else ()),
            *(source[name] for name in s.synapses if name in source),
        )
        for s in populations
    }


class _Streams:
    """The distinct streams of a network, each beside the longest shorter one that it continues."""

    def __init__(self, inputs: Mapping[str, Stream]) -> None:
        self.inputs = inputs
        self.first_reader: dict[Stream, str] = {}
        for name, stream in inputs.items():
            self.first_reader.setdefault(stream, name)
        if taken := sorted(self._accumulator(s) for s in self.first_reader if self._accumulator(s) in inputs):
            raise ExportError(f"{taken[0]}: an accumulator would have the name of this population; rename it")
        self.readers = Counter(inputs.values())
        self.readers.update(p for stream in self.first_reader if (p := self.continued(stream)) is not None)

    def continued(self, stream: Stream) -> Stream | None:
        """The longest other stream that this one begins with."""
        shorter = (stream[:length] for length in range(len(stream) - 1, 0, -1))
        return next((prefix for prefix in shorter if prefix in self.first_reader), None)

    def populations(self) -> Iterable[LoweredPopulation]:
        """Populations in execution order, each accumulator just before the first that needs it."""
        placed: set[Stream] = set()
        for name, stream in self.inputs.items():
            for held in self._needed(stream):
                if held not in placed:
                    placed.add(held)
                    yield self._lowered(self._accumulator(held), held, True)
            if stream in placed:
                yield LoweredPopulation(name, stream, (), self._accumulator(stream), False)
            else:
                yield self._lowered(name, stream, False)

    def _needed(self, stream: Stream) -> list[Stream]:
        """The streams with several readers that this one is or continues, shortest first."""
        prefixes = (stream[:length] for length in range(1, len(stream) + 1))
        return [prefix for prefix in prefixes if self.readers[prefix] > 1]

    def _accumulator(self, stream: Stream) -> str:
        return f"{self.first_reader[stream]}_stream"

    def _lowered(self, name: str, stream: Stream, accumulates: bool) -> LoweredPopulation:
        """Whoever takes the sum of the stream that it continues, and directly what was added since."""
        before = self.continued(stream)
        if before is None:
            return LoweredPopulation(name, stream, stream, None, accumulates)
        return LoweredPopulation(name, stream, stream[len(before) :], self._accumulator(before), accumulates)


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


def relay_counts(
    sources: Mapping[str, Sequence[str]], start: str, late: Mapping[str, Sequence[str]] | None = None
) -> dict[str, int]:
    """Relay stages behind each population, so that every reader receives its spikes at its own depth.

    A chain of k relays offers the spikes delayed by 1..k steps; readers at different depths tap one chain.
    The image needs none: the host presents it at any step.

    Args:
        sources: for each population what it reads, see `hop_depths`.
        start: the input.
        late: for each population those that it reads one timestep late, through recurrent synapses.

    Raises:
        ExportError: a recurrent connection comes from a population that lies deeper than its reader.
    """
    depths = hop_depths(sources, start)
    relays = {name: 0 for name in sources}
    for delay, read in ((0, sources), (1, late or {})):
        for name, readers in read.items():
            for source in readers:
                if source != start:
                    stages = held_stages(source, name, depths, delay)
                    relays[source] = max(relays[source], stages)
    return relays


def held_stages(source: str, reader: str, depths: Mapping[str, int], delay: int) -> int:
    """Relay stages between a population and one that reads it `delay` timesteps late.

    Raises:
        ExportError: the spikes would have to arrive before a hop, which takes one step, can bring them.
    """
    stages = depths[reader] - depths[source] - 1 + delay
    if stages < 0:
        raise ExportError(
            f"{reader}: a recurrent connection from {source}, {1 - stages} hops down the network, which take "
            f"{1 - stages} timesteps on the chip and not {delay}; let every loop pass one population only"
        )
    return stages
