"""Every kind of file that photographers have, and every way in which it can be damaged."""

import io
import logging
import os
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
from PIL import Image
from snn_tool.errors import ConfigError, DataError
from snn_tool.images.files import find_images, read_image, read_picture, write_image
from snn_tool.terminal import configure_logging

Pixels = NDArray[np.uint8]


def picture(height: int = 13, width: int = 17) -> Pixels:
    """No symmetry, and noise, so that neither a flip nor a lost part goes unnoticed."""
    ramp = np.add.outer(np.arange(height) * 9, np.arange(width) * 5)[..., None] + [0, 40, 80]
    noise = np.random.default_rng(0).integers(0, 8, ramp.shape)
    return ((ramp + noise) % 256).astype(np.uint8)


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def tiff(values: NDArray[Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def rgb16_png(values: NDArray[np.uint16]) -> bytes:
    """By the PNG specification: colour type 2, 16 bits big-endian, filter 0 before each row."""
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    chunks = [png_chunk(b"IHDR", header), png_chunk(b"IDAT", zlib.compress(rows)), png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


RGB = Image.fromarray(picture())
WIDE = picture().astype(np.uint16) * 257
OTHER = Image.fromarray(255 - picture())
LOSSLESS = {
    "plain.png": encoded(RGB, "PNG"),
    "animated.png": encoded(RGB, "PNG", save_all=True, append_images=[OTHER]),
    "plain.webp": encoded(RGB, "WEBP", lossless=True),
    "animated.webp": encoded(RGB, "WEBP", lossless=True, save_all=True, append_images=[OTHER]),
    "plain.tif": encoded(RGB, "TIFF"),
    "plain.bmp": encoded(RGB, "BMP"),
    "lzw.tiff": encoded(RGB, "TIFF", compression="tiff_lzw"),
    "pages.tif": tiff(np.stack([picture(), 255 - picture()]), photometric="rgb"),
    "16.tif": tiff(WIDE, photometric="rgb"),
    "16big.tif": tiff(WIDE, photometric="rgb", byteorder=">"),
    "16deflated.tif": tiff(WIDE, photometric="rgb", compression="zlib", rowsperstrip=3),
    "16tiles.tif": tiff(WIDE, photometric="rgb", tile=(16, 16)),
    "16planes.tif": tiff(np.moveaxis(WIDE, 2, 0).copy(), photometric="rgb", planarconfig="separate"),
    "float32.tif": tiff((picture() / 255).astype(np.float32), photometric="rgb"),
    "float64.tif": tiff(picture() / 255, photometric="rgb"),
}
LOSSY = {
    "plain.jpg": encoded(RGB, "JPEG", quality=95, subsampling=0),
    "progressive.jpeg": encoded(RGB, "JPEG", quality=95, subsampling=0, progressive=True),
    "cmyk.jpg": encoded(RGB.convert("CMYK"), "JPEG", quality=95),
    "in.tif": encoded(RGB, "TIFF", compression="jpeg"),
}
FILES = {**LOSSLESS, **LOSSY}


def refusal(path: Path) -> str:
    """The one line that says why a file is refused."""
    with pytest.raises(DataError) as caught:
        read_image(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and len(message.splitlines()) == 1
    return message


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


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_formats_keep_every_value(decode: Decode, name: str) -> None:
    image = decode(LOSSLESS[name], name)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, picture())


@pytest.mark.parametrize("name", LOSSY)
def test_lossy_formats_come_close(decode: Decode, name: str) -> None:
    """Channels swapped, negated or shifted would differ by tens of grey levels on average."""
    assert np.abs(decode(LOSSY[name], name).astype(int) - picture()).mean() < 10


def test_a_cmyk_photograph_is_not_inverted(decode: Decode) -> None:
    """Full magenta and yellow ink is red."""
    image = decode(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG"), "red.jpg")
    assert np.abs(image.astype(int) - [255, 0, 0]).max() <= 3


@pytest.mark.parametrize("mode", ["L", "I;16", "1", "LA", "RGBA", "P"])
def test_grey_is_repeated_and_alpha_dropped(
    decode: Decode, warned: pytest.LogCaptureFixture, mode: str
) -> None:
    grey = np.repeat(np.array([[0, 255], [255, 0]], np.uint8)[..., None], 3, axis=2)
    has_alpha = mode in ("LA", "RGBA", "P")
    image = Image.fromarray(grey[..., 0])
    if mode == "I;16":
        image = Image.fromarray(grey[..., 0].astype(np.uint16) * 257)
    elif mode == "P":
        image = image.convert("P")
    elif has_alpha:
        image = Image.merge("LA", (image, Image.fromarray(np.array([[0, 255], [128, 1]], np.uint8))))
        image = image.convert(mode)
    elif mode == "1":
        image = image.convert("1")
    options = {"transparency": 0} if mode == "P" else {}
    np.testing.assert_array_equal(decode(encoded(image, "PNG", **options), "x.png"), grey)
    assert [record.getMessage().split(": ")[1] for record in warned.records] == (
        ["alpha channel dropped"] if has_alpha else []
    )


def test_16_bit_grey_is_rounded(decode: Decode) -> None:
    """65535 / 255 = 257: 128 / 257 < 1/2 < 129 / 257; the last but one level begins at 65278.5."""
    values = np.array([[0, 128, 129, 385, 386, 65278, 65279, 65406, 65407, 65535]], np.uint16)
    expected = [0, 0, 1, 1, 2, 254, 254, 254, 255, 255]
    for data, name in ((encoded(Image.fromarray(values), "PNG"), "x.png"), (tiff(values), "x.tif")):
        assert decode(data, name)[0, :, 0].tolist() == expected, name


def test_all_16_bit_colours(decode: Decode) -> None:
    """A TIFF is rounded; of a PNG the high byte stays, at most one level away."""
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    values = np.stack([values, values[::-1], values.T], axis=2)
    rounded = (values.astype(int) + 128) // 257
    np.testing.assert_array_equal(decode(tiff(values, photometric="rgb"), "x.tif"), rounded)
    assert np.abs(rounded - decode(rgb16_png(values), "x.png")).max() == 1


@pytest.mark.parametrize("channels", [0, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.uint8, np.uint16, np.uint32])
def test_full_scale_is_the_largest_value_of_the_type(
    decode: Decode, dtype: type[np.integer[Any]], channels: int
) -> None:
    """Black, white, and the first value above half: 128, of 7 bits 129 (64 x 255 / 127 is 128.5)."""
    full = int(np.iinfo(dtype).max)
    values = np.array([[0, full, full // 2 + 1]], dtype)
    if channels:
        values = np.repeat(values[..., None], channels, axis=2)
    data = tiff(values, photometric="rgb" if channels > 2 else "minisblack", planarconfig="contig")
    for column, expected in enumerate((0, 255, 129 if full == 127 else 128)):
        assert (decode(data, "x.tif")[0, column] == expected).all()


@pytest.mark.parametrize(
    ("mode", "sample_format", "values"),
    [
        ("L", 2, np.array([[0, 127, 63]], np.uint8)),
        ("I;16", 2, np.array([[0, 32767, 16384]], np.uint16)),
        ("I", 2, np.array([[0, 2**31 - 1, 2**30]], np.int32)),
        ("I", 1, np.array([[0, 2**32 - 1, 2**31]], np.uint32).view(np.int32)),
    ],
)
def test_full_scale_where_only_pillow_can_decompress(
    decode: Decode, mode: str, sample_format: int, values: NDArray[Any]
) -> None:
    image = Image.frombytes(mode, (3, 1), values.tobytes())
    data = encoded(image, "TIFF", compression="tiff_lzw", tiffinfo={339: sample_format})
    entry = struct.pack("<HHI", 339, 3, 1)
    assert data.count(entry) == 1
    before, after = data.split(entry)
    data = before + entry + struct.pack("<H", sample_format) + after[2:]
    # 63 x 255 / 127 is 126.496.
    assert decode(data, "x.tif")[0, :, 0].tolist() == [0, 255, 126 if mode == "L" else 128]


def test_full_scale_of_12_bits(decode: Decode) -> None:
    """By TIFF 6.0: two samples of 12 bits in three bytes, 0xFFF and 0x800; 255 x 2048 / 4095 is 127.53."""
    tags = (
        (256, 4, 2),
        (257, 4, 1),
        (258, 3, 12),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 8),
        (277, 3, 1),
        (279, 4, 3),
    )
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    body = b"\xff\xf8\x00\0" + struct.pack("<H", len(tags)) + entries + bytes(4)
    assert decode(b"II*\0" + struct.pack("<I", 12) + body, "x.tif")[0, :, 0].tolist() == [255, 128]


def test_bytes_in_32_bits_are_nearly_black_and_said_to_be(
    decode: Decode, warned: pytest.LogCaptureFixture
) -> None:
    assert not decode(tiff(np.full((4, 5), 255, np.int32)), "x.tif").any()
    (message,) = [record.getMessage() for record in warned.records]
    assert "nearly black, its largest sample is 255 of 2147483647" in message


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_rounding_is_that_of_rational_numbers(decode: Decode, bits: int) -> None:
    """floor(255 v / full + 1/2) in Python's own integers, at the border of each level."""
    full = 2**bits - 1
    borders = [-(-(2 * level - 1) * full // 510) for level in range(1, 256)]
    values = np.array([[value - step for value in borders for step in (0, 1)]], f"uint{bits}")
    expected = [(510 * int(value) + full) // (2 * full) for value in values[0]]
    assert decode(tiff(values), "x.tif")[0, :, 0].tolist() == expected
    assert expected[0::2] == list(range(1, 256)) and expected[1::2] == list(range(255))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16", "RGB", "P"])
def test_grey_files_are_told_from_colour(tmp_path: Path, mode: str) -> None:
    """A colour file whose channels are equal is colour all the same."""
    image = Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8))
    image = (
        Image.fromarray(np.asarray(image).astype(np.uint16) * 257) if mode == "I;16" else image.convert(mode)
    )
    image.save(tmp_path / "x.png")
    pixels = read_picture(tmp_path / "x.png").pixels
    assert pixels.shape == (2, 2, 3 if mode in ("RGB", "P") else 1)
    assert pixels[..., 0].tolist() == [[0, 255], [255, 0]]
    write_image(tmp_path / "y.png", pixels)
    with Image.open(tmp_path / "y.png") as written:
        assert written.mode == ("L" if pixels.shape[2] == 1 else "RGB")


@pytest.mark.parametrize("bits", [1, 4, 8, 24, 32])
def test_bitmaps(decode: Decode, bits: int) -> None:
    """As Windows, GIMP and the Waterloo set have them; upside down, and with palettes."""
    modes = {1: RGB.convert("1"), 4: RGB.convert("L"), 8: RGB.convert("L"), 24: RGB, 32: RGB.convert("RGBA")}
    image = modes[bits]
    assert decode(encoded(image, "BMP"), "x.bmp").tolist() == np.array(image.convert("RGB")).tolist()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_tiff_whose_zero_is_white(decode: Decode, dtype: type[np.generic]) -> None:
    full = {np.uint8: 255, np.uint16: 65535, np.float32: 1}[dtype]
    values = np.array([[0, full]]).astype(dtype)
    assert decode(tiff(values, photometric="miniswhite"), "x.tif")[0, :, 0].tolist() == [255, 0]


SHOWN: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: stored.transpose(1, 0, 2)[:, ::-1],
    7: lambda stored: stored.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda stored: stored.transpose(1, 0, 2)[::-1],
}
"""EXIF 2.3, tag 274: where row 0 and column 0 belong, e.g. 6: row 0 is the right side, column 0 the top."""


@pytest.mark.parametrize("orientation", SHOWN)
def test_the_orientation_is_applied(decode: Decode, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    tag = [(274, "H", 1, orientation, False)]
    stored = {
        "x.png": encoded(RGB, "PNG", exif=exif),
        "x.webp": encoded(RGB, "WEBP", exif=exif, lossless=True),
        "x.tif": encoded(RGB, "TIFF", exif=exif),
        "lzw.tif": encoded(RGB, "TIFF", exif=exif, compression="tiff_lzw"),
        "16.tif": tiff(WIDE, photometric="rgb", extratags=tag),
        "float.tif": tiff(picture() / 255, photometric="rgb", extratags=tag),
    }
    expected = SHOWN[orientation](picture())
    for name, data in stored.items():
        np.testing.assert_array_equal(decode(data, name), expected, err_msg=name)
    shown = decode(encoded(RGB, "JPEG", exif=exif, quality=95, subsampling=0), "x.jpg")
    assert shown.shape == expected.shape
    assert np.abs(shown.astype(int) - expected).mean() < 10


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.webp", "x.tif", "x.bmp"])
def test_one_pixel_is_an_image(tmp_path: Path, name: str) -> None:
    write_image(tmp_path / name, np.full((1, 1, 3), 128, np.uint8))
    image = read_image(tmp_path / name)
    assert image.shape == (1, 1, 3)
    assert np.abs(image.astype(int) - 128).max() <= 2


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_anywhere_is_whole_or_refused(tmp_path: Path, name: str) -> None:
    """A picture that is complete, as in front of a PNG's end mark, may be used; never a part of one."""
    path, data = tmp_path / name, FILES[name]
    path.write_bytes(data)
    whole = read_image(path)
    refused = 0
    for length in {*range(0, len(data), 1 + len(data) // 120), *range(len(data) - 12, len(data))}:
        path.write_bytes(data[:length])
        try:
            np.testing.assert_array_equal(read_image(path), whole)
        except DataError:
            refusal(path)
            refused += 1
    assert refused >= 30


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


@pytest.mark.slow
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(sorted(FILES)),
    changes=st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_changed_bytes_never_escape(scratch: Path, name: str, changes: list[tuple[int, int]]) -> None:
    data = bytearray(FILES[name])
    for position, value in changes:
        data[position % len(data)] = value
    path = scratch / name
    path.write_bytes(data)
    try:
        image = read_image(path)
    except DataError:
        refusal(path)
    else:
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size


@pytest.mark.slow
@given(
    start=st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"II*\0\x08\0\0\0", b"\xff\xd8\xff"]), rest=st.binary()
)
@settings(max_examples=200, deadline=None)
def test_noise_behind_a_magic_number_is_refused(scratch: Path, start: bytes, rest: bytes) -> None:
    for suffix in (".png", ".tif", ".jpg", ".webp"):
        (scratch / f"noise{suffix}").write_bytes(start + rest)
        refusal(scratch / f"noise{suffix}")


def test_a_png_with_a_damaged_checksum(tmp_path: Path) -> None:
    """A wrong CRC leaves the pixels as they are, or is refused; a wrong IHDR is always refused."""
    data = encoded(RGB, "PNG")
    start = data.index(b"IDAT")
    (size,) = struct.unpack(">I", data[start - 4 : start])
    crc = start + 4 + size
    path = tmp_path / "x.png"
    path.write_bytes(data[:crc] + bytes(b ^ 255 for b in data[crc : crc + 4]) + data[crc + 4 :])
    try:
        np.testing.assert_array_equal(read_image(path), picture())
    except DataError:
        assert "corrupt" in refusal(path)
    header = data.index(b"IHDR") + 4
    path.write_bytes(data[:header] + b"\1" + data[header + 1 :])
    assert "its header is damaged" in refusal(path)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("text.png", b"no picture\n"),
        ("empty.png", b""),
        ("text.jpg", b"no picture\n"),
        ("empty.webp", b""),
        ("gif.png", encoded(RGB, "GIF")),
        ("ghostscript.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"),
        ("portable.png", b"P6 3 3 255\n" + bytes(27)),
    ],
)
def test_other_files_are_refused_by_name(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    assert "not a PNG, JPEG, WebP, TIFF or BMP file, or its header is damaged; remove" in refusal(
        tmp_path / name
    )


@pytest.mark.parametrize("data", [b"", b"no picture\n", b"II*\0", b"MM\0*\0\0\0\x08\0\0"])
def test_a_tiff_that_is_none(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.tif").write_bytes(data)
    assert "replace" in refusal(tmp_path / "x.tif")


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("value", [np.nan, np.inf, -0.01, 1.01])
def test_float_values_outside_the_range(tmp_path: Path, value: float, colour: bool) -> None:
    values = np.full((4, 5, 3) if colour else (4, 5), 0.5, np.float32)
    values[2, 3] = value
    (tmp_path / "x.tif").write_bytes(tiff(values, photometric="rgb" if colour else "minisblack"))
    assert "outside 0..1, or NaN; convert it" in refusal(tmp_path / "x.tif")


@pytest.mark.parametrize(
    ("values", "options", "reason"),
    [
        (np.full((4, 5), -1, np.int16), {}, "outside 0..32767"),
        (np.full((4, 5, 3), -1, np.int8), {"photometric": "rgb"}, "outside 0..127"),
        (np.full((4, 5), -1, np.int32), {}, "outside 0..2147483647"),
        (np.full((4, 5), 1j), {}, "samples of type complex128; convert it to 8 or 16 bits"),
        (
            np.zeros((4, 5, 5), np.uint16),
            {"planarconfig": "contig"},
            "use height x width with 1 to 4 channels",
        ),
        (np.zeros((4, 5, 4)), {"photometric": "separated"}, "neither grey nor RGB; convert it to RGB"),
    ],
)
def test_values_that_are_no_colours(
    tmp_path: Path, values: NDArray[Any], options: dict[str, str], reason: str
) -> None:
    (tmp_path / "x.tif").write_bytes(tiff(values, **options))
    assert reason in refusal(tmp_path / "x.tif")


def test_a_header_that_claims_gigabytes(tmp_path: Path) -> None:
    """Nothing is allocated for pixels that are not there."""
    path = tmp_path / "x.tif"
    for compression in ("zlib", None):
        for height, reason in ((2**31 - 1, "cut it into parts"), (10_000_000, "cut it"), (50_000, "replace")):
            path.write_bytes(tiff(picture() / 255, photometric="rgb", compression=compression))
            with tifffile.TiffFile(path, mode="r+") as file:
                for name in ("ImageLength", "RowsPerStrip"):
                    file.pages.first.tags[name].overwrite(height, dtype="I")
            assert reason in refusal(path)
    path = tmp_path / "x.png"
    path.write_bytes(encoded(Image.new("1", (10_000, 10_000)), "PNG"))
    assert "larger than 89,478,485 pixels; cut it into parts" in refusal(path)


def test_a_tiff_with_a_missing_strip_is_not_filled_with_black(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    path.write_bytes(tiff(picture() / 255, photometric="rgb", compression="zlib", rowsperstrip=4))
    with tifffile.TiffFile(path, mode="r+") as file:
        tag = file.pages.first.tags["StripByteCounts"]
        assert len(tag.value) == 4
        tag.overwrite([*tag.value[:3], 0])
    assert "parts of the picture are missing" in refusal(path)


def test_what_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no such file; check the path" in refusal(tmp_path / "absent.png")

    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Image, "open", forbidden)
    assert "cannot be read (Permission denied); check its permissions" in refusal(tmp_path / "x.png")


def test_images_are_found_below_the_folder_in_order(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpeg", "sub/c.tif", "notes.txt", "._b.PNG", ".b.png.x.part.png", "no_image.gif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    names = [path.relative_to(tmp_path).as_posix() for path in find_images(tmp_path)]
    assert names == ["a.jpeg", "b.PNG", "sub/c.tif"]
    assert find_images(tmp_path / "notes.txt") == [tmp_path / "notes.txt"]


def test_hidden_folders_are_not_entered(tmp_path: Path) -> None:
    """Nor those of archives and servers; one that is named is what is wanted."""
    hidden = (".AppleDouble", ".thumbnails", "sub/.git", "__MACOSX", "@eaDir")
    for name in ("a.png", "sub/b.png", *(f"{folder}/c.png" for folder in hidden)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / ".hidden.png").write_bytes(b"")
    assert find_images(tmp_path) == [tmp_path / "a.png", tmp_path / "sub" / "b.png"]
    for folder in hidden:
        assert find_images(tmp_path / folder) == [tmp_path / folder / "c.png"]
    assert find_images(tmp_path / ".hidden.png") == [tmp_path / ".hidden.png"]


def test_links_do_not_lead_in_circles(tmp_path: Path) -> None:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "sub" / "a.png").write_bytes(b"")
    (tmp_path / "in" / "sub" / "up").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "b.png").symlink_to(tmp_path / "in" / "sub" / "a.png")
    (tmp_path / "in" / "self.png").symlink_to("self.png")
    found = [tmp_path / "in" / "b.png", tmp_path / "in" / "sub" / "a.png"]
    assert find_images(tmp_path / "in") == found
    (tmp_path / "link").symlink_to(tmp_path / "in")
    assert [path.name for path in find_images(tmp_path / "link")] == ["b.png", "a.png"]


def test_a_folder_of_others_is_left_out_with_a_warning(
    tmp_path: Path, warned: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "a.png").write_bytes(b"")
    scandir = os.scandir

    def guarded(path: Any) -> Any:
        if Path(path).name == "lost+found":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    assert find_images(tmp_path) == [tmp_path / "a.png"]
    (record,) = warned.records
    assert record.getMessage() == f"{tmp_path / 'lost+found'}: left out (Permission denied)"


def test_results_below_the_folder_are_left_out(tmp_path: Path, warned: pytest.LogCaptureFixture) -> None:
    for name in ("a.png", "restored/a.png", "restored/sub/b.png", "restored2/c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    kept = [tmp_path / "a.png", tmp_path / "restored2" / "c.png"]
    assert find_images(tmp_path, without=tmp_path / "restored") == kept
    (record,) = warned.records
    assert record.getMessage() == (
        f"{tmp_path / 'restored'}: 2 images left out, as results are written there"
    )
    warned.clear()
    assert len(find_images(tmp_path, without=tmp_path)) == 4, "a folder of its own results"
    assert len(find_images(tmp_path, without=tmp_path / "absent")) == 4
    assert len(find_images(tmp_path / "restored", without=tmp_path)) == 2
    assert not warned.records
    with pytest.raises(DataError, match="holds no images"):
        find_images(tmp_path / "restored", without=tmp_path / "restored" / "sub") and find_images(
            tmp_path / "restored2", without=tmp_path / "restored2" / "x"
        )
        (tmp_path / "restored2" / "x").mkdir()
        (tmp_path / "restored2" / "c.png").rename(tmp_path / "restored2" / "x" / "c.png")
        find_images(tmp_path / "restored2", without=tmp_path / "restored2" / "x")


def test_folders_without_images(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"^{tmp_path}: holds no images; add files that end in .png, .jpg"):
        find_images(tmp_path)
    with pytest.raises(DataError, match="absent: no such file or folder; check the path$"):
        find_images(tmp_path / "absent")
    with pytest.raises(DataError, match=r"cannot be read \(File name too long\)"):
        find_images(tmp_path / ("x" * 300))


@pytest.mark.parametrize("name", ["x.png", "x.PNG", "x.tif", "x.tiff", "x.bmp"])
def test_lossless_files_return_as_they_were_written(tmp_path: Path, name: str) -> None:
    write_image(tmp_path / "new" / name, picture())
    np.testing.assert_array_equal(read_image(tmp_path / "new" / name), picture())
    assert [path.name for path in (tmp_path / "new").iterdir()] == [name]


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot write '.gif'; use one of .png, .jpg"):
        write_image(tmp_path / "x.gif", picture())
    with pytest.raises(ConfigError, match="x.webp: 16384x1 pixels, but the format ends at 16383 a side"):
        write_image(tmp_path / "x.webp", np.zeros((1, 16384, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []
    write_image(tmp_path / "x.webp", np.zeros((1, 16383, 3), np.uint8))
    assert read_image(tmp_path / "x.webp").shape == (1, 16383, 3)


def damaged(of: str) -> bytes:
    """A TIFF at which Pillow, libtiff within it, or tifffile has something to say."""
    if of == "libtiff":  # codes that LZW's table does not have; the strip begins behind the header
        data = encoded(RGB, "TIFF", compression="tiff_lzw")
        return data[:12] + b"\xff" * 100 + data[112:]
    if of == "Pillow":  # 900 samples per pixel, tag 277
        samples = struct.pack("<HHIH", 277, 3, 1, 3)
        return encoded(RGB, "TIFF").replace(samples, samples[:-2] + struct.pack("<H", 900))
    data = tiff(WIDE, photometric="rgb")
    where = data.index(struct.pack("<HH", 305, 2)) + 2  # the type of the tag Software
    return data[:where] + b"\xff\xff" + data[where + 2 :]


@pytest.mark.parametrize(
    ("of", "taken"), [("libtiff", False), ("Pillow", False), ("tifffile", True)], ids=["C", "Pillow", "tags"]
)
def test_what_libraries_say_of_a_damaged_tiff_needs_v(
    of: str, taken: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """On file descriptor 2, where libtiff prints from C; what is taken all the same has one warning."""
    path = tmp_path / "x.tif"
    path.write_bytes(damaged(of))
    for verbosity in (0, 1):
        configure_logging(verbosity)
        try:
            read_image(path)
            assert taken
        except DataError:
            assert not taken
        said = " ".join(capfd.readouterr().err.split())
        if verbosity:
            assert (of if of != "Pillow" else "PIL") in said
        else:
            assert said.startswith("WARNING") and "-v shows" in said if taken else said == ""
