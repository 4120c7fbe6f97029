"""The records of a deployment: which processes Lava instantiates, and what each of them holds.

`plan` states the conventions of layout, time and arithmetic, and fills these in.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from snn_tool.exporters.nir.program import ConvNode, PopulationNode

Shape = tuple[int, int, int]
CURRENT_DECAY = 4095
"""du that forgets the current within one step (Lava adds 1 to du, not to dv)."""

BIAS_EXPONENT = 6
"""bias_mant << 6 adds whole LSB to a membrane in 64ths."""

READOUT_THRESHOLD = 1 << 18
"""vth of neurons that never fire: (2^18 << 6) exceeds the saturated 24-bit membrane."""


def lava_kernel(conv: ConvNode) -> NDArray[np.int32]:
    """A torch kernel [Co, Ci, kh, kw] as Lava's flipped (Co, kx, ky, Ci), in the ports' channel order.

    Torch's shuffle takes channel c f^2 + y f + x to sub-position (x, y) of c, the ports (x f + y) C + c.
    """
    kernel = conv.weight[:, :, ::-1, ::-1].transpose(0, 3, 2, 1)
    f = conv.upsample
    ordered = kernel.reshape(-1, f, f, *kernel.shape[1:]).transpose(2, 1, 0, 3, 4, 5).reshape(kernel.shape)
    return np.ascontiguousarray(ordered, dtype=np.int32)


def lava_shape(node: PopulationNode) -> Shape:
    """A population's shape as (W, H, C)."""
    return (node.width, node.height, node.channels)


def payload_bits(low: int, high: int) -> int:
    """Bits of a two's-complement (or, for low >= 0, unsigned) integer that holds low .. high."""
    return max((-low - 1).bit_length(), high.bit_length()) + 1 if low < 0 else high.bit_length()


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """The image (W, H, 3), presented at steps offset + 1 .. offset + T."""

    name: str
    offset: int
    shape: Shape
    message_bits: int


@dataclass(frozen=True, slots=True, eq=False)
class ConvSpec:
    """A Lava Conv between two processes.

    Attributes:
        synapse: the program's convolution, or `relay_<channels>`; equal names share equal weights.
        source, target: names of a source or neuron process, and of a neuron process.
        weight: int32 (Co, kx, ky, Ci / groups), mantissas shifted left by `mantissa_exponent`.
        input_shape: (W, H, C) of the source.
        output_shape: (W, H, C) that the target sees, after the pixel-shuffle.
        upsample: factor of the pixel-shuffle by virtual ports, or 1.
        message_bits: Lava's num_message_bits.
        is_late: it delivers the timestep before, and nothing at the first step of its target's window.
    """

    name: str
    synapse: str
    source: str
    target: str
    weight: NDArray[np.int32]
    mantissa_exponent: int
    input_shape: Shape
    output_shape: Shape
    stride: int
    padding: int
    dilation: int
    groups: int
    upsample: int
    message_bits: int
    is_late: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class LifSpec:
    """Stock LIF neurons with reset; see the module's docstring for du and bias_exp.

    Attributes:
        shape: (W, H, C).
        bias_mant: int32 [C], one value per channel; broadcasts over (W, H, C).
        dv: membrane decay in 4096ths.
        vth: threshold in LSB; Lava shifts it left by 6.
        depth: hop depth d; the window is 1 + d .. T + d.
        is_relay: re-emits spikes; exists for delay balance only, and is no population of the network.
        is_readout: never fires; the membrane at the window's end is the result.
        du: current decay; Lava adds 1 to it.
    """

    name: str
    shape: Shape
    bias_mant: NDArray[np.int32]
    dv: int
    vth: int
    depth: int
    is_relay: bool
    is_readout: bool
    du: int = CURRENT_DECAY

    @property
    def first_step(self) -> int:
        """First step of the window, the reset_offset."""
        return 1 + self.depth


@dataclass(frozen=True, slots=True, eq=False)
class GradedSpec:
    """Memoryless graded neurons; a relay has threshold 1 and no bias, so that z equals its input.

    Attributes:
        shape: (W, H, C).
        bias: int32 [C] in LSB.
        threshold, levels, signed: as in `GradedNode`.
        depth: hop depth d; the window is 1 + d .. T + d.
        is_relay: passes on what it receives, as a delay relay or an accumulator, and is no population of the
            network.
    """

    name: str
    shape: Shape
    bias: NDArray[np.int32]
    threshold: int
    levels: int
    signed: bool
    depth: int
    is_relay: bool

    @property
    def first_step(self) -> int:
        """First step of the window."""
        return 1 + self.depth


NeuronSpec = LifSpec | GradedSpec


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """All processes of a deployment.

    Attributes:
        sources, convs, neurons: neurons in execution order; relays follow the population that they serve.
        accumulators: names of the neuron processes that hold a residual stream (`snn_tool.models.streams`).
        timesteps: T.
        depth: hop depth of the read-out.
        input_low, input_high, input_step: of the integer image.
        residual_scale: factor from the read-out's membrane to the residual image in [0, 1] units.
        over_time: a source presents another input at each of its T steps.
    """

    sources: tuple[SourceSpec, ...]
    convs: tuple[ConvSpec, ...]
    neurons: tuple[NeuronSpec, ...]
    accumulators: tuple[str, ...]
    timesteps: int
    depth: int
    input_low: int
    input_high: int
    input_step: int
    residual_scale: float
    over_time: bool = False

    @property
    def steps(self) -> int:
        """Steps of a run of one image."""
        return self.timesteps + self.depth

    @property
    def readout(self) -> NeuronSpec:
        """The last neuron process."""
        return self.neurons[-1]
