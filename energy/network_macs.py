"""The MACs of the ANN twin, from the wiring alone: what the student's shape costs without spikes."""

from dataclasses import dataclass

import numpy as np
from snn_tool.energy.counts.fan_out import conv_synops
from snn_tool.models.topology import IMAGE, Synapse, Topology


@dataclass(frozen=True, slots=True)
class LayerMacs:
    """Multiply-accumulates of one synapse on one image, each computed once.

    Attributes:
        synapse, source: names; `source` is `image` for the first layer.
        padded_macs: the conventional count, which multiplies the zeros of the padding too.
        exact_macs: only products with a real input, as on the spiking side ("edge-exact").
        weights, biases: stored values.
        inputs, outputs: values read and written, each once.
    """

    synapse: str
    source: str
    padded_macs: int
    exact_macs: int
    weights: int
    biases: int
    inputs: int
    outputs: int

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return self.weights + self.biases


def synapse_macs(synapse: Synapse, height: int, width: int) -> LayerMacs:
    """MACs of one synapse whose source is `height` by `width` positions.

    padded = out in k^2 H_out W_out        exact = the synops of an all-ones source
    """
    rows, columns = (length // synapse.upsample for length in synapse.output_size(height, width))
    padded = synapse.out_channels * synapse.in_channels * synapse.kernel**2 * rows * columns
    ones = np.ones((1, height, width), dtype=np.int64)
    exact = synapse.in_channels * conv_synops(
        ones, synapse.out_channels, synapse.kernel, synapse.stride, synapse.padding, synapse.dilation
    )
    biases = synapse.out_channels if synapse.bias else 0
    return LayerMacs(
        synapse=synapse.name,
        source=synapse.source,
        padded_macs=padded,
        exact_macs=exact,
        weights=synapse.parameters - biases,
        biases=biases,
        inputs=synapse.in_channels * height * width,
        outputs=synapse.out_channels * rows * columns,
    )


def network_macs(topology: Topology, height: int, width: int) -> tuple[LayerMacs, ...]:
    """MACs of every synapse for an image of `height` by `width` pixels, in the order of the topology.

    A twin computes each synapse once and adds its result wherever it is read: fan-out does not multiply it.
    """
    scale = {IMAGE: 1} | {p.name: p.downscale for p in topology.populations}
    return tuple(
        synapse_macs(s, height // scale[s.source], width // scale[s.source]) for s in topology.synapses
    )
