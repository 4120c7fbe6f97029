"""A NIR file's content as this tool understands it: integers, names and shapes, nothing else.

Whoever checks or deploys a file starts from a `Program`, never from the network that was exported. This
module therefore knows numpy, but not the integer network, torch, nir or HDF5.

Units: weights, biases, thresholds and currents are in the LSB of the population they meet in. Membranes of
`LifNode` and `ReadoutNode` are in 64ths of that LSB (`MEMBRANE_SHIFT`), those of `GradedNode` in whole LSB.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import UnsupportedLayerError

IMAGE = "image"
"""The input's name, a tensor of integers [channels, height, width]."""

MEMBRANE_SHIFT = 6
"""A LIF holds its membrane in 2^-6 of a weight unit (lava.proc.lif.models, fixed_pt)."""

DECAY_STEPS = 4096
"""A decay is a whole number of 4096ths per timestep (Lava's 12-bit dv)."""

MAX_ARRAY_BYTES = 4 << 30
"""Largest sum of all arrays of a graph that is written or read; NIR stores neuron parameters per neuron."""

Integers = NDArray[np.int64]
OUTPUT = "output"
"""Name of the graph's Output, which follows the read-out."""


@dataclass(frozen=True, slots=True, eq=False)
class ConvNode:
    """A convolution with zero padding, c = conv(z), followed by a pixel-shuffle if `upsample` > 1.

    Attributes:
        source: `IMAGE` or the name of an earlier population.
        weight: int64 [Co, Ci, kh, kw] in LSB of the target, a mantissa shifted left by `mantissa_exponent`.
        bias: int64 [Co] in LSB, added to each reader's membrane at each timestep; zero if `upsample` > 1.
        stride, padding, dilation: the same in both directions, in pixels of the source.
        upsample: 1, or the factor of the pixel-shuffle (torch's channel order c * f^2 + y * f + x).
        mantissa_exponent: the left shift contained in `weight`.
        delay: 1 of a recurrent connection, which takes the source's spikes of the timestep before; its
            source is any population. Else 0.
    """

    name: str
    source: str
    weight: Integers
    bias: Integers
    stride: int
    padding: int
    dilation: int
    upsample: int
    mantissa_exponent: int
    delay: int = 0

    @property
    def target_channels(self) -> int:
        """Channels after the pixel-shuffle."""
        return int(self.weight.shape[0]) // self.upsample**2

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width after convolution and pixel-shuffle of a source [Ci, height, width]."""

        def along(size: int, kernel: int) -> int:
            return (size + 2 * self.padding - self.dilation * (kernel - 1) - 1) // self.stride + 1

        rows, columns = along(height, self.weight.shape[2]), along(width, self.weight.shape[3])
        return rows * self.upsample, columns * self.upsample


@dataclass(frozen=True, slots=True)
class LifNode:
    """Leaky integrate-and-fire neurons, z = [v > threshold], reset to 0; v loses decay / 4096 per timestep.

    Attributes:
        inputs: names of the convolutions whose sum drives it.
        channels, height, width: its shape.
        threshold: in LSB.
        decay: in 4096ths, 0 to 4095.
        current_decay: 4096ths of the synaptic current that are lost per timestep; 4096 keeps nothing of it.
        drive: where a current lasts, what each channel adds to the membrane at each timestep, in LSB, past
            that current; otherwise empty, and the convolutions have biases.
    """

    name: str
    inputs: tuple[str, ...]
    channels: int
    height: int
    width: int
    threshold: int
    decay: int
    current_decay: int = DECAY_STEPS
    drive: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class GradedNode:
    """Memoryless neurons of several levels: z counts the rungs that the membrane reaches.

    Attributes:
        threshold: distance of two rungs in LSB; the first lies at half of it.
        levels: number of rungs, the largest spike.
        signed: a mirrored ladder emits negative spikes.
    """

    name: str
    inputs: tuple[str, ...]
    channels: int
    height: int
    width: int
    threshold: int
    levels: int
    signed: bool

    @property
    def rungs(self) -> tuple[int, ...]:
        """For k = 1 .. levels the smallest integer membrane with v >= (2 k - 1) threshold / 2."""
        return tuple(((2 * k - 1) * self.threshold + 1) // 2 for k in range(1, self.levels + 1))


@dataclass(frozen=True, slots=True)
class ReadoutNode:
    """Integrators that do not fire; their membrane after the last timestep is the result.

    Attributes:
        decay: in 4096ths, 0 unless the network was trained elsewhere.
    """

    name: str
    inputs: tuple[str, ...]
    channels: int
    height: int
    width: int
    decay: int = 0


PopulationNode = LifNode | GradedNode | ReadoutNode


@dataclass(frozen=True, slots=True)
class InputForm:
    """What a network takes, where that is no image of grey levels.

    Attributes:
        kind: `spikes`, whole numbers that count for themselves, or `real`.
        exponent: one integer unit is 2^exponent.
        over_time: another input at each timestep, [N, T, C, H, W].
    """

    kind: str
    exponent: int
    over_time: bool


INPUT_KINDS = ("real", "spikes")


@dataclass(frozen=True, eq=False)
class Program:
    """All nodes of a file in execution order.

    Attributes:
        convs: each reads the image or an earlier population.
        populations: the read-out last.
        timesteps: T; the image's currents repeat at each of them.
        dt_s: the duration of a timestep that the file's time constants assume, in seconds.
        input_low, input_high: range of the integer image.
        input_step: grey levels (of 255) per integer input unit, `input_offset` subtracted first.
        height, width: of the image, in pixels.
        residual_scale: factor from the read-out's membrane to the residual image, or the output, in [0, 1]
            units.
        adds_image: the read-out is a residual, of the image's shape; otherwise the output, of any shape.
        form: of inputs that are no images; None for images.
        passes: how often it runs on one image; from two on its input is the image and, behind it, the result
            of the pass before (`passes.next_tiles`).
    """

    convs: tuple[ConvNode, ...]
    populations: tuple[PopulationNode, ...]
    timesteps: int
    dt_s: float
    input_low: int
    input_high: int
    input_step: int
    height: int
    width: int
    residual_scale: float
    input_offset: int = 128
    adds_image: bool = True
    form: InputForm | None = None
    passes: int = 1

    @property
    def over_time(self) -> bool:
        """The input changes with time: [N, T, C, H, W] instead of [N, C, H, W]."""
        return self.form is not None and self.form.over_time

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one input: [C, H, W], or [T, C, H, W]."""
        image = (self.channels, self.height, self.width)
        return (self.timesteps, *image) if self.over_time else image

    @cached_property
    def recurrent(self) -> tuple[str, ...]:
        """Names of the convolutions that deliver the timestep before."""
        return tuple(conv.name for conv in self.convs if conv.delay)

    @cached_property
    def lasting(self) -> tuple[str, ...]:
        """Names of the populations whose synaptic current outlasts a timestep."""
        lifs = [p for p in self.populations if isinstance(p, LifNode)]
        return tuple(p.name for p in lifs if p.current_decay < DECAY_STEPS)

    @cached_property
    def channels(self) -> int:
        """Channels of the input."""
        return next(int(conv.weight.shape[1]) for conv in self.convs if conv.source == IMAGE)

    @property
    def image_channels(self) -> int:
        """Channels of the image, which of several passes is the first half of the input."""
        return self.channels // 2 if self.passes > 1 else self.channels

    @cached_property
    def fits_any_size(self) -> bool:
        """Whether the convolutions run on images of other sides; not so of networks imported for one size.

        A convolution of stride s makes n / s positions of every multiple n of s if and only if it does so of
        one: of n there are floor((n + e) / s) + 1, where e is what padding and kernel add, so both say that
        -s <= e < 0. The file's own size is that one.
        """
        if self.form or self.recurrent:
            return False
        sides = {IMAGE: (self.height, self.width)} | {p.name: (p.height, p.width) for p in self.populations}
        return all(
            made * conv.stride == taken * conv.upsample
            for population in self.populations
            for conv in map(self.conv.__getitem__, population.inputs)
            for made, taken in zip(sides[population.name], sides[conv.source], strict=True)
        )

    @cached_property
    def conv(self) -> Mapping[str, ConvNode]:
        """Convolutions by name."""
        return {conv.name: conv for conv in self.convs}

    @cached_property
    def population(self) -> Mapping[str, PopulationNode]:
        """Populations by name."""
        return {population.name: population for population in self.populations}

    @property
    def readout(self) -> PopulationNode:
        """The last population."""
        return self.populations[-1]

    def bias(self, population: PopulationNode) -> Integers:
        """Sum int64 [channels] of the biases of a population's convolutions, in LSB."""
        plain = [self.conv[name].bias for name in population.inputs if self.conv[name].upsample == 1]
        if isinstance(population, LifNode) and population.drive:
            plain.append(np.array(population.drive, dtype=np.int64))
        return (
            np.sum(plain, axis=0, dtype=np.int64) if plain else np.zeros(population.channels, dtype=np.int64)
        )


def refuse_time(program: Program, target: str, takes_frames: bool = False) -> None:
    """Refuse networks of which a target would drop what lasts or changes from timestep to timestep.

    Args:
        program: what is to be held.
        target: named in the message.
        takes_frames: it can be given another input at each timestep.

    Raises:
        UnsupportedLayerError: names the node, and backends that hold it.
    """
    faults = [f"{name}: is recurrent" for name in program.recurrent]
    faults += [f"{name}: has a synaptic current that lasts (CubaLIF)" for name in program.lasting]
    faults += [f"{IMAGE}: changes with time"] if program.over_time and not takes_frames else []
    if faults:
        raise UnsupportedLayerError(
            f"{faults[0]}, which this tool does not write for {target}; the targets loihi, c and onnx, and "
            "the backends lava, c, onnx, nir and integer, hold it"
        )


def shuffle_ports(conv: str) -> tuple[str, str]:
    """Names of the Output before and the Input after a convolution's pixel-shuffle on the host."""
    return f"{conv}_unshuffled", f"{conv}_shuffled"


def time_constant(decay: int, dt_s: float) -> float:
    """Tau in seconds of a membrane that loses decay / 4096 in each timestep: dt 4096 / decay."""
    return dt_s * DECAY_STEPS / decay


def rest(drive: Integers, decay: int, lsb_exponent: int) -> NDArray[np.float64]:
    """v_leak towards which a membrane that loses decay / 4096 gains `drive` LSB in each timestep."""
    found: NDArray[np.float64] = np.ldexp(drive * (DECAY_STEPS / decay), lsb_exponent)
    return found


def float_threshold(threshold: int, lsb_exponent: int) -> float:
    """Threshold half a membrane unit (2^-6 LSB) above an integer one: (threshold + 2^-7) 2^lsb_exponent."""
    return float(np.ldexp(threshold + 0.5 ** (MEMBRANE_SHIFT + 1), lsb_exponent))
