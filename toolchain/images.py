"""Image files in and out: whatever photographers have becomes RGB uint8 [H, W, 3], or one clear line."""

import contextlib
import logging
import math
import struct
import warnings
import zlib
from pathlib import Path
from typing import TypeGuard

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile
from snn_tool.artifacts import atomic_path
from snn_tool.errors import ConfigError, DataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
MAX_SIDES = {".webp": 16383, ".jpg": 65500, ".jpeg": 65500}
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF")
WIDE_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I")
ORIENTATION, BITS_PER_SAMPLE, PHOTOMETRIC, PLANAR_CONFIGURATION = 274, 258, 262, 284
TIFF_COLOURS = (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.MINISWHITE, tifffile.PHOTOMETRIC.RGB)
DAMAGE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What Pillow and tifffile raise at damaged files; both leak the errors of their parsers."""
LOGGER = logging.getLogger("snn_tool")
Pixels = NDArray[np.uint8]


def find_images(folder: Path) -> list[Path]:
    """All image files below a folder, sorted by path; a single image file is a list of one.

    Hidden files are passed over: macOS leaves `._x.png` beside `x.png`, a killed run its unfinished output.

    Raises:
        DataError: nothing there, or no image in it.
    """
    try:
        if folder.is_file():
            return [folder]
        if not folder.is_dir():
            raise DataError(f"{folder}: no such file or folder; check the path")
        found = sorted(path for path in folder.rglob("[!.]*") if _is_image_name(path) and path.is_file())
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror}); check its permissions") from error
    if not found:
        raise DataError(f"{folder}: holds no images; add files that end in {', '.join(SUFFIXES)}")
    return found


def _is_image_name(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def read_image(path: Path) -> Pixels:
    """Decode a file to uint8 [H, W, 3]: grey is repeated, alpha dropped with a warning, 16 bits scaled to 8.

    The EXIF orientation is applied; of animations and multi-page files the first picture counts. Of 16-bit
    colour Pillow keeps the high byte, at most one level from the rounded value; RGB TIFFs are exact.

    Raises:
        DataError: missing, not an image, truncated, too large, or of values that are not image values.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # metadata that Pillow cannot parse
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                if _is_deep_colour(image):
                    # Pillow mixes separate 16-bit planes up; it can read what else tifffile cannot.
                    planes_apart = image.tag_v2.get(PLANAR_CONFIGURATION) == tifffile.PLANARCONFIG.SEPARATE
                    with contextlib.suppress(*() if planes_apart else (DataError,)):
                        return _read_tiff(path)
                image.load()
                return _from_pillow(path, ImageOps.exif_transpose(image), inverted=_is_inverted(image))
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check the path") from error
    except DataError:
        raise
    except UnidentifiedImageError as error:
        if path.suffix.lower() in (".tif", ".tiff"):
            return _read_tiff(path)
        raise DataError(
            f"{path}: not a PNG, JPEG, WebP or TIFF file, or its header is damaged; remove or replace it"
        ) from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(_too_large(path)) from error
    except DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise DataError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
        raise DataError(f"{path}: corrupt or truncated ({_first_line(error)}); replace it") from error


def _too_large(path: Path) -> str:
    return f"{path}: larger than {Image.MAX_IMAGE_PIXELS:,} pixels; cut it into parts"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _is_deep_colour(image: Image.Image) -> TypeGuard[TiffImageFile]:
    """An RGB TIFF of more than 8 bits, of which Pillow would keep the high byte; tifffile reads most."""
    return (
        isinstance(image, TiffImageFile)
        and image.mode == "RGB"
        and max(image.tag_v2.get(BITS_PER_SAMPLE, (8,))) > 8
    )


def _is_inverted(image: Image.Image) -> bool:
    """A TIFF whose zero is white; Pillow turns only those of 8 bits around."""
    wide = image.mode in WIDE_MODES or image.mode == "F"
    white_is_zero = tifffile.PHOTOMETRIC.MINISWHITE
    return wide and isinstance(image, TiffImageFile) and image.tag_v2.get(PHOTOMETRIC) == white_is_zero


def _from_pillow(path: Path, image: Image.Image, inverted: bool) -> Pixels:
    if image.mode in WIDE_MODES or image.mode == "F":
        pixels = _to_rgb8(path, np.asarray(image))
        return 255 - pixels if inverted else pixels
    if image.has_transparency_data:
        LOGGER.warning("%s: alpha channel dropped", path)
        image = image.convert("RGBA")
    return np.array(image.convert("RGB"), dtype=np.uint8)


def _read_tiff(path: Path) -> Pixels:
    """TIFFs of which Pillow reads nothing or too little: 16 bits per colour, float colour."""
    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            if Image.MAX_IMAGE_PIXELS is not None and page.size > 4 * Image.MAX_IMAGE_PIXELS:
                raise DataError(_too_large(path))
            if not page.imagelength or not page.imagewidth:
                raise ValueError("it holds no picture")
            if math.prod(page.chunked) > len(page.dataoffsets) or 0 in page.databytecounts:
                raise ValueError("parts of the picture are missing")  # tifffile would make them black
            if page.photometric not in TIFF_COLOURS:
                raise DataError(f"{path}: a TIFF that is neither grey nor RGB; convert it to RGB")
            values, inverted = page.asarray(), page.photometric == tifffile.PHOTOMETRIC.MINISWHITE
            if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and values.ndim == 3:
                values = np.moveaxis(values, 0, -1)
            orientation = page.tags.valueof(ORIENTATION, 1)
    except DAMAGE as error:
        raise DataError(
            f"{path}: not a TIFF file that can be read ({_first_line(error)}); replace or convert it"
        ) from error
    pixels8 = _to_rgb8(path, values)
    upright = Image.fromarray(255 - pixels8 if inverted else pixels8)
    upright.getexif()[ORIENTATION] = orientation
    return np.array(ImageOps.exif_transpose(upright))


def _to_rgb8(path: Path, values: NDArray[np.generic]) -> Pixels:
    """Samples of any depth [H, W] or [H, W, 1..4] to uint8 [H, W, 3].

    Raises:
        DataError: another shape, NaN, or values outside the range of their type.
    """
    planes = values[..., None] if values.ndim == 2 else values
    if planes.ndim != 3 or planes.shape[2] not in (1, 2, 3, 4) or planes.size == 0:
        raise DataError(f"{path}: an image of shape {values.shape}; use height x width with 1 to 4 channels")
    if planes.shape[2] in (2, 4):
        LOGGER.warning("%s: alpha channel dropped", path)
        planes = planes[..., :-1]
    if planes.dtype.kind not in "buif":
        raise DataError(f"{path}: samples of type {planes.dtype}; convert it to 8 or 16 bits")
    full = 1.0 if planes.dtype.kind in "bf" else 255.0 if planes.dtype.itemsize == 1 else 65535.0
    scaled = planes.astype(np.float64) / full
    if not (np.isfinite(scaled).all() and scaled.min(initial=0) >= 0 and scaled.max(initial=0) <= 1):
        raise DataError(f"{path}: sample values outside 0..{full:g}, or NaN; convert it to 8 or 16 bits")
    return np.repeat(np.floor(scaled * 255 + 0.5), 3 // planes.shape[2], axis=2).astype(np.uint8)


def write_image(path: Path, image: Pixels) -> None:
    """Write uint8 [H, W, 3] atomically in the format of the suffix.

    Raises:
        ConfigError: a suffix that no format has, or an image too large for its format.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{path}: cannot write '{path.suffix}'; use one of {', '.join(SUFFIXES)}")
    limit = MAX_SIDES.get(path.suffix.lower())
    if limit and max(image.shape) > limit:
        size = f"{image.shape[1]}x{image.shape[0]}"
        raise ConfigError(f"{path}: {size} pixels, but the format ends at {limit} a side; write a .png")
    with atomic_path(path) as part:
        Image.fromarray(image).save(part)
