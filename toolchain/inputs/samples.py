"""Everything that a user gives a network, read at once: values over time, their labels, what they are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snn_tool.degradations.crops import ImagesUsed, central, channels_first, name_below
from snn_tool.errors import ConfigError, DataError, check_known
from snn_tool.files.artifacts import refuse_missing
from snn_tool.images.files import SUFFIXES
from snn_tool.inputs.events import RECORDINGS, Windows, events_of, frames, is_recording, read_recording
from snn_tool.inputs.files import INPUTS, LABELS, MAX_INPUT_BYTES, NPY, NPZ, Array, read_numbers, the_one
from snn_tool.inputs.labels import Labels, labels_of, named, read_labels
from snn_tool.inputs.layout import arranged, arranged_item
from snn_tool.inputs.options import InputOptions

SPIKES, REALS = "spikes", "reals"
MOST_LEVEL = 15
"""Whole numbers up to here are taken for spikes; larger ones are likelier pixels."""
READ = (NPY, NPZ, *RECORDINGS, *SUFFIXES)
AT_ONCE = 1 << 18
"""Values of the samples that are run together."""


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """What a network is given.

    Attributes:
        path: file or folder.
        names: of the samples.
        values: [T, N, *shape], or [1, N, *shape] of what does not change with time; any type of number.
        labels: their classes, or None.
        kind: `spikes` or `reals`.
        layout: letters of the axes, or what else was read.
        windows: of events, in words; empty if there are none.
        used: how many of how many.
    """

    path: Path
    names: tuple[str, ...]
    values: Array
    labels: Labels | None
    kind: str
    layout: str
    windows: str
    used: ImagesUsed

    def __len__(self) -> int:
        return int(self.values.shape[1])

    @property
    def timesteps(self) -> int | None:
        """T of values that change with time; None of others."""
        return self.values.shape[0] if self.values.shape[0] > 1 else None

    def batches(self) -> Iterator[slice]:
        """Parts of the samples that fit into memory together."""
        size = int(np.prod(self.values.shape[2:])) * self.values.shape[0]
        count = max(1, min(64, AT_ONCE // size))
        for start in range(0, len(self), count):
            yield slice(start, min(start + count, len(self)))

    def text(self) -> str:
        """What was read, in a line."""
        low, high = self.values.min(), self.values.max()
        changing = f"over {self.timesteps} timesteps" if self.timesteps else "unchanged in every timestep"
        cost = (
            "whole numbers of spikes: accumulates" if self.kind == SPIKES else "reals: multiply-accumulates"
        )
        windows = f", {self.windows}" if self.windows else ""
        return (
            f"{self.path.name}: {self.used.text()}, read as {self.layout}, {changing}{windows}; values "
            f"{low:g} to {high:g}, {cost}"
        )

    def document(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "file": self.path.name,
            "samples": len(self),
            "layout": self.layout,
            "timesteps": self.timesteps,
            "windows": self.windows or None,
            "kind": self.kind,
            "low": float(self.values.min()),
            "high": float(self.values.max()),
            "labels": self.labels.origin if self.labels else None,
        }


def read_samples(
    options: InputOptions,
    shape: Sequence[int],
    timesteps: int | None,
    usual: int,
    limit: int = 0,
    labels: Path | None = None,
) -> Samples:
    """Read a file or a folder.

    Args:
        options: says which, and how; its `inputs` is not None.
        shape: of the network's input.
        timesteps: T, if it was given.
        usual: T of event recordings where nothing is said.
        limit: largest number of samples, 0 for all.
        labels: file with their classes; None takes those of the file itself, or of folders.

    Raises:
        DataError: a file is missing, damaged, too large, empty, or of another shape; no event; labels that
            do not match. One line names the file and the remedy.
        ConfigError: an option is not allowed.
    """
    assert options.inputs is not None
    if options.values is not None:
        check_known("--values", options.values, (SPIKES, REALS))
    if options.window_us is not None and options.window_us < 1:
        raise ConfigError(f"--window-us {options.window_us}: give microseconds of at least 1")
    path = options.inputs
    refuse_missing(path)
    reader = _Reader(options, tuple(shape), timesteps, labels, Windows(timesteps or usual, options.window_us))
    found = reader.folder(path) if path.is_dir() else reader.file(path)
    return reader.checked(found, limit)


def stored_shape(options: InputOptions) -> tuple[int, ...]:
    """The shape of one sample of an array file, for networks that do not say what they take.

    Raises:
        DataError: no file of arrays, or one whose axes do not say it.
    """
    path = options.inputs
    assert path is not None
    refuse_missing(path)
    if path.suffix.lower() not in (NPY, NPZ):
        raise DataError(
            f"{path}: the shape of a network of torch is told by an array; give FILE.npy or FILE.npz"
        )
    values = the_one(path, read_numbers(path), INPUTS)
    letters = options.layout.upper() if options.layout else {2: "NF", 4: "NCHW", 5: "TNCHW"}.get(values.ndim)
    if letters is None or len(letters) != values.ndim:
        raise DataError(
            f"{path}: the shape {list(values.shape)} may be read in several ways; say which with "
            "--layout TNF, NCL or NHW"
        )
    own = "F" if "F" in letters else "CHW" if "W" in letters else "CL"
    return tuple(values.shape[letters.index(one)] if one in letters else 1 for one in own)


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    values: Array
    names: tuple[str, ...]
    labels: Labels | None
    layout: str
    windows: str = ""
    pixels: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Reader:
    options: InputOptions
    shape: tuple[int, ...]
    timesteps: int | None
    given_labels: Path | None
    windows: Windows

    def file(self, path: Path) -> _Found:
        """A file of many samples, or one recording or image."""
        if path.suffix.lower() not in (NPY, NPZ):
            return self._stacked([path], path.parent, None)
        arrays = read_numbers(path)
        if is_recording(arrays):
            return self._stacked([path], path.parent, None)
        labels = self._labels(path, arrays)
        values, letters = arranged(
            the_one(path, arrays, INPUTS),
            self.shape,
            str(path),
            self.options.layout,
            self.timesteps,
            len(labels.index) if labels else None,
        )
        names = tuple(f"{path.name}[{at}]" for at in range(values.shape[1]))
        return _Found(values, names, labels, letters)

    def _labels(self, path: Path, arrays: dict[str, Array]) -> Labels | None:
        if self.given_labels:
            return read_labels(self.given_labels)
        return labels_of(arrays[LABELS], path) if LABELS in arrays else None

    def folder(self, path: Path) -> _Found:
        """A file for each sample; folders in it are classes."""
        paths = sorted(
            each
            for each in path.rglob("*")
            if each.suffix.lower() in READ and each.is_file() and not _hidden(each, path)
        )
        if not paths:
            raise DataError(f"{path}: holds no inputs; add files that end in {', '.join(READ)}")
        depth = {len(each.relative_to(path).parts) for each in paths}
        labels = read_labels(self.given_labels) if self.given_labels else None
        if labels is None and depth == {2}:
            labels = named([each.parent.name for each in paths], "the folders' names")
        elif labels is None and depth != {1}:
            raise DataError(
                f"{path}: has files at several depths; put all into it, or all into a folder for each class"
            )
        return self._stacked(paths, path, labels)

    def _stacked(self, paths: Sequence[Path], folder: Path, labels: Labels | None) -> _Found:
        """Samples of one file each."""
        made = [self._item(path, len(paths)) for path in paths]
        lengths = {len(values) for values, _ in made}
        if len(lengths) > 1:
            raise DataError(
                f"{folder}: its files have {min(lengths)} to {max(lengths)} timesteps; cut them to one length"
            )
        letters = {letter for _, letter in made}
        windows = self.windows.text() if "events" in letters else ""
        if self.given_labels and labels is None:
            labels = read_labels(self.given_labels)
        names = tuple(name_below(path, folder) for path in paths)
        stacked = np.stack([values for values, _ in made], axis=1)
        return _Found(stacked, names, labels, " and ".join(sorted(letters)), windows, letters == {"images"})

    def _item(self, path: Path, count: int) -> tuple[Array, str]:
        """One sample [T or 1, *shape], and what it was."""
        suffix = path.suffix.lower()
        if suffix in RECORDINGS:
            return self._frames(read_recording(path), path), "events"
        if suffix in SUFFIXES:
            return self._pixels(path), "images"
        if suffix not in (NPY, NPZ):
            raise DataError(f"{path}: inputs are files that end in {', '.join(READ)}")
        arrays = read_numbers(path)
        if is_recording(arrays):
            return self._frames(events_of(arrays, path), path), "events"
        values, letters = arranged_item(
            the_one(path, arrays, INPUTS), self.shape, str(path), self.options.layout
        )
        if values.nbytes * count > MAX_INPUT_BYTES:
            raise DataError(
                f"{path}: {count} such files take more than {MAX_INPUT_BYTES:,} bytes; give fewer"
            )
        return values, letters

    def _frames(self, events: Any, path: Path) -> NDArray[np.uint16]:
        if len(self.shape) != 3:
            raise DataError(f"{path}: events are [2, H, W], but the network takes {list(self.shape)}")
        channels, height, width = self.shape
        return frames(events, (channels, height, width), self.windows, path)

    def _pixels(self, path: Path) -> NDArray[np.float32]:
        if len(self.shape) != 3:
            raise DataError(f"{path}: images are [C, H, W], but the network takes {list(self.shape)}")
        channels, height, width = self.shape
        image = central(path, height, width, channels).astype(np.float32) / np.float32(255)
        return channels_first(image)[None]

    def checked(self, found: _Found, limit: int) -> Samples:
        """With labels for all, and no more than are wanted."""
        count, labels = found.values.shape[1], found.labels
        path = self.options.inputs
        assert path is not None
        if labels and len(labels.index) != count:
            raise DataError(
                f"{labels.origin}: {len(labels.index)} labels for {count} samples of {path}; give one "
                "for each, in their order"
            )
        used = min(limit, count) if limit else count
        if labels and used < count:
            labels = Labels(labels.index[:used], labels.names, labels.origin)
        values = found.values[:, :used]
        kind = self.options.values or (REALS if found.pixels else kind_of(values))
        if kind == SPIKES and not _whole(values):
            raise DataError(
                f"{path}: holds values that are no whole numbers, which spikes are; leave out --values spikes"
            )
        shown = ImagesUsed(used, count, f"--limit {limit}" if used < count else "")
        return Samples(path, found.names[:used], values, labels, kind, found.layout, found.windows, shown)


def kind_of(values: Array) -> str:
    """`spikes` of whole numbers of magnitude up to 15, else `reals`."""
    return (
        SPIKES
        if _whole(values) and max(abs(float(values.min())), abs(float(values.max()))) <= MOST_LEVEL
        else REALS
    )


def _whole(values: Array) -> bool:
    return values.dtype.kind in "iub" or bool((values == np.rint(values)).all())


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)
