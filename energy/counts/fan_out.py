"""Exact fan-out of convolutions: how many outputs one input reaches, and a spike map's synaptic operations.

At a border an input reaches fewer outputs than kernel taps, with a stride only some. Both dimensions are
independent, so a two-dimensional fan-out is the product of two of these.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import DataError
from snn_tool.models.loop_nest import LoopNest, synapse_nest
from snn_tool.models.topology import Synapse, Topology

Counts = NDArray[np.int64]
Size = int | tuple[int, int]


def conv_output_size(size_in: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Outputs of a convolution along one dimension.

        N_out = floor((N_in + 2 p - d (k - 1) - 1) / s) + 1

    Raises:
        DataError: the kernel is larger than the padded input.
    """
    size_out = (size_in + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    if size_out < 1:
        raise DataError(
            f"a kernel of {kernel} with dilation {dilation} does not fit into {size_in} padded positions"
        )
    return size_out


def conv_fan_out(
    size_in: int, size_out: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1
) -> Counts:
    """Outputs that each input of a convolution reaches, along one dimension.

        f(i) = #{ j in [0, k) : s | (i + p - d j), 0 <= (i + p - d j) / s < N_out }

    Returns:
        int64 [size_in].
    """
    shifted = np.arange(size_in)[:, None] + padding - dilation * np.arange(kernel)
    output, remainder = np.divmod(shifted, stride)
    reached = (remainder == 0) & (output >= 0) & (output < size_out)
    counts: Counts = reached.sum(axis=1, dtype=np.int64)
    return counts


def transposed_conv_fan_out(
    size_in: int, size_out: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1
) -> Counts:
    """Outputs that each input of a transposed convolution reaches, along one dimension.

        f(i) = #{ j in [0, k) : 0 <= s i - p + d j < N_out }

    Returns:
        int64 [size_in].
    """
    output = stride * np.arange(size_in)[:, None] - padding + dilation * np.arange(kernel)
    counts: Counts = ((output >= 0) & (output < size_out)).sum(axis=1, dtype=np.int64)
    return counts


def conv_synops(
    spikes: Counts,
    out_channels: int,
    kernel: Size,
    stride: Size = 1,
    padding: Size = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> int:
    """Synaptic operations that a spike map causes in a convolution.

        S = (C_out / groups) sum over c, y, x of z[c, y, x] f_h(y) f_w(x)

    Args:
        spikes: int64 [C, H, W], how often (or with what total magnitude) each position fired; not negative.
        out_channels: C_out of the whole convolution.
        kernel: one number, or (vertical, horizontal).
        stride: likewise.
        padding: likewise.
        dilation: likewise.
        groups: of the convolution; divides C and C_out.

    Returns:
        S, exact: a Python integer.

    Raises:
        DataError: not such a map, channels not divisible by `groups`, or a kernel that does not fit.
    """
    _check_map(spikes, out_channels, groups)
    geometry = zip(*(_pair(value) for value in (kernel, stride, padding, dilation)), strict=True)
    rows, columns = (
        conv_fan_out(size, conv_output_size(size, *one), *one)
        for size, one in zip(spikes.shape[1:], geometry, strict=True)
    )
    weights = np.outer(rows, columns)
    largest = int(spikes.max(initial=0)) * spikes.size * int(weights.max(initial=0))
    if largest < 2**63:
        reached = int((spikes.sum(axis=0) * weights).sum())
    else:
        reached = int((spikes.astype(object) * weights).sum())
    return out_channels // groups * reached


def _pair(value: Size) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


def _check_map(spikes: Counts, out_channels: int, groups: int) -> None:
    if spikes.ndim != 3 or spikes.dtype != np.int64:
        raise DataError(
            f"a spike map is int64 [C, H, W], not {spikes.dtype} {list(spikes.shape)}; convert it"
        )
    if spikes.min(initial=0) < 0:
        raise DataError("a spike map holds negative counts; pass magnitudes for signed spikes")
    if groups < 1 or spikes.shape[0] % groups or out_channels % groups:
        raise DataError(f"{spikes.shape[0]} and {out_channels} channels cannot be split into {groups} groups")


@dataclass(frozen=True, slots=True)
class LayerMacs:
    """Multiply-accumulates of one synapse on one image, each computed once.

    Attributes:
        synapse, source: names; `source` is `image` for the first layer.
        padded_macs: the conventional count, which multiplies the zeros of the padding too.
        exact_macs: only products with a real input, as on the spiking side ("edge-exact").
        weights, biases: stored values.
        inputs, outputs: values read and written, each once.
        nest: its loops, whose products are the padded ones; None where a layer stands for no convolution.
    """

    synapse: str
    source: str
    padded_macs: int
    exact_macs: int
    weights: int
    biases: int
    inputs: int
    outputs: int
    nest: LoopNest | None = None

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
        nest=synapse_nest(synapse, height, width),
    )


def network_macs(topology: Topology, height: int, width: int) -> tuple[LayerMacs, ...]:
    """MACs of every synapse for an image of `height` by `width` pixels, in the order of the topology.

    A twin computes each synapse once and adds its result wherever it is read: fan-out does not multiply it.
    """
    sizes = topology.sizes(height, width)
    return tuple(synapse_macs(s, *sizes[s.source]) for s in topology.synapses)
