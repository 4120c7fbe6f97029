"""What a report says about each network and each image: sizes, operations, quality."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """A quantity over the images: mean, population standard deviation, extremes, and the image with most."""

    mean: float
    std: float
    least: float
    most: float
    worst_image: str


@dataclass(frozen=True, slots=True)
class Quality:
    """Restoration quality that the caller measured on the same images; None where it was not.

    Attributes:
        psnr_db: mean peak signal-to-noise ratio in decibels.
        ssim: mean structural similarity.
    """

    psnr_db: float | None = None
    ssim: float | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """One network of the comparison.

    Attributes:
        name: one of `COLUMNS`.
        title: what it is, in words.
        parameters: trainable values.
        padded_macs, exact_macs: per image; for the student, those of its first layer as deployed
            (both are edge-exact there), because its other layers have none.
        activation_bits: of hidden activations, of the `qann` alone; None where the precision decides.
        quality: as measured by the caller, or None.
    """

    name: str
    title: str
    parameters: int
    padded_macs: Spread
    exact_macs: Spread
    activation_bits: int | None
    quality: Quality | None


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One image: its size in pixels and what it made the student do (deployed)."""

    name: str
    height: int
    width: int
    synops_levels: int
    synops_events: int
    first_layer_macs: int
    spikes_per_neuron: float


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


@dataclass(frozen=True, slots=True)
class FiringMap:
    """Where one population fires.

    Attributes:
        population: its name.
        channels: C of it.
        height, width: of the population in neurons; its downscale is already in them.
        block: side of a block in neurons; blocks at the lower and right edge may be smaller.
        rate: nonzero spikes per neuron and timestep over all of it.
        spikes: nonzero spikes of each block, all channels and timesteps together: one string for each row of
            blocks, numbers separated by blanks. A block of h by w neurons has the rate spikes / (h w C T).
    """

    population: str
    channels: int
    height: int
    width: int
    block: int
    rate: float
    spikes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FiringMaps:
    """Firing rates over one image, that with most synops.

    Attributes:
        image: its name.
        height, width: in pixels.
        input_png: what the network was given, as a PNG in base64: block means of the input on its integer
            grid, in grey levels, clipped to 0 to 255.
        maps: in execution order.
    """

    image: str
    height: int
    width: int
    input_png: str
    maps: tuple[FiringMap, ...]


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """The same weights and thresholds with another T (`lif`) or largest level (`graded`), means per image.

    Attributes:
        setting: T, or the largest magnitude of a spike.
        synops_levels, synops_events: deployed, without relays.
        first_layer_macs: on the image, all presentations.
        spikes_per_neuron: nonzero spikes per spiking neuron.
        psnr_db: on the images of the report; None where infinite.
    """

    setting: int
    synops_levels: float
    synops_events: float
    first_layer_macs: float
    spikes_per_neuron: float
    psnr_db: float | None


@dataclass(frozen=True, slots=True)
class Sweep:
    """Quality against spikes without training anew.

    Attributes:
        setting: what is varied, `timesteps` or `levels`; the largest is the student as it is.
        points: with increasing setting.
    """

    setting: str
    points: tuple[SweepPoint, ...]
