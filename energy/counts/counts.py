"""What one image makes a deployed network compute, as exact integers; `activity` fills these in.

A network of several passes runs as often on each image, on the same chip: neurons, kernels and connections
are there once, while spikes, deliveries and updates are those of all passes together.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeVar

from snn_tool.energy.counts.fan_out import LayerMacs
from snn_tool.models.topology import IMAGE


@dataclass(frozen=True, slots=True)
class EdgeCount:
    """One delivery: a synapse and one population that reads it, over all timesteps and passes of one image.

    Attributes:
        synapse, source, reader: names; `source` is `image` or a population, `reader` may be an accumulator.
        first: no earlier population was delivered this synapse; only these count as `shared`.
        image_macs: edge-exact MACs of one presentation of a real input; 0 where the source spikes.
        outputs: values delivered in one timestep, after a pixel-shuffle (which costs nothing).
        synops_levels: accumulates if a spike of level n is n unit spikes; 0 on a real input.
        synops_events: deliveries of nonzero spikes, whatever their level; 0 on a real input.
    """

    synapse: str
    source: str
    reader: str
    first: bool
    image_macs: int
    outputs: int
    synops_levels: int
    synops_events: int


@dataclass(frozen=True, slots=True)
class PopulationCount:
    """A population's neurons over all timesteps of one image, and as often again for each further pass.

    Attributes:
        neurons: N; updates are T N in each pass.
        events: nonzero spikes out (Z).
        levels: sum of their magnitudes; equal to `events` for binary spikes.
        bias_adds: T N if a synapse of it has a bias, and T N to add a current that lasts to the membrane.
        leak_multiplies: T N for a leaky membrane, and T N for a current that lasts.
        compares: T N ceil(log2(outcomes)), a binary search: one for `lif`, which has two outcomes, and 5 for
            `graded` of levels -8 to 8, which has 17.
        ladder_compares: T N times the number of thresholds, each of them tried: outcomes less one.
        resets: one per spike of `lif`; `graded` neurons keep no membrane.
        membrane_adds: T N for each input synapse beyond the first; only the shared reading pays these.
        scales: one per value of the read-out, whose membrane is scaled to grey levels.
    """

    name: str
    neurons: int
    events: int
    levels: int
    bias_adds: int
    leak_multiplies: int
    compares: int
    ladder_compares: int
    resets: int
    membrane_adds: int
    scales: int


@dataclass(frozen=True, slots=True)
class RelayCount:
    """Relays that hold a population's spikes until its later readers are due (`models.streams`).

    Attributes:
        population: whose spikes are re-emitted.
        stages: length of the relay chain.
        neurons: relay neurons in all stages.
        updates: T times `neurons`, one compare each.
        synops_levels, synops_events: spikes re-emitted through one identity synapse each, all stages.
        resets: one per re-emitted spike of `lif`.
    """

    population: str
    stages: int
    neurons: int
    updates: int
    synops_levels: int
    synops_events: int
    resets: int


@dataclass(frozen=True, slots=True)
class AccumulatorCount:
    """An accumulator that holds a residual stream under the lowering `relay`, with the relays behind it.

    Its neurons pass on, as one graded spike, the sum of the currents of a step (`models.streams`). Such a
    value has up to 24 bits and is no number of unit spikes: if nonzero it is one event, whatever its size.

    Attributes:
        name: of the accumulator.
        neurons: of the accumulator alone.
        stages: delay relays behind it, each with as many neurons.
        readers: identity synapses that deliver it to populations and to other accumulators.
        updates: T times the neurons of accumulator and relays, one compare each (is there a value to send?).
        events: nonzero values emitted.
        synops_events: identity deliveries, `events` times readers and stages.
    """

    name: str
    neurons: int
    stages: int
    readers: int
    updates: int
    events: int
    synops_events: int


@dataclass(frozen=True, slots=True)
class ImageActivity:
    """Everything that one image makes a network compute; all counts are exact integers.

    Attributes:
        height, width: of the image, in pixels.
        timesteps: T; the deployed network is presented the image at each of them.
        unit_spikes: spikes are 0 or +-1, so that a synop is an accumulate and nothing else.
        edges, populations, relays: in execution order; only populations with relays have a `RelayCount`.
        accumulators: empty unless the lowering is `relay`.
        layers: the ANN twin's MACs of each synapse at this size, in one pass.
        skip_adds: the global skip, one add per output value and pass.
        levels: largest magnitude of a spike.
        signed: spikes may be negative.
        fresh_input: it changes with time or is spikes, so that no current of it can be kept.
        passes: how often the network ran on the image.
    """

    height: int
    width: int
    timesteps: int
    unit_spikes: bool
    edges: tuple[EdgeCount, ...]
    populations: tuple[PopulationCount, ...]
    relays: tuple[RelayCount, ...]
    accumulators: tuple[AccumulatorCount, ...]
    layers: tuple[LayerMacs, ...]
    skip_adds: int
    levels: int = 1
    signed: bool = False
    fresh_input: bool = False
    passes: int = 1

    @property
    def steps(self) -> int:
        """Timesteps of all passes; at each the network is presented its input."""
        return self.timesteps * self.passes

    @property
    def shared_edges(self) -> tuple[EdgeCount, ...]:
        """One delivery of each synapse: the reading in which the membrane shortcut is computed once."""
        return tuple(edge for edge in self.edges if edge.first)

    @property
    def macs_uncached(self) -> int:
        """MACs of the first layer as deployed: the input is presented at every timestep to every reader."""
        return self.steps * sum(edge.image_macs for edge in self.edges)

    @property
    def macs_cached(self) -> int:
        """MACs of the first layer if each reader kept a pass's current; `cached_adds` come on top."""
        if self.fresh_input:
            return self.macs_uncached
        return self.passes * sum(edge.image_macs for edge in self.edges)

    @property
    def cached_adds(self) -> int:
        """Adding a kept current at every timestep: T N for each reader of the image."""
        if self.fresh_input:
            return 0
        return self.steps * sum(edge.outputs for edge in self.edges if edge.source == IMAGE)

    @property
    def synops_levels(self) -> int:
        """Deployed synops with levels as unit accumulates, without relays and accumulators."""
        return sum(edge.synops_levels for edge in self.edges)

    @property
    def synops_events(self) -> int:
        """Deployed synops with one per event, without relays and accumulators."""
        return sum(edge.synops_events for edge in self.edges)

    @property
    def spikes_per_neuron(self) -> float:
        """Nonzero spikes per spiking neuron in all timesteps of a pass together."""
        neurons = self.passes * sum(p.neurons for p in self.populations[:-1])
        return sum(p.events for p in self.populations) / neurons


Count = TypeVar("Count", EdgeCount, PopulationCount, RelayCount, AccumulatorCount)
_GROWING = frozenset(
    (
        "synops_levels",
        "synops_events",
        "events",
        "levels",
        "bias_adds",
        "leak_multiplies",
        "compares",
        "ladder_compares",
        "resets",
        "membrane_adds",
        "scales",
        "updates",
    )
)
"""Fields of the counts that add up over passes; the others say what there is."""


def over_passes(runs: Sequence[ImageActivity]) -> ImageActivity:
    """One network's runs on the passes of one image, as what that image made it compute."""
    return replace(
        runs[0],
        edges=_summed([run.edges for run in runs]),
        populations=_summed([run.populations for run in runs]),
        relays=_summed([run.relays for run in runs]),
        accumulators=_summed([run.accumulators for run in runs]),
        skip_adds=sum(run.skip_adds for run in runs),
        passes=len(runs),
    )


def _summed(runs: Sequence[tuple[Count, ...]]) -> tuple[Count, ...]:
    """Each part of a network over all runs."""
    return tuple(
        replace(parts[0], **{n: sum(getattr(part, n) for part in parts) for n in _names(parts[0])})
        for parts in zip(*runs, strict=True)
    )


def _names(part: EdgeCount | PopulationCount | RelayCount | AccumulatorCount) -> list[str]:
    return [field.name for field in fields(part) if field.name in _GROWING]


@dataclass(frozen=True, slots=True)
class NetworkActivity:
    """Counts of one network on one or more images, in the order given; sizes may differ."""

    neuron: str
    images: tuple[ImageActivity, ...]
