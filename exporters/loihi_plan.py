"""The processes that Lava instantiates for a program, in Lava's conventions.

Layout. Tensors are WHC: a torch tensor [C, H, W] is `transpose(2, 1, 0)`. Lava's Conv is a true convolution,
so a kernel [Co, Ci, kh, kw] becomes `kernel[:, :, ::-1, ::-1].transpose(0, 3, 2, 1)`, shape (Co, kx, ky, Ci).

Time. Steps t count from 1. A source sends at step t; a Conv passes on at t + 1 what it received at t; neurons
update and fire in the step in which they receive. So neurons at hop depth d (the image is at depth 0) live
through their T timesteps in the window t = 1 + d .. T + d, and a run of one image lasts T + D steps, where D
is the read-out's depth.

- Source `offset` o presents the whole image at each of the steps o + 1 .. o + T and zeros at all others. A
  convolution of the image whose reader lies at depth d is fed by the source of offset d - 1.
- A synapse that several populations read becomes one Conv per reader (the fan-out of a membrane shortcut).
- A reader at depth d takes a population's spikes at depth d - 1. Relays carry them there: relay k re-emits
  the spikes k steps later, through an identity kernel (groups = channels) and neurons that pass values on.
- Biases act before a window opens, so LIF neurons are `LIFReset(reset_interval=P, reset_offset=first_step)`:
  Lava zeroes u and v at t % P == first_step % P before the dynamics of that step. Inside a window every input
  comes from inside the sender's window, hence nothing that happens outside can be seen. With P = T images may
  follow each other without a gap, image i shifted by i T steps; with any longer P likewise.

Neurons. `LifSpec` is Lava's stock LIF: du = 4095, bias_exp = 6, dv, vth and bias_mant as given. `GradedSpec`
is memoryless: v = clip(sum of currents + bias, -2^23 + 1, 2^23 - 1), then z = sign(v) min(levels,
(2 |v| + threshold) // (2 threshold)), negative z only if signed; the currents are not shifted. The read-out's
threshold lies above the saturated membrane, a simulation's privilege; hardware takes 131071, which differs
only within 63 counts of saturation.

A Conv with `upsample` f > 1 is followed by virtual ports from shape (w, h, f f C) to (f w, f h, C),
`reshape((w, h, f, f, C)).transpose((0, 2, 1, 3, 4)).reshape((f w, f h, C))`; its kernels are in that order.
`message_bits` 0 means binary spikes, otherwise the bits of a graded payload including its sign.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from snn_tool.exporters.loihi_layout import Shape, lava_kernel, lava_shape, payload_bits
from snn_tool.exporters.loihi_limits import check_limits
from snn_tool.exporters.nir_program import IMAGE, ConvNode, GradedNode, LifNode, PopulationNode, Program
from snn_tool.models.alignment import relay_counts

CURRENT_DECAY = 4095
"""du that forgets the current within one step (Lava adds 1 to du, not to dv)."""

BIAS_EXPONENT = 6
"""bias_mant << 6 adds whole LSB to a membrane in 64ths."""

READOUT_THRESHOLD = 1 << 18
"""vth of neurons that never fire: (2^18 << 6) exceeds the saturated 24-bit membrane."""


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


@dataclass(frozen=True, slots=True, eq=False)
class LifSpec:
    """Stock LIF neurons with reset; see the module's docstring for du and bias_exp.

    Attributes:
        shape: (W, H, C).
        bias_mant: int32 [C], one value per channel; broadcasts over (W, H, C).
        dv: membrane decay in 4096ths.
        vth: threshold in LSB; Lava shifts it left by 6.
        depth: hop depth d; the window is 1 + d .. T + d.
        is_relay: re-emits spikes; exists for delay balance only.
        is_readout: never fires; the membrane at the window's end is the result.
    """

    name: str
    shape: Shape
    bias_mant: NDArray[np.int32]
    dv: int
    vth: int
    depth: int
    is_relay: bool
    is_readout: bool

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
        timesteps: T.
        depth: hop depth of the read-out.
        input_low, input_high, input_step: of the integer image.
        residual_scale: factor from the read-out's membrane to the residual image in [0, 1] units.
    """

    sources: tuple[SourceSpec, ...]
    convs: tuple[ConvSpec, ...]
    neurons: tuple[NeuronSpec, ...]
    timesteps: int
    depth: int
    input_low: int
    input_high: int
    input_step: int
    residual_scale: float

    @property
    def steps(self) -> int:
        """Steps of a run of one image."""
        return self.timesteps + self.depth

    @property
    def readout(self) -> NeuronSpec:
        """The last neuron process."""
        return self.neurons[-1]


def build_plan(program: Program) -> Plan:
    """Lay a program out as Lava processes with balanced delays.

    Raises:
        TargetLimitError: hardware ranges are exceeded; every violation is listed.
    """
    check_limits(program)
    depths = program.depths()
    offsets = sorted({depths[p.name] - 1 for p in program.populations if IMAGE in program.sources()[p.name]})
    shape = (program.width, program.height, 3)
    bits = payload_bits(program.input_low, program.input_high)
    relays = relay_counts(program.sources(), IMAGE)
    convs: list[ConvSpec] = []
    neurons: list[NeuronSpec] = []
    for population in program.populations:
        depth = depths[population.name]
        convs += [_conv_spec(program, program.conv[name], population, depths) for name in population.inputs]
        neurons.append(_neuron_spec(population, program.bias(population), depth))
        for stage in range(1, relays[population.name] + 1):
            convs.append(_relay_conv(population, stage))
            neurons.append(_relay(population, stage, depth + stage))
    return Plan(
        sources=tuple(SourceSpec(f"{IMAGE}_{offset}", offset, shape, bits) for offset in offsets),
        convs=tuple(convs),
        neurons=tuple(neurons),
        timesteps=program.timesteps,
        depth=depths[program.readout.name],
        input_low=program.input_low,
        input_high=program.input_high,
        input_step=program.input_step,
        residual_scale=program.residual_scale,
    )


def _spike_bits(node: PopulationNode) -> int:
    if isinstance(node, GradedNode):
        return payload_bits(-node.levels if node.signed else 0, node.levels)
    return 0


def _conv_spec(program: Program, conv: ConvNode, reader: PopulationNode, depths: dict[str, int]) -> ConvSpec:
    if conv.source == IMAGE:
        source = f"{IMAGE}_{depths[reader.name] - 1}"
        input_shape = (program.width, program.height, 3)
        bits = payload_bits(program.input_low, program.input_high)
    else:
        sender = program.population[conv.source]
        source = _delayed(sender.name, depths[reader.name] - depths[sender.name] - 1)
        input_shape, bits = lava_shape(sender), _spike_bits(sender)
    return ConvSpec(
        name=f"{conv.name}__{reader.name}",
        synapse=conv.name,
        source=source,
        target=reader.name,
        weight=lava_kernel(conv),
        mantissa_exponent=conv.mantissa_exponent,
        input_shape=input_shape,
        output_shape=lava_shape(reader),
        stride=conv.stride,
        padding=conv.padding,
        dilation=conv.dilation,
        groups=1,
        upsample=conv.upsample,
        message_bits=bits,
    )


def _neuron_spec(node: PopulationNode, bias: NDArray[np.int64], depth: int) -> NeuronSpec:
    mantissa = bias.astype(np.int32)
    if isinstance(node, GradedNode):
        return GradedSpec(
            node.name, lava_shape(node), mantissa, node.threshold, node.levels, node.signed, depth, False
        )
    if isinstance(node, LifNode):
        return LifSpec(node.name, lava_shape(node), mantissa, node.decay, node.threshold, depth, False, False)
    return LifSpec(node.name, lava_shape(node), mantissa, 0, READOUT_THRESHOLD, depth, False, True)


def _delayed(name: str, stages: int) -> str:
    return f"{name}_relay{stages}" if stages else name


def _relay_conv(node: PopulationNode, stage: int) -> ConvSpec:
    source, target = _delayed(node.name, stage - 1), _delayed(node.name, stage)
    return ConvSpec(
        name=f"{target}_conv",
        synapse=f"relay_{node.channels}",
        source=source,
        target=target,
        weight=np.ones((node.channels, 1, 1, 1), dtype=np.int32),
        mantissa_exponent=0,
        input_shape=lava_shape(node),
        output_shape=lava_shape(node),
        stride=1,
        padding=0,
        dilation=1,
        groups=node.channels,
        upsample=1,
        message_bits=_spike_bits(node),
    )


def _relay(node: PopulationNode, stage: int, depth: int) -> NeuronSpec:
    name, silent = _delayed(node.name, stage), np.zeros(node.channels, dtype=np.int32)
    if isinstance(node, GradedNode):
        return GradedSpec(name, lava_shape(node), silent, 1, node.levels, node.signed, depth, True)
    return LifSpec(name, lava_shape(node), silent, 0, 0, depth, True, False)
