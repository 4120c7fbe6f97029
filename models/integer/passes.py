"""How the passes of a network chain: what the second and each further run on one image reads.

A network of P passes is one network that runs P times. Its input is the image x and, behind it, the result of
the pass before as 8-bit pixels, both on the input grid; the first pass has x in both places:

    in_1 = [x, x]        in_k+1 = [x, grid(p_k)]
    p_k  = clip(floor(g + 255 r_k s + 1/2), 0, 255)        s = residual_scale = 2^e / T
    grid(p) = floor((p - offset) / step + 1/2)             g = x step + offset, or 0 without a residual

r_k is the read-out after pass k. So every pass is an ordinary run, and whoever holds the network (a chip and
its host, a file of C) needs nothing between two passes but these lines, which are integer arithmetic:

    floor(255 r 2^e / T + 1/2) = (510 r 2^up + T 2^down) // (2 T 2^down)        e = up - down

A pixel is what `restore` would write after k passes, but for the few that its float32 rounds the other way.
"""

from math import log2

import numpy as np
from numpy.typing import NDArray
from snn_tool.models.integer.network import IntegerNetwork

LARGEST_PIXEL = 255
MOST_DOWN, MOST_UP = 40, 20
"""Shifts beyond which a read-out of 24 bits gives 0, or leaves the pixels' range, whatever it is."""


def first_inputs(image: NDArray[np.int16], passes: int) -> NDArray[np.int16]:
    """The input of the first pass: of several the image [N, C, H, W] twice, [N, 2 C, H, W]."""
    return np.concatenate([image, image], axis=1) if passes > 1 else image


def next_inputs(
    inputs: NDArray[np.int16], readout: NDArray[np.int64], network: IntegerNetwork
) -> NDArray[np.int16]:
    """The input [N, 2 C, H, W] of the next pass from that of a pass and its read-out [N, C, H, W]."""
    image = inputs[:, : readout.shape[1]]
    result = to_grid(pixels(image, readout, network), network)
    return np.concatenate([image, result], axis=1)


def pixels(
    image: NDArray[np.int16], readout: NDArray[np.int64], network: IntegerNetwork
) -> NDArray[np.int64]:
    """The result of a pass in 8-bit pixels: halves round up, what leaves 0 to 255 is clamped.

    Args:
        image: integers of the input grid, [N, C, H, W].
        readout: of the pass, likewise.
        network: says the grid and what a unit of the read-out is.
    """
    up, unit = residual_unit(network)
    residual = (2 * LARGEST_PIXEL * (readout.astype(np.int64) << up) + unit) // (2 * unit)
    base = image.astype(np.int64) * network.input_step + network.input_offset if network.adds_image else 0
    return np.clip(base + residual, 0, LARGEST_PIXEL)


def residual_unit(network: IntegerNetwork) -> tuple[int, int]:
    """Left shift of the read-out, and T 2^down, by which twice 255 times it is divided twice."""
    exponent = round(log2(network.residual_scale * network.timesteps))
    up, down = min(max(exponent, 0), MOST_UP), min(max(-exponent, 0), MOST_DOWN)
    return up, network.timesteps << down


def to_grid(grey: NDArray[np.int64], network: IntegerNetwork) -> NDArray[np.int16]:
    """8-bit pixels as integers of the network's input grid, halves rounded up as `to_input_grid` rounds."""
    step = network.input_step
    return ((2 * (grey - network.input_offset) + step) // (2 * step)).astype(np.int16)
