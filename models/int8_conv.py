"""Convolutions of bytes on the processor's integer units, through torch's oneDNN operators.

The operators are torch's own, but not part of its documented interface: they may be missing or
change. So they are tried once per process on the hardest case, against float64, and used if
every value agrees.
"""

from functools import cache

import torch
from snn_tool.models.topology import IMAGE, Synapse
from torch import Tensor
from torch.nn import functional

PAIR_SAFE = 127
"""Processors without a better instruction add two products in 16 bits, where 2 * 127 * 128 < 2^15 is safe."""


class Int8Conv:
    """One convolution of unsigned bytes `value + offset` with signed bytes; 32-bit sums, given as float32.

    Args:
        weight: int8 [out, in, kh, kw].
        wiring: its geometry; the padding stands for the value 0.
        offset: of the source's bytes.
        scale: a power of two that multiplies the sums.
    """

    def __init__(self, weight: Tensor, wiring: Synapse, offset: int, scale: float) -> None:
        geometry = ([wiring.stride] * 2, [wiring.padding] * 2, [wiring.dilation] * 2, 1)
        self._scales = torch.full((len(weight),), scale)
        self._zeros = torch.zeros(len(weight), dtype=torch.int64)
        self._offset, self._geometry = offset, geometry
        self._weight = torch.ops.onednn.qconv_prepack(weight, self._scales, 1.0, offset, *geometry, None)

    def __call__(self, source: Tensor) -> Tensor:
        """Scaled sums float32 [N, out, H', W'] from bytes uint8 [N, in, H, W]."""
        source = source.contiguous(memory_format=torch.channels_last)
        sums: Tensor = torch.ops.onednn.qconv2d_pointwise(
            *(source, 1.0, self._offset, self._weight, self._scales, self._zeros, None, *self._geometry),
            *(1.0, 0, torch.float32, "none", [], ""),
        )
        return sums


@cache
def has_int8() -> bool:
    """Whether torch convolves bytes exactly on this processor where all products are at their largest."""
    try:
        return all(_is_exact(kernel, stride, dilation) for kernel, stride, dilation in _GEOMETRIES)
    except (AttributeError, RuntimeError, TypeError, NotImplementedError):
        return False


_GEOMETRIES = ((1, 1, 1), (3, 1, 1), (3, 2, 1), (3, 1, 4))


def _is_exact(kernel: int, stride: int, dilation: int) -> bool:
    """Largest bytes and weights, of one sign and mixed, with an offset, against float64."""
    channels, offset = 24, PAIR_SAFE // 2
    wiring = Synapse("probe", IMAGE, channels, channels, kernel, stride, dilation)
    signs = torch.arange(channels**2 * kernel**2).reshape(channels, channels, kernel, kernel)
    weight = torch.where(signs % 3 == 0, 127, -128).to(torch.int8)
    weight[: channels // 2] = -128
    places = torch.arange(channels * 13 * 18).reshape(1, channels, 13, 18)
    source = torch.where(places % 5 == 0, 0, PAIR_SAFE).to(torch.uint8)
    source[..., :9] = PAIR_SAFE
    found = Int8Conv(weight, wiring, offset, 2.0)(source)
    values = source.double() - offset
    expected = functional.conv2d(values, 2 * weight.double(), None, stride, wiring.padding, dilation)
    return torch.equal(found.double(), expected)
