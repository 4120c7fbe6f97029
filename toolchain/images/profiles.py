"""ICC profiles of three primaries and a curve each: written for littleCMS, and read for 16-bit numbers.

Pillow's littleCMS converts 8 bits. Of 16 bits a profile's own curves and matrix are taken, in the order of
ICC.1:2010, annex F.3: linear = curve(number), XYZ = matrix linear, and sRGB's matrix and curve the other way.
"""

import struct
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
D50 = np.array([0.9642, 1.0, 0.8249])
"""The white of the profile connection space, XYZ (ICC.1:2010, 7.2.16)."""
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
"""Cone responses of XYZ for the adaptation to another white (ICC.1:2010, annex E.3)."""
CURVE_SRGB = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
"""IEC 61966-2-1 as an ICC curve of type 3: g, a, b, c, d."""
LEVELS = 65536
HEADER, ENTRY = 128, struct.Struct(">4sII")
LOOKUP_TAGS = (b"A2B0", b"A2B1", b"D2B0", b"D2B1")
"""Tags that overrule curves and matrix; only littleCMS reads them."""

ADOBE_CURVE = (563 / 256,)


@dataclass(frozen=True, slots=True)
class Primaries:
    """Chromaticities x, y (CIE 1931) of white, red, green and blue."""

    white: tuple[float, float]
    red: tuple[float, float]
    green: tuple[float, float]
    blue: tuple[float, float]

    def is_near(self, other: "Primaries", distance: float = 0.005) -> bool:
        """Whether no coordinate is further away; files round them to three or four places."""
        return bool(np.abs(self._table() - other._table()).max() <= distance)

    def _table(self) -> Floats:
        return np.array([self.white, self.red, self.green, self.blue])

    def matrix(self) -> Floats:
        """XYZ [3, 3] of full red, green and blue (columns), adapted to D50; their sum is its white.

        Raises:
            ValueError: the primaries span no space.
        """
        white, *colours = (np.array([x / y, 1, (1 - x - y) / y]) for x, y in self._table() if y > 0)
        if len(colours) != 3:
            raise ValueError("chromaticities without luminance")
        columns = np.stack(colours, axis=1)
        if abs(np.linalg.det(columns)) < 1e-3:
            raise ValueError("primaries on a line")
        columns = columns * np.linalg.solve(columns, white)
        cones = np.diag((BRADFORD @ D50) / (BRADFORD @ white))
        return np.asarray(np.linalg.solve(BRADFORD, cones @ BRADFORD @ columns))


SRGB = Primaries((0.3127, 0.329), (0.64, 0.33), (0.3, 0.6), (0.15, 0.06))
"""IEC 61966-2-1, as ITU-R BT.709."""
ADOBE_RGB = Primaries((0.3127, 0.329), (0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
"""Adobe RGB (1998) Color Image Encoding, version 2005-05; its gamma is 563/256."""


def matrix_profile(primaries: Primaries, curve: tuple[float, ...]) -> bytes:
    """An ICC profile, version 4, of these primaries and one curve: (gamma,), or the five numbers of type 3.

    Raises:
        ValueError: the primaries span no space, or a number does not fit the file.
    """
    columns = primaries.matrix().T
    kind = 0 if len(curve) == 1 else 3
    trc = b"para" + bytes(4) + struct.pack(">HH", kind, 0) + _fixed(*curve)
    tags = {b"wtpt": b"XYZ " + bytes(4) + _fixed(*D50)}
    for letter, column in zip((b"r", b"g", b"b"), columns, strict=True):
        tags |= {letter + b"XYZ": b"XYZ " + bytes(4) + _fixed(*column), letter + b"TRC": trc}
    table, body = struct.pack(">I", len(tags)), b""
    start = HEADER + len(table) + ENTRY.size * len(tags)
    for name, data in tags.items():
        table += ENTRY.pack(name, start + len(body), len(data))
        body += data
    head = struct.pack(
        ">I4sI4s4s4s12s4s",
        start + len(body),
        bytes(4),
        0x04200000,
        b"mntr",
        b"RGB ",
        b"XYZ ",
        bytes(12),
        b"acsp",
    )
    head += bytes(68 - len(head)) + _fixed(*D50)
    return head + bytes(HEADER - len(head)) + table + body


def _fixed(*numbers: float) -> bytes:
    """Numbers as s15Fixed16."""
    try:
        return struct.pack(f">{len(numbers)}i", *(round(number * 65536) for number in numbers))
    except (struct.error, OverflowError) as error:
        raise ValueError("a number beyond 32767") from error


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """What a profile of curves says of 16-bit numbers.

    Attributes:
        linear: float32 [3, 65536], light of red, green and blue at each level, 1 at full.
        matrix: float32 [3, 3], sRGB's linear light from the profile's, both relative to white; None for grey.
    """

    linear: NDArray[np.float32]
    matrix: NDArray[np.float32] | None

    def to_srgb(self, levels: NDArray[np.uint16]) -> NDArray[np.uint8]:
        """Convert 16-bit numbers [..., 3], or [..., 1] of grey, to sRGB of 8 bits and the same shape."""
        if levels.shape[-1] == 1:
            # Red = green = blue is neutral; its light is that of any channel.
            return srgb_levels()[_level(self.linear[1][levels])]
        light = np.stack([self.linear[c][levels[..., c]] for c in range(3)], axis=-1)
        return srgb_levels()[_level(light if self.matrix is None else light @ self.matrix.T)]


def _level(light: NDArray[np.float32]) -> NDArray[np.int64]:
    levels: NDArray[np.int64] = (np.clip(light, 0, 1) * np.float32(LEVELS - 1) + np.float32(0.5)).astype(
        np.int64
    )
    return levels


@lru_cache(maxsize=1)
def srgb_levels() -> NDArray[np.uint8]:
    """Give sRGB of 8 bits at 65,536 levels of linear light (IEC 61966-2-1); they are 1/20 apart at most."""
    light = np.arange(LEVELS) / (LEVELS - 1)
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    levels: NDArray[np.uint8] = np.floor(encoded * 255 + 0.5).astype(np.uint8)
    return levels


@lru_cache(maxsize=8)
def curves_of(profile: bytes) -> Curves | None:
    """The curves and the matrix of an RGB or grey profile; None where only littleCMS can tell."""
    try:
        tags = _tags(profile)
        if any(name in tags for name in LOOKUP_TAGS):
            return None
        if profile[16:20] == b"GRAY":
            return Curves(_finite(np.stack([_curve(tags[b"kTRC"])] * 3)), None)
        linear = np.stack([_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC")])
        columns = np.stack([_xyz(tags[name]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")], axis=1)
        matrix = np.linalg.solve(SRGB.matrix(), columns)
        return Curves(_finite(linear), _finite(matrix))
    except (KeyError, IndexError, ValueError, struct.error, np.linalg.LinAlgError):
        return None


def _finite(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """The values in single precision.

    Raises:
        ValueError: one is infinite or none at all, as a damaged exponent makes them.
    """
    with np.errstate(over="ignore"):
        single: NDArray[np.float32] = values.astype(np.float32)
    if not np.isfinite(single).all():
        raise ValueError("a curve without an end")
    return single


def _tags(profile: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", profile, HEADER)
    if count > 1000:
        raise ValueError("more tags than a profile has")
    entries = (ENTRY.unpack_from(profile, HEADER + 4 + ENTRY.size * index) for index in range(count))
    return {name: profile[start : start + size] for name, start, size in entries}


def _xyz(tag: bytes) -> Floats:
    if tag[:4] != b"XYZ ":
        raise ValueError("no XYZ")
    return np.array(struct.unpack_from(">3i", tag, 8)) / 65536


def _curve(tag: bytes) -> Floats:
    """Linear light at each 16-bit level, of a tag `curv` or `para` (ICC.1:2010, 10.5 and 10.15).

    Raises:
        ValueError, struct.error: another tag, or one that ends too early.
    """
    number = np.arange(LEVELS) / (LEVELS - 1)
    if tag[:4] == b"para":
        return _parametric(tag, number)
    if tag[:4] != b"curv":
        raise ValueError("no curve")
    (count,) = struct.unpack_from(">I", tag, 8)
    if count == 0:
        return number
    if count > LEVELS:
        raise ValueError("a curve of more points than levels")
    points = np.array(struct.unpack_from(f">{count}H", tag, 12))
    if count == 1:
        return np.asarray(number ** (points[0] / 256))
    return np.interp(number, np.linspace(0, 1, count), points / 65535)


def _parametric(tag: bytes, number: Floats) -> Floats:
    (kind,) = struct.unpack_from(">H", tag, 8)
    if kind > 4:
        raise ValueError("an unknown curve")
    size = (1, 3, 4, 5, 7)[kind]
    given = np.array(struct.unpack_from(f">{size}i", tag, 12)) / 65536
    g, a, b, c, d, e, f = np.append(given, [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0][size:])
    if kind in (1, 2):
        start, offset, slope, low = (
            -b / a if a else 0.0,
            c if kind == 2 else 0.0,
            0.0,
            c if kind == 2 else 0.0,
        )
    else:
        start, offset, slope, low = d, e, c, f
    with np.errstate(
        divide="ignore", over="ignore"
    ):  # of a damaged exponent; the caller refuses what is not finite
        power = np.maximum(a * number + b, 0) ** g + offset
    return np.asarray(np.where(number >= start, power, slope * number + low))
