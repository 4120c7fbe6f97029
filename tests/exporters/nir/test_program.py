"""What a program says of itself: for which images its convolutions run, by counting positions."""

from itertools import product

import numpy as np
import pytest
from snn_tool.exporters.nir.program import IMAGE, ConvNode, Program, ReadoutNode

SIZES = tuple(product((4, 5, 6, 8, 9), repeat=2))
LARGEST = 24


def positions(side: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """How many windows lie on a padded side, one by one."""
    reach = dilation * (kernel - 1) + 1
    return sum(start + reach <= side + 2 * padding for start in range(0, side + 2 * padding, stride))


def program_of(
    size: tuple[int, int], kernel: tuple[int, int], stride: int, padding: int, dilation: int, upsample: int
) -> Program | None:
    """One convolution [3 * upsample^2, 3, kh, kw] and a read-out; None where it makes no position."""
    made = [positions(side, taps, stride, padding, dilation) for side, taps in zip(size, kernel, strict=True)]
    if min(made) < 1:
        return None
    channels = 3 * upsample**2
    conv = ConvNode(
        name="head",
        source=IMAGE,
        weight=np.ones((channels, 3, *kernel), np.int64),
        bias=np.zeros(channels, np.int64),
        mantissa_exponent=0,
        stride=stride,
        padding=padding,
        dilation=dilation,
        upsample=upsample,
    )
    height, width = (upsample * n for n in made)
    readout = ReadoutNode("readout", ("head",), 3, height, width)
    return Program((conv,), (readout,), 1, 1.0, -128, 127, 1, *size, 1.0)


def fits(size: tuple[int, int], kernel: tuple[int, int], stride: int, padding: int, dilation: int) -> bool:
    """Every multiple n of the stride, and both sides of the file's own image, make n / stride positions."""
    multiples = range(stride, LARGEST + 1, stride)
    return all(
        stride * positions(n, taps, stride, padding, dilation) == n
        for side, taps in zip(size, kernel, strict=True)
        for n in (*multiples, side)
    )


@pytest.mark.slow
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_program_fits_any_size_if_every_multiple_of_its_strides_does(stride: int) -> None:
    """All small kernels (square and not), paddings, dilations and shuffles, on sides of all remainders."""
    seen = {True: 0, False: 0}
    for size, kernel, padding, dilation, upsample in product(
        SIZES, product((1, 2, 3, 5), repeat=2), (0, 1, 2, 4), (1, 2), (1, 2)
    ):
        program = program_of(size, kernel, stride, padding, dilation, upsample)
        if program is not None:
            expected = fits(size, kernel, stride, padding, dilation)
            seen[expected] += 1
            assert program.fits_any_size is expected, (size, kernel, stride, padding, dilation, upsample)
    assert min(seen.values()) > 50, seen
