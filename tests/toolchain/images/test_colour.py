"""Colours come out as the file means them; right values are by the published formulas."""

import io
import logging
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms
from snn_tool.errors import DataError
from snn_tool.images.colour import is_srgb, space_of
from snn_tool.images.files import read_image, read_picture, write_image
from snn_tool.images.profiles import ADOBE_CURVE, ADOBE_RGB, CURVE_SRGB, SRGB, curves_of, matrix_profile

Pixels = NDArray[np.uint8]
STORED = (100, 200, 100)
WHITE_D65 = (0.3127, 0.329)
ADOBE_XY = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
P3_XY = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))
SRGB_XY = ((0.64, 0.33), (0.3, 0.6), (0.15, 0.06))
OWN_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
WIDE = matrix_profile(ADOBE_RGB, ADOBE_CURVE)
LINEAR = matrix_profile(SRGB, (1.0,))


def to_xyz(primaries: tuple[tuple[float, float], ...]) -> NDArray[np.float64]:
    """XYZ of linear colours under D65, by the definition: the columns sum to white."""
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
    x, y = WHITE_D65
    return columns * np.linalg.solve(columns, [x / y, 1, (1 - x - y) / y])


def srgb(light: Any) -> NDArray[np.float64]:
    """IEC 61966-2-1, in grey levels of 255, clipped."""
    light = np.clip(light, 0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def in_srgb(numbers: Any, primaries: tuple[tuple[float, float], ...], curve: Callable[[Any], Any]) -> Any:
    """Both spaces are under D65, so that no adaptation is needed."""
    light = curve(np.asarray(numbers) / 255)
    return srgb(light @ np.linalg.solve(to_xyz(SRGB_XY), to_xyz(primaries)).T)


def adobe(numbers: Any) -> Any:
    return in_srgb(numbers, ADOBE_XY, lambda v: v ** (563 / 256))


def flat(colour: Any = STORED) -> Image.Image:
    return Image.fromarray(np.full((8, 8, 3), colour, np.uint8))


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def wide_tiff(dtype: Any, profile: bytes = WIDE, **options: Any) -> bytes:
    full = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1
    values = (np.full((8, 8, 3), STORED) / 255 * full).round(9).astype(dtype)
    buffer = io.BytesIO()
    tag = [(34675, "B", len(profile), profile, True)]
    tifffile.imwrite(buffer, values, photometric="rgb", extratags=tag, **options)
    return buffer.getvalue()


def with_chunks(chunks: dict[bytes, bytes], image: Image.Image | None = None) -> bytes:
    """A PNG with chunks of this kind behind its header."""
    data = encoded(image or flat(), "PNG")
    added = b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks.items()
    )
    return data[:33] + added + data[33:]


def gama(value: float) -> bytes:
    return struct.pack(">I", round(value * 100000))


def chrm(primaries: tuple[tuple[float, float], ...]) -> bytes:
    return struct.pack(">8I", *(round(n * 100000) for pair in (WHITE_D65, *primaries) for n in pair))


def exif(space: int, index: str = "") -> Image.Exif:
    made = Image.Exif()
    made[274] = 1
    made.get_ifd(0x8769)[0xA001] = space
    if index:
        made.get_ifd(0x8769)[0xA005] = {1: index}
    return made


def bmp_v5(space: bytes, profile: bytes = b"", endpoints: bytes = bytes(36)) -> bytes:
    """A BITMAPV5HEADER before the pixels of Pillow's BMP, the profile behind them."""
    pixels = encoded(flat(), "BMP")[54:]
    start = 124 + len(pixels)
    header = struct.pack("<IiiHHIIiiII", 124, 8, 8, 1, 24, 0, len(pixels), 0, 0, 0, 0)
    header += bytes(16) + space + endpoints + bytes(12) + struct.pack("<IIII", 4, start, len(profile), 0)
    size = 14 + start + len(profile)
    return b"BM" + struct.pack("<IHHI", size, 0, 0, 138) + header + pixels + profile


def deep_tiff_with_primaries() -> bytes:
    buffer, numbers = io.BytesIO(), [31270, 32900, 70000, 30000, 20000, 70000, 10000, 10000]
    rationals = [n for number in numbers for n in (number, 100000)]
    tags = [(318, "2I", 2, rationals[:4], True), (319, "2I", 6, rationals[4:], True)]
    values = np.full((8, 8, 3), STORED, np.uint16) * 257
    tifffile.imwrite(buffer, values, photometric="rgb", extratags=tags)
    return buffer.getvalue()


EMBEDDED = {
    "x.png": encoded(flat(), "PNG", icc_profile=WIDE),
    "palette.png": encoded(flat().quantize(2), "PNG", icc_profile=WIDE),
    "alpha.png": encoded(flat().convert("RGBA"), "PNG", icc_profile=WIDE),
    "x.webp": encoded(flat(), "WEBP", lossless=True, icc_profile=WIDE),
    "x.tif": encoded(flat(), "TIFF", icc_profile=WIDE),
    "lzw.tif": encoded(flat(), "TIFF", icc_profile=WIDE, compression="tiff_lzw"),
    "16.tif": wide_tiff(np.uint16),
    "s16.tif": wide_tiff(np.int16),
    "float.tif": wide_tiff(np.float32),
    "x.bmp": bmp_v5(b"DEBM", WIDE),
    "gamma.png": with_chunks({b"gAMA": gama(256 / 563), b"cHRM": chrm(ADOBE_XY)}),
    "exif.webp": encoded(flat(), "WEBP", lossless=True, exif=exif(2)),
    "r03.png": encoded(flat(), "PNG", exif=exif(0xFFFF, "R03")),
    "x.jpg": encoded(flat(), "JPEG", quality=100, subsampling=0, icc_profile=WIDE),
    "exif.jpg": encoded(flat(), "JPEG", quality=100, subsampling=0, exif=exif(0xFFFF, "R03")),
}


@pytest.fixture
def decode(tmp_path: Path) -> Callable[[bytes, str], Pixels]:
    def read(data: bytes, name: str) -> Pixels:
        (tmp_path / name).write_bytes(data)
        return read_image(tmp_path / name)

    return read


@pytest.fixture
def warned(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    """Sees the tool's log also after another test configured the command line."""
    monkeypatch.setattr(logging.getLogger("snn_tool"), "propagate", True)
    caplog.set_level(logging.WARNING, logger="snn_tool")
    return caplog


Decode = Callable[[bytes, str], Pixels]


def test_the_formula_gives_the_known_value() -> None:
    """Adobe RGB's (100, 200, 100) is outside sRGB in red and (0, 201, 92) at its border."""
    np.testing.assert_allclose(adobe(STORED), (0, 201, 92), atol=0.5)


@pytest.mark.parametrize("name", EMBEDDED)
def test_every_way_to_say_adobe_rgb_is_converted(decode: Decode, name: str) -> None:
    image = decode(EMBEDDED[name], name)
    assert np.abs(image - adobe(STORED)).max() <= (3 if name.endswith(".jpg") else 1), image[0, 0]


def test_a_profile_of_many_colours(decode: Decode) -> None:
    """In TIFFs of 8 and of 16 bits; a level more than the rounding for littleCMS's 8-bit tables."""
    colours = np.random.default_rng(0).integers(0, 256, (64, 64, 3))
    eight = decode(encoded(Image.fromarray(colours.astype(np.uint8)), "TIFF", icc_profile=WIDE), "8.tif")
    assert np.abs(eight - adobe(colours)).max() <= 1.5
    fine = np.random.default_rng(1).integers(0, 65536, (64, 64, 3))
    buffer = io.BytesIO()
    tag = [(34675, "B", len(WIDE), WIDE, True)]
    tifffile.imwrite(buffer, fine.astype(np.uint16), photometric="rgb", extratags=tag)
    assert np.abs(decode(buffer.getvalue(), "16.tif") - adobe(fine / 257)).max() <= 0.56


def test_shadows_of_linear_numbers_of_16_bits(decode: Decode) -> None:
    """8 bits of linear light have 13 levels of sRGB between their first two; 16 bits have all of them."""
    values = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    expected = srgb(values / 65535)
    buffer = io.BytesIO()
    tag = [(34675, "B", len(LINEAR), LINEAR, True)]
    tifffile.imwrite(buffer, np.stack([values] * 3, axis=2), photometric="rgb", extratags=tag)
    colour = decode(buffer.getvalue(), "x.tif")
    grey = decode(with_chunks({b"gAMA": gama(1)}, Image.fromarray(values)), "x.png")
    for image in (colour, grey):
        assert np.abs(image - expected[..., None]).max() <= 0.56
        assert len(np.unique(image)) > 65


@pytest.mark.parametrize("value", [0, 1, 40, 128, 254, 255])
def test_gamma_alone(decode: Decode, value: int) -> None:
    image = decode(with_chunks({b"gAMA": gama(1)}, flat((value,) * 3)), "x.png")
    assert np.abs(image - srgb(value / 255)).max() <= 1
    grey = decode(with_chunks({b"gAMA": gama(1)}, Image.new("L", (4, 4), value)), "grey.png")
    assert np.abs(grey - srgb(value / 255)).max() <= 1


@pytest.mark.parametrize(
    "chunks",
    [
        {b"gAMA": gama(0.45455)},
        {b"gAMA": gama(0.45455), b"cHRM": chrm(SRGB_XY)},
        {b"gAMA": gama(1), b"sRGB": b"\0"},
        {b"cICP": bytes((1, 13, 0, 1)), b"gAMA": gama(1)},
        {b"cHRM": chrm(SRGB_XY)},
    ],
)
def test_ways_to_say_srgb_change_nothing(decode: Decode, chunks: dict[bytes, bytes]) -> None:
    assert (decode(with_chunks(chunks), "x.png") == STORED).all()


def test_coding_independent_code_points(decode: Decode) -> None:
    """Display P3, as screenshots of macOS say; it counts more than a profile."""
    curve = lambda v: np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)  # noqa: E731
    image = flat()
    data = with_chunks({b"cICP": bytes((12, 13, 0, 1))}, image)
    assert np.abs(decode(data, "x.png") - in_srgb(STORED, P3_XY, curve)).max() <= 1


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ((9, 16, 0, 1), r"high dynamic range \(cICP, PQ\); tone-map it to sRGB"),
        ((9, 18, 0, 1), r"high dynamic range \(cICP, HLG\); tone-map it to sRGB"),
        ((1, 13, 0, 0), r"unknown kind \(cICP 1, 13, 0, 0\); convert it to sRGB"),
        ((1, 13, 1, 1), "unknown kind"),
        ((7, 13, 0, 1), "unknown kind"),
        ((1, 2, 0, 1), "unknown kind"),
    ],
)
def test_what_no_profile_can_say_is_refused(decode: Decode, code: tuple[int, ...], reason: str) -> None:
    with pytest.raises(DataError, match=f"x.png: .*{reason}"):
        decode(with_chunks({b"cICP": bytes(code)}), "x.png")


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.png", encoded(flat(), "PNG", icc_profile=b"no profile"), "its colour profile is damaged"),
        ("b.png", encoded(flat(), "PNG", icc_profile=WIDE[:200]), "its colour profile"),
        ("c.jpg", encoded(flat(), "JPEG", icc_profile=bytes(300)), "its colour profile is damaged"),
        ("d.webp", encoded(flat(), "WEBP", lossless=True, icc_profile=b"x" * 99), "its colour profile is"),
        ("e.tif", wide_tiff(np.uint16, b"x" * 99), "its colour profile is damaged"),
        ("f.bmp", bmp_v5(b"DEBM", b"x" * 99), "its colour profile is damaged"),
        ("g.bmp", bmp_v5(b"KNIL", b"c:/wide.icm\0"), "calibrated in a way that is not read"),
        ("h.bmp", bmp_v5(bytes(4), endpoints=b"\1" * 36), "calibrated in a way that is not read"),
        ("i.png", with_chunks({b"gAMA": gama(0)}), "its colour profile is damaged"),
        ("j.png", with_chunks({b"cHRM": bytes(32)}), "its colour profile is damaged"),
        ("k.png", with_chunks({b"cICP": b"\1"}), "its colour profile is damaged"),
        ("l.png", with_chunks({b"iCCP": b"name\0\0no zlib"}), "its colour profile is damaged"),
        ("m.png", encoded(flat(), "PNG", exif=exif(0xFFFF)), "EXIF calls its colours uncalibrated"),
        (
            "o.tif",
            deep_tiff_with_primaries(),
            "its primaries are not sRGB's",
        ),
        (
            "n.tif",
            encoded(flat(), "TIFF", tiffinfo={318: (0.3127, 0.329), 319: (0.7, 0.3, 0.2, 0.7, 0.1, 0.1)}),
            "its primaries are not sRGB's",
        ),
    ],
)
def test_what_cannot_be_used_is_ignored_and_named_once(
    tmp_path: Path, warned: pytest.LogCaptureFixture, name: str, data: bytes, reason: str
) -> None:
    (tmp_path / name).write_bytes(data)
    for _ in range(2):
        image = read_image(tmp_path / name)
    assert np.abs(image.astype(int) - STORED).max() <= (3 if name.endswith(".jpg") else 0)
    (message,) = [record.getMessage() for record in warned.records]
    assert message.startswith(f"{tmp_path / name}: ") and reason in message


def grey_profile(gamma: float) -> bytes:
    """A grey profile of one gamma, made of a colour one's curve."""
    curve = b"curv" + bytes(4) + struct.pack(">IHH", 1, round(gamma * 256), 0)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    return profile_of(b"GRAY", b"XYZ ", {b"wtpt": white, b"kTRC": curve})


def profile_of(space: bytes, connection: bytes, tags: dict[bytes, bytes], kind: bytes = b"mntr") -> bytes:
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += struct.pack(">4sII", name, start + len(body), len(data))
        body += data
    head = struct.pack(">I4sI4s4s4s", start + len(body), bytes(4), 0x02100000, kind, space, connection)
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return head + bytes(128 - len(head)) + table + body


def test_grey_profiles_convert_grey(tmp_path: Path) -> None:
    """Of 8 and of 16 bits, PNG and TIFF; and a colour profile on a grey picture, as editors leave it."""
    profile, levels = grey_profile(1.0), np.arange(256, dtype=np.uint8).reshape(16, 16)
    wide = levels.astype(np.uint16) * 257
    tag = [(34675, "B", len(profile), profile, True)]
    Image.fromarray(levels).save(tmp_path / "8.png", icc_profile=profile)
    Image.fromarray(levels).save(tmp_path / "rgb.png", icc_profile=LINEAR)
    Image.fromarray(wide).save(tmp_path / "16.png", icc_profile=profile)
    tifffile.imwrite(tmp_path / "16.tif", wide, photometric="minisblack", extratags=tag)
    tifffile.imwrite(tmp_path / "white.tif", 65535 - wide, photometric="miniswhite", extratags=tag)
    expected = srgb(levels / 255)[..., None]
    for path in sorted(tmp_path.iterdir()):
        picture = read_picture(path)
        assert picture.pixels.shape == (16, 16, 1) and picture.profile == b"", path
        assert np.abs(picture.pixels - expected).max() <= 1, path


def test_profiles_of_another_space_are_ignored(
    decode: Decode, tmp_path: Path, warned: pytest.LogCaptureFixture
) -> None:
    assert (decode(encoded(flat(), "PNG", icc_profile=grey_profile(1.0)), "x.png") == STORED).all()
    red = decode(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF", icc_profile=WIDE), "x.tif")
    assert np.abs(red.astype(int) - (255, 0, 0)).max() <= 3
    assert [record.getMessage() for record in warned.records] == [
        f"{tmp_path / 'x.png'}: its colour profile does not fit the picture (RGB) and is ignored",
        f"{tmp_path / 'x.tif'}: its colour profile does not fit the picture (CMYK) and is ignored",
        f"{tmp_path / 'x.tif'}: inks (CMYK) without a profile; its colours are approximate",
    ]


def test_inks_by_their_profile(decode: Decode) -> None:
    """A press whose cyan is CIELab (60, -10, -20), and whose other inks are black: a table of 2^4 corners."""
    corners = []
    for index in range(16):
        cyan, *others = ((index >> bit) & 1 for bit in (3, 2, 1, 0))
        lab = (0, 0, 0) if any(others) else (60, -10, -20) if cyan else (100, 0, 0)
        corners += [round(lab[0] * 2.55), lab[1] + 128, lab[2] + 128]
    identity = struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    ramp = bytes(range(256))
    table = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + identity + ramp * 4 + bytes(corners) + ramp * 3
    profile = profile_of(b"CMYK", b"Lab ", {b"A2B0": table, b"A2B1": table}, b"prtr")
    assert space_of(profile) == "CMYK"
    for inks, lab in (((255, 0, 0, 0), (60, -10, -20)), ((0, 0, 0, 0), (100, 0, 0))):
        image = decode(encoded(Image.new("CMYK", (8, 8), inks), "TIFF", icc_profile=profile), "x.tif")
        assert np.abs(image - lab_in_srgb(*lab)).max() <= 1.5, image[0, 0]


def lab_in_srgb(lightness: float, a: float, b: float) -> NDArray[np.float64]:
    """CIE 1976 to XYZ under D50, and by sRGB's matrix adapted to D50 (Lindbloom, Bradford)."""
    f = (lightness + 16) / 116 + np.array([a / 500, 0, -b / 200])
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * (0.9642, 1, 0.8249)
    matrix = [
        [0.4360747, 0.3850649, 0.1430804],
        [0.2225045, 0.7168786, 0.0606169],
        [0.0139322, 0.0971045, 0.7141733],
    ]
    return srgb(np.linalg.solve(matrix, xyz))


def test_lab_is_refused_by_name(decode: Decode) -> None:
    lab = Image.fromarray(np.full((8, 8, 3), 99, np.uint8), "RGB")
    lab = Image.frombytes("LAB", lab.size, lab.tobytes())
    with pytest.raises(DataError, match="x.tif: CIELab colours; convert it to RGB"):
        decode(encoded(lab, "TIFF"), "x.tif")


@pytest.mark.parametrize("profile", [OWN_SRGB, matrix_profile(SRGB, CURVE_SRGB)])
def test_srgb_is_recognised_and_kept(tmp_path: Path, profile: bytes) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    Image.fromarray(colours).save(tmp_path / "x.png", icc_profile=profile)
    picture = read_picture(tmp_path / "x.png")
    np.testing.assert_array_equal(picture.pixels, colours)
    assert picture.profile == profile
    for name in ("y.png", "y.jpg", "y.webp", "y.tif"):
        write_image(tmp_path / name, picture.pixels, picture.profile)
        with Image.open(tmp_path / name) as image:
            assert image.info["icc_profile"] == profile, name
    write_image(tmp_path / "y.bmp", picture.pixels, picture.profile)
    np.testing.assert_array_equal(read_image(tmp_path / "y.bmp"), colours)


def test_what_is_no_srgb() -> None:
    for profile in (WIDE, LINEAR, matrix_profile(SRGB, (2.2,)), grey_profile(1.8)):
        assert not is_srgb(profile)


CURVES = {
    "sRGB": CURVE_SRGB,
    "gamma 1.8": (1.8,),
    "of BT.709": (1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081),
}


@pytest.mark.parametrize("name", CURVES)
def test_curves_of_16_bits_are_those_of_littlecms(name: str) -> None:
    """Two readers of one profile, on the colours that both can take."""
    colours = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    sampled = np.linspace(0, 1, 33) ** 2
    points = b"curv" + bytes(4) + struct.pack(">I33H", 33, *np.round(sampled * 65535).astype(int))
    colorants = {n + b"XYZ": matrix_profile(ADOBE_RGB, (1.0,)) for n in (b"r", b"g", b"b")}
    table = profile_of(
        b"RGB ",
        b"XYZ ",
        {
            **{name: _tag(data, name) for name, data in colorants.items()},
            **{n + b"TRC": points for n in (b"r", b"g", b"b")},
        },
    )
    for profile in (matrix_profile(ADOBE_RGB, CURVES[name]), table):
        transform = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            "RGB",
            "RGB",
            1,
            0x2000,
        )
        expected = np.asarray(ImageCms.applyTransform(Image.fromarray(colours), transform)).astype(int)
        curves = curves_of(profile)
        assert curves is not None
        made = curves.to_srgb(colours.astype(np.uint16) * 257)
        assert np.abs(made - expected).max() <= 1 and np.abs(made - expected).mean() < 0.05


def _tag(profile: bytes, name: bytes) -> bytes:
    (count,) = struct.unpack_from(">I", profile, 128)
    for index in range(count):
        found, start, size = struct.unpack_from(">4sII", profile, 132 + 12 * index)
        if found == name:
            return profile[start : start + size]
    raise KeyError(name)


def test_a_file_that_says_nothing_asks_littlecms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ImageCmsProfile", "buildTransform", "applyTransform"):
        monkeypatch.setattr(ImageCms, name, pytest.fail)
    for name in ("x.png", "x.jpg", "x.webp", "x.tif", "x.bmp"):
        write_image(tmp_path / name, np.asarray(flat()))
        assert np.abs(read_image(tmp_path / name).astype(int) - STORED).max() <= 3


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    profile=st.sampled_from([WIDE, OWN_SRGB, grey_profile(2.2)]),
    wide=st.booleans(),
    changes=st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_changed_profiles_never_escape(
    scratch: Path, profile: bytes, wide: bool, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(profile)
    for position, value in changes:
        data[position % len(data)] = value
    path = scratch / "x.tif"
    path.write_bytes(wide_tiff(np.uint16 if wide else np.uint8, bytes(data)))
    assert read_image(path).shape == (8, 8, 3)
