"""What the numbers of an image file mean: colour profiles and their kin, converted to sRGB by littleCMS.

Files say it in many ways: an ICC profile (PNG, JPEG, WebP, TIFF, BMP), the PNG chunks cICP, sRGB, gAMA and
cHRM, EXIF's colour space. `file_profile` makes one ICC profile of whatever a file says, so that the rest of
the tool sees sRGB alone. A file that says nothing is sRGB, as everywhere, and costs nothing.

Conversion is relative colorimetric with black point compensation, as in most viewers.
"""

import io
import logging
import struct
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms
from PIL.BmpImagePlugin import BmpImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from snn_tool.errors import DataError
from snn_tool.images.profiles import ADOBE_CURVE, ADOBE_RGB, CURVE_SRGB, SRGB, Primaries, matrix_profile

SAME = 1
"""A profile that moves no colour by more than this many of 255 levels is sRGB: the pixels stay."""
CICP_PRIMARIES = {
    1: SRGB,
    9: Primaries((0.3127, 0.329), (0.708, 0.292), (0.17, 0.797), (0.131, 0.046)),
    12: Primaries((0.3127, 0.329), (0.68, 0.32), (0.265, 0.69), (0.15, 0.06)),
}
"""ITU-T H.273, table 2: BT.709 (as sRGB), BT.2020, and P3 with the white D65."""
CICP_CURVES = {4: (2.2,), 5: (2.8,), 8: (1.0,), 13: CURVE_SRGB}
"""ITU-T H.273, table 3: gamma 2.2 and 2.8, linear, sRGB."""
CICP_HDR = {16: "PQ", 18: "HLG"}
GAMMA_SRGB, GAMMA_NEAR = 1 / 2.2, 0.005
"""What writers of sRGB state as gAMA (PNG, 3rd edition, 11.3.2.2)."""
EXIF_POINTER, EXIF_COLOUR_SPACE, EXIF_INTEROPERABILITY = 0x8769, 0xA001, 0xA005
EXIF_ADOBE_RGB, EXIF_UNCALIBRATED = 2, 0xFFFF
TIFF_EXIF, TIFF_WHITE_POINT, TIFF_PRIMARIES = 34665, 318, 319
PNG_SIGNATURE, PNG_HEADER = 8, struct.Struct(">I4s")
BMP_V5, BMP_SPACE, BMP_ENDPOINTS = 124, 56, slice(60, 96)
BMP_EMBEDDED, BMP_LINKED, BMP_CALIBRATED = b"DEBM", b"KNIL", bytes(4)
"""Colour spaces of a BITMAPV5HEADER; the letters lie in the order of a little-endian integer."""
MOST_BYTES = 2**24
"""Of a profile; presses have megabytes of tables."""
MODES = {"GRAY": ("L",), "RGB": ("RGB", "L"), "CMYK": ("CMYK",)}
"""Modes of pictures whose numbers a profile of a space can explain; grey is red = green = blue."""
FINE, EXACT = ImageCms.Flags.HIGHRESPRECALC, ImageCms.Flags.NOOPTIMIZE
"""How littleCMS computes a picture, and 256 levels; its usual table for grey is 7 levels off near black."""
PROFILE_ERRORS = (OSError, ValueError, TypeError, ImageCms.PyCMSError)
DAMAGED = "its colour profile is damaged and is ignored; the numbers are taken for sRGB"
LOGGER = logging.getLogger("snn_tool")
Pixels = NDArray[np.uint8]
_WARNED: set[tuple[Path, str]] = set()


def warn_once(path: Path, text: str) -> None:
    """Log a warning about a file, once however often a command decodes it."""
    if (path, text) not in _WARNED:
        _WARNED.add((path, text))
        LOGGER.warning("%s: %s", path, text)


def file_profile(path: Path, image: Image.Image) -> bytes:
    """The ICC profile that says what the numbers of an opened file mean; empty for sRGB without one.

    What a file says twice is taken in the order of PNG's third edition: cICP, a profile, sRGB, gAMA and cHRM;
    then EXIF. What cannot be read is ignored with a warning that names the file.

    Raises:
        DataError: numbers of a high dynamic range, or of a system that has no profile.
    """
    coded = _cicp_profile(path) if isinstance(image, PngImageFile) else None
    if coded is not None:
        return coded
    if "icc_profile" in image.info:
        return embedded_profile(path, image.info["icc_profile"])
    try:
        if isinstance(image, PngImageFile) and ("gamma" in image.info or "chromaticity" in image.info):
            return b"" if "srgb" in image.info else _png_profile(image)
        if isinstance(image, BmpImageFile):
            return _bmp_profile(path)
    except (ArithmeticError, ValueError):
        warn_once(path, DAMAGED)
        return b""
    if isinstance(image, TiffImageFile) and TIFF_PRIMARIES in image.tag_v2:
        _warn_of_primaries(path, image)
    return _exif_profile(path, image)


def embedded_profile(path: Path, profile: bytes | None) -> bytes:
    """The profile of a file if littleCMS can open it."""
    if profile and space_of(profile):
        return profile
    warn_once(path, DAMAGED)
    return b""


def _png_profile(image: Image.Image) -> bytes:
    """A profile of the chunks gAMA and cHRM; one that is missing is sRGB's."""
    gamma = float(image.info.get("gamma", GAMMA_SRGB))
    x_y = tuple(map(float, image.info.get("chromaticity", ())))
    primaries = Primaries(x_y[:2], x_y[2:4], x_y[4:6], x_y[6:8]) if len(x_y) == 8 else SRGB
    if primaries.is_near(SRGB) and abs(gamma - GAMMA_SRGB) <= GAMMA_NEAR:
        return b""
    return matrix_profile(primaries, (1 / gamma,) if "gamma" in image.info else CURVE_SRGB)


def _cicp_profile(path: Path) -> bytes | None:
    """A profile of a PNG's chunk cICP; None without one. Pillow does not read it.

    Raises:
        DataError: no profile can say it.
    """
    code = _png_chunk(path, b"cICP")
    if code is None:
        return None
    if len(code) != 4:
        warn_once(path, DAMAGED)
        return None
    primaries, curve, matrix, full_range = code
    if curve in CICP_HDR:
        raise DataError(
            f"{path}: high dynamic range (cICP, {CICP_HDR[curve]}); tone-map it to sRGB and save it again"
        )
    if primaries not in CICP_PRIMARIES or curve not in CICP_CURVES or matrix or full_range != 1:
        raise DataError(
            f"{path}: colours of an unknown kind (cICP {', '.join(map(str, code))}); convert it to sRGB"
        )
    if (primaries, curve) == (1, 13):
        return b""
    return matrix_profile(CICP_PRIMARIES[primaries], CICP_CURVES[curve])


def _png_chunk(path: Path, wanted: bytes) -> bytes | None:
    """The body of a chunk before the pixels."""
    with path.open("rb") as file:
        file.seek(PNG_SIGNATURE)
        while len(head := file.read(PNG_HEADER.size)) == PNG_HEADER.size:
            size, name = PNG_HEADER.unpack(head)
            if name == wanted:
                return file.read(min(size, 1024))
            if name == b"IDAT":
                break
            file.seek(size + 4, io.SEEK_CUR)
    return None


def _bmp_profile(path: Path) -> bytes:
    """The profile inside a BMP of the fifth version; other calibrations are named and ignored."""
    with path.open("rb") as file:
        header = file.read(138)[14:]
    size = int.from_bytes(header[:4], "little")
    space = header[BMP_SPACE : BMP_SPACE + 4]
    if size < 108:
        return b""
    if space == BMP_LINKED or (space == BMP_CALIBRATED and any(header[BMP_ENDPOINTS])):
        warn_once(path, "its colours are calibrated in a way that is not read; they are taken for sRGB")
    if space != BMP_EMBEDDED or size < BMP_V5:
        return b""
    start, length = struct.unpack_from("<II", header, 112)
    with path.open("rb") as file:
        file.seek(14 + start)
        return embedded_profile(path, file.read(min(length, MOST_BYTES)))


def _exif_profile(path: Path, image: Image.Image) -> bytes:
    """Adobe RGB where EXIF says so, by the interoperability index R03 (DCF 2.0) or, as many do, by number."""
    has_exif = "exif" in image.info or (isinstance(image, TiffImageFile) and TIFF_EXIF in image.tag_v2)
    if not has_exif:
        return b""
    try:
        exif = image.getexif()
        space = exif.get_ifd(EXIF_POINTER).get(EXIF_COLOUR_SPACE)
        index = str(exif.get_ifd(EXIF_INTEROPERABILITY).get(1, ""))
    except (ArithmeticError, LookupError, OSError, SyntaxError, TypeError, ValueError, struct.error):
        return b""  # metadata that is damaged; what it would have said is not known
    if index.startswith("R03") or space == EXIF_ADOBE_RGB:
        return matrix_profile(ADOBE_RGB, ADOBE_CURVE)
    if space == EXIF_UNCALIBRATED:
        warn_once(path, "EXIF calls its colours uncalibrated, and no profile explains them; taken for sRGB")
    return b""


def _warn_of_primaries(path: Path, image: TiffImageFile) -> None:
    """A TIFF's primaries say nothing of its curve, so they cannot be converted by."""
    numbers = [float(n) for tag in (TIFF_WHITE_POINT, TIFF_PRIMARIES) for n in image.tag_v2.get(tag, ())]
    if len(numbers) != 8 or not np.isfinite(numbers).all():
        return
    stated = Primaries(*(tuple(numbers[i : i + 2]) for i in range(0, 8, 2)))  # type: ignore[arg-type]
    if not stated.is_near(SRGB, 0.02):
        warn_once(path, "its primaries are not sRGB's, and no profile explains them; taken for sRGB")


@lru_cache(maxsize=16)
def space_of(profile: bytes) -> str:
    """The colour space of a profile, e.g. `RGB`; empty if littleCMS cannot open it."""
    try:
        return str(ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space).strip()
    except PROFILE_ERRORS:
        return ""


def to_srgb(path: Path, image: Image.Image, profile: bytes) -> Image.Image:
    """A picture of mode L, RGB or CMYK in sRGB, as L or RGB, converted by littleCMS.

    A profile of another space than the picture's is ignored with a warning. CMYK without a profile is
    converted as if inks were ideal, with a warning.
    """
    if profile and not explains(path, profile, image.mode):
        profile = b""
    if image.mode == "L":
        return image.point(grey_table(profile).tolist()) if profile and not is_srgb(profile) else image
    if image.mode == "CMYK":
        ink = _transform(profile, "CMYK") if profile else None
        if ink is None:
            warn_once(path, "inks (CMYK) without a profile; its colours are approximate")
            return image.convert("RGB")
        return ImageCms.applyTransform(image, ink) or image
    if profile and not is_srgb(profile):
        ImageCms.applyTransform(image, _transform(profile, "RGB"), inPlace=True)  # type: ignore[arg-type]
    return image


def explains(path: Path, profile: bytes, mode: str) -> bool:
    """Whether a profile can convert pictures of mode L, RGB or CMYK; if not, a warning names the file."""
    if mode in MODES.get(space_of(profile), ()) and _transform(profile, _colours_of(profile)):
        return True
    warn_once(path, f"its colour profile does not fit the picture ({mode}) and is ignored")
    return False


def kept_profile(profile: bytes, channels: int) -> bytes:
    """The profile for a copy of a file's picture: its own if that is sRGB of as many channels, or none."""
    own = {"GRAY": 1, "RGB": 3}.get(space_of(profile)) if profile else None
    return profile if own == channels and is_srgb(profile) else b""


@lru_cache(maxsize=16)
def is_srgb(profile: bytes) -> bool:
    """Whether an RGB or grey profile moves no colour by more than SAME levels."""
    if space_of(profile) == "GRAY":
        return bool(np.abs(grey_table(profile).astype(int) - np.arange(256)).max() <= SAME)
    transform = _transform(profile, "RGB")
    if space_of(profile) != "RGB" or transform is None:
        return False
    axis = np.append(np.arange(0, 256, 15), [1, 2, 4, 8]).astype(np.uint8)
    colours = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(len(axis), -1, 3)
    return bool(np.abs(_applied(transform, colours).astype(int) - colours).max() <= SAME)


@lru_cache(maxsize=16)
def grey_table(profile: bytes) -> Pixels:
    """What each of 256 grey levels is in sRGB, by a grey or an RGB profile, uint8 [256]."""
    ramp = np.arange(256, dtype=np.uint8)[None]
    space = _colours_of(profile)
    transform = _transform(profile, space, EXACT)
    assert transform is not None, "asked before explains()"
    return _applied(transform, ramp if space == "L" else np.repeat(ramp[..., None], 3, axis=2))[0, :, 1]


def _applied(transform: ImageCms.ImageCmsTransform, pixels: Pixels) -> Pixels:
    return np.asarray(ImageCms.applyTransform(Image.fromarray(pixels), transform))


def _colours_of(profile: bytes) -> str:
    return {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}[space_of(profile)]


@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str, effort: int = FINE) -> ImageCms.ImageCmsTransform | None:
    """From a profile to sRGB; None if littleCMS cannot."""
    try:
        return ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION | effort,
        )
    except PROFILE_ERRORS:
        return None
