"""HDF5 files as plain arrays and texts: the one door through which any of them is read.

A file may come from anywhere. `hdf5_program` opens it in a process of its own, with a limit of time and
memory, and sends back what it holds: numbers, texts and groups. Nothing in this process opens a foreign file
with HDF5. The program starts with the first file (some 0.2 s) and waits for more until this process ends.
"""

import atexit
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from snn_tool.errors import ArtifactError, BackendUnavailableError

CPU_S, WALL_S = 5, 300
"""Seconds of computing that a file may take beside what its size explains, and seconds of waiting.

Opening takes 0.05 s on a machine of 2024; a damaged heap, in which HDF5 searches for ever, costs all of it.
"""

MAX_HEADER = 64 << 20
"""Bytes of one frame's header; the program's own limits keep it far below."""

PROGRAM = Path(__file__).with_name("hdf5_program.py")

ENDINGS = {
    128 + signal.SIGABRT: "HDF5 crashes on it",
    128 + signal.SIGSEGV: "HDF5 crashes on it",
    128 + signal.SIGFPE: "HDF5 crashes on it",
    128 + signal.SIGXCPU: "reading it takes far longer than its size explains",
    128 + signal.SIGKILL: "its reader was killed, perhaps for lack of memory",
}
"""What exit codes of the program say."""

Tree = dict[str, Any]
"""Names to arrays, numpy scalars, texts, and to trees of the groups inside."""

_LOCK = threading.Lock()


def read_hdf5(path: Path, remedy: str, most_bytes: int) -> Tree:
    """Read a whole HDF5 file as a tree of names.

    Arrays of numbers and truth values have the file's dtype; an array of texts holds bytes, as h5py gives
    them; a single text is a str.

    Args:
        path: of the file.
        remedy: ends every message, e.g. "export it again".
        most_bytes: limit on all arrays together, in memory; what a file links twice counts twice.

    Raises:
        ArtifactError: no such file, not HDF5, damaged, it holds links, or values that are stored elsewhere or
            of a type that is not read, it is too large or too deep, or its reading takes too long.
        BackendUnavailableError: the program that reads does not start.
    """
    _refuse_what_is_no_file(path, remedy)
    request = {"path": os.path.abspath(path), "most_bytes": most_bytes, "cpu_s": CPU_S}
    try:
        with _LOCK:
            return _read(request)
    except _Refusal as refusal:
        raise ArtifactError(f"{path}: {refusal}; {remedy}") from None


class _Refusal(Exception):
    """Why a file is not read."""


def _refuse_what_is_no_file(path: Path, remedy: str) -> None:
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            path.open("rb").close()
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file; check the path") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ArtifactError(f"{path}: cannot be read ({reason}); {remedy}") from error
    if stat.S_ISDIR(mode):
        raise ArtifactError(f"{path}: a folder, not a file; pass the file in it")
    if not stat.S_ISREG(mode):
        raise ArtifactError(f"{path}: neither a file nor a folder; pass a file")


_program: "_Program | None" = None


def _read(request: Mapping[str, Any]) -> Tree:
    """Have one file read; a program that did not come through it is replaced at the next."""
    global _program
    if _program is None or not _program.serves():
        _program = _Program()
    try:
        return _program.read(request)
    finally:
        if not _program.idle:  # Ctrl-C, say: what is left in the pipe would be taken for the next file's
            _program.end()


class _Program:
    """The running program, and the pipes to it.

    Attributes:
        idle: the last reply was read to its end.
    """

    def __init__(self) -> None:
        environment = {
            **os.environ,
            "HDF5_PLUGIN_PRELOAD": "::",  # a file names its filters; none is loaded from a folder
            "OPENBLAS_NUM_THREADS": "1",  # each thread would take address space
        }
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(PROGRAM)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise BackendUnavailableError(
                f"{sys.executable}: does not start, but HDF5 files need it"
            ) from error
        self.idle, self._owner = True, os.getpid()
        atexit.register(self.end)

    def serves(self) -> bool:
        """Whether it still runs, for this process and not for the one that this is a fork of."""
        return self._owner == os.getpid() and self._process.poll() is None

    def read(self, request: Mapping[str, Any]) -> Tree:
        """The tree of one file.

        Raises:
            _Refusal: says what is wrong with the file.
        """
        late = threading.Timer(WALL_S, self._kill)
        late.daemon = True
        late.start()
        self.idle = False
        try:
            self._stdin.write(json.dumps(request).encode("ascii") + b"\n")
            self._stdin.flush()
            return self._tree(request["most_bytes"])
        except (EOFError, BrokenPipeError):
            raise _Refusal(self._last_words(not late.is_alive())) from None
        finally:
            late.cancel()

    @property
    def _stdin(self) -> Any:
        return self._process.stdin

    def _tree(self, most_bytes: int) -> Tree:
        tree: Tree = {}
        left = 2 * most_bytes  # padding of texts aside, the program has counted them
        while True:
            head = self._head()
            self.idle = "refused" in head or "end" in head
            if "refused" in head:
                raise _Refusal(head["refused"])
            if "end" in head:
                return tree
            size = 0 if "shape" not in head else _bytes(head)
            left -= size
            if left < 0:
                raise EOFError
            _put(tree, head, self._exactly(size))

    def _head(self) -> Mapping[str, Any]:
        size = int.from_bytes(self._exactly(4), "big")
        if size > MAX_HEADER:
            raise EOFError
        head = json.loads(bytes(self._exactly(size)))
        assert isinstance(head, dict)
        return head

    def _exactly(self, size: int) -> bytearray:
        """The next bytes of the reply.

        Raises:
            EOFError: it ends before.
        """
        assert self._process.stdout is not None
        data = bytearray(size)
        if self._process.stdout.readinto(data) != size:  # type: ignore[attr-defined]
            raise EOFError
        return data

    def _last_words(self, late: bool) -> str:
        """Why the program ended within a reply."""
        code = self._process.wait()
        self.end()
        if late:
            return f"reading it did not end within {WALL_S} s"
        return f"damaged HDF5: {ENDINGS.get(code, f'its reader ended with code {code}')}"

    def _kill(self) -> None:
        with suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()

    def end(self) -> None:
        """End it at once, with the reader that it may have; nothing of it is left."""
        atexit.unregister(self.end)
        if self._owner != os.getpid():
            return
        self._kill()
        with suppress(OSError):
            self._stdin.close()
        self._process.stdout.close()  # type: ignore[union-attr]
        self._process.wait()


def _bytes(head: Mapping[str, Any]) -> int:
    """Bytes of a frame's values, from its header."""
    if "lengths" in head:
        return sum(head["lengths"])
    size = np.dtype(head["dtype"]).itemsize
    for n in head["shape"]:
        size *= n
    return int(size)


def _put(tree: Tree, head: Mapping[str, Any], body: bytearray) -> None:
    """Put a group or an array where its path says."""
    *groups, name = head["path"] or [""]
    if not name:
        return  # the root
    for group in groups:
        tree = tree[group]
    if "shape" not in head:
        tree[name] = {}
    elif "lengths" in head:
        tree[name] = _texts(head, body)
    else:
        # A scalar as numpy's scalar, as h5py gives it.
        tree[name] = np.frombuffer(body, head["dtype"]).reshape(head["shape"])[()]


def _texts(head: Mapping[str, Any], body: bytearray) -> Any:
    texts = np.empty(len(head["lengths"]), object)
    start = 0
    for index, length in enumerate(head["lengths"]):
        texts[index] = bytes(body[start : start + length])
        start += length
    if head["shape"]:
        return texts.reshape(head["shape"])
    try:
        return str(texts[0], "utf-8")
    except UnicodeDecodeError:
        raise _Refusal(f"{'/'.join(head['path'])[:120]}: its text is not UTF-8") from None
