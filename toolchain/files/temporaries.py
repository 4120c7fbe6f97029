"""Unfinished work in folders that the next start clears away when the process that made them is dead.

Whoever makes such a folder holds a lock on it (flock), which the kernel releases at death, SIGKILL included.
What bears one of these names and is not locked belongs to nobody. A leaf: it does not know what is written.
"""

import atexit
import itertools
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: nothing is locked there, hence nothing swept
    fcntl = None  # type: ignore[assignment]

HEAD, PART, STAGE, TEMPORARY = ".snn-tool-", ".part", ".stage", ".tmp"
_RANDOM = "[a-z0-9_]{8}"
PARTS = re.compile(rf"\.snn-tool-{_RANDOM}\.part")
STAGES = re.compile(rf"\.snn-tool-{_RANDOM}\.stage")
TEMPORARIES = re.compile(rf"snn-tool-[a-z]+-{_RANDOM}\.tmp")

_swept: set[tuple[str, str]] = set()


@contextmanager
def part_file(folder: Path, suffix: str) -> Iterator[Path]:
    """Yield a path for a file that is to be moved into `folder`; what is left at the end is removed.

    It lies in a hidden, locked folder, because some who write files lock them themselves (HDF5).

    Raises:
        OSError: the folder cannot be written.
    """
    sweep(folder, PARTS, shutil.rmtree)
    with _folder(folder, HEAD, PART) as place:
        yield place / f".part{suffix}"


@contextmanager
def stage_folder(parent: Path) -> Iterator[Path]:
    """Yield an empty, locked folder in `parent`, which is removed with all that is left in it.

    Raises:
        OSError: `parent` cannot be written.
    """
    with _folder(parent, HEAD, STAGE) as stage:
        yield stage


@contextmanager
def temporary_folder(what: str) -> Iterator[Path]:
    """Yield an empty, locked folder `snn-tool-WHAT-….tmp` among the system's temporary files, likewise."""
    parent = Path(tempfile.gettempdir())
    sweep(parent, TEMPORARIES, shutil.rmtree)
    with _folder(parent, f"snn-tool-{what}-", TEMPORARY) as folder:
        yield folder


@contextmanager
def _folder(parent: Path, prefix: str, suffix: str) -> Iterator[Path]:
    while True:  # until the name is new, and no sweeper was there between making and locking
        folder = parent / f"{prefix}{secrets.token_hex(4)}{suffix}"
        _unfinished[folder] = os.getpid()  # before it exists: a signal may raise at any time
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            del _unfinished[folder]
            continue
        except OSError:
            del _unfinished[folder]
            raise
        descriptor = os.open(folder, os.O_RDONLY) if fcntl else None
        if descriptor is None or _lock(descriptor, folder):
            break
        os.close(descriptor)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        del _unfinished[folder]
        if descriptor is not None:
            os.close(descriptor)


_unfinished: dict[Path, int] = {}
"""Folders that are in use, and the process that made them: if a signal came between, they go at exit."""


@atexit.register
def _remove_unfinished() -> None:
    for folder, process in _unfinished.items():
        if process == os.getpid():
            shutil.rmtree(folder, ignore_errors=True)


def sweep(
    folder: Path, names: re.Pattern[str], remove: Callable[[Path], object], again: bool = False
) -> None:
    """Remove what dead processes left in a folder under such names; once per process, unless `again`.

    What cannot be looked at or removed stays: the next one may be able to.
    """
    key = (os.path.abspath(folder), names.pattern)
    if fcntl is None or (key in _swept and not again):
        return
    _swept.add(key)
    with suppress(OSError), os.scandir(folder) as entries:
        left = [Path(entry.path) for entry in entries if names.fullmatch(entry.name)]
        for path in left:
            with suppress(OSError), _held(path):
                remove(path)


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Hold the lock of a folder that a dead process left.

    Raises:
        OSError: somebody holds it, or the file system has no locks, or it is gone.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is_still(descriptor, path):
            raise FileNotFoundError(path)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> bool:
    """Whether what was just made is ours: false if a sweeper has its lock or has removed it."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: nobody can sweep there
        return True
    return _is_still(descriptor, path)


def _is_still(descriptor: int, path: Path) -> bool:
    """Whether a name still stands for what was opened by it."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


_session = ExitStack()
atexit.register(_session.close)


@cache
def session_folder() -> Path:
    """A folder of this process for what was given no place of its own; it goes when the process ends."""
    return _session.enter_context(temporary_folder("session"))


def new_place(name: str) -> Path:
    """A path `NAME-1`, `NAME-2`, ... in the session's folder that nothing has yet."""
    folder = session_folder()
    return next(path for count in itertools.count(1) if not (path := folder / f"{name}-{count}").exists())
