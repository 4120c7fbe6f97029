"""`.npz` files as an attacker, a bad disk or another program leaves them: one line, and little memory."""

import io
import random
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from snn_tool.errors import ArtifactError
from snn_tool.exporters.contract.folder import read_golden
from snn_tool.exporters.contract.npz import read_arrays

ARRAYS = {
    "tiles": np.arange(-12, 12, dtype=np.int16).reshape(1, 3, 2, 4),
    "readout": np.arange(24, dtype=np.int32).reshape(1, 3, 2, 4) * 70_001,
    "spikes.a": np.eye(4, dtype=np.int8).reshape(2, 1, 2, 2, 2),
    "membranes.a": np.arange(16, dtype=np.int32).reshape(2, 1, 2, 2, 2) - 8,
}


def npz(compressed: bool = True) -> bytes:
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **ARRAYS)
    return buffer.getvalue()


def npy(header: str, data: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    text = header.encode("latin-1") + b"\n"
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H", len(text)) + text + data


def zipped(members: list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for name, data in members:
            file.writestr(name, data)
    return buffer.getvalue()


def one(header: str, data: bytes = b"") -> bytes:
    return zipped([("tiles.npy", npy(header, data))])


def plain(descr: str, shape: str) -> str:
    return f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"


def encrypted() -> bytes:
    """Bit 0 of the flags, in the local header and in the directory."""
    data = bytearray(zipped([("tiles.npy", npy(plain("<i2", "(1,)"), b"12"))]))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def damaged_stream() -> bytes:
    data = bytearray(npz())
    data[60:90] = b"\xff" * 30
    return bytes(data)


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "not readable"),
    "text": (lambda: b"hello\n", "not readable"),
    "truncated": (lambda: npz()[:-40], "not readable"),
    "a deflate stream of ones": (damaged_stream, "not readable"),
    "encrypted": (encrypted, "'tiles.npy' is encrypted"),
    "lzma": (lambda: zipped([("a.npy", b"x")], zipfile.ZIP_LZMA), "'a.npy' is packed by method 14"),
    "no array": (lambda: zipped([("a.npy", b"hello")]), "not readable"),
    "no suffix": (lambda: zipped([("a.txt", b"hello")]), "'a.txt' is no .npy array"),
    "a name of escapes": (lambda: zipped([("\x1b[2J", b"hello")]), r"'\\x1b\[2J' is no .npy array"),
    "objects": (lambda: one(plain("|O", "(1,)"), b"12345678"), "holds values of type object"),
    "text values": (lambda: one(plain("<U2", "(1,)"), b"12345678"), "holds values of type <U2"),
    "fields": (
        lambda: one("{'descr': [('a', '<i2')], 'fortran_order': False, 'shape': (1,), }", b"12"),
        "holds values of type",
    ),
    "floats": (lambda: one(plain("<f4", "(1,)"), b"1234"), "holds values of type float32"),
    "a huge shape": (lambda: one(plain("<i2", f"({10**12},)"), b"12"), "should take 2,000,000,000,000 bytes"),
    "a shape beyond 64 bits": (lambda: one(plain("<i2", f"({10**30}, 4)"), b"12"), "should take"),
    "a negative side": (lambda: one(plain("<i2", "(-1,)"), b"12"), "should take"),
    "two negative sides": (lambda: one(plain("<i2", "(-1, -1)"), b"12"), "not readable"),
    "too few values": (lambda: one(plain("<i2", "(2,)"), b"12"), "should take 4 bytes"),
    "too many values": (lambda: one(plain("<i2", "(2,)"), b"123456"), "should take 4 bytes"),
    "a header that is no dictionary": (lambda: one("[" * 150), "not readable"),
    "a long header": (lambda: one(plain("<i2", "(1,)") + " " * 5000, b"12"), "not readable"),
    "version 9": (lambda: zipped([("a.npy", npy(plain("<i2", "(1,)"), b"12", (9, 0)))]), "not readable"),
    "a member of a folder's name": (lambda: zipped([("a/", b"")]), "'a/' is no .npy array"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_npz_of_integers_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    make, complaint = REFUSED[name]
    path = tmp_path / "golden.npz"
    path.write_bytes(make())
    with pytest.raises(ArtifactError, match=complaint) as caught:
        read_golden(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value)


def test_a_member_that_stands_twice_is_refused(tmp_path: Path) -> None:
    array = npy(plain("<i2", "(1,)"), b"12")
    with pytest.warns(UserWarning, match="Duplicate name"):
        data = zipped([("tiles.npy", array), ("tiles.npy", array)])
    (tmp_path / "g.npz").write_bytes(data)
    with pytest.raises(ArtifactError, match="'tiles.npy' is there twice"):
        read_arrays(tmp_path / "g.npz")


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no such file"):
        read_arrays(tmp_path / "none.npz")
    with pytest.raises(ArtifactError, match="not readable"):
        read_arrays(tmp_path)


@pytest.mark.parametrize("compressed", [True, False])
def test_arrays_come_back_as_they_were(compressed: bool, tmp_path: Path) -> None:
    (tmp_path / "g.npz").write_bytes(npz(compressed))
    found = read_arrays(tmp_path / "g.npz")
    assert found.keys() == ARRAYS.keys()
    for name, values in ARRAYS.items():
        np.testing.assert_array_equal(found[name], values)
        assert found[name].dtype == values.dtype and found[name].flags.writeable


def test_arrays_by_columns_and_without_values(tmp_path: Path) -> None:
    values = np.asfortranarray(np.arange(24, dtype=np.int32).reshape(2, 3, 4))
    np.savez(tmp_path / "g.npz", f=values, e=np.zeros((3, 0), dtype=np.int8), s=np.int16(7))
    found = read_arrays(tmp_path / "g.npz")
    np.testing.assert_array_equal(found["f"], values)
    assert found["e"].shape == (3, 0) and found["s"].shape == () and found["s"] == 7


@pytest.mark.slow
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    """64 MiB of zeros in 65 kB: with a limit of 1 MiB not even one MiB is taken."""
    np.savez_compressed(tmp_path / "g.npz", zeros=np.zeros(1 << 26, dtype=np.int8))
    assert (tmp_path / "g.npz").stat().st_size < 70_000
    tracemalloc.start()
    with pytest.raises(ArtifactError, match=r"would take 67,10\d,\d+ bytes, more than 1,048,576"):
        read_arrays(tmp_path / "g.npz", limit=1 << 20)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_a_directory_that_declares_less_than_its_stream_holds_is_refused(tmp_path: Path) -> None:
    """zipfile unpacks what the directory declares, so the checksum cannot fit."""
    data = bytearray(one(plain("<i2", "(4,)"), b"12345678"))
    entry = data.index(b"PK\x01\x02")
    size = struct.unpack_from("<I", data, entry + 24)[0]
    struct.pack_into("<I", data, entry + 24, size - 4)
    (tmp_path / "g.npz").write_bytes(data)
    with pytest.raises(ArtifactError):
        read_arrays(tmp_path / "g.npz")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"tiles": None}, "has no tiles or no readout"),
        ({"readout": None}, "has no tiles or no readout"),
        ({"tiles": ARRAYS["tiles"].astype(np.int64)}, "tiles is int64 of 4 axes, not int16 of 4"),
        ({"spikes.a": ARRAYS["spikes.a"][0]}, "spikes.a is int8 of 4 axes, not int8 of 5"),
        ({"weights": ARRAYS["tiles"]}, "holds 'weights', which no export has"),
        ({"spikes": ARRAYS["spikes.a"]}, "holds 'spikes', which no export has"),
        ({"tiles.a": ARRAYS["tiles"]}, "holds 'tiles.a', which no export has"),
    ],
)
def test_members_that_are_missing_too_many_or_of_another_kind(
    change: dict[str, np.ndarray | None], complaint: str, tmp_path: Path
) -> None:
    arrays = {name: values for name, values in {**ARRAYS, **change}.items() if values is not None}
    np.savez_compressed(tmp_path / "golden.npz", **arrays)
    with pytest.raises(ArtifactError, match=complaint):
        read_golden(tmp_path / "golden.npz")


@pytest.mark.parametrize("compressed", [True, False])
def test_no_change_of_a_few_bytes_escapes_the_reader(compressed: bool, tmp_path: Path) -> None:
    """300 seeded mutants: each is read, to the same values, or refused as an artefact."""
    valid, chance, path = npz(compressed), random.Random(17), tmp_path / "golden.npz"
    refused = 0
    for _ in range(300):
        data = bytearray(valid)
        for _ in range(chance.choice([1, 1, 4, 16])):
            data[chance.randrange(len(data))] = chance.randrange(256)
        if not chance.randrange(5):
            del data[chance.randrange(len(data)) :]
        path.write_bytes(data)
        try:
            read_golden(path)
        except ArtifactError as error:
            refused += 1
            assert "\n" not in str(error) and str(path) in str(error)
    assert refused > 150
