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
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from snn_tool import __version__
from snn_tool.errors import ArtifactError, DataError, first_line
from snn_tool.files.temporaries import part_file

LARGEST_JSON = 32 << 20
"""Bytes; a parser may need twenty times as much memory."""

DEEPEST = 64
"""Tables and lists inside each other; artefacts have a dozen."""

QUOTES = "'\""


@contextlib.contextmanager
def atomic_path(path: Path, before: Callable[[Path, Path], None] | None = None) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it replaces `path`, on any error it is removed.

    Args:
        path: the file to make.
        before: is told the finished part and `path` before the one replaces the other.

    Raises:
        ArtifactError: the folder cannot be written or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part_file(path.parent, path.suffix) as part:
            yield part
            os.chmod(part, 0o666 & ~_umask())
            if before:
                before(part, path)
            os.replace(part, path)
    except OSError as error:
        raise not_written(path, error) from error


def not_written(path: Path, error: OSError) -> ArtifactError:
    """What to say of a file or folder that the system does not let us write."""
    reason = error.strerror or first_line(error)
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    remedy = "free some space" if full else "choose another --out"
    return ArtifactError(f"{path}: cannot be written ({reason}); {remedy}")


def refuse_missing(path: Path) -> None:
    """Refuse an input that is not there; cheap, so that it comes before anything heavy is imported.

    Raises:
        DataError: no such file or folder, or it cannot be looked at.
    """
    try:
        present = path.exists()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    if not present:
        raise DataError(f"{path}: no such file or folder; check the path")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


Opener = Callable[[Path], contextlib.AbstractContextManager[Path]]
"""How a file is written: `atomic_path`, or `ownership.owned_path` in a folder that the user named."""


def write_bytes(path: Path, data: bytes, opener: Opener = atomic_path) -> None:
    """Write `data` to `path` atomically."""
    with opener(path) as part:
        part.write_bytes(data)


def write_text(path: Path, text: str, opener: Opener = atomic_path) -> None:
    """Write `text` to `path` atomically as UTF-8."""
    write_bytes(path, text.encode("utf-8"), opener)


def write_json(
    path: Path, kind: str, schema: int, body: Mapping[str, Any], opener: Opener = atomic_path
) -> None:
    """Write a JSON artefact with its kind, schema version and the tool's version first.

    Raises:
        ValueError: `body` holds NaN or infinity (a bug: neither is JSON).
    """
    head = {"kind": kind, "schema": schema, "tool_version": __version__}
    write_text(path, json.dumps({**head, **body}, indent=2, allow_nan=False) + "\n", opener)


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


def check_values(value: Any, keys: tuple[str | int, ...] = ()) -> None:
    """Hold what a parser made against what every other one can make of it.

    Raises:
        ValueError: a number is not finite or an integer beyond 64 bits, a text cannot be written as UTF-8, or
            more than `DEEPEST` levels stand inside each other; the key is named.
    """
    if len(keys) > DEEPEST:
        raise ValueError(f"more than {DEEPEST} levels inside each other")
    if isinstance(value, dict):
        for key, item in value.items():
            check_values(key, (*keys, "its key"))
            check_values(item, (*keys, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            check_values(item, (*keys, index))
    elif isinstance(value, str):
        value.encode("utf-8", "surrogateescape")  # a byte of a file name that is no UTF-8 may stand in it
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{key_path(keys)} = {value} is no finite number")
    elif isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        raise ValueError(f"{key_path(keys)} is an integer of more than 64 bits")


def key_path(keys: tuple[str | int, ...]) -> str:
    """Keys into a document as people write them: `synapses[0].stride`."""
    parts = (f"[{key}]" if isinstance(key, int) else f".{shown(key, 60).strip(QUOTES)}" for key in keys)
    return "".join(parts).removeprefix(".") or "the document"


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
