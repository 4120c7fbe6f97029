"""What C's types hold, proved from weights and ranges: 32-bit sums, 16-bit partial sums, divisions."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

import numpy as np
from snn_tool.errors import UnsupportedLayerError
from snn_tool.exporters.nir.program import DECAY_STEPS, ConvNode, Integers, LifNode, ReadoutNode

WORD, LONG = (1 << 15) - 1, (1 << 31) - 1
HALF = 1 << 23
LARGEST = HALF - 1
BYTE = 127
"""Of a signed byte, and of an unsigned one whose products with weights vpmaddubsw adds in pairs."""

MOST_ROWS, MOST_CHANNELS, MOST_SHIFT, MOST_UPSAMPLE = 64, 4096, 24, 16
"""Of a kernel; of a layer; of weights; of a pixel-shuffle."""

Range = tuple[int, int]


def check_conv(node: ConvNode, mantissa: Integers, ranges: Sequence[Range], split: int) -> None:
    """Refuse a convolution that C is not made for.

    Args:
        node: the convolution.
        mantissa: its weights, int64 [Co, Ci, kh, kw].
        ranges: of the planes of its source.
        split: bits of the image's low part.

    Raises:
        UnsupportedLayerError: the node is named.
    """
    rows, columns = mantissa.shape[2:]
    if mantissa.min(initial=0) < -BYTE - 1 or mantissa.max(initial=0) > BYTE:
        raise UnsupportedLayerError(f"{node.name}: weights of more than 8 bits")
    if max(rows, columns) > MOST_ROWS or mantissa.shape[0] > MOST_CHANNELS or node.upsample > MOST_UPSAMPLE:
        raise UnsupportedLayerError(
            f"{node.name}: a kernel of {rows}x{columns} for {mantissa.shape[0]} channels; C is made for up "
            f"to {MOST_ROWS}x{MOST_ROWS} and {MOST_CHANNELS}"
        )
    if node.mantissa_exponent > MOST_SHIFT:
        raise UnsupportedLayerError(f"{node.name}: weights shifted by {node.mantissa_exponent} bits")
    # Bytes without a sign have a wider range than the values that `bounds` knows.
    widest = max(high - low for low, high in ranges)
    high_part = 1 << split
    if int(np.abs(mantissa).sum(axis=(1, 2, 3)).max(initial=0)) * widest * high_part > LONG:
        raise UnsupportedLayerError(f"{node.name}: a sum of products may exceed 32 bits; use fewer levels")


def bounds_of(mantissa: Integers, low: int, high: int) -> Integers:
    """Largest magnitude of sums on one side [2, Co, Ci, taps] of each product: upwards, downwards."""
    flat = mantissa.reshape(*mantissa.shape[:2], -1)
    products = np.stack([flat * low, flat * high])
    return np.stack([np.maximum(products.max(axis=0), 0), np.maximum(-products.min(axis=0), 0)])


def fitting(bounds: Sequence[Integers], *, paired: bool = False) -> tuple[int, int]:
    """How many taps, or else how many inputs of one, 16 bits hold the sum of.

    Args:
        bounds: of `bounds_of`, one for each plane of the source.
        paired: a lane holds two products of every quadruple of inputs, as vpmaddubsw adds them.

    Returns:
        Taps and inputs, all of these if taps are not split; or, paired, quadruples of them, (0, 0) if 16 bits
        do not even hold a pair.
    """
    count, inputs = bounds[0].shape[-1], bounds[0].shape[2]
    totals = [total for part in bounds for total in (_lanes(part) if paired else [part.sum(axis=2)])]
    for taps in range(count, 0, -1):
        if all(_largest_run(total, taps) <= WORD for total in totals):
            return taps, inputs
    largest = max(int((_pairs(part) if paired else part).max(initial=0)) for part in bounds)
    if paired and largest > WORD:
        return 0, 0
    return 1, max(1, WORD // max(1, largest))


def _pairs(part: Integers) -> Integers:
    """Sums of two neighbouring inputs: [2, Co, pairs, taps]."""
    even = np.pad(part, [(0, 0), (0, 0), (0, part.shape[2] % 2), (0, 0)])
    pairs: Integers = even[:, :, 0::2] + even[:, :, 1::2]
    return pairs


def _lanes(part: Integers) -> list[Integers]:
    """What the two lanes of quadruples hold of each tap: [2, Co, taps]."""
    pairs = _pairs(part)
    return [pairs[:, :, lane::2].sum(axis=2) for lane in (0, 1)]


def _largest_run(total: Integers, taps: int) -> int:
    """Largest sum of `taps` neighbouring taps, begun at multiples of `taps`, over the last axis."""
    starts = np.arange(0, total.shape[-1], taps)
    return int(np.add.reduceat(total, starts, axis=-1).max(initial=0))


def fitting_rows(bounds: Sequence[Integers], columns: int) -> int:
    """Kernel rows, of so many columns, whose products 16 bits hold the sum of; 0 if not even one's."""
    totals = [part.sum(axis=2) for part in bounds]
    for taps in range(totals[0].shape[-1], 0, -columns):
        if all(_largest_run(total, taps) <= WORD for total in totals):
            return taps // columns
    return 0


@dataclass(frozen=True, slots=True)
class Held:
    """How sums lie in memory.

    Attributes:
        size: bytes of each, 2, 3 or 4.
        shift: low bits that are 0 in all of them and left out.
    """

    size: int
    shift: int


def held_sums(low: int, high: int, zeros: int) -> Held:
    """What holds every multiple of 2^zeros in a range that 32 bits hold.

    Low bits are left out where that saves bytes.
    """

    def size(shift: int) -> int:
        low_bits, high_bits = low >> shift, high >> shift
        return next(n for n in (2, 3, 4) if -(1 << 8 * n - 1) <= low_bits and high_bits < 1 << 8 * n - 1)

    return Held(size(zeros), zeros if size(zeros) < size(0) else 0)


def division(threshold: int, levels: int) -> tuple[int, int]:
    """Multiplier and shift that divide by 2 threshold in 32 bits, exact as far as is needed; (0, 0) if none.

    For n = 2 |v| + threshold up to N = (2 levels + 3) threshold and M = ceil(2^s / 2 threshold), floor(n M /
    2^s) is floor(n / 2 threshold) if N (2 threshold M - 2^s) < 2^s.
    """
    divisor, most = 2 * threshold, (2 * levels + 3) * threshold
    for shift in range(31, 0, -1):
        multiplier = -(-(1 << shift) // divisor)
        if most * multiplier < 1 << 32 and most * (divisor * multiplier - (1 << shift)) < 1 << shift:
            return multiplier, shift
    return 0, 0


def kept(node: LifNode | ReadoutNode) -> tuple[int, int, bool]:
    """What a membrane keeps in lowest terms, and whether the product needs 64 bits."""
    common = gcd(node.decay, DECAY_STEPS)
    part = (DECAY_STEPS - node.decay) // common
    return part, DECAY_STEPS // common, LARGEST * part > LONG
