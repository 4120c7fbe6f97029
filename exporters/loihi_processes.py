"""One Lava process at a time: convolutions, neurons and relays of a lowered program."""

import numpy as np
from snn_tool.exporters.loihi_layout import lava_kernel, lava_shape, payload_bits
from snn_tool.exporters.loihi.lowering import LoweredProgram
from snn_tool.exporters.loihi.specs import READOUT_THRESHOLD, ConvSpec, GradedSpec, LifSpec, NeuronSpec
from snn_tool.exporters.nir.program import IMAGE, ConvNode, GradedNode, LifNode, PopulationNode
from snn_tool.models.streams import LoweredPopulation


def image_bits(lowered: LoweredProgram) -> int:
    """Bits of the image's payload, including the sign."""
    return payload_bits(lowered.program.input_low, lowered.program.input_high)


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
        return LifSpec(node.name, lava_shape(node), mantissa, node.decay, node.threshold, depth, False, False)
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
        output_shape=lava_shape(lowered.nodes[reader.name]),
        stride=conv.stride,
        padding=conv.padding,
        dilation=conv.dilation,
        groups=1,
        upsample=conv.upsample,
        message_bits=bits,
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
