"""Read `.npz` and `.npy` files that came from anywhere: arrays, checked before they take any memory.

A `.npz` is a zip of `.npy` files. numpy's own reader allocates what a header asks for and unpacks what a zip
declares, and what it, zipfile and zlib say about a damaged file is of a dozen types. So the zip's directory
is looked at first, then every header, and only then are values unpacked: as many as the shape needs.
"""

import contextlib
import math
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import ArtifactError, first_line

MAX_BYTES = 4 << 30
"""Largest sum of all arrays of a file that is read, as of a NIR file."""

MAX_MEMBERS = 1 << 14
CHUNK = 1 << 20
"""Bytes that are unpacked at a time: memory is taken as values arrive, not as a header promises them."""

HEADER_CHARACTERS = 1000
"""Headers of this tool's arrays have about 100."""

KINDS = "iu"
SUFFIX = ".npy"
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_arrays(path: Path, limit: int = MAX_BYTES, kinds: str = KINDS) -> dict[str, NDArray[Any]]:
    """Read all arrays of a `.npz` file, whole or not at all.

    Args:
        path: the file.
        limit: largest sum of all arrays in bytes; of a file that declares more nothing is unpacked.
        kinds: numpy's letters for the kinds of number that are allowed, integers alone by default.

    Returns:
        Arrays by name, of the shapes and types of the file, writable.

    Raises:
        ArtifactError: missing, no zip, encrypted, packed otherwise than numpy does; a member stands twice, is
            no array, has another size than its shape, or objects or other kinds of values; or more bytes than
            `limit`. The file and the member are named.
    """
    with _parsing(path), zipfile.ZipFile(path) as stored:
        members = _members(path, stored, limit)
        return {name: _member(f"{path}: {name}", stored, member, kinds) for name, member in members.items()}


def read_array(path: Path, limit: int = MAX_BYTES, kinds: str = KINDS) -> NDArray[Any]:
    """Read the array of a `.npy` file, whole or not at all.

    Args:
        path: the file.
        limit: largest size in bytes that is read.
        kinds: numpy's letters for the kinds of number that are allowed; `V` allows fields of numbers.

    Returns:
        An array of the shape and type of the file, writable.

    Raises:
        ArtifactError: missing, no such file, larger than `limit`, of another size than its shape, or of other
            kinds of values, objects among them.
    """
    with _parsing(path), path.open("rb") as stream:
        size = path.stat().st_size
        if size > limit:
            raise ArtifactError(f"{path}: takes {size:,} bytes, more than {limit:,}")
        return _array(str(path), stream, size, kinds)


@contextlib.contextmanager
def _parsing(path: Path) -> Iterator[None]:
    """Turn whatever the parsers below say of a file into one line; a warning of theirs is a fault as well."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
    except (ArtifactError, MemoryError):
        raise  # memory that runs out is no fault of the file
    except FileNotFoundError as error:
        raise ArtifactError(f"{path}: no such file; export the network again") from error
    except Exception as error:  # zipfile, zlib and numpy: some ten types, none of which names the file
        raise ArtifactError(
            f"{path}: not readable ({first_line(error)}); export the network again"
        ) from error


def _members(path: Path, stored: zipfile.ZipFile, limit: int) -> dict[str, zipfile.ZipInfo]:
    """The members of a zip by the names of their arrays, after a look at its directory alone."""
    listed = stored.infolist()
    if len(listed) > MAX_MEMBERS:
        raise ArtifactError(f"{path}: holds {len(listed):,} members, more than {MAX_MEMBERS:,}")
    found: dict[str, zipfile.ZipInfo] = {}
    for member in listed:
        where = f"{path}: {member.filename[:100]!r}"
        name = member.filename.removesuffix(SUFFIX)
        if name == member.filename:
            raise ArtifactError(f"{where} is no {SUFFIX} array; export the network again")
        if name in found:
            raise ArtifactError(f"{where} is there twice; export the network again")
        if member.flag_bits & 1:
            raise ArtifactError(f"{where} is encrypted; export the network again")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ArtifactError(
                f"{where} is packed by method {member.compress_type}, numpy stores or deflates"
            )
        found[name] = member
    total = sum(member.file_size for member in listed)
    if total > limit:
        raise ArtifactError(
            f"{path}: its arrays would take {total:,} bytes, more than {limit:,}; "
            "export the network again, with fewer --tiles if need be"
        )
    return found


def _member(where: str, stored: zipfile.ZipFile, member: zipfile.ZipInfo, kinds: str) -> NDArray[Any]:
    with stored.open(member) as stream:
        return _array(where, stream, member.file_size, kinds)


def _array(where: str, stream: IO[bytes], declared: int, kinds: str) -> NDArray[Any]:
    """The array of a stream that has `declared` bytes, its header among them."""
    shape, by_columns, dtype = _header(stream)
    if dtype.kind not in kinds or dtype.hasobject:
        raise ArtifactError(f"{where} holds values of type {dtype}; export the network again")
    size = math.prod(shape) * dtype.itemsize
    if size != declared - stream.tell():
        raise ArtifactError(
            f"{where} should take {size:,} bytes as {dtype} {list(shape)}, "
            f"it has {declared - stream.tell():,}; export the network again"
        )
    values = np.empty(size, dtype=np.uint8)
    _fill(where, stream, values)
    flat = values.view(dtype)
    return flat.reshape(shape[::-1]).T if by_columns else flat.reshape(shape)


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    if version not in _HEADERS:
        raise ValueError(f"an array of .npy version {version}")
    return _HEADERS[version](stream, max_header_size=HEADER_CHARACTERS)


def _fill(where: str, stream: IO[bytes], values: NDArray[np.uint8]) -> None:
    """Unpack into an array; at the end of a member zipfile compares its checksum."""
    view, place = values.data, 0
    while place < len(view):
        got = stream.readinto(view[place : place + CHUNK])  # type: ignore[attr-defined]
        if not got:
            raise ArtifactError(
                f"{where} ends after {place:,} of {len(view):,} bytes; export the network again"
            )
        place += got
