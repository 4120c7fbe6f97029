"""A faster convolution in place of Lava's scipy loops; used only where `--conv blas` asks for it.

Every operand is an integer and every partial sum stays below 2^53, so float64 matrix products are exact in
any order of the additions. The function has the signature and the result of lava.proc.conv.utils.conv.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Pair = NDArray[np.int8]
"""Horizontal and vertical; Lava annotates tuples of int and passes this."""


def conv(
    input_: NDArray[Any],
    weight: NDArray[Any],
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: np.int8,
) -> NDArray[Any]:
    """Convolve (W, H, Ci) with a flipped kernel (Co, kx, ky, Ci / groups); returns the weight's dtype."""
    (pad_x, pad_y), (step_x, step_y), (reach_x, reach_y) = padding, stride, dilation
    padded = np.pad(input_, ((pad_x, pad_x), (pad_y, pad_y), (0, 0))).astype(np.float64)
    out_channels, taps_x, taps_y, _ = weight.shape
    width = (padded.shape[0] - reach_x * (taps_x - 1) - 1) // step_x + 1
    height = (padded.shape[1] - reach_y * (taps_y - 1) - 1) // step_y + 1
    total = np.zeros((width, height, out_channels))
    for x in range(taps_x):
        for y in range(taps_y):
            left, top = reach_x * (taps_x - 1 - x), reach_y * (taps_y - 1 - y)
            window = padded[left:, top:][
                : step_x * (width - 1) + 1 : step_x, : step_y * (height - 1) + 1 : step_y
            ]
            total += _grouped_product(window, weight[:, x, y, :].astype(np.float64), int(groups))
    return total.astype(weight.dtype)


def _grouped_product(window: NDArray[np.float64], taps: NDArray[np.float64], groups: int) -> NDArray[Any]:
    """(W, H, Ci) times (Co, Ci / groups) -> (W, H, Co), channel group by channel group."""
    width, height, _ = window.shape
    if taps.shape[1] == 1 and groups == taps.shape[0]:
        return window * taps[:, 0]
    parts = np.split(window, groups, axis=2)
    kernels = np.split(taps, groups, axis=0)
    return np.concatenate(
        [p.reshape(width * height, -1) @ k.T for p, k in zip(parts, kernels, strict=True)], axis=1
    ).reshape(width, height, -1)


def install() -> None:
    """Put `conv` in the place of Lava's function; processes started afterwards inherit it."""
    from lava.proc.conv import utils

    utils.conv = conv
