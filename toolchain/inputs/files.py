"""Arrays from files that came from anywhere: read whole or not at all, never unpickled, all finite."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import ArtifactError, DataError
from snn_tool.exporters.contract.npz import read_array, read_arrays

INPUTS, LABELS = "inputs", "labels"
NPY, NPZ = ".npy", ".npz"
MAX_INPUT_BYTES = 4 << 30
NUMBERS = "iufb"
"""numpy's letters of whole numbers, floats and booleans."""
FIELDS = "V"
"""That of arrays with fields, as recordings of events are."""

Array = NDArray[Any]


def read_numbers(path: Path) -> dict[str, Array]:
    """All arrays of an npz file by name, or that of an npy file as `inputs`.

    Raises:
        DataError: missing, damaged, too large, empty, or of something else than numbers; NaN or infinity.
    """
    arrays = _read(path)
    if not arrays:
        raise DataError(f"{path}: holds no array; write one with numpy.savez(file, {INPUTS}=...)")
    for name, values in arrays.items():
        where = f"{path}: '{name}'" if path.suffix == NPZ else f"{path}"
        if not values.size:
            raise DataError(
                f"{where} has the shape {list(values.shape)}, which is empty; give at least one sample"
            )
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise DataError(f"{where} holds NaN or infinity; replace them first, e.g. by numpy.nan_to_num")
    return arrays


def _read(path: Path) -> dict[str, Array]:
    try:
        if path.suffix == NPY:
            return {INPUTS: read_array(path, MAX_INPUT_BYTES, NUMBERS + FIELDS)}
        return read_arrays(path, MAX_INPUT_BYTES, NUMBERS + FIELDS)
    except ArtifactError as error:
        raise DataError(f"{said(error)}; {_remedy(str(error))}") from error


def said(error: ArtifactError) -> str:
    """What a reader of arrays said, without its remedy, which is for exports."""
    return str(error).partition("; export")[0].partition(", with fewer --tiles")[0]


def _remedy(message: str) -> str:
    if "object" in message.lower() or "type O" in message or "|O" in message:
        return "an array of objects is never unpickled: save numbers with numpy.save"
    if "more than" in message:
        return "give fewer samples, or a smaller type, as uint8 of spikes"
    if "no such file" in message:
        return "check the path"
    return "write it again with numpy.save or numpy.savez"


def the_one(path: Path, arrays: dict[str, Array], wanted: str) -> Array:
    """The array of that name, or the only one of the file.

    Raises:
        DataError: there are several, and none has that name.
    """
    if wanted in arrays:
        return arrays[wanted]
    if path.suffix == NPY:
        return arrays[INPUTS]
    others = {name: values for name, values in arrays.items() if name not in (INPUTS, LABELS)}
    if len(others) != 1:
        raise DataError(f"{path}: holds {', '.join(arrays)}; name the array '{wanted}'")
    return next(iter(others.values()))
