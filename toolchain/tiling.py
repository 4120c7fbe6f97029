"""Images of any size through a network that wants multiples and has little memory; the cuts do not show."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import ConfigError

Batch = NDArray[Any]


def restore_tiled(
    restore: Callable[[Batch], Batch], image: Batch, tile: int, halo: int, multiple: int
) -> Batch:
    """Apply `restore` to an image in tiles that overlap by `halo` pixels, and keep each tile's own part.

    The result does not depend on `tile` if no output depends on inputs further than `halo` away: a tile then
    sees all that its own part depends on, and ends where the image ends, so that zero padding acts at the
    same places.

    Args:
        restore: maps [1, C, h, w] with sides that are multiples of `multiple` to the same shape.
        image: [1, C, H, W], any size; the right and lower edges are mirrored up to a multiple.
        tile: side of a tile's own part, a multiple of `multiple`.
        halo: context around it, a multiple of `multiple`.
        multiple: sampling grid of the network.

    Raises:
        ConfigError: `tile` is not a positive multiple of `multiple`.
    """
    if tile < multiple or tile % multiple:
        raise ConfigError(f"--tile {tile}: use a positive multiple of {multiple}")
    height, width = image.shape[2:]
    padded = pad_to_multiple(image, multiple)
    output = np.empty_like(padded)
    for rows in _spans(padded.shape[2], tile, halo):
        for columns in _spans(padded.shape[3], tile, halo):
            outer = restore(np.ascontiguousarray(padded[:, :, rows.outer, columns.outer]))
            output[:, :, rows.own, columns.own] = outer[:, :, rows.inside, columns.inside]
    return output[:, :, :height, :width]


def pad_to_multiple(image: Batch, multiple: int) -> Batch:
    """Mirror the right and lower edges; an image too small to mirror repeats its last row or column."""
    for axis in (2, 3):
        missing = -image.shape[axis] % multiple
        if missing:
            widths = [(0, 0)] * image.ndim
            widths[axis] = (0, missing)
            image = np.pad(image, widths, mode="reflect" if image.shape[axis] > missing else "edge")
    return image


class _Span:
    """One tile along one axis: what the network sees, what is kept, and where that lies in the output."""

    def __init__(self, start: int, size: int, tile: int, halo: int) -> None:
        stop = min(start + tile, size)
        low, high = max(start - halo, 0), min(stop + halo, size)
        self.outer, self.own = slice(low, high), slice(start, stop)
        self.inside = slice(start - low, stop - low)


def _spans(size: int, tile: int, halo: int) -> Iterator[_Span]:
    for start in range(0, size, tile):
        yield _Span(start, size, tile, halo)
