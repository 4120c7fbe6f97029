"""Where a student spends its operations: synapses, relays, accumulators."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One synapse, means per image.

    Attributes:
        readers: populations that it is delivered to.
        synops_levels, synops_events: deployed, all readers; 0 on the image.
        shared_synops: synops by level if it were delivered once.
        spikes_per_neuron: of its source, nonzero spikes per image; 0 on the image.
        spike_rate: the same per timestep.
        spikes_per_synapse: deployed synops by level over the edge-exact connections of all readers.
        twin_padded_macs, twin_exact_macs: of the ANN twin.
        student_macs: of the student, first layer only, all readers and timesteps.
        neuron_steps: updates of the neurons that read it, all readers and timesteps.
        weight_bytes: at 8 bits.
        tier: the smallest memory of the table that holds them, `8 KB`, `32 KB`, `1 MB` or `DRAM`.
        share: of the student's synaptic energy without relays, `exact-ops` at fp32.
    """

    synapse: str
    source: str
    readers: int
    synops_levels: float
    synops_events: float
    shared_synops: float
    spikes_per_neuron: float
    spike_rate: float
    spikes_per_synapse: float
    twin_padded_macs: float
    twin_exact_macs: float
    student_macs: float
    neuron_steps: float
    weight_bytes: int
    tier: str
    share: float


@dataclass(frozen=True, slots=True)
class RelayRow:
    """Relays behind one population, means per image; deployed, so charged."""

    population: str
    stages: int
    neurons: float
    updates: float
    synops_levels: float
    synops_events: float


@dataclass(frozen=True, slots=True)
class AccumulatorRow:
    """An accumulator of a residual stream with its relays, means per image; deployed, so charged.

    Attributes:
        readers, stages: identity synapses to readers, and delay relays behind it.
        neurons: of accumulator and relays.
        updates: of these neurons.
        synops_events: identity deliveries of nonzero values.
    """

    name: str
    readers: int
    stages: int
    neurons: float
    updates: float
    synops_events: float
