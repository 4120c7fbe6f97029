"""Which class every input belongs to: a file, or the names of folders."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import DataError, first_line
from snn_tool.inputs.files import LABELS, NPY, NPZ, Array, read_numbers, the_one

MAX_CSV_BYTES = 1 << 28
CSV = (".csv", ".txt")


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Classes of samples.

    Attributes:
        index: int64 [N], the place of the output that stands for the class.
        names: of the classes, by index.
        origin: what they were read from.
    """

    index: NDArray[np.int64]
    names: tuple[str, ...]
    origin: str


MOST_CLASSES = 1 << 20
"""More are no classes, but what somebody else counts."""


def read_labels(path: Path) -> Labels:
    """Labels of a file: whole numbers from 0, in npy, npz (`labels`) or csv (last column), or names in csv.

    Raises:
        DataError: missing or damaged, of another kind, or no classes.
    """
    if path.suffix in CSV:
        return _of_csv(path)
    if path.suffix not in (NPY, NPZ):
        raise DataError(f"{path}: labels are read from .npy, .npz and .csv files")
    return labels_of(the_one(path, read_numbers(path), LABELS), path)


def labels_of(values: Array, path: Path) -> Labels:
    """An array of classes.

    Raises:
        DataError: not one whole number, 0 or more, for every sample.
    """
    if values.ndim == 2 and 1 in values.shape:
        values = values.ravel()
    if (
        values.ndim != 1
        or values.dtype.names
        or (values.astype(np.int64) != values).any()
        or (values < 0).any()
    ):
        raise DataError(
            f"{path}: its labels, {values.dtype} {list(values.shape)}, are not one whole number from "
            "0 for each "
            "sample; of one-hot labels take argmax(axis=1)"
        )
    index = values.astype(np.int64)
    if index.max() >= MOST_CLASSES:
        raise DataError(
            f"{path}: holds a class {index.max()}; number the classes from 0, at most {MOST_CLASSES:,}"
        )
    return Labels(index, tuple(str(n) for n in range(int(index.max()) + 1)), path.name)


def _of_csv(path: Path) -> Labels:
    try:
        if path.stat().st_size > MAX_CSV_BYTES:
            raise DataError(f"{path}: is larger than {MAX_CSV_BYTES:,} bytes; give labels as .npy")
        with path.open(encoding="utf-8", newline="") as stream:
            cells = [row[-1].strip() for row in csv.reader(stream) if row and row[-1].strip()]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{path}: cannot be read as csv ({first_line(error)}); give labels as .npy"
        ) from error
    numbers = [_is_whole(cell) for cell in cells]
    if len(cells) > 1 and not numbers[0] and all(numbers[1:]):
        cells = cells[1:]  # a heading
        numbers = numbers[1:]
    if not cells:
        raise DataError(f"{path}: holds no label; write one in each line")
    if all(numbers):
        return labels_of(np.array([int(cell) for cell in cells]), path)
    return named(cells, path.name)


def _is_whole(cell: str) -> bool:
    return cell.removeprefix("-").isdecimal() and cell.isascii() and len(cell) < 10


def named(names: Sequence[str], origin: str) -> Labels:
    """Labels of names: folders 0, 1, .. are the classes that they say, others are numbered as they sort."""
    every = sorted(set(names))
    if all(_is_whole(name) and not name.startswith("-") and int(name) < MOST_CLASSES for name in every):
        known = {name: int(name) for name in every}
        titles = tuple(str(n) for n in range(max(known.values()) + 1))
    else:
        known = {name: at for at, name in enumerate(every)}
        titles = tuple(every)
    return Labels(np.array([known[name] for name in names], dtype=np.int64), titles, origin)
