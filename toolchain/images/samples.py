"""Samples of any depth and type as 8 bits of sRGB, exactly rounded, a block at a time.

floor(255 v / full + 1/2), full being the largest value of the type: of 12 bits 4095, of a signed type its
maximum, 1 of floats.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from snn_tool.errors import DataError
from snn_tool.images.colour import explains, is_srgb, kept_profile, to_srgb, warn_once
from snn_tool.images.profiles import LEVELS, curves_of
from snn_tool.images.tiling import blocks

Pixels = NDArray[np.uint8]
Samples = NDArray[np.generic]
ALPHA = "alpha channel dropped"
MOST_EXACT = 2**47
"""Full scale beyond which the integers of `_scaled` would not fit 64 bits, as that of 64-bit samples."""


def full_scale(values: Samples, bits: int | None = None) -> float:
    """The value of full brightness: the largest of the type, or of `bits` of it; 1 of floats and of bits."""
    kind = values.dtype.kind
    if kind not in "ui":
        return 1
    used = bits or 8 * values.dtype.itemsize
    return int(2 ** (used - (kind == "i")) - 1)


def planes_of(path: Path, values: Samples) -> Samples:
    """Samples [H, W] or [H, W, 1..4] as [H, W, 1] or [H, W, 3], without alpha.

    Raises:
        DataError: another shape or type.
    """
    planes = values[..., None] if values.ndim == 2 else values
    if planes.ndim != 3 or planes.shape[2] not in (1, 2, 3, 4) or planes.size == 0:
        raise DataError(f"{path}: an image of shape {values.shape}; use height x width with 1 to 4 channels")
    if planes.dtype.kind not in "buif":
        raise DataError(f"{path}: samples of type {planes.dtype}; convert it to 8 or 16 bits")
    if planes.shape[2] in (2, 4):
        warn_once(path, ALPHA)
        planes = planes[..., :-1]
    return planes


def to_pixels(
    path: Path, values: Samples, full: float, inverted: bool, profile: bytes
) -> tuple[Pixels, bytes]:
    """Samples to uint8 [H, W, 1] or [H, W, 3] of sRGB, and the profile for a copy of the picture.

    By a profile of curves numbers of more than 8 bits are converted before they are rounded; by one of
    tables they are rounded first, since littleCMS takes 8 bits here.

    Args:
        path: of the file, for messages.
        values: [H, W] or [H, W, 1..4].
        full: `full_scale`.
        inverted: zero is white.
        profile: of `file_profile`.

    Raises:
        DataError: another shape or type, NaN, or values outside 0..full.
    """
    planes = planes_of(path, values)
    _warn_of_darkness(path, planes, full)
    channels = planes.shape[2]
    mode = "L" if channels == 1 else "RGB"
    if not profile or not explains(path, profile, mode) or is_srgb(profile):
        return _converted(path, planes, full, inverted, _to_8_bits), kept_profile(profile, channels)
    if curves := curves_of(profile):
        to_srgb_levels = curves.to_srgb
        return _converted(path, planes, full, inverted, lambda v, f: to_srgb_levels(_to_16_bits(v, f))), b""
    rounded = _converted(path, planes, full, inverted, _to_8_bits)
    image = to_srgb(path, Image.fromarray(rounded[..., 0] if channels == 1 else rounded), profile)
    return np.array(image).reshape(rounded.shape), b""


def _warn_of_darkness(path: Path, planes: Samples, full: float) -> None:
    """Samples of 8 or 16 bits that were saved in a type of 32."""
    if full > 65535 and 0 < (most := int(planes.max())) <= 65535:
        warn_once(
            path,
            f"nearly black, its largest sample is {most} of {int(full)}; scale it if 8 or 16 bits are meant",
        )


def _converted(
    path: Path, planes: Samples, full: float, inverted: bool, convert: Callable[[Samples, float], Pixels]
) -> Pixels:
    pixels = np.empty(planes.shape, np.uint8)
    for block in blocks(*planes.shape[:2]):
        part = planes[block]
        if not (part.min() >= 0 and part.max() <= full):  # false for NaN
            raise DataError(
                f"{path}: sample values outside 0..{full:.10g}, or NaN; convert it to 8 or 16 bits"
            )
        if inverted:
            part = full - part.astype(np.int64 if part.dtype.kind in "ui" else np.float64)
        pixels[block] = convert(part, full)
    return pixels


def _scaled(part: Samples, full: float, levels: int) -> NDArray[np.uint64] | NDArray[np.float64]:
    """floor(levels v / full + 1/2); of integers without a rounding error."""
    if part.dtype.kind in "bf" or full > MOST_EXACT:
        return np.floor(part.astype(np.float64) * (levels / full) + 0.5)
    whole = int(full)
    return (part.astype(np.uint64) * np.uint64(2 * levels) + np.uint64(whole)) // np.uint64(2 * whole)


def _to_8_bits(part: Samples, full: float) -> Pixels:
    return _scaled(part, full, 255).astype(np.uint8)


def _to_16_bits(part: Samples, full: float) -> NDArray[np.uint16]:
    return _scaled(part, full, LEVELS - 1).astype(np.uint16)
