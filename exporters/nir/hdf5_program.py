"""A program that opens HDF5 files for `hdf5`, in a process of its own.

HDF5 is a large C library. On a damaged file it may search for ever, where no signal reaches it, take all
memory, or crash. Nothing of that harms the process that waits for this one.

It reads requests, one line of JSON each, from stdin, and ends when stdin does: when the caller has ended, in
whatever way. Each file is read by a fork with limits of its own; where there is no fork, one process reads
one file. The reply is a row of frames: a header (4 bytes of length, then JSON), then the values' bytes.
Nothing that crosses is a Python object. The last frame is `{"end": true}` or `{"refused": REASON}`. A reply
that breaks off means that the reader was ended; this program's exit code then says how.

The structure is looked at before any value is read: links, sizes, types, names, depth and number. Only h5py
and numpy are imported, so that a start takes as little as those two do.
"""

import json
import math
import os
import select
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

import h5py
import numpy as np

MAX_DEPTH = 32
"""Groups inside each other; a NIR graph takes two for each graph in a graph."""

MAX_OBJECTS = 30_000
"""Groups and datasets, each counted once for each path that leads to it."""

MAX_NAME = 200
"""Bytes of one name."""

MAX_TEXT = 1 << 16
"""Bytes of one string among the values."""

TEXT_OVERHEAD = 128
"""Bytes that a string takes beside its characters, as a Python object and in HDF5's buffers."""

READING_BYTES = 384 << 20
"""Memory for the reading itself, beside the values."""

OBJECTS_PER_S = 1000
"""Groups and datasets that a second of computing is granted for, once they are open; 14,000 were measured."""

BYTES_PER_S = 50 << 20
"""Values that a second of computing is granted for; deflate gives 200 MB and more."""

MAX_SHOWN = 120
"""Characters of a file's own text in a message."""

BROKEN = 128
"""Exit code of a reader that a signal ended, less the signal's number."""

LINKS = {h5py.h5l.TYPE_SOFT: "a soft link", h5py.h5l.TYPE_EXTERNAL: "an external link"}

Path = tuple[str, ...]


class Refused(Exception):
    """The file holds something that is not read; the message says what, without the file's name."""


@dataclass(frozen=True, slots=True)
class Values:
    """A dataset whose type and size were looked at.

    Attributes:
        path: names from the root.
        dataset: opened, nothing read.
        size: upper bound of the bytes that it takes in memory; strings of any length count as empty.
    """

    path: Path
    dataset: h5py.Dataset
    size: int


def shown(path: Path) -> str:
    """A path within the file, cut to a length that a message can carry."""
    text = "/".join(path)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def look(file: h5py.File, most_bytes: int, cpu_s: int) -> list[Path | Values]:
    """List a file's groups (as paths) and datasets in their order, without reading a value.

    Raises:
        Refused: a link to somewhere else, values stored elsewhere, a type that is not read, or too much.
    """
    found: list[Path | Values] = []
    total, listed, opened = 0, 0, 0
    waiting: list[tuple[Path, h5py.Group | h5py.Dataset]] = [((), file)]
    while waiting:
        path, item = waiting.pop()
        if isinstance(item, h5py.Dataset):
            values = Values(path, item, _size(item, path))
            total += values.size
            if total > most_bytes:
                raise Refused(f"{shown(path)}: {too_large(total, most_bytes)}")
            found.append(values)
            continue
        if len(path) > MAX_DEPTH:
            raise Refused(f"{shown(path)}: its groups are nested deeper than {MAX_DEPTH}")
        listed += len(item)
        if listed > MAX_OBJECTS:
            raise Refused(f"it holds more than {MAX_OBJECTS:,} groups and arrays")
        found.append(path)
        names = [_name(raw, path) for raw in item]
        for name in reversed(names):
            waiting.append(((*path, name), _open(item, (*path, name))))
            opened += 1
            if opened % OBJECTS_PER_S == 0:
                limit_time(cpu_s + opened // OBJECTS_PER_S)
    return found


def too_large(total: int, most_bytes: int) -> str:
    """What is said of a file whose arrays take more memory than they may."""
    taken, limit = total / (1 << 30), most_bytes / (1 << 30)
    return f"its arrays would take {taken:.1f} GiB, above the limit of {limit:g} GiB"


def _name(raw: str | bytes, path: Path) -> str:
    """A member's name; h5py gives bytes where it is not UTF-8."""
    if isinstance(raw, bytes):
        raise Refused(f"{shown(path)}: a name in it is not UTF-8")
    if (size := len(raw.encode())) > MAX_NAME:
        raise Refused(f"{shown((*path, raw))}: a name of {size:,} bytes, above the limit of {MAX_NAME}")
    return raw


def _open(group: h5py.Group, path: Path) -> h5py.Group | h5py.Dataset:
    """Open one member of a group, after its link was looked at."""
    name = path[-1].encode()
    link = group.id.links.get_info(name).type
    if link != h5py.h5l.TYPE_HARD:
        raise Refused(f"{shown(path)}: {LINKS.get(link, 'a link')}, which is not followed")
    item = h5py.h5o.open(group.id, name)
    if isinstance(item, h5py.h5g.GroupID):
        return h5py.Group(item)
    if isinstance(item, h5py.h5d.DatasetID):
        return h5py.Dataset(item)
    raise Refused(f"{shown(path)}: neither a group nor an array")


def _size(dataset: h5py.Dataset, path: Path) -> int:
    """Bytes in memory, without reading a value."""
    stored = dataset.id.get_create_plist()
    if stored.get_layout() == h5py.h5d.VIRTUAL:
        raise Refused(f"{shown(path)}: a virtual array, whose values are in other files, which are not read")
    if stored.get_external_count():
        raise Refused(f"{shown(path)}: its values are in another file, which is not read")
    shape, kind = dataset.shape, dataset.dtype
    if shape is None:
        raise Refused(f"{shown(path)}: it has no value")
    text = h5py.check_string_dtype(kind)
    if text is None and (kind.kind not in "biuf" or kind.itemsize > 8 or kind.shape):
        raise Refused(f"{shown(path)}: its type is not read; numbers, truth values and text are")
    if text is not None and (text.length or 0) > MAX_TEXT:
        raise Refused(f"{shown(path)}: {_long_text(text.length)}")
    each: int = kind.itemsize if text is None else TEXT_OVERHEAD + (text.length or 0)
    counts = [math.prod(shape)]
    if stored.get_layout() == h5py.h5d.CHUNKED:
        counts.append(math.prod(stored.get_chunk()))  # decompressed whole, whatever part the array needs
    size: int = each * max(counts)
    return size


def _long_text(length: int) -> str:
    return f"a text of {length:,} bytes, above the limit of {MAX_TEXT:,}"


def send(found: list[Path | Values], most_bytes: int, replies: BinaryIO) -> None:
    """Read and send the values, one array in memory at a time.

    Raises:
        Refused: a text is too long.
    """
    total = sum(item.size for item in found if isinstance(item, Values))
    for item in found:
        if not isinstance(item, Values):
            frame(replies, {"path": item})
            continue
        values = np.asarray(item.dataset[()], item.dataset.dtype)
        head: dict[str, Any] = {"path": item.path, "shape": item.dataset.shape}
        if values.dtype.kind == "O":
            texts = [bytes(text) for text in values.reshape(-1)]
            head["lengths"] = [len(text) for text in texts]
            if (longest := max(head["lengths"], default=0)) > MAX_TEXT:
                raise Refused(f"{shown(item.path)}: {_long_text(longest)}")
            total += sum(head["lengths"])
            if total > most_bytes:
                raise Refused(f"{shown(item.path)}: {too_large(total, most_bytes)}")
            frame(replies, head, b"".join(texts))
        else:
            flat = np.ascontiguousarray(values).reshape(-1)
            frame(replies, {**head, "dtype": values.dtype.str}, flat.view(np.uint8).data)


def frame(replies: BinaryIO, head: dict[str, Any], body: bytes | memoryview = b"") -> None:
    """Write one frame."""
    text = json.dumps(head).encode("ascii")
    replies.write(len(text).to_bytes(4, "big") + text)
    replies.write(body)


def answer(request: dict[str, Any], replies: BinaryIO) -> None:
    """Read one file and write the whole reply; what is wrong with the file is part of the reply."""
    path, most_bytes = os.fsencode(request["path"]), int(request["most_bytes"])
    cpu_s = int(request["cpu_s"])
    limit_time(cpu_s)
    limit_memory(READING_BYTES, 2 * most_bytes + READING_BYTES)
    try:
        if not h5py.is_hdf5(path):
            raise Refused("empty or not an HDF5 file")
        # Each chunk is read once; HDF5 would keep 8 MiB of them for every open array, beyond the limit.
        with h5py.File(path, "r", rdcc_nbytes=0) as file:
            found = look(file, most_bytes, cpu_s)
            cpu_s += len(found) // OBJECTS_PER_S
            sizes = [item.size for item in found if isinstance(item, Values)]
            limit_time(cpu_s + sum(sizes) // BYTES_PER_S)
            limit_memory(2 * max(sizes, default=0) + READING_BYTES)
            send(found, most_bytes, replies)
        last: dict[str, Any] = {"end": True}
    except Refused as error:
        last = {"refused": str(error)}
    except MemoryError:
        last = {"refused": "damaged HDF5: reading it takes far more memory than its arrays"}
    except BrokenPipeError:
        return
    except Exception as error:  # h5py raises what it likes on damaged files
        words = (str(error).splitlines() or [""])[0][:MAX_SHOWN] or type(error).__name__
        last = {"refused": f"damaged or truncated HDF5 ({words})"}
    frame(replies, last)
    replies.flush()


def limit_time(cpu_s: int) -> None:
    """End this process after so many seconds of computing, without a core file; where the system can."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def limit_memory(more: int, most: int | None = None) -> None:
    """Let the address space grow by `more` bytes from now on, and never by more than `most`; on Linux."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        with open("/proc/self/statm", encoding="ascii") as stream:
            used = int(stream.read().split()[0]) * resource.getpagesize()
        hard = resource.getrlimit(resource.RLIMIT_AS)[1] if most is None else used + most
        soft = used + more
        resource.setrlimit(resource.RLIMIT_AS, (min(soft, hard) if hard >= 0 else soft, hard))


def serve(requests: int, replies: BinaryIO) -> int:
    """Answer request after request, each in a fork; returns the exit code at the end of all requests."""
    while line := _line(requests):
        if not hasattr(os, "fork"):
            answer(json.loads(line), replies)
            return 0
        ended, held = os.pipe()
        reader = os.fork()
        if reader == 0:
            status = 1
            try:
                answer(json.loads(line), replies)
                status = 0
            finally:
                os._exit(status)
        os.close(held)  # now the reader alone holds it: its end is the pipe's
        if requests in _hung_up(requests, ended):
            os.kill(reader, signal.SIGKILL)  # nobody waits any more
        os.close(ended)
        code = os.waitstatus_to_exitcode(os.waitpid(reader, 0)[1])
        if code:
            return BROKEN - code if code < 0 else code
    return 0


def _hung_up(*pipes: int) -> list[int]:
    """Wait until the writer of one of the pipes has ended. A request that waits there already is no end."""
    poll = select.poll()
    for pipe in pipes:
        poll.register(pipe, 0)
    return [pipe for pipe, _ in poll.poll()]


def _line(requests: int) -> bytes:
    """One line, without taking a byte of the next; empty at the end."""
    line = b""
    while not line.endswith(b"\n"):
        part = os.read(requests, 1)
        if not part:
            return b""
        line += part
    return line


if __name__ == "__main__":
    sys.exit(serve(sys.stdin.fileno(), sys.stdout.buffer))
