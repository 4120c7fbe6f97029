"""Image files in and out: whatever photographers have becomes RGB uint8 [H, W, 3], or one clear line."""

import logging
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from snn_tool.artifacts import atomic_path
from snn_tool.errors import ConfigError, DataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
WIDE_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I")
LOGGER = logging.getLogger("snn_tool")
Pixels = NDArray[np.uint8]


def find_images(folder: Path) -> list[Path]:
    """All image files below a folder, sorted by path; a single image file is a list of one.

    Raises:
        DataError: nothing there, or no image in it.
    """
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        raise DataError(f"{folder}: holds no images; looked for {', '.join(SUFFIXES)}")
    return found


def read_image(path: Path) -> Pixels:
    """Decode a file to uint8 [H, W, 3]: grey is repeated, alpha dropped with a warning, 16 bits scaled to 8.

    Of a 16-bit colour PNG Pillow keeps the high byte, at most one grey level below the rounded value.

    Raises:
        DataError: missing, not an image, truncated, too large, or of values that are not image values.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                image.load()
                return _from_pillow(path, ImageOps.exif_transpose(image))
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except UnidentifiedImageError as error:
        if path.suffix.lower() in (".tif", ".tiff"):
            return _read_tiff(path)
        raise DataError(
            f"{path}: not an image file, whatever its ending says; remove or replace it"
        ) from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(
            f"{path}: larger than {Image.MAX_IMAGE_PIXELS:,} pixels; cut it into parts"
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:
        raise DataError(f"{path}: corrupt or truncated ({_first_line(error)}); replace it") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _from_pillow(path: Path, image: Image.Image) -> Pixels:
    if image.mode in WIDE_MODES or image.mode == "F":
        return _to_rgb8(path, np.asarray(image))
    if image.has_transparency_data:
        LOGGER.warning("%s: alpha channel dropped", path)
        image = image.convert("RGBA")
    return np.array(image.convert("RGB"), dtype=np.uint8)


def _read_tiff(path: Path) -> Pixels:
    """TIFFs that Pillow cannot open, such as those with 16 bits per colour."""
    try:
        return _to_rgb8(path, tifffile.imread(path, key=0))
    except (tifffile.TiffFileError, ValueError, IndexError, struct.error, zlib.error) as error:
        raise DataError(
            f"{path}: not a TIFF file that can be read ({_first_line(error)}); replace it"
        ) from error


def _to_rgb8(path: Path, values: NDArray[np.generic]) -> Pixels:
    """Samples of any depth [H, W] or [H, W, 1..4] to uint8 [H, W, 3].

    Raises:
        DataError: another shape, NaN, or values outside the range of their type.
    """
    planes = values[..., None] if values.ndim == 2 else values
    if planes.ndim != 3 or planes.shape[2] not in (1, 2, 3, 4):
        raise DataError(f"{path}: an image of shape {values.shape}; use height x width with 1 to 4 channels")
    if planes.shape[2] in (2, 4):
        LOGGER.warning("%s: alpha channel dropped", path)
        planes = planes[..., :-1]
    is_float = np.issubdtype(planes.dtype, np.floating)
    full = 1.0 if is_float else 255.0 if planes.dtype == np.uint8 else 65535.0
    scaled = planes.astype(np.float64) / full
    if not (np.isfinite(scaled).all() and scaled.min(initial=0) >= 0 and scaled.max(initial=0) <= 1):
        raise DataError(f"{path}: sample values outside 0..{full:g}, or NaN; convert it to 8 or 16 bits")
    return np.repeat(np.floor(scaled * 255 + 0.5), 3 // planes.shape[2], axis=2).astype(np.uint8)


def write_image(path: Path, image: Pixels) -> None:
    """Write uint8 [H, W, 3] atomically in the format of the suffix.

    Raises:
        ConfigError: a suffix that no format has.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{path}: cannot write '{path.suffix}'; use one of {', '.join(SUFFIXES)}")
    with atomic_path(path) as part:
        Image.fromarray(image).save(part)
