"""Images of any size through networks and sums, in limited memory; the cuts do not show."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import ConfigError

Batch = NDArray[Any]
BLOCK = 512


def restore_tiled(
    restore: Callable[[Batch], Batch], image: Batch, tile: int, halo: int, multiple: int
) -> Batch:
    """Apply `restore` to an image in tiles that overlap by `halo` pixels, and keep each tile's own part.

    The result does not depend on `tile` if no output depends on inputs further than `halo` away: a tile then
    sees all that its own part depends on, and ends where the image ends, so that zero padding acts at the
    same places. Beside the image and the result, memory is that of one tile.

    Args:
        restore: maps [1, C, h, w] with sides that are multiples of `multiple` to the same shape, in a type of
            its own; that of the result.
        image: [1, C, H, W], any size, type and layout; right and lower edges are mirrored up to a multiple.
        tile: side of a tile's own part, a multiple of `multiple`.
        halo: context around it, a multiple of `multiple`.
        multiple: sampling grid of the network.

    Raises:
        ConfigError: `tile` is not a positive multiple of `multiple`.
    """
    if tile < multiple or tile % multiple:
        raise ConfigError(f"--tile {tile}: use a positive multiple of {multiple}")
    places = [_mirrored(size, multiple) for size in image.shape[2:]]
    output: Batch | None = None
    for rows in _spans(len(places[0]), tile, halo):
        for columns in _spans(len(places[1]), tile, halo):
            seen = image[:, :, places[0][rows.outer, None], places[1][columns.outer]]
            outer = restore(np.ascontiguousarray(seen))
            if output is None:
                output = _channels_last(image.shape, outer.dtype)
            own = output[:, :, rows.own, columns.own]  # ends where the image does
            own[...] = outer[:, :, rows.inside, columns.inside][:, :, : own.shape[2], : own.shape[3]]
    assert output is not None, "an image has pixels"
    return output


def through_channels(restore: Callable[[Batch], Batch], batch: Batch, channels: int) -> Batch:
    """The answer of a network of 3 or 1 `channels` to a batch [N, C, h, w] of colour (C = 3) or grey (C = 1).

    Through a network of colour grey goes in as red = green = blue, and the mean of the three outputs comes
    out: all three restore the same picture from the same noise, and what they do not agree on is not in it.
    Through a network of grey each colour goes alone, as a picture of its own.
    """
    if batch.shape[1] == channels:
        return restore(batch)
    if channels == 1:
        alone = np.ascontiguousarray(batch.reshape(-1, 1, *batch.shape[2:]))
        return np.asarray(restore(alone).reshape(batch.shape))
    return np.asarray(restore(np.repeat(batch, 3, axis=1)).mean(axis=1, keepdims=True, dtype=np.float32))


def _mirrored(size: int, multiple: int) -> NDArray[np.intp]:
    """Where each row comes from when an image is continued up to a multiple, as by `pad_to_multiple`."""
    rows = np.arange(size)
    missing = -size % multiple
    return np.pad(rows, (0, missing), mode="reflect" if size > missing else "edge") if missing else rows


def _channels_last(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Batch:
    """An array [1, C, H, W] that lies in memory as files hold pictures."""
    count, channels, height, width = shape
    return np.empty((count, height, width, channels), dtype).transpose(0, 3, 1, 2)


def blocks(height: int, width: int, overlap: int = 0) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of an image in blocks of BLOCK pixels a side, each `overlap` longer than its step.

    With an overlap of k - 1 each window of side k begins in one block; smaller images have no block.
    """
    for top in range(0, height - overlap, BLOCK):
        for left in range(0, width - overlap, BLOCK):
            yield slice(top, top + BLOCK + overlap), slice(left, left + BLOCK + overlap)


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
