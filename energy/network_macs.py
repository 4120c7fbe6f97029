"""The MACs of the ANN twin, from the wiring alone: what the student's shape costs without spikes."""

from dataclasses import dataclass

import numpy as np
from snn_tool.energy.fan_out import conv_synops
from snn_tool.models.topology import IMAGE, Synapse, Topology


@dataclass(frozen=True, slots=True)
class LayerMacs:
    """Multiply-accumulates of one synapse on one image, each computed once.

    Attributes:
        synapse, source: names; `source` is `image` for the first layer.
        padded_macs: the conventional count, which multiplies the zeros of the padding too.
        exact_macs: only products with a real input, as on the spiking side ("edge-exact").
        parameters: weights and biases.
    """

    synapse: str
    source: str
    padded_macs: int
    exact_macs: int
    parameters: int


def synapse_macs(synapse: Synapse, height: int, width: int) -> LayerMacs:
    """MACs of one synapse whose source is `height` by `width` positions.

    padded = out in k^2 H_out W_out        exact = the synops of an all-ones source
    """
    rows, columns = -(-height // synapse.stride), -(-width // synapse.stride)
    padded = synapse.out_channels * synapse.in_channels * synapse.kernel**2 * rows * columns
    ones = np.ones((1, height, width), dtype=np.int64)
    exact = synapse.in_channels * conv_synops(
        ones, synapse.out_channels, synapse.kernel, synapse.stride, synapse.padding, synapse.dilation
    )
    return LayerMacs(synapse.name, synapse.source, padded, exact, synapse.parameters)


def network_macs(topology: Topology, height: int, width: int) -> tuple[LayerMacs, ...]:
    """MACs of every synapse for an image of `height` by `width` pixels, in the order of the topology.

    A twin computes each synapse once and adds its result wherever it is read: fan-out does not multiply it.
    """
    scale = {IMAGE: 1} | {p.name: p.downscale for p in topology.populations}
    return tuple(
        synapse_macs(s, height // scale[s.source], width // scale[s.source]) for s in topology.synapses
    )


def twin_elementwise_ops(topology: Topology, height: int, width: int) -> int:
    """Additions and comparisons of the twin: biases, sums of synapses, ReLU, and the global skip.

    sum over synapses of [bias] out H_out W_out + sum over populations of (inputs - 1 + [spiking]) N + 3 H W
    """
    sizes = {
        p.name: p.channels * (height // p.downscale) * (width // p.downscale) for p in topology.populations
    }
    reader = {name: p.name for p in reversed(topology.populations) for name in p.inputs}
    biases = sum(sizes[reader[s.name]] for s in topology.synapses if s.bias)
    sums = sum((len(p.inputs) - 1) * sizes[p.name] for p in topology.populations)
    rectified = sum(sizes[p.name] for p in topology.spiking)
    return biases + sums + rectified + sizes[topology.readout.name]
