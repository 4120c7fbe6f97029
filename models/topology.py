"""The wiring of a restoration network: which convolution feeds which neuron population.

A topology is written in the form in which it is deployed. Every convolution (a synapse) reads one source,
the image or a population's spikes. Every population sums the outputs of the synapses that it names. A
membrane shortcut is therefore nothing but a synapse that several later populations name: the residual
stream x + conv(spike(x)) never has to be carried as a real-valued tensor between chips or cores, because
a sum of convolutions can be formed anew at each reader ("fan-out" of the shortcut; `streams` lays out this
form and another one).

The same topology runs as a float network (`network`), as integers (`integer.engine`) and as a NIR graph.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta
from snn_tool.errors import ConfigError
from snn_tool.files.documents import Finite, Name, check_fields

IMAGE = "image"
"""The name of the network's input: the real-valued degraded image."""

GREY, COLOUR = 1, 3
"""Channels of an image: one of grey, or red, green and blue."""

MOST_PARTS = 4096
"""Synapses, and populations, of one network; the deepest students have some thirty."""

MOST_NEURONS = 1 << 24
"""Of one population; a Loihi 2 chip has a million. More would ask for gigabytes of membranes."""

Channels = Annotated[int, Meta(ge=1, le=1 << 16)]
Kernel = Annotated[int, Meta(ge=1, le=1024)]
Stride = Annotated[int, Meta(ge=1, le=1024)]
Padding = Annotated[int, Meta(ge=0, le=1024)]
Upsample = Annotated[int, Meta(ge=1, le=16)]
Downscale = Annotated[int, Meta(ge=1, le=1024)]
Timesteps = Annotated[int, Meta(ge=1, le=64)]
Steps = Annotated[int, Meta(ge=1, le=1 << 12)]
"""Timesteps of a network that takes another input at each; a student is trained for at most 64."""

Delay = Annotated[int, Meta(ge=0, le=1)]
Side = Annotated[int, Meta(ge=1, le=1 << 14)]
MOST_PASSES = 3
"""Of one network on one image; a third brought nothing more in trials."""

Passes = Annotated[int, Meta(ge=1, le=MOST_PASSES)]
Inputs = Annotated[tuple[Name, ...], Meta(min_length=1, max_length=MOST_PARTS)]
_RESIDUAL = "adds_image asks for a read-out of the image's size and channels"


@dataclass(frozen=True, slots=True)
class Synapse:
    """A convolution from one source to every population that names it, zero padding dilation * (kernel // 2).

    Attributes:
        source: `IMAGE` or the name of an earlier population.
        kernel: side length of the square kernel; odd, unless the padding is given.
        stride: 1, or 2 to halve the resolution.
        upsample: 1, or the pixel-shuffle factor applied to the output (channels in / factor^2 out).
        zero_mean: each kernel [kh, kw] sums to zero, so that brightness does not spend spikes.
        bias: adds a learned constant per output channel and timestep.
        gain: factor on the Kaiming initialisation.
        given_padding: zero padding in pixels of networks trained elsewhere; None takes the one above.
        delay: 1 of a recurrent connection: it delivers the spikes of the timestep before, none at the first,
            and may read any population, also the one that it feeds.
    """

    name: Name
    source: Name
    in_channels: Channels
    out_channels: Channels
    kernel: Kernel = 3
    stride: Stride = 1
    dilation: Stride = 1
    upsample: Upsample = 1
    zero_mean: bool = False
    bias: bool = True
    gain: Finite = 1.0
    given_padding: Padding | None = None
    delay: Delay = 0

    def __post_init__(self) -> None:
        """Refuse what no convolution can be.

        Raises:
            ConfigError: names the synapse, the field and what is allowed.
        """
        check_fields(self, f"synapse {self.name}")
        if self.out_channels % self.upsample**2:
            raise ConfigError(
                f"synapse {self.name}: {self.out_channels} channels are no multiple of upsample "
                f"{self.upsample} squared"
            )

    @property
    def padding(self) -> int:
        """Zero padding in pixels; unless it was given, the one that keeps the size at stride 1."""
        return self.dilation * (self.kernel // 2) if self.given_padding is None else self.given_padding

    @property
    def reach(self) -> int:
        """Source pixels by which an output can depend on what lies beyond its own place, on either side."""
        return max(self.padding, self.dilation * (self.kernel - 1) - self.padding)

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width after convolution and pixel-shuffle; below 1 where the kernel does not fit."""
        surplus = 2 * self.padding - self.dilation * (self.kernel - 1) - 1
        rows, columns = ((length + surplus) // self.stride + 1 for length in (height, width))
        return rows * self.upsample, columns * self.upsample

    @property
    def target_channels(self) -> int:
        """Channels after the pixel-shuffle."""
        return self.out_channels // self.upsample**2

    @property
    def parameters(self) -> int:
        """Number of trainable values."""
        weights = self.out_channels * self.in_channels * self.kernel**2
        return weights + (self.out_channels if self.bias else 0)


@dataclass(frozen=True, slots=True)
class Population:
    """Neurons [channels, H / downscale, W / downscale] whose current is the sum of the named synapses."""

    name: Name
    inputs: Inputs
    channels: Channels
    downscale: Downscale = 1

    def __post_init__(self) -> None:
        """Refuse what no population can be.

        Raises:
            ConfigError: names the population, the field and what is allowed.
        """
        check_fields(self, f"population {self.name}")


@dataclass(frozen=True, slots=True)
class Topology:
    """Synapses and populations in execution order; the last population is the non-spiking read-out.

    Attributes:
        synapses: each reads the image or an earlier population.
        populations: each reads earlier synapses; `populations[-1]` is the read-out, [C, H, W] of students.
        hints: names of populations whose membrane is compared with a teacher's decoder feature.
        adds_image: the read-out is a residual, to be added to the image; otherwise it is the output.
        image_size: (H, W) of the only images that fit; None for all whose sides are multiples of `multiple`.
        passes: how often the network runs on one image. From two on its input is the image and, behind it,
            the result of the pass before, with as many channels; the first pass has the image twice.
    """

    synapses: tuple[Synapse, ...]
    populations: tuple[Population, ...]
    hints: tuple[str, ...]
    adds_image: bool = True
    image_size: tuple[Side, Side] | None = None
    passes: Passes = 1

    def __post_init__(self) -> None:
        """Refuse a wiring that cannot run: see `check_wiring`.

        Raises:
            ConfigError: names the synapse or the population.
        """
        check_wiring(self)

    @property
    def readout(self) -> Population:
        """The non-spiking integrator that holds the residual image."""
        return self.populations[-1]

    @property
    def spiking(self) -> tuple[Population, ...]:
        """All populations but the read-out."""
        return self.populations[:-1]

    @property
    def input_channels(self) -> int:
        """Channels that synapses read from `IMAGE`: the image's, and as many of a previous result."""
        return next(synapse.in_channels for synapse in self.synapses if synapse.source == IMAGE)

    @property
    def image_channels(self) -> int:
        """Channels of the image."""
        return self.input_channels // (2 if self.passes > 1 else 1)

    @property
    def restores(self) -> bool:
        """The output is an image like the input, colour or grey, of any size; otherwise class scores, say."""
        alike = self.readout.channels == self.image_channels and self.image_channels in (GREY, COLOUR)
        return self.image_size is None and alike and self.readout.downscale == 1

    def sizes(self, height: int, width: int) -> dict[str, tuple[int, int]]:
        """(H, W) of the image and of every population, as its first synapse delivers it."""
        by_name = {synapse.name: synapse for synapse in self.synapses}
        found = {IMAGE: (height, width)}
        for population in self.populations:
            synapse = by_name[population.inputs[0]]
            found[population.name] = synapse.output_size(*found[synapse.source])
        return found

    @property
    def multiple(self) -> int:
        """Image sides must be multiples of this (the coarsest population's downscale)."""
        return max(population.downscale for population in self.populations)

    @property
    def parameters(self) -> int:
        """Trainable values: weights, biases, and one threshold for each spiking population."""
        return sum(synapse.parameters for synapse in self.synapses) + len(self.spiking)

    @property
    def receptive_radius(self) -> int:
        """Pixels by which the result of all passes can depend on the image beyond it (an upper bound)."""
        return self.passes * self.pass_radius

    @property
    def pass_radius(self) -> int:
        """The same of one pass and its input."""
        return receptive_radius(self)


def check_channels(name: str, channels: int) -> None:
    """Refuse images that are neither of colour nor of grey.

    Raises:
        ConfigError: names the network and what is allowed.
    """
    if channels not in (GREY, COLOUR):
        raise ConfigError(
            f"{name}: channels is {channels}; use {COLOUR} for images of colour or {GREY} for grey ones"
        )


def check_wiring(topology: Topology) -> None:
    """Hold each part of a wiring against the parts that it is connected to.

    Raises:
        ConfigError: a name stands twice or for nothing, a source comes too late, channels or sizes differ, a
            synapse feeds nothing, or there are more parts or neurons than any network has.
    """
    synapses, populations = topology.synapses, topology.populations
    by_name = {synapse.name: synapse for synapse in synapses}
    channels = {population.name: population.channels for population in populations}
    earlier: set[str] = set()
    _check_names(topology, by_name)
    _check_delays(topology, by_name)
    for population in populations:
        for name in population.inputs:
            synapse = by_name[name]
            if synapse.source != IMAGE and synapse.source not in (channels if synapse.delay else earlier):
                raise ConfigError(f"synapse {name}: its source {synapse.source} is no earlier population")
            given = channels.get(synapse.source, topology.input_channels)
            if synapse.in_channels != given:
                raise ConfigError(
                    f"synapse {name}: reads {synapse.in_channels} channels, {synapse.source} has {given}"
                )
            if synapse.target_channels != population.channels:
                raise ConfigError(
                    f"population {population.name}: has {population.channels} channels, its input {name} "
                    f"gives {synapse.target_channels}"
                )
        earlier.add(population.name)
    _check_passes(topology)
    _check_sizes(topology, by_name)


def _check_passes(topology: Topology) -> None:
    """A result that is read again is an image of the image's size and channels."""
    if not 1 <= topology.passes <= MOST_PASSES:
        raise ConfigError(f"passes is {topology.passes}; use 1 to {MOST_PASSES}")
    readout, wanted = topology.readout, topology.input_channels
    if topology.passes > 1 and (
        topology.image_size or readout.downscale > 1 or 2 * readout.channels != wanted
    ):
        raise ConfigError(
            f"passes is {topology.passes}, so that the input is the image, of any size, and a result: "
            f"with a read-out of {readout.channels} channels it has {2 * readout.channels}, not {wanted}"
        )


def _check_names(topology: Topology, by_name: Mapping[str, Synapse]) -> None:
    """Every name stands once and for something, and every synapse feeds a population."""
    fed = [name for population in topology.populations for name in dict.fromkeys(population.inputs)]
    for what, names in (
        ("synapse", [synapse.name for synapse in topology.synapses]),
        ("population", [IMAGE, *(population.name for population in topology.populations)]),
    ):
        if not 1 <= len(names) <= MOST_PARTS:
            raise ConfigError(f"{len(names)} {what}s are not allowed; a network has 1 to {MOST_PARTS}")
        if len(set(names)) < len(names):
            raise ConfigError(f"{what} {next(n for n in names if names.count(n) > 1)}: its name stands twice")
    if not topology.populations:
        raise ConfigError("a network needs populations")
    for population in topology.populations:
        if len(set(population.inputs)) < len(population.inputs):
            raise ConfigError(f"population {population.name}: names an input twice")
        if unknown := set(population.inputs) - by_name.keys():
            raise ConfigError(f"population {population.name}: its input {min(unknown)} is no synapse")
    if idle := by_name.keys() - set(fed):
        raise ConfigError(f"synapse {min(idle)}: feeds no population")


def _check_delays(topology: Topology, by_name: Mapping[str, Synapse]) -> None:
    """What is recurrent reads spikes, adds to a population that something else feeds, and has one size."""
    delayed = [synapse.name for synapse in topology.synapses if synapse.delay]
    if delayed and topology.image_size is None:
        raise ConfigError(f"synapse {delayed[0]}: is recurrent, which asks for an image_size")
    if image := [name for name in delayed if by_name[name].source == IMAGE]:
        raise ConfigError(f"synapse {image[0]}: reads the image, which has no spikes to hold back")
    for population in topology.populations:
        if by_name[population.inputs[0]].delay:
            raise ConfigError(
                f"population {population.name}: its first input {population.inputs[0]} is recurrent; name "
                "one first that is not"
            )


def _check_sizes(topology: Topology, by_name: Mapping[str, Synapse]) -> None:
    """All inputs of a population give one size, which is bounded by the image's."""
    readout = topology.readout
    if topology.image_size is None:
        if not fits_any_size(topology.synapses, topology.populations):
            raise ConfigError(
                "kernel, stride, upsample and downscale do not fit each other at every image size, and "
                "image_size names none"
            )
        if topology.adds_image and (readout.downscale, readout.channels) != (1, topology.image_channels):
            raise ConfigError(f"population {readout.name}: {_RESIDUAL}")
        return
    sizes = topology.sizes(*topology.image_size)
    for population in topology.populations:
        size = sizes[population.name]
        for name in population.inputs:
            given = by_name[name].output_size(*sizes[by_name[name].source])
            if given != size or min(given) < 1:
                raise ConfigError(
                    f"population {population.name}: its input {name} gives {given[0]}x{given[1]} positions "
                    f"where {size[0]}x{size[1]} are needed"
                )
        if population.channels * size[0] * size[1] > MOST_NEURONS:
            raise ConfigError(f"population {population.name}: more than {MOST_NEURONS:,} neurons")
    if topology.adds_image and (sizes[readout.name], readout.channels) != (
        topology.image_size,
        topology.image_channels,
    ):
        raise ConfigError(f"population {readout.name}: {_RESIDUAL}")


def receptive_radius(topology: Topology) -> int:
    """Bound the receptive radius of one pass by adding each synapse's reach along the longest path.

    A kernel reaches `reach` source pixels, each `downscale` image pixels wide; striding and
    shuffling move the sampling grid by at most one coarse pixel, which is added.
    """
    scale = {IMAGE: 1} | {p.name: p.downscale for p in topology.populations}
    reach = {IMAGE: 0}
    of_synapse: dict[str, int] = {}
    for population in topology.populations:
        for synapse in topology.synapses:
            if synapse.name in population.inputs and synapse.name not in of_synapse:
                grid_shift = scale[population.name] if population.downscale != scale[synapse.source] else 0
                reach_here = (synapse.reach * scale[synapse.source]) + grid_shift
                of_synapse[synapse.name] = reach[synapse.source] + reach_here
        reach[population.name] = max(of_synapse[name] for name in population.inputs)
    return reach[topology.readout.name]


def fits_any_size(synapses: Sequence[Synapse], populations: Sequence[Population]) -> bool:
    """Whether each population has its image's size / `downscale` for every image of fitting sides.

    A convolution of stride s makes n / s positions of every multiple n of s if and only if its padding and
    its kernel together add less than one position: -s <= 2 p - d (k - 1) - 1 < 0.
    """
    scale = {IMAGE: 1} | {p.name: p.downscale for p in populations}
    by_name = {synapse.name: synapse for synapse in synapses}
    return all(
        -synapse.stride <= 2 * synapse.padding - synapse.dilation * (synapse.kernel - 1) - 1 < 0
        and scale[synapse.source] * synapse.stride == population.downscale * synapse.upsample
        for population in populations
        for synapse in map(by_name.__getitem__, population.inputs)
    )


def macs_per_pixel(topology: Topology) -> float:
    """Multiply-accumulates per image pixel and timestep with padded borders (the conventional count)."""
    scale: Mapping[str, int] = {IMAGE: 1} | {p.name: p.downscale for p in topology.populations}
    return sum(
        s.out_channels * s.in_channels * s.kernel**2 / (scale[s.source] * s.stride) ** 2
        for s in topology.synapses
    )


def own_shape(channels: int, size: tuple[int, int]) -> tuple[int, ...]:
    """What a network of maps [C, H, W] takes: that, [C, L] where H is 1, [F] where W is, too."""
    if size[0] > 1:
        return (channels, *size)
    return (channels,) if size[1] == 1 else (channels, size[1])
