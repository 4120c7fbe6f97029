"""Torch's layout in Lava's: the only transposes of the Loihi-style export."""

import numpy as np
from numpy.typing import NDArray
from snn_tool.exporters.nir.program import ConvNode, PopulationNode

Shape = tuple[int, int, int]


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
