"""Verification on any image: the file's implementations against the engine that runs what the file says.

Tiles of the file's own size are compared layer by layer, every membrane and every spike. Whole images are cut
into windows of that size whose middles cover them; the read-outs of the middles, put together, must be the
engine's read-out of the whole image. A window ends where the image ends, so that zero padding acts there and
nowhere else, and its middle lies a receptive radius inside all its other edges.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import BackendUnavailableError, ConfigError, DataError, UnsupportedLayerError
from snn_tool.exporters.contract.traces import EXACT, MISMATCH, NOT_RUN, BackendResult, compare
from snn_tool.exporters.verify.running import Runner

Integers = NDArray[np.int16]
TILES_PER_RUN = 8
"""Tiles that are traced at a time: every membrane of a large tile takes some 20 MB."""


@dataclass(frozen=True, slots=True)
class WholeImageResult:
    """One image through one implementation, window by window.

    Attributes:
        name: of the image.
        height, width: of what was compared, in pixels.
        windows: number of windows that covered it.
        result: the read-out's comparison; its `tiles` is 1, the image.
    """

    name: str
    height: int
    width: int
    windows: int
    result: BackendResult


def verify_tiles(runner: Runner, tiles: Integers, backend: str) -> BackendResult:
    """Compare every membrane and spike of every population on tiles [N, C, H, W] with the engine's.

    Raises:
        VerificationError: the implementation refuses the network, or gives values of other shapes.
    """
    total = BackendResult(backend, NOT_RUN, reason="no tile was given")
    count = runner.tiles_at_once(TILES_PER_RUN)
    for start in range(0, len(tiles), count):
        some = tiles[start : start + count]
        try:
            found = runner.trace(backend, some, runner.order)
        except (BackendUnavailableError, UnsupportedLayerError) as error:
            return BackendResult(backend, NOT_RUN, reason=str(error))
        reference = runner.engine.run(some, runner.order)
        total = _sum(total, compare(reference, found, runner.order, backend), start)
    return total


def _sum(total: BackendResult, part: BackendResult, first_tile: int) -> BackendResult:
    """Two results as one; the first mismatch is that of the earlier tiles."""
    first = total.first or (part.first and replace(part.first, tile=part.first.tile + first_tile))
    return BackendResult(
        part.backend,
        MISMATCH if first else EXACT,
        total.tiles + part.tiles,
        total.values_compared + part.values_compared,
        total.mismatches + part.mismatches,
        first,
    )


def verify_whole_image(runner: Runner, name: str, image: Integers, backend: str) -> WholeImageResult:
    """Compare the read-out of a whole input [C, H, W], put together from windows, with the engine's.

    It is one pass: of several each has an input of its own, which the engine gives (`pass_inputs`).

    Args:
        runner: of the export.
        name: of the image, for the report.
        image: integers; sides are multiples of the network's, and at least a window.
        backend: name of the implementation.

    Raises:
        DataError: the image is smaller than a window.
        ConfigError: a window has no middle; export with a larger --size.
    """
    spans = [list(_spans(length, side, *_margins(runner))) for length, side in _sides(runner, image)]
    windows = [(rows, columns) for rows in spans[0] for columns in spans[1]]
    tiles = np.stack([image[:, rows.outer, columns.outer] for rows, columns in windows])
    _, height, width = image.shape
    try:
        readouts = runner.trace(backend, tiles, []).readout
    except (BackendUnavailableError, UnsupportedLayerError) as error:
        return WholeImageResult(
            name, height, width, len(tiles), BackendResult(backend, NOT_RUN, reason=str(error))
        )
    whole = np.zeros((1, readouts.shape[1], height, width), dtype=np.int64)
    for (rows, columns), readout in zip(windows, readouts, strict=True):
        whole[0, :, rows.own, columns.own] = readout[:, rows.inside, columns.inside]
    reference = runner.engine.run(image[None], [])
    return WholeImageResult(
        name, height, width, len(tiles), compare(reference, _Stitched(whole), [], backend, runner.order[-1])
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Stitched:
    """A trace of nothing but a read-out."""

    readout: NDArray[np.int64]

    @property
    def spikes(self) -> dict[str, NDArray[np.int64]]:
        return {}

    @property
    def membranes(self) -> dict[str, NDArray[np.int64]]:
        return {}


def _margins(runner: Runner) -> tuple[int, int]:
    """Receptive radius of one pass rounded up to the coarsest grid, and that grid."""
    topology = runner.engine.network.topology
    multiple = topology.multiple
    return -(-topology.pass_radius // multiple) * multiple, multiple


def _sides(runner: Runner, image: Integers) -> Iterator[tuple[int, int]]:
    """Length of the image and of a window along both axes."""
    for length, side in zip(image.shape[1:], (runner.program.height, runner.program.width), strict=True):
        if length < side:
            raise DataError(f"an image side of {length} pixels is smaller than the network's {side}")
        yield length, side


@dataclass(frozen=True, slots=True)
class _Span:
    """A window along one axis: what it sees, what is kept of it, and where that lies inside it."""

    outer: slice
    own: slice
    inside: slice


def _spans(length: int, side: int, margin: int, multiple: int) -> Iterator[_Span]:
    """Windows of `side` whose kept parts cover 0 .. length without overlap."""
    if side < length and side - 2 * margin < multiple:
        raise ConfigError(
            f"windows of {side} pixels have no middle beyond the receptive radius of {margin}; "
            f"export with --size {2 * margin + 4 * multiple} or more"
        )
    start = 0
    while start < length:
        left = min(max(start - margin, 0), length - side)
        stop = length if left + side == length else left + side - margin
        yield _Span(slice(left, left + side), slice(start, stop), slice(start - left, stop - left))
        start = stop
