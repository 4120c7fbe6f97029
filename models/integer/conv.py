"""Integer convolutions in fast arithmetic, exact because it was proved that nothing rounds.

With B the largest possible sum of |mantissa * value| over one output:

    int8      B < 2^24, values and weights in one byte: 32-bit sums, which float32 then holds (`int8_conv`)
    float32   B < 2^24: every partial sum is an integer that 24 bits hold, in whatever order
    float64   B < 2^53: likewise

The shift into the target's LSB multiplies by a power of two and rounds nothing.
"""

import numpy as np
import torch
from snn_tool.errors import QuantizationError
from snn_tool.models.int8_conv import PAIR_SAFE, Int8Conv, has_int8
from snn_tool.models.integer.network import WRAP, IntegerNetwork, IntegerSynapse
from snn_tool.models.topology import IMAGE
from torch import Tensor
from torch.nn import functional

FLOAT32_EXACT, FLOAT64_EXACT = 1 << 24, 1 << 53
"""Integers up to this magnitude are exact."""


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
