"""Where a network's populations fired: sums over time and channels, taken while it runs.

A synaptic count needs of each position only how many spikes left it, because fan-out does not depend on the
channel. So nothing larger than a plane is kept, and the sums are taken four bytes at a time: numpy's own sum
over a short innermost axis costs more than the convolution that made the spikes.
"""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Map = NDArray[np.int64]
Bytes = NDArray[np.uint8]
_EVEN_BYTES = np.uint32(0x00FF00FF)
_LOW, _HALF_WORD = np.uint32(0xFFFF), np.uint32(16)


class SpikeMaps:
    """Collects one image's maps; `add` is a `watch` of `IntegerEngine.run`.

    Args:
        low, high: smallest and largest level of a spike.

    Attributes:
        levels: for each population the summed magnitudes |z|, int64 [1, H, W].
        events: for each population the number of spikes; the same array where spikes are binary.
    """

    def __init__(self, low: int, high: int) -> None:
        self.levels: dict[str, Map] = {}
        self.events: dict[str, Map] = {}
        self._silent, self._largest = -low, max(-low, high)

    def add(self, name: str, encoded: Tensor) -> None:
        """Sum up a population's encoded spikes [T, 1, C, H, W], uint8 or wider."""
        assert encoded.shape[1] == 1
        values = encoded[:, 0].permute(0, 2, 3, 1).contiguous().numpy()
        if self._largest == 1 and not self._silent:
            self.levels[name] = self.events[name] = channel_sums(values)
            return
        if self._silent:
            narrow = values.dtype == np.uint8 and 2 * self._largest <= 127
            signed = values.view(np.int8) if narrow else values.astype(np.int16)
            values = np.abs(signed - signed.dtype.type(self._silent))
        self.events[name] = channel_sums((values != 0).view(np.uint8))
        self.levels[name] = channel_sums(values.view(np.uint8) if values.itemsize == 1 else values)


def channel_sums(values: NDArray[np.integer]) -> Map:
    """Sum [T, H, W, C], not negative, over time and channels to int64 [1, H, W]."""
    channels = values.shape[-1]
    if values.dtype == np.uint8 and channels % 4 == 0 and channels < 512:
        planes = _byte_sums(values.view(np.uint8))
    else:
        planes = values.sum(axis=-1, dtype=np.int64)
    total: Map = planes.sum(axis=0, dtype=np.int64)[None]
    return total


def _byte_sums(values: Bytes) -> NDArray[np.uint32]:
    """Sum over the innermost axis, bytes pairwise into 16-bit halves, which C < 512 cannot overflow."""
    words = values.view(np.uint32)
    halves = (words & _EVEN_BYTES) + ((words >> np.uint32(8)) & _EVEN_BYTES)
    held: NDArray[np.uint32] = halves[..., 0].copy()
    for word in range(1, halves.shape[-1]):
        held += halves[..., word]
    return (held & _LOW) + (held >> _HALF_WORD)
