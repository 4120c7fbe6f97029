"""What the spikes do: where in the image they fall, and what quality they buy."""

from dataclasses import dataclass


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
