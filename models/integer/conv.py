"""Integer convolutions in fast arithmetic, exact because it was proved that nothing rounds.

With B the largest possible sum of |mantissa * value| over one output:

    int8      B < 2^24, values and weights in one byte: 32-bit sums, which float32 then holds
    float32   B < 2^24: every partial sum is an integer that 24 bits hold, in whatever order
    float64   B < 2^53: likewise

The shift into the target's LSB multiplies by a power of two and rounds nothing.
"""

from functools import cache

import numpy as np
import torch
from snn_tool.errors import QuantizationError
from snn_tool.models.integer.network import WRAP, IntegerNetwork, IntegerSynapse
from snn_tool.models.topology import IMAGE, Synapse
from torch import Tensor
from torch.nn import functional

PAIR_SAFE = 127
"""Processors without a better instruction add two products in 16 bits, where 2 * 127 * 128 < 2^15 is safe."""

_GEOMETRIES = ((1, 1, 1), (3, 1, 1), (3, 2, 1), (3, 1, 4))
FLOAT32_EXACT, FLOAT64_EXACT = 1 << 24, 1 << 53
"""Integers up to this magnitude are exact."""


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


def absolute_product_bound(synapse: IntegerSynapse, network: IntegerNetwork) -> int:
    """Largest possible sum of |mantissa * source value| over one output's products."""
    largest = max(abs(value) for value in network.source_range(synapse.wiring.source))
    return largest * int(np.abs(synapse.mantissa.astype(np.int64)).sum(axis=(1, 2, 3)).max(initial=0))


class ExactConv:
    """One synapse as a convolution whose exactness was proved from its weights at construction.

    Attributes:
        arithmetic: `int8`, `float32` or `float64`.
        wraps: the shifted sum may leave 24 bits and is then cut to them, as Lava does.

    Raises:
        QuantizationError: a sum of products could reach 2^53.
    """

    def __init__(self, synapse: IntegerSynapse, network: IntegerNetwork) -> None:
        bound = absolute_product_bound(synapse, network)
        if bound >= FLOAT64_EXACT:
            raise QuantizationError(
                f"{synapse.wiring.name}: a product sum of {bound} exceeds 2^53; use fewer levels"
            )
        low, high = network.source_range(synapse.wiring.source)
        on_image = synapse.wiring.source == IMAGE
        self.wiring, self.offset = synapse.wiring, 0 if on_image else -low
        self.wraps = (bound << synapse.exponent) >= WRAP
        in_bytes = not on_image and high - low <= PAIR_SAFE and has_int8()
        self.arithmetic = "float64" if bound >= FLOAT32_EXACT else "int8" if in_bytes else "float32"
        self._dtype = torch.float64 if self.arithmetic == "float64" else torch.float32
        weight, scale = torch.from_numpy(synapse.mantissa), float(2**synapse.exponent)
        if self.arithmetic == "int8":
            self._int8 = Int8Conv(weight, self.wiring, self.offset, scale)
        else:
            self._weight = (weight.to(self._dtype) * scale).contiguous(memory_format=torch.channels_last)

    def __call__(self, source: Tensor) -> Tensor:
        """Currents in LSB, float32 [N, C', H', W'] after wrap and pixel-shuffle.

        Args:
            source: [N, C, H, W], the image's integers, or spikes increased by `offset`; at least 0 then.
        """
        sums = self._int8(source) if self.arithmetic == "int8" else self._float(source)
        if self.wraps:
            sums = torch.remainder(sums.double() + WRAP, 2 * WRAP) - WRAP
        sums = sums.to(torch.float32)
        return functional.pixel_shuffle(sums, self.wiring.upsample) if self.wiring.upsample > 1 else sums

    def _float(self, source: Tensor) -> Tensor:
        values = source.to(self._dtype, memory_format=torch.channels_last)
        if self.offset:
            values = values - self.offset
        wiring = self.wiring
        return functional.conv2d(values, self._weight, None, wiring.stride, wiring.padding, wiring.dilation)
