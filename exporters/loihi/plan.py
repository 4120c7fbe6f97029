"""The processes that Lava instantiates for a program, in Lava's conventions.

Layout. Tensors are WHC: a torch tensor [C, H, W] is `transpose(2, 1, 0)`. Lava's Conv is a true convolution,
so a kernel [Co, Ci, kh, kw] becomes `kernel[:, :, ::-1, ::-1].transpose(0, 3, 2, 1)`, shape (Co, kx, ky, Ci).

Time. Steps t count from 1. A source sends at step t; a Conv passes on at t + 1 what it received at t; neurons
update and fire in the step in which they receive. So neurons at hop depth d (the image is at depth 0) live
through their T timesteps in the window t = 1 + d .. T + d, and a run of one image lasts T + D steps, where D
is the read-out's depth.

- Source `offset` o presents the whole image at each of the steps o + 1 .. o + T and zeros at all others. A
  convolution of the image whose reader lies at depth d is fed by the source of offset d - 1.
- A membrane shortcut is lowered by `fanout` or `relay` (`snn_tool.models.streams`). By fan-out, a synapse
  that several populations read becomes one Conv per reader. By relay, accumulators hold the stream: `<first
  reader>_stream`, graded, signed, of threshold 1 and as many levels as `lowering` proves, so that z is
  the sum of what arrived. They add hops; depths and relays are those of the lowered graph.
- A reader at depth d takes a population's spikes at depth d - 1. Relays carry them there: relay k re-emits
  the spikes k steps later, through an identity kernel (groups = channels) and neurons that pass values on.
- A recurrent convolution delivers the timestep before: one hop from a population to itself or to another of
  its depth, and k hops more through k relays to one that lies k deeper. At the first step of a window its
  buffer would hold what its source did at the end of the window before; the runner empties it (`is_late`).
- Biases act before a window opens, so LIF neurons are `LIFReset(reset_interval=P, reset_offset=first_step)`:
  Lava zeroes u and v at t % P == first_step % P before the dynamics of that step. Inside a window every input
  comes from inside the sender's window, hence nothing that happens outside can be seen. With P = T images may
  follow each other without a gap, image i shifted by i T steps; with any longer P likewise.

Neurons. `LifSpec` is Lava's stock LIF: bias_exp = 6, and du (4095 forgets the current at once), dv, vth and
bias_mant as given. `GradedSpec`
is memoryless: v = clip(sum of currents + bias, -2^23 + 1, 2^23 - 1), then z = sign(v) min(levels,
(2 |v| + threshold) // (2 threshold)), negative z only if signed; the currents are not shifted. The read-out's
threshold lies above the saturated membrane, a simulation's privilege; hardware takes 131071, which differs
only within 63 counts of saturation.

A Conv with `upsample` f > 1 is followed by virtual ports from shape (w, h, f f C) to (f w, f h, C),
`reshape((w, h, f, f, C)).transpose((0, 2, 1, 3, 4)).reshape((f w, f h, C))`; its kernels are in that order.
`message_bits` 0 means binary spikes, otherwise the bits of a graded payload including its sign.
"""

import numpy as np
from snn_tool.exporters.loihi.limits import check_limits
from snn_tool.exporters.loihi.lowering import LoweredProgram, lower_program
from snn_tool.exporters.loihi.specs import (
    READOUT_THRESHOLD,
    ConvSpec,
    GradedSpec,
    LifSpec,
    NeuronSpec,
    Plan,
    SourceSpec,
    lava_kernel,
    lava_shape,
    payload_bits,
)
from snn_tool.exporters.nir.program import IMAGE, ConvNode, GradedNode, LifNode, PopulationNode, Program
from snn_tool.models.streams import FANOUT, LoweredPopulation, held_stages


def image_bits(lowered: LoweredProgram) -> int:
    """Bits of the image's payload, including the sign; 0 of binary spikes."""
    program = lowered.program
    if program.form and program.form.kind == "spikes" and program.input_high == 1:
        return 0
    return payload_bits(program.input_low, program.input_high)


def incoming_convs(lowered: LoweredProgram, reader: LoweredPopulation) -> list[ConvSpec]:
    """All convolutions that end in a population, the identity of an accumulator last."""
    depths = lowered.depths
    convs = [_conv(lowered, lowered.program.conv[name], reader) for name in reader.synapses]
    if reader.accumulator:
        node = lowered.nodes[reader.accumulator]
        source = _delayed(node.name, depths[reader.name] - depths[node.name] - 1)
        convs.append(_identity(f"{node.name}__{reader.name}", source, reader.name, node))
    return convs


def neuron_process(lowered: LoweredProgram, population: LoweredPopulation) -> NeuronSpec:
    """The neurons of a population; only the network's own have a bias."""
    node, depth = lowered.nodes[population.name], lowered.depths[population.name]
    if population.accumulates:
        return _relay(node, 0, depth)
    mantissa = lowered.program.bias(node).astype(np.int32)
    if isinstance(node, GradedNode):
        return GradedSpec(
            node.name, lava_shape(node), mantissa, node.threshold, node.levels, node.signed, depth, False
        )
    if isinstance(node, LifNode):
        du = node.current_decay - 1
        return LifSpec(
            node.name, lava_shape(node), mantissa, node.decay, node.threshold, depth, False, False, du
        )
    return LifSpec(node.name, lava_shape(node), mantissa, node.decay, READOUT_THRESHOLD, depth, False, True)


def relay_stage(node: PopulationNode, stage: int, depth: int) -> tuple[ConvSpec, NeuronSpec]:
    """Stage 1, 2, ... of the chain that holds a population's spikes; `depth` is the stage's own."""
    source, target = _delayed(node.name, stage - 1), _delayed(node.name, stage)
    return _identity(f"{target}_conv", source, target, node), _relay(node, stage, depth)


def _spike_bits(node: PopulationNode) -> int:
    if isinstance(node, GradedNode):
        return payload_bits(-node.levels if node.signed else 0, node.levels)
    return 0


def _delayed(name: str, stages: int) -> str:
    return f"{name}_relay{stages}" if stages else name


def _conv(lowered: LoweredProgram, conv: ConvNode, reader: LoweredPopulation) -> ConvSpec:
    depths, program = lowered.depths, lowered.program
    if conv.source == IMAGE:
        source = f"{IMAGE}_{depths[reader.name] - 1}"
        input_shape, bits = (program.width, program.height, program.channels), image_bits(lowered)
    else:
        sender = program.population[conv.source]
        source = _delayed(sender.name, held_stages(sender.name, reader.name, depths, conv.delay))
        input_shape, bits = lava_shape(sender), _spike_bits(sender)
    return ConvSpec(
        name=f"{conv.name}__{reader.name}",
        synapse=conv.name,
        source=source,
        target=reader.name,
        weight=lava_kernel(conv),
        mantissa_exponent=conv.mantissa_exponent,
        input_shape=input_shape,
        output_shape=lava_shape(lowered.nodes[reader.name]),
        stride=conv.stride,
        padding=conv.padding,
        dilation=conv.dilation,
        groups=1,
        upsample=conv.upsample,
        message_bits=bits,
        is_late=bool(conv.delay),
    )


def _identity(name: str, source: str, target: str, sender: PopulationNode) -> ConvSpec:
    """Each value to the same position of the target, unchanged: 1x1, groups = channels, weights of 1."""
    return ConvSpec(
        name=name,
        synapse=f"relay_{sender.channels}",
        source=source,
        target=target,
        weight=np.ones((sender.channels, 1, 1, 1), dtype=np.int32),
        mantissa_exponent=0,
        input_shape=lava_shape(sender),
        output_shape=lava_shape(sender),
        stride=1,
        padding=0,
        dilation=1,
        groups=sender.channels,
        upsample=1,
        message_bits=_spike_bits(sender),
    )


def _relay(node: PopulationNode, stage: int, depth: int) -> NeuronSpec:
    """Neurons that pass on what they receive; stage 0 is an accumulator itself."""
    name, silent = _delayed(node.name, stage), np.zeros(node.channels, dtype=np.int32)
    if isinstance(node, GradedNode):
        return GradedSpec(name, lava_shape(node), silent, 1, node.levels, node.signed, depth, True)
    return LifSpec(name, lava_shape(node), silent, 0, 0, depth, True, False)


def build_plan(program: Program, lowering: str = FANOUT) -> Plan:
    """Lay a program out as Lava processes with balanced delays.

    Args:
        program: the content of a NIR file.
        lowering: of membrane shortcuts, `fanout` or `relay`.

    Raises:
        ConfigError: the lowering is unknown.
        TargetLimitError: hardware ranges are exceeded; every violation is listed.
    """
    check_limits(program)
    lowered = lower_program(program, lowering)
    convs: list[ConvSpec] = []
    neurons: list[NeuronSpec] = []
    for population in lowered.populations:
        convs += incoming_convs(lowered, population)
        neurons.append(neuron_process(lowered, population))
        for stage in range(1, lowered.relays[population.name] + 1):
            depth = lowered.depths[population.name] + stage
            conv, relay = relay_stage(lowered.nodes[population.name], stage, depth)
            convs.append(conv)
            neurons.append(relay)
    return Plan(
        sources=_sources(lowered),
        convs=tuple(convs),
        neurons=tuple(neurons),
        accumulators=tuple(p.name for p in lowered.populations if p.accumulates),
        timesteps=program.timesteps,
        depth=lowered.depths[program.readout.name],
        input_low=program.input_low,
        input_high=program.input_high,
        input_step=program.input_step,
        residual_scale=program.residual_scale,
        over_time=program.over_time,
    )


def _sources(lowered: LoweredProgram) -> tuple[SourceSpec, ...]:
    """One presentation of the image for each depth at which it is read."""
    readers = [name for name, sources in lowered.sources.items() if IMAGE in sources]
    offsets = sorted({lowered.depths[name] - 1 for name in readers})
    shape = (lowered.program.width, lowered.program.height, lowered.program.channels)
    return tuple(SourceSpec(f"{IMAGE}_{o}", o, shape, image_bits(lowered)) for o in offsets)
