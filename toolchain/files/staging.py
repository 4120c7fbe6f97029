"""A folder that changes from an old result to a new one as a whole, among files of the user that stay.

The new files are made in a stage, a hidden folder. A folder that is not there yet becomes the stage itself,
by one rename. In one that is there, each file of the old result moves into the stage and a new one takes its
place; nothing else is touched, not even the folder, which may be the current one or a mount point. A journal
in the stage says which files are on their way, so that a failure, or the next export after a kill, moves all
of them back. A leaf.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from snn_tool.files.artifacts import not_written, sha256_file
from snn_tool.files.ownership import holds_file, listed_files, refuse_existing, refuse_foreign
from snn_tool.files.temporaries import STAGES, stage_folder, sweep

NEW, OLD, JOURNAL = "new", "old", "journal.json"


@contextlib.contextmanager
def staged_folder(path: Path, overwrite: bool, names: Iterable[str] = ()) -> Iterator[Path]:
    """Yield a temporary folder whose files become those of the export at `path`, or vanish on any error.

    What the old export's manifest lists is replaced or removed. Other files stay.

    Args:
        path: the folder to make, or to change.
        overwrite: replace the export that is there.
        names: files that will be written, as far as they are known; looked at before anything is done.

    Raises:
        ConfigError: `path` is not empty and `overwrite` is false, or a file in it that is not ours, or was
            changed, has the name of a new one.
        ArtifactError: the folder cannot be written.
    """
    check_folder(path, overwrite, names)
    try:
        path = path.resolve()  # of a link its target is filled
        path.parent.mkdir(parents=True, exist_ok=True)
        _recover(path.parent)
        with stage_folder(path if path.is_dir() else path.parent) as stage:
            (stage / NEW).mkdir()
            yield stage / NEW
            _publish(stage, path)
    except OSError as error:
        raise not_written(path, error) from error


def check_folder(path: Path, overwrite: bool, names: Iterable[str] = ()) -> None:
    """Refuse a folder that cannot take an export, after what a killed one left was put right.

    Raises:
        ConfigError: as of `staged_folder`.
        ArtifactError: it cannot be looked at, or put right.
    """
    refuse_existing(path, True)
    try:
        _recover(path)
    except OSError as error:
        raise not_written(path, error) from error
    refuse_existing(path, overwrite)
    if path.is_dir():
        ours = listed_files(path)
        refuse_foreign(blocker for name in names if (blocker := _in_the_way(path, name, ours)))


def _publish(stage: Path, path: Path) -> None:
    if not path.is_dir():
        os.replace(stage / NEW, path)
        return
    ours = {name: digest for name, digest in listed_files(path).items() if holds_file(path, name, digest)}
    made = {file.relative_to(stage / NEW).as_posix(): sha256_file(file) for file in _files(stage / NEW)}
    refuse_foreign(blocker for name in made if (blocker := _in_the_way(path, name, ours)))
    (stage / JOURNAL).write_text(json.dumps(made), encoding="utf-8")
    try:
        for name in ours:
            _move(path / name, stage / OLD / name)
        _remove_empty(path, ours)
        for name in made:
            _move(stage / NEW / name, path / name)
    except BaseException:
        _roll_back(stage, path)
        raise
    (stage / JOURNAL).unlink()


def _in_the_way(folder: Path, name: str, ours: Mapping[str, str]) -> Path | None:
    """What prevents a file of that name in a folder, if it is not ours."""
    parts = PurePosixPath(name).parts
    for length in range(1, len(parts) + 1):
        path, part = folder.joinpath(*parts[:length]), "/".join(parts[:length])
        is_plain_folder = path.is_dir() and not path.is_symlink()
        if not os.path.lexists(path) or (length < len(parts) and is_plain_folder):
            continue
        if not holds_file(folder, part, ours.get(part)):
            return path
    return None


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(source, target)


def _remove_empty(folder: Path, names: Iterable[str]) -> None:
    """Remove the folders of files that were moved away, where they are empty."""
    for name in names:
        for parent in PurePosixPath(name).parents:
            if parent.parts:
                with contextlib.suppress(OSError):
                    (folder / parent).rmdir()


def _roll_back(stage: Path, path: Path) -> None:
    """Undo an unfinished change: new files go back into the stage, old ones to their places."""
    made = json.loads((stage / JOURNAL).read_text(encoding="utf-8"))
    arrived = [name for name, digest in made.items() if holds_file(path, name, digest)]
    for name in arrived:
        if not (stage / NEW / name).exists():
            _move(path / name, stage / NEW / name)
    _remove_empty(path, arrived)
    for file in _files(stage / OLD):
        if not os.path.lexists(path / file.relative_to(stage / OLD)):  # else somebody wrote one since
            _move(file, path / file.relative_to(stage / OLD))
    (stage / JOURNAL).unlink()


def _recover(folder: Path) -> None:
    """Undo what a killed process left unfinished in a folder, and remove its stage."""

    def remove(stage: Path) -> None:
        if (stage / JOURNAL).exists():
            with contextlib.suppress(ValueError):  # the journal is torn: nothing was moved yet
                _roll_back(stage, folder)
        shutil.rmtree(stage)

    sweep(folder, STAGES, remove, again=True)
