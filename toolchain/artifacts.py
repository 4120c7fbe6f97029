"""Files that appear whole or not at all, their hashes, and versioned JSON.

A leaf beside `errors`: every room writes artefacts, so every room may import it. Nothing here knows what
an artefact means. No timestamps are written, so that a rerun gives identical bytes.
"""

import contextlib
import errno
import hashlib
import json
import math
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from snn_tool import __version__
from snn_tool.errors import ArtifactError, ConfigError


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it replaces `path`, on any error it is removed.

    Raises:
        ArtifactError: the folder cannot be written or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{path.name}.", suffix=".part" + path.suffix, dir=path.parent
        )
        os.close(handle)
    except OSError as error:
        raise _not_written(path, error) from error
    part = Path(name)
    try:
        yield part
        os.chmod(part, 0o666 & ~_umask())
        os.replace(part, path)
    except OSError as error:
        raise _not_written(path, error) from error
    finally:
        part.unlink(missing_ok=True)


def _not_written(path: Path, error: OSError) -> ArtifactError:
    reason = error.strerror or (str(error).splitlines() or [type(error).__name__])[0]
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    remedy = "free some space" if full else "choose another --out"
    return ArtifactError(f"{path}: cannot be written ({reason}); {remedy}")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically."""
    with atomic_path(path) as part:
        part.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically as UTF-8."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, kind: str, schema: int, body: Mapping[str, Any]) -> None:
    """Write a JSON artefact with its kind, schema version and the tool's version first.

    Raises:
        ValueError: `body` holds NaN or infinity (a bug: neither is JSON).
    """
    head = {"kind": kind, "schema": schema, "tool_version": __version__}
    write_text(path, json.dumps({**head, **body}, indent=2, allow_nan=False) + "\n")


def read_json(path: Path, kind: str, schema: int | tuple[int, ...]) -> dict[str, Any]:
    """Read a JSON artefact of the given kind and schema, or of one of several schemas.

    Raises:
        ArtifactError: missing, not JSON (NaN, infinity, a key twice, an integer beyond 64 bits and nesting
            without end are not), another kind, or another schema (both versions are named).
    """
    try:
        with path.open("rb") as stream:
            document = parse_json(stream.read(LARGEST_JSON + 1))
    except FileNotFoundError as error:
        raise ArtifactError(f"{path}: no such file; check the path") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{path}: not a readable JSON file ({error}); write it again") from error
    if not isinstance(document, dict) or document.get("kind") != kind:
        found = shown(document.get("kind")) if isinstance(document, dict) else f"'{type(document).__name__}'"
        raise ArtifactError(f"{path}: expected a file of kind '{kind}', found {found}")
    readable = schema if isinstance(schema, tuple) else (schema,)
    version = document.get("schema")
    if type(version) is not int or version not in readable:
        known = " or ".join(map(str, readable))
        raise ArtifactError(
            f"{path}: schema {shown(version)}, but snn-tool {__version__} reads schema {known}; "
            "write the file again with this version"
        )
    return document


LARGEST_JSON = 32 << 20
"""Bytes; a parser may need twenty times as much memory."""

DEEPEST = 64
"""Tables and lists inside each other; artefacts have a dozen."""


def parse_json(data: bytes) -> Any:
    """The values of a JSON text, strictly: what other parsers read differently, or not at all, is refused.

    Raises:
        ValueError: no JSON in UTF-8; NaN or infinity, by name or by overflow; a key twice in one table; an
            integer beyond 64 bits; half a surrogate pair; more than `LARGEST_JSON` bytes or `DEEPEST` levels.
        RecursionError: far more levels.
    """
    if len(data) > LARGEST_JSON:
        raise ValueError(f"more than {LARGEST_JSON >> 20} MiB")
    document = json.loads(
        data.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_without_repetition
    )
    check_values(document)
    return document


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        raise ValueError(f"the key {shown(counts.most_common(1)[0][0])} stands twice")
    return table


def check_values(value: Any, depth: int = 0) -> None:
    """Hold what a parser made against what every other one can make of it.

    Raises:
        ValueError: a number is not finite or an integer beyond 64 bits, a text cannot be written as UTF-8, or
            more than `DEEPEST` levels stand inside each other.
    """
    if depth > DEEPEST:
        raise ValueError(f"more than {DEEPEST} levels inside each other")
    if isinstance(value, dict):
        for key, item in value.items():
            check_values(key, depth + 1)
            check_values(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            check_values(item, depth + 1)
    elif isinstance(value, str):
        value.encode("utf-8")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is no finite number")
    elif isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        raise ValueError("an integer needs more than 64 bits")


def shown(value: Any, length: int = 80) -> str:
    """A value for a message: as JSON on one line, cut to some characters, control characters escaped.

    Texts stand in single quotes, so that an empty one can be seen.
    """
    text = repr(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=True, default=str)
    return text if len(text) <= length else f"{text[: length - 2]} …"


def sha256_bytes(data: bytes) -> str:
    """The SHA-256 of `data` as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """The SHA-256 of a file's content as 64 hexadecimal digits.

    Raises:
        ArtifactError: the file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror})") from error


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Refuse an output folder that is a file, or that holds something unless `overwrite`.

    Raises:
        ConfigError: `path` is a file, or a non-empty folder without `overwrite`.
        ArtifactError: it cannot be looked at.
    """
    try:
        is_file, is_used = path.is_file(), path.is_dir() and any(path.iterdir())
    except OSError as error:
        raise _not_written(path, error) from error
    if is_file:
        raise ConfigError(f"{path}: is a file; --out takes a folder")
    if is_used and not overwrite:
        raise ConfigError(f"{path}: exists and is not empty; choose another --out or pass --overwrite")


def refuse_existing_file(path: Path, overwrite: bool) -> None:
    """Refuse an output file that is there, unless `overwrite`.

    Raises:
        ConfigError: `path` is a folder, or a file without `overwrite`.
        ArtifactError: it cannot be looked at.
    """
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except OSError as error:
        raise _not_written(path, error) from error
    if is_folder:
        raise ConfigError(f"{path}: is a folder; --out takes a file here")
    if exists and not overwrite:
        raise ConfigError(f"{path}: exists; choose another --out or pass --overwrite")


@contextlib.contextmanager
def staged_folder(path: Path, overwrite: bool, marker: str) -> Iterator[Path]:
    """Yield a temporary folder beside `path` that replaces it on success and vanishes on any error.

    An old folder is deleted only when the new one is in its place, and only if it holds a file `marker`; so
    --overwrite with a folder of something else loses nothing.

    Raises:
        ConfigError: `path` is not empty, and `overwrite` is false or there is no `marker`.
        ArtifactError: the folder cannot be written.
    """
    refuse_existing(path, overwrite)
    if path.is_dir() and any(path.iterdir()) and not (path / marker).is_file():
        raise ConfigError(f"{path}: holds no {marker}, so it is not replaced; use another --out")
    try:
        path = path.resolve()  # of a link its target is replaced
        path.parent.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    except OSError as error:
        raise _not_written(path, error) from error
    try:
        yield stage
        os.chmod(stage, 0o777 & ~_umask())
        _replace_folder(stage, path)
    except OSError as error:
        raise _not_written(path, error) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _replace_folder(stage: Path, path: Path) -> None:
    if not path.is_dir():
        os.replace(stage, path)
        return
    old = stage.with_suffix(".old")
    os.replace(path, old)
    try:
        os.replace(stage, path)
    except OSError:
        os.replace(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)
