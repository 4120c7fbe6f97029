"""From one pass of a file's network to the next: what the host does in between, one pixel after the other.

The engine that makes golden tiles has this of its own (`models.integer.passes`, where the equations stand);
here it is written again from a `Program`, without that module, so that the two can disagree.
"""

from fractions import Fraction
from math import floor, log2
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snn_tool.exporters.nir.program import Integers, Program

WHITE = 255


def first_tiles(program: Program, image: NDArray[np.int16]) -> NDArray[np.int16]:
    """The input of the first pass for integer images [N, C, H, W]: of several passes the image twice."""
    return np.concatenate([image, image], axis=1) if program.passes > 1 else image


def next_tiles(program: Program, tiles: NDArray[Any], readout: NDArray[Any]) -> Integers:
    """The input int64 [N, 2 C, H, W] of the next pass.

    Args:
        program: runs more than once.
        tiles: input of a pass, [N, 2 C, H, W].
        readout: what it gave, [N, C, H, W], in 64ths of the read-out's LSB.
    """
    image = tiles[:, : program.image_channels].astype(np.int64)
    grey = image * program.input_step + program.input_offset if program.adds_image else np.zeros_like(image)
    pixels = np.clip(grey + _residual(program, readout), 0, WHITE)
    return np.concatenate([image, _on_grid(program)[pixels]], axis=1)


def unchained(program: Program, tiles: NDArray[Any], readout: NDArray[Any]) -> int:
    """How many golden tiles are not the input that the image or the tile of the pass before gives.

    Args:
        program: of one pass or more.
        tiles: [P n, C, H, W], those of the first pass first.
        readout: what they must give.
    """
    if program.passes == 1:
        return 0
    if len(tiles) % program.passes:
        return len(tiles)
    count = len(tiles) // program.passes
    expected = first_tiles(program, tiles[:count, : program.image_channels])
    for start in range(0, len(tiles) - count, count):
        before = slice(start, start + count)
        expected = np.concatenate([expected, next_tiles(program, tiles[before], readout[before])])
    return int((tiles != expected).any(axis=(1, 2, 3)).sum())


def described(program: Program) -> dict[str, Any]:
    """What a manifest says of passes: their number and how they chain; nothing of a network with one."""
    if program.passes == 1:
        return {}
    base = "image * step + offset + " if program.adds_image else ""
    return {
        "passes": {
            "count": program.passes,
            "input": "the image, and behind it the previous result; in the first pass the image twice",
            "pixel": f"clip(floor({base}255 * readout * residual_scale + 1/2), 0, 255)",
            "previous_result": "floor((pixel - offset) / step + 1/2)",
            "step": program.input_step,
            "offset": program.input_offset,
            "residual_scale": program.residual_scale,
        }
    }


def _residual(program: Program, readout: NDArray[Any]) -> Integers:
    """Grey levels int64 of each membrane, rounded; each value that occurs is computed once, as a fraction."""
    power = Fraction(2) ** round(log2(program.residual_scale * program.timesteps))
    scale = WHITE * power / program.timesteps
    values, places = np.unique(readout, return_inverse=True)
    # Beyond two full scales nothing changes, and int64 would not hold what a wild scale gives.
    levels = [min(max(floor(scale * int(v) + Fraction(1, 2)), -2 * WHITE), 2 * WHITE) for v in values]
    return np.array(levels, np.int64)[places].reshape(readout.shape)


def _on_grid(program: Program) -> Integers:
    """For each pixel 0 to 255 its integer of the input grid."""
    offset, step, half = program.input_offset, program.input_step, Fraction(1, 2)
    levels = [floor(Fraction(p - offset, step) + half) for p in range(WHITE + 1)]
    return np.array(levels, np.int64)
