"""Two pictures of the same scene that lie a few pixels beside each other, laid over each other.

A camera that shook moved the picture as well as it blurred it, and nobody can tell by how much; so what
undoes the blur is scored at the shift at which it fits best, and without borders, which lack what the kernel
saw beyond them: Levin et al., "Understanding and evaluating blind deconvolution algorithms",
CVPR 2009, whose code tries quarters of a pixel and leaves out 15 pixels on each side.
"""

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import DataError
from snn_tool.images.metrics import SSIM_WINDOW, to_uint8

BORDER = 15
QUARTERS = 4
Pixels = NDArray[np.uint8]
Shift = tuple[int, int]
"""Down and across, in quarters of a pixel."""


def border_of(reach: int) -> int:
    """Pixels that are left out on each side when shifts within `reach` pixels are tried."""
    return max(BORDER, reach + 1)


def inner(image: Pixels, reach: int, name: str = "an image") -> Pixels:
    """The picture [H, W, C] without its borders; messages call it `name`.

    Raises:
        DataError: nothing is left of it.
    """
    border = border_of(reach)
    least = 2 * border + SSIM_WINDOW
    if min(image.shape[:2]) < least:
        raise DataError(
            f"{name}: {image.shape[1]}x{image.shape[0]} pixels, of which --register {reach} leaves {border} "
            f"out on each side; take images of at least {least} pixels, or leave --register out"
        )
    return image[border:-border, border:-border]


def registered(image: Pixels, clean: Pixels, reach: int) -> Pixels:
    """The inner part of an image, moved by at most `reach` pixels so that its squared error is least.

    Whole pixels are tried first, all of them, then quarters around the best; between pixels values are
    bilinear, rounded to 8 bits. Of shifts that fit equally the smallest wins.

    Args:
        image: uint8 [H, W, C].
        clean: what it should lie over, of the same shape.
        reach: largest shift in pixels, at least 1.

    Raises:
        DataError: see `inner`.
    """
    target = inner(clean, reach).astype(np.float32)
    values, border = image.astype(np.float32), border_of(reach)

    def error(shift: Shift) -> float:
        return float(np.square(moved(values, shift, border) - target).sum(dtype=np.float64))

    def best(shifts: list[Shift]) -> Shift:
        return min(sorted(shifts, key=lambda at: (at[0] ** 2 + at[1] ** 2, at)), key=error)

    whole = range(-reach * QUARTERS, reach * QUARTERS + 1, QUARTERS)
    down, across = best([(first, second) for first in whole for second in whole])
    beside = range(1 - QUARTERS, QUARTERS)
    near = [(down + first, across + second) for first in beside for second in beside]
    limit = reach * QUARTERS
    chosen = best([at for at in near if max(map(abs, at)) <= limit])
    return to_uint8(moved(values, chosen, border) / 255)


def moved(image: NDArray[np.float32], shift: Shift, border: int) -> NDArray[np.float32]:
    """What the window inside of `border` shows when the image [H, W, C] moves down and across by `shift`."""
    for axis, quarters in enumerate(shift):
        length = image.shape[axis] - 2 * border
        whole, rest = divmod(-quarters, QUARTERS)
        start = border + whole
        here = image.take(range(start, start + length), axis)
        if rest:
            share = np.float32(rest / QUARTERS)
            here = here * (1 - share) + share * image.take(range(start + 1, start + 1 + length), axis)
        image = here
    return image
