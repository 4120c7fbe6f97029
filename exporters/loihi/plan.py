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
  reader>_stream`, graded, signed, of threshold 1 and as many levels as `loihi_lowering` proves, so that z is
  the sum of what arrived. They add hops; depths and relays are those of the lowered graph.
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

from snn_tool.exporters.loihi.limits import check_limits
from snn_tool.exporters.loihi.lowering import LoweredProgram, lower_program
from snn_tool.exporters.loihi_processes import image_bits, incoming_convs, neuron_process, relay_stage
from snn_tool.exporters.loihi.specs import ConvSpec, NeuronSpec, Plan, SourceSpec
from snn_tool.exporters.nir.program import IMAGE, Program
from snn_tool.models.streams import FANOUT


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
    )


def _sources(lowered: LoweredProgram) -> tuple[SourceSpec, ...]:
    """One presentation of the image for each depth at which it is read."""
    readers = [name for name, sources in lowered.sources.items() if IMAGE in sources]
    offsets = sorted({lowered.depths[name] - 1 for name in readers})
    shape = (lowered.program.width, lowered.program.height, lowered.program.channels)
    return tuple(SourceSpec(f"{IMAGE}_{o}", o, shape, image_bits(lowered)) for o in offsets)
