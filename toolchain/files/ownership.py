"""What in a folder is ours: files whose content this tool wrote there, and nothing else, may be replaced.

Two things tell. An export's manifest (`bundle.json`, `export.json`) lists its files with their hashes. Every
other folder that a command fills keeps a ledger, `.snn-tool.jsonl`: a line with name and SHA-256 for
everything that was ever written into it, added before the file takes its place, so that a killed run still
knows its own. A file that nobody lists, or that was changed since, is the user's. A leaf: the kinds of
documents are handed in.
"""

import contextlib
import json
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from snn_tool import __version__
from snn_tool.errors import ArtifactError, ConfigError
from snn_tool.files.artifacts import atomic_path, not_written, read_json, sha256_file

LEDGER = ".snn-tool.jsonl"
LEDGER_KIND, LEDGER_SCHEMA = "written-files", 1
LARGEST_HEAD = 32 << 20

MANIFESTS: dict[str, dict[str, tuple[int, ...]]] = {
    "bundle.json": {"loihi-bundle": (1,)},
    "export.json": {"nir-export": (1,), "netx-export": (2,), "target-export": (1,)},
}
"""Kinds and schemas of the documents that list what an export wrote, by file name."""

VERIFICATION, VERIFICATION_KIND = "verification.json", "verification"
"""Written beside a manifest, whose hash it has."""

INSIDE = r"^(?!/)(?!(.*/)?\.{1,2}(/|$))[^\x00-\x1f\x7f\\]+$"
"""What a manifest may call a file: a path that stays in its folder, by its words alone."""

SHA256 = re.compile("[0-9a-f]{64}")
SHOWN = 3

Recognise = Callable[[Path], bool]


@dataclass(slots=True)
class _Ledger:
    """The ledger of one folder as far as it was read; others may append to the file at any time."""

    path: Path
    read: int = 0
    hashes: dict[str, set[str]] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    """Two threads that read on from one place would pass over lines."""

    def of(self, name: str) -> set[str]:
        """Hashes of all contents that a file was given."""
        with self.lock:
            return self._of(name)

    def _of(self, name: str) -> set[str]:
        try:
            with self.path.open("rb") as stream:
                size = os.fstat(stream.fileno()).st_size
                if size < self.read:  # it was removed and begun anew
                    self.read, self.hashes = 0, {}
                stream.seek(self.read)
                lines = stream.read(size - self.read)
        except OSError:
            return set()
        complete = lines[: lines.rfind(b"\n") + 1]
        self.read += len(complete)
        for line in complete.splitlines():
            self._take(line)
        return self.hashes.get(name, set())

    def _take(self, line: bytes) -> None:
        """A line that is not ours, or was torn by a kill, says nothing."""
        with contextlib.suppress(ValueError, RecursionError, KeyError, TypeError, AttributeError):
            entry = json.loads(line)
            if SHA256.fullmatch(entry["sha256"]):
                self.hashes.setdefault(entry["file"], set()).add(entry["sha256"])

    def add(self, name: str, digest: str) -> None:
        """Append a line, in one call, so that lines of several processes do not mix.

        Raises:
            ConfigError: something else has the ledger's name.
            ArtifactError: the folder cannot be written.
        """
        with self.lock:
            if digest not in self._of(name):
                self._append(name, digest)

    def _append(self, name: str, digest: str) -> None:
        if self.path.is_symlink() or (self.path.exists() and not self.path.is_file()):
            raise ConfigError(f"{self.path}: is no list of written files; move it away")
        line = json.dumps({"file": name, "sha256": digest}) + "\n"
        head = {"kind": LEDGER_KIND, "schema": LEDGER_SCHEMA, "tool_version": __version__}
        try:
            with self.path.open("ab+") as stream:
                end = stream.tell()
                stream.seek(max(end - 1, 0))
                torn = "\n" if end and stream.read(1) != b"\n" else ""
                stream.write(((torn if end else json.dumps(head) + "\n") + line).encode())
        except OSError as error:
            raise not_written(self.path, error) from error


_ledgers: dict[Path, _Ledger] = {}


def _ledger(folder: Path) -> _Ledger:
    path = Path(os.path.abspath(folder)) / LEDGER
    return _ledgers.setdefault(path, _Ledger(path))


def is_ours(path: Path, recognise: Recognise | None = None) -> bool:
    """Whether a file has content that this tool gave it.

    Args:
        path: a file; links and folders are never ours.
        recognise: decides about a file that the ledger does not know, because an older version wrote it.
    """
    if path.is_symlink() or not path.is_file():
        return False
    if known := _ledger(path.parent).of(path.name):
        return sha256_file(path) in known
    return recognise is not None and recognise(path)


def is_kind(path: Path, kind: str) -> bool:
    """Whether a file is a JSON artefact of a kind, in whatever schema."""
    try:
        document = json.loads(path.read_bytes()) if path.stat().st_size <= LARGEST_HEAD else None
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(document, dict) and document.get("kind") == kind and "tool_version" in document


def of_kind(kind: str) -> Recognise:
    """`is_kind` of one kind."""
    return lambda path: is_kind(path, kind)


def holding(*marks: bytes) -> Recognise:
    """Tell a page or a picture of ours by what only such a file says."""

    def recognise(path: Path) -> bool:
        try:
            with path.open("rb") as stream:
                text = stream.read(LARGEST_HEAD)
        except OSError:
            return False
        return all(mark in text for mark in marks)

    return recognise


def of_report(kind: str, title: bytes) -> Recognise:
    """Tell the two files of a report: a JSON artefact of a kind, and a page by its title."""
    page = holding(title)
    return lambda path: is_kind(path, kind) if path.suffix == ".json" else page(path)


def claim(paths: Iterable[Path], recognise: Recognise | None = None) -> None:
    """Make sure, before anything is computed, that only our own files stand where `paths` will be written.

    Raises:
        ConfigError: others do; they are named.
    """
    present = [path for path in paths if os.path.lexists(path)]
    refuse_foreign(path for path in present if not is_ours(path, recognise))
    for path in present:
        _ledger(path.parent).add(path.name, sha256_file(path))


def refuse_foreign(paths: Iterable[Path]) -> None:
    """Refuse to replace files that are not ours.

    Raises:
        ConfigError: there is one; the first ones are named.
    """
    if foreign := sorted(paths):
        rest = f" and {len(foreign) - SHOWN} more" if len(foreign) > SHOWN else ""
        raise ConfigError(
            f"{', '.join(map(str, foreign[:SHOWN]))}{rest}: not written by snn-tool, or changed since, hence "
            "not replaced; move it away or choose another --out"
        )


@contextlib.contextmanager
def owned_path(path: Path) -> Iterator[Path]:
    """Write a file as `atomic_path` does, in a folder that the user named: enter it in the folder's ledger.

    Raises:
        ConfigError: a file that is not ours stands there.
        ArtifactError: the folder cannot be written or the disk is full.
    """
    with atomic_path(path, before=_enter) as part:
        yield part


def _enter(part: Path, path: Path) -> None:
    if os.path.lexists(path) and not is_ours(path):
        refuse_foreign([path])
    _ledger(path.parent).add(path.name, sha256_file(part))


def disown(paths: Iterable[Path]) -> None:
    """Remove those of our own files that are there.

    Raises:
        ConfigError: one is not ours.
        ArtifactError: one cannot be removed.
    """
    for path in paths:
        if os.path.lexists(path):
            if not is_ours(path):
                refuse_foreign([path])
            try:
                path.unlink()
            except OSError as error:
                raise not_written(path, error) from error


def listed_files(folder: Path) -> dict[str, str]:
    """Hashes of the files that the export in a folder consists of, by their path in it.

    The manifests themselves are among them, and the verification that has a manifest's hash. An invalid
    manifest lists nothing.
    """
    found: dict[str, str] = {}
    for name, kinds in MANIFESTS.items():
        if files := _manifest_files(folder / name, kinds):
            manifest = sha256_file(folder / name)
            found |= {**files, name: manifest, **_verification(folder / VERIFICATION, manifest)}
    return found


def _manifest_files(path: Path, kinds: dict[str, tuple[int, ...]]) -> dict[str, str]:
    if path.is_symlink() or not path.is_file():
        return {}
    for kind, schemas in kinds.items():
        with contextlib.suppress(ArtifactError):
            files = read_json(path, kind, schemas).get("files")
            if isinstance(files, dict) and all(map(_is_entry, files, files.values())):
                return files
    return {}


def _is_entry(name: str, digest: object) -> bool:
    """A path that stays in the folder, and a hash."""
    return stays_inside(name) and isinstance(digest, str) and SHA256.fullmatch(digest) is not None


def stays_inside(name: str) -> bool:
    """Whether a path in a manifest is relative and leads to no folder above."""
    return re.search(INSIDE, name) is not None


def link_on_the_way(folder: Path, name: str) -> Path | None:
    """The first link among a folder's member and the folders in between; it may lead anywhere."""
    parts = PurePosixPath(name).parts
    steps = (folder.joinpath(*parts[:length]) for length in range(1, len(parts) + 1))
    return next((step for step in steps if step.is_symlink()), None)


def holds_file(folder: Path, name: str, digest: str | None) -> bool:
    """Whether a folder itself, and no link in it, holds a file of that path and hash."""
    path = folder / name
    is_plain = stays_inside(name) and link_on_the_way(folder, name) is None and path.is_file()
    return is_plain and sha256_file(path) == digest


def _verification(path: Path, manifest_sha256: str) -> dict[str, str]:
    if path.is_symlink() or not is_kind(path, VERIFICATION_KIND):
        return {}
    document = json.loads(path.read_bytes())
    return {path.name: sha256_file(path)} if document.get("manifest_sha256") == manifest_sha256 else {}


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Refuse an output folder that is a file, or that holds something unless `overwrite`.

    Raises:
        ConfigError: `path` is a file, or a non-empty folder without `overwrite`.
        ArtifactError: it cannot be looked at.
    """
    try:
        is_file = path.is_file()
        is_used = path.is_dir() and any(entry.name != LEDGER for entry in path.iterdir())
    except OSError as error:
        raise not_written(path, error) from error
    if is_file:
        raise ConfigError(f"{path}: is a file; --out takes a folder")
    if is_used and not overwrite:
        raise ConfigError(f"{path}: exists and is not empty; choose another --out or pass --overwrite")


def refuse_existing_file(
    path: Path, overwrite: bool, recognise: Recognise | None = None, what: str = ""
) -> None:
    """Refuse an output file that is there, unless `overwrite` and it can be one of ours.

    Args:
        path: the file, as the user named it.
        overwrite: replace it.
        recognise: tells whether it is of the kind that is about to be written.
        what: that kind, for people.

    Raises:
        ConfigError: `path` is a folder, a file without `overwrite`, or a file of another kind.
        ArtifactError: it cannot be looked at.
    """
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except OSError as error:
        raise not_written(path, error) from error
    if is_folder:
        raise ConfigError(f"{path}: is a folder; --out takes a file here")
    if exists and not overwrite:
        raise ConfigError(f"{path}: exists; choose another --out or pass --overwrite")
    if exists and recognise is not None and not recognise(path):
        raise ConfigError(f"{path}: is no {what} of snn-tool, hence not replaced; choose another --out")
