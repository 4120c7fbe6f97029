"""Files and folders appear whole or not at all, and every refusal is one line."""

import errno
import hashlib
import json
import os
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from snn_tool import __version__
from snn_tool.errors import ArtifactError
from snn_tool.files.artifacts import (
    atomic_path,
    read_json,
    sha256_bytes,
    sha256_file,
    write_bytes,
    write_json,
    write_text,
)
from snn_tool.files.staging import staged_folder
from snn_tool.images.files import write_image

FULL = OSError(errno.ENOSPC, "No space left on device")
READ_ONLY = OSError(errno.EROFS, "Read-only file system")


class Stop(BaseException):
    """Like KeyboardInterrupt, nothing that an `except Exception` would see."""


def raising(error: OSError) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_with_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "x.bin"
    write_bytes(path, b"\0\1")
    assert path.read_bytes() == b"\0\1"
    write_text(path, "gr\u00fcn\n")
    assert path.read_bytes() == b"gr\xc3\xbcn\n"
    assert names(path.parent) == ["x.bin"]


def test_nobody_sees_a_part(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")
    with atomic_path(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
        assert part.parent.parent == path.parent, "on the same file system"
        assert part.suffix == path.suffix and part.name.startswith(".") and part.parent.name.startswith(".")
    assert path.read_text() == "new"


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    """Temporary files are private; what is handed over is not."""
    before = os.umask(0o027)
    try:
        write_bytes(tmp_path / "x", b"")
        with staged_folder(tmp_path / "folder", False):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o750


@pytest.mark.parametrize("error", [FULL, ValueError("a bug"), Stop(), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")
    expected = ArtifactError if error is FULL else type(error)
    with pytest.raises(expected), atomic_path(path) as part:
        part.write_text("half of the n")
        raise error
    assert path.read_text() == "old"
    assert names(tmp_path) == ["x.txt"]


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (FULL, "(No space left on device); free some space"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "(Disk quota exceeded); free some space"),
        (READ_ONLY, "(Read-only file system); choose another --out"),
        (OSError("encoder error -2\nsecond line"), "(encoder error -2); choose another --out"),
        (OSError(), "(OSError); choose another --out"),
    ],
)
def test_the_remedy_fits_the_error(tmp_path: Path, error: OSError, remedy: str) -> None:
    path = tmp_path / "x"
    for context in (atomic_path(path), staged_folder(path, False)):
        with pytest.raises(ArtifactError) as caught, context:
            raise error
        assert str(caught.value) == f"{path}: cannot be written {remedy}"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_disk_that_is_full(tmp_path: Path) -> None:
    """The part is a link to a device that refuses every byte: what write(2) raises on a full disk."""
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(
        ArtifactError, match=r"cannot be written \(No space left on device\); free some space$"
    ):
        with atomic_path(path) as part:
            part.symlink_to("/dev/full")
            part.write_text("new")
    assert path.read_text() == "old" and names(tmp_path) == ["x.txt"]


def test_a_full_disk_under_an_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.Image.Image.save", raising(FULL))
    with pytest.raises(ArtifactError, match=r"x.png: cannot be written \(No space left on device\)"):
        write_image(tmp_path / "x.png", np.zeros((4, 4, 3), np.uint8))
    assert names(tmp_path) == []


@pytest.mark.parametrize("context", [atomic_path, lambda path: staged_folder(path, False)])
def test_a_folder_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: Callable[[Path], AbstractContextManager[Path]]
) -> None:
    monkeypatch.setattr("os.mkdir", raising(READ_ONLY))
    path = tmp_path / "x"
    with pytest.raises(ArtifactError) as caught, context(path):
        pytest.fail("there is nothing to write to")
    assert str(caught.value) == f"{path}: cannot be written (Read-only file system); choose another --out"


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for context in (
        atomic_path(tmp_path / "file" / "x"),
        staged_folder(tmp_path / "file" / "x", False),
    ):
        with pytest.raises(ArtifactError, match="x: cannot be written .*; choose another --out"), context:
            pytest.fail("there is nothing to write to")
    (tmp_path / "folder").mkdir()
    with pytest.raises(
        ArtifactError, match=r"folder: cannot be written \(Is a directory\); choose another --out"
    ):
        write_bytes(tmp_path / "folder", b"")
    assert names(tmp_path) == ["file", "folder"]


def test_json_returns_with_its_head_first(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, "kind", 3, {"b": [1, 2.5, None], "a": "\u00b5"})
    document = read_json(path, "kind", 3)
    assert list(document) == ["kind", "schema", "tool_version", "b", "a"]
    assert document == {
        "kind": "kind",
        "schema": 3,
        "tool_version": __version__,
        "b": [1, 2.5, None],
        "a": "\u00b5",
    }
    before = path.read_bytes()
    write_json(path, "kind", 3, {"b": [1, 2.5, None], "a": "\u00b5"})
    assert path.read_bytes() == before


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_nan_is_never_written(tmp_path: Path, value: float) -> None:
    path = tmp_path / "x.json"
    write_json(path, "kind", 1, {"figure": 1.0})
    with pytest.raises(ValueError):
        write_json(path, "kind", 1, {"figure": {"deep": [value]}})
    assert read_json(path, "kind", 1)["figure"] == 1.0
    assert names(tmp_path) == ["x.json"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"kind": "kind", "schema": 1, "figure": NaN}', "NaN is not JSON"),
        (b'{"kind": "kind", "schema": 1, "figure": -Infinity}', "-Infinity is not JSON"),
        (b'{"kind": "kind", "schema": 1', "not a readable JSON file"),
        (b"", "not a readable JSON file"),
        (b"\xff\xfe\x00", "not a readable JSON file"),
        (b"[" * 100_000, "not a readable JSON file"),
        (b'{"kind": "kind", "schema": ' + b"9" * 5000 + b"}", "not a readable JSON file"),
        (b"[1]", "expected a file of kind 'kind', found 'list'"),
        (b"{}", "expected a file of kind 'kind', found null"),
        (b'{"kind": "other", "schema": 1}', "expected a file of kind 'kind', found 'other'"),
        (b'{"kind": "kind", "schema": 2}', f"schema 2, but snn-tool {__version__} reads schema 1"),
        (b'{"kind": "kind", "schema": true}', f"schema true, but snn-tool {__version__} reads schema 1"),
        (b'{"kind": "kind", "schema": 1, "figure": 1e999}', "no finite number"),
        (b'{"kind": "kind", "schema": 1, "figure": 18446744073709551616}', "more than 64 bits"),
        (b'{"kind": "kind", "schema": 1, "schema": 1}', "the key 'schema' stands twice"),
        (b'{"kind": "kind", "schema": 1, "name": "\\ud800"}', "surrogates not allowed"),
        (b'{"kind": "kind", "schema": 1, "deep": ' + b"[" * 65 + b"]" * 65 + b"}", "more than 64 levels"),
        (b'{"kind": "\\u001b[31mred", "schema": 1}', r"found '\x1b[31mred'"),
        (b'{"kind": "kind"}', f"schema null, but snn-tool {__version__} reads schema 1"),
    ],
)
def test_foreign_and_damaged_json_is_one_line(tmp_path: Path, text: bytes, reason: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(text)
    with pytest.raises(ArtifactError) as caught:
        read_json(path, "kind", 1)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and reason in message and "\n" not in message


def test_a_file_name_that_is_no_utf8_comes_back(tmp_path: Path) -> None:
    """JSON is ASCII: the byte FF of a name stands as the lone surrogate that Python has for it."""
    path, name = tmp_path / "x.json", os.fsdecode(b"caf\xe9\xff.png")
    write_json(path, "kind", 1, {"name": name})
    assert b'"caf\\udce9\\udcff.png"' in path.read_bytes()
    assert os.fsencode(read_json(path, "kind", 1)["name"]) == b"caf\xe9\xff.png"


def test_json_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="absent.json: no such file; check the path"):
        read_json(tmp_path / "absent.json", "kind", 1)
    with pytest.raises(ArtifactError, match="not a readable JSON file"):
        read_json(tmp_path, "kind", 1)


def test_hashes(tmp_path: Path) -> None:
    """The digest of `abc` is the example of FIPS 180-4."""
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_bytes(b"abc") == expected
    (tmp_path / "x").write_bytes(b"abc")
    assert sha256_file(tmp_path / "x") == expected
    large = bytes(range(256)) * 5000
    (tmp_path / "x").write_bytes(large)
    assert sha256_file(tmp_path / "x") == hashlib.sha256(large).hexdigest()
    with pytest.raises(ArtifactError, match=r"absent: cannot be read \(No such file or directory\)"):
        sha256_file(tmp_path / "absent")


def test_every_json_file_is_plain_json(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", "kind", 1, {"text": 'a "b"\n'})
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))["text"] == 'a "b"\n'
