"""Image files in and out: whatever photographers have becomes 8 bits of sRGB, or one clear line."""

import contextlib
import errno
import logging
import math
import os
import struct
import tempfile
import threading
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile
from snn_tool.errors import ConfigError, DataError, first_line
from snn_tool.files.artifacts import Opener, atomic_path, refuse_missing
from snn_tool.images.colour import embedded_profile, file_profile, kept_profile, to_srgb, warn_once
from snn_tool.images.samples import ALPHA, full_scale, to_pixels

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
MAX_SIDES = {".webp": 16383, ".jpg": 65500, ".jpeg": 65500}
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")
METADATA_FOLDERS = ("__MACOSX", "@eaDir")
"""Where zip files of macOS and servers of Synology keep thumbnails under the names of the originals."""
WIDE_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
STRAIGHT = {"La": "LA", "RGBa": "RGBA", "P": "RGBA", "PA": "RGBA"}
"""Modes with premultiplied alpha or a palette, and what they become before their alpha is dropped."""
ORIENTATION, BITS_PER_SAMPLE, PHOTOMETRIC, PLANAR_CONFIGURATION, SAMPLE_FORMAT = 274, 258, 262, 284, 339
ICC_PROFILE = 34675
UNSIGNED, SIGNED = 1, 2
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
IN_PLACES = "damaged in places, which are passed over; -v shows what its readers say"
LONGEST_RETOLD = 10_000
"""Bytes of what a library printed."""
LUMA = (0.299, 0.587, 0.114)
"""Grey of red, green and blue: ITU-R BT.601, as MATLAB's rgb2gray, which made Set12 and BSD68."""
LOGGER = logging.getLogger("snn_tool")
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A decoded file.

    Attributes:
        pixels: uint8 [H, W, 1] of a grey file, [H, W, 3] of any other, sRGB, upright.
        profile: the file's own ICC profile if it is sRGB, to be embedded in a copy.
    """

    pixels: Pixels
    profile: bytes = b""


def find_images(folder: Path, without: Path | None = None) -> list[Path]:
    """All image files below a folder, sorted by path; a single image file is a list of one.

    Hidden files and folders are passed over, unless they are named: macOS leaves `._x.png` and
    `.AppleDouble`, desktops `.thumbnails`, a killed run its unfinished output. Links to folders are not
    followed.

    Args:
        folder: where to look.
        without: a folder of results; if it lies inside, what is in it is left out, and a warning counts it.

    Raises:
        DataError: nothing there, or no image in it.
    """
    try:
        if folder.is_file():
            return [folder]
        refuse_missing(folder)
        found = sorted(_images_below(folder))
        results = without.resolve() if without and without.is_dir() else None
        is_inside = results is not None and folder.resolve() in results.parents
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror}); check its permissions") from error
    if results and is_inside:
        found = _leave_out(found, results, folder)
    if not found:
        raise DataError(f"{folder}: holds no images; add files that end in {', '.join(SUFFIXES)}")
    return found


def _images_below(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder, onerror=_unreadable):
        folders[:] = [name for name in folders if name[0] != "." and name not in METADATA_FOLDERS]
        for path in (Path(parent, name) for name in names if name[0] != "."):
            if path.suffix.lower() in SUFFIXES and path.is_file():
                yield path


def _unreadable(error: OSError) -> None:
    """Go on without a folder that others own; any other error ends the search."""
    if error.errno not in (errno.EACCES, errno.EPERM):
        raise error
    LOGGER.warning("%s: left out (%s)", error.filename, error.strerror)


def _leave_out(found: list[Path], results: Path, folder: Path) -> list[Path]:
    below = results.relative_to(folder.resolve())
    kept = [path for path in found if below not in path.relative_to(folder).parents]
    if len(kept) < len(found):
        LOGGER.warning(
            "%s: %d images left out, as results are written there", folder / below, len(found) - len(kept)
        )
    return kept


def read_image(path: Path) -> Pixels:
    """Decode a file to uint8 [H, W, 3] of sRGB, as `read_picture`; grey is repeated.

    Raises:
        DataError: as `read_picture`.
    """
    return in_colour(read_picture(path).pixels)


def in_colour(pixels: Pixels) -> Pixels:
    """Pixels [H, W, 1] or [H, W, 3] as [H, W, 3]."""
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def in_grey(pixels: Pixels) -> Pixels:
    """Pixels [H, W, 1] or [H, W, 3] as [H, W, 1]: `LUMA` rounded to 8 bits, halves up; equal colours stay."""
    if pixels.shape[2] == 1:
        return pixels
    weights = np.array([round(1000 * weight) for weight in LUMA], np.uint32)
    return ((pixels @ weights + 500) // 1000).astype(np.uint8)[..., None]


def in_channels(pixels: Pixels, channels: int | None) -> Pixels:
    """Pixels as a network of so many channels sees them, 3 or 1; None leaves them as they are.

    Raises:
        DataError: another number of channels.
    """
    if channels not in (None, 1, 3):
        raise DataError(f"the network takes {channels} channels; images have 3, or 1 if they are grey")
    return pixels if channels is None else in_grey(pixels) if channels == 1 else in_colour(pixels)


def is_grey(pixels: Pixels) -> bool:
    """Whether a picture has no colour: one channel, or three that are equal everywhere."""
    return pixels.shape[2] == 1 or bool((pixels == pixels[..., :1]).all())


def check_image(path: Path) -> None:
    """Open a file without decoding it.

    Raises:
        DataError: missing, not an image, or too large; damage to the pixels shows when they are read.
    """
    with _logs_retold(path):
        _open(path, decode=False)


def read_picture(path: Path) -> Picture:
    """Decode a file: grey stays grey, alpha is dropped with a warning, any depth becomes 8 bits of sRGB.

    The EXIF orientation is applied; of animations and multi-page files the first picture counts. Of 16-bit
    colour in PNG Pillow keeps the high byte, at most one level from the rounded value; TIFFs are exact. What
    the numbers mean is said by the file (`colour.file_profile`).

    Raises:
        DataError: missing, not an image, truncated, too large, or of values that are not image values.
    """
    with _logs_retold(path):
        picture = _open(path, decode=True)
    assert picture is not None
    return picture


def _open(path: Path, decode: bool) -> Picture | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # metadata that Pillow cannot parse
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                return _decoded(path, image) if decode else None
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check the path") from error
    except DataError:
        raise
    except UnidentifiedImageError as error:
        if path.suffix.lower() in (".tif", ".tiff"):
            return _read_tiff(path) if decode else None
        raise DataError(
            f"{path}: not a PNG, JPEG, WebP, TIFF or BMP file, or its header is damaged; remove or replace it"
        ) from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(_too_large(path)) from error
    except DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise DataError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
        raise DataError(f"{path}: corrupt or truncated ({first_line(error)}); replace it") from error


def _too_large(path: Path) -> str:
    return f"{path}: larger than {Image.MAX_IMAGE_PIXELS:,} pixels; cut it into parts"


_STDERR, _stderr_lock = 2, threading.Lock()


class _Retold(logging.Handler):
    """Passes a library's warnings on to our log, where -v shows them."""

    any = False

    def emit(self, record: logging.LogRecord) -> None:
        """Tell one record again."""
        self.any = True
        LOGGER.debug("%s: %s", record.name, record.getMessage())


@contextlib.contextmanager
def _logs_retold(path: Path) -> Iterator[None]:
    """Let what tifffile and Pillow log of a damaged file appear with -v alone; one line of ours says it."""
    handler = _Retold(logging.WARNING)
    loggers = [logging.getLogger(name) for name in ("tifffile", "PIL")]
    before = [logger.propagate for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, propagates in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.propagate = propagates
    if handler.any:
        warn_once(path, IN_PLACES)


@contextlib.contextmanager
def _libtiff_retold(path: Path) -> Iterator[None]:
    """Let what libtiff prints of a damaged file appear with -v alone.

    It prints from C, and Pillow has no way to stop it: while it decodes, file descriptor 2 leads into a
    temporary file. What another thread prints in that moment goes the same way.
    """
    with _stderr_lock, tempfile.TemporaryFile() as said:
        kept = _redirected(said.fileno())
        try:
            yield
        finally:
            if kept is not None:
                os.dup2(kept, _STDERR)
                os.close(kept)
            said.seek(0)
            for line in said.read(LONGEST_RETOLD).decode(errors="replace").splitlines():
                LOGGER.debug("%s: libtiff: %s", path, line)


def _redirected(target: int) -> int | None:
    """Let file descriptor 2 lead elsewhere; returns a copy of what it was, None where there is none."""
    try:
        kept = os.dup(_STDERR)
    except OSError:
        return None
    os.dup2(target, _STDERR)
    return kept


def _decoded(path: Path, image: Image.Image) -> Picture:
    """The picture of an open file; TIFFs of other samples than bytes by tifffile, as far as it can."""
    if isinstance(image, TiffImageFile) and (_bits(image) > 8 or _format(image) != UNSIGNED):
        profile = file_profile(path, image)
        # Pillow mixes separate 16-bit planes up; it can decompress what tifffile cannot without imagecodecs.
        planes_apart = image.tag_v2.get(PLANAR_CONFIGURATION) == tifffile.PLANARCONFIG.SEPARATE
        try:
            return _read_tiff(path, profile)
        except DataError as error:
            if planes_apart or "imagecodecs" not in str(error):
                raise
    with _libtiff_retold(path) if isinstance(image, TiffImageFile) else contextlib.nullcontext():
        image.load()
    profile = file_profile(path, image)
    inverted = _is_inverted(image)
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode in WIDE_MODES or _format(image) == SIGNED:
        return Picture(*to_pixels(path, *_samples(image), inverted, profile))
    return _from_bytes(path, image, profile)


def _from_bytes(path: Path, image: Image.Image, profile: bytes) -> Picture:
    """A picture of 8 bits a sample, or of fewer."""
    if image.mode == "LAB":
        raise DataError(f"{path}: CIELab colours; convert it to RGB")
    if image.has_transparency_data:
        warn_once(path, ALPHA)
    if image.mode not in ("L", "RGB", "CMYK"):
        straight = STRAIGHT.get(image.mode, image.mode)
        is_grey = straight in ("1", "LA")
        image = (image.convert(straight) if straight != image.mode else image).convert(
            "L" if is_grey else "RGB"
        )
    pixels = np.array(to_srgb(path, image, profile), dtype=np.uint8)
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    return Picture(pixels, kept_profile(profile, pixels.shape[2]))


def _bits(image: TiffImageFile) -> int:
    return max(_numbers(image, BITS_PER_SAMPLE) or (1,))


def _format(image: Image.Image) -> int:
    return (
        (_numbers(image, SAMPLE_FORMAT) or (UNSIGNED,))[0] if isinstance(image, TiffImageFile) else UNSIGNED
    )


def _numbers(image: TiffImageFile, tag: int) -> tuple[int, ...]:
    value: Any = image.tag_v2.get(tag, ())
    return tuple(value) if isinstance(value, tuple) else (int(value),)


def _samples(image: Image.Image) -> tuple[NDArray[np.generic], float]:
    """Samples of a wide or a signed mode, and their full scale; Pillow gives those of TIFFs other types."""
    values = np.asarray(image)
    if not isinstance(image, TiffImageFile):
        return values, 65535
    if image.mode == "L":
        values = values.view(np.int8)
    elif image.mode == "I" and _format(image) == UNSIGNED:
        values = values.view(np.uint32)
    return values, full_scale(values, _bits(image))


def _is_inverted(image: Image.Image) -> bool:
    """A TIFF whose zero is white; Pillow turns only those of 8 bits around."""
    white_is_zero = tifffile.PHOTOMETRIC.MINISWHITE
    wide = image.mode in WIDE_MODES
    return wide and isinstance(image, TiffImageFile) and image.tag_v2.get(PHOTOMETRIC) == white_is_zero


def _read_tiff(path: Path, profile: bytes | None = None) -> Picture:
    """TIFFs of which Pillow reads nothing or too little: 16 bits per colour, signed samples, float colour.

    Without a `profile`, for Pillow could not open the file, its own counts.
    """
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
            orientation, own = page.tags.valueof(ORIENTATION, 1), page.tags.valueof(ICC_PROFILE)
            full = full_scale(values, int(page.bitspersample))
    except DAMAGE as error:
        raise DataError(
            f"{path}: not a TIFF file that can be read ({first_line(error)}); replace or convert it"
        ) from error
    if profile is None:
        profile = embedded_profile(path, own) if own else b""
    pixels, kept = to_pixels(path, values, full, inverted, profile)
    return Picture(_upright(pixels, orientation), kept)


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    if orientation not in range(2, 9):
        return pixels
    upright = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    upright.getexif()[ORIENTATION] = orientation
    ImageOps.exif_transpose(upright, in_place=True)
    return np.array(upright).reshape(upright.height, upright.width, -1)


def write_image(path: Path, image: Pixels, profile: bytes = b"", opener: Opener = atomic_path) -> None:
    """Write uint8 [H, W, 3], or [H, W, 1] as grey, atomically in the format of the suffix.

    Args:
        path: of the file.
        image: sRGB.
        profile: an ICC profile of sRGB to embed; BMP has no room for one here.
        opener: how it is written.

    Raises:
        ConfigError: a suffix that no format has, or an image too large for its format.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{path}: cannot write '{path.suffix}'; use one of {', '.join(SUFFIXES)}")
    limit = MAX_SIDES.get(path.suffix.lower())
    if limit and max(image.shape) > limit:
        size = f"{image.shape[1]}x{image.shape[0]}"
        raise ConfigError(f"{path}: {size} pixels, but the format ends at {limit} a side; write a .png")
    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    with opener(path) as part:
        picture.save(part, icc_profile=profile or None)
