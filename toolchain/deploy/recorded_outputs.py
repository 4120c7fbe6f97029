"""What the original network gave, recorded in an npz file: `import --expect` compares with it.

A NIR file does not hold all of a network. What was lost on the way into it shows only where the original's
own outputs are at hand.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import ArtifactError, DataError
from snn_tool.exporters.contract.npz import read_arrays

KINDS = ("outputs", "counts", "spikes")
INPUTS = "inputs"
NUMBERS = "iufb"
"""numpy's letters of whole numbers, floats and booleans."""

MAX_RECORD_BYTES = 1 << 30
CLOSE = 1e-4
"""Relative to the root mean square of the outputs: what float32 may lose over some timesteps."""

Reals = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """Recorded arrays, checked for being finite.

    Attributes:
        path: of the file.
        kind: `outputs`, `counts` or `spikes`.
        values: as recorded.
        inputs: float32 [N, *shape] in [0, 1], or None where the images are given.
    """

    path: Path
    kind: str
    values: Reals
    inputs: NDArray[np.float32] | None

    def outputs(self, images: int, timesteps: int, size: int, integrates: bool) -> Reals:
        """The outputs [N, size] as `import` states its own: means over the timesteps, or a last membrane.

        Args:
            images: N.
            timesteps: T.
            size: values of an output.
            integrates: the output is a membrane, of which the last timestep counts.

        Raises:
            DataError: another shape; says which is meant.
        """
        shape, found = self.values.shape, self.values
        stepped = shape[:2] == (timesteps, images) and int(np.prod(shape[2:])) == size
        whole = shape[:1] == (images,) and int(np.prod(shape[1:])) == size
        if not stepped and (not whole or self.kind == "spikes"):
            wanted = f"[{timesteps}, {images}, ...]"
            wanted = wanted if self.kind == "spikes" else f"[{images}, ...] or {wanted}"
            raise DataError(
                f"{self.path}: '{self.kind}' has the shape {list(shape)}, not {wanted} with {size} values "
                f"each ({timesteps} timesteps, {images} images)"
            )
        if whole and self.kind != "spikes":
            every: Reals = found.reshape(images, size) / (timesteps if self.kind == "counts" else 1)
            return every
        steps: Reals = found.reshape(timesteps, images, size)
        last: Reals = steps[-1] if integrates and self.kind == "outputs" else steps.mean(axis=0)
        return last


def read_recorded(path: Path, shape: Sequence[int]) -> Recorded:
    """Read what the original gave.

    Args:
        path: an npz file with one of `outputs`, `counts` and `spikes`, and perhaps `inputs`.
        shape: of the network's input.

    Raises:
        DataError: missing, damaged, too large, or not of numbers; a key is missing or too many, a value is
            not finite, inputs have another shape or range.
    """
    arrays = _arrays(path)
    kinds = [kind for kind in KINDS if kind in arrays]
    if len(kinds) != 1 or arrays.keys() - {*KINDS, INPUTS}:
        raise DataError(
            f"{path}: holds {', '.join(arrays) or 'nothing'}; give one of {', '.join(KINDS)}, and {INPUTS} "
            "if the images are not those of --images"
        )
    for name, values in arrays.items():
        if not np.isfinite(values).all():
            raise DataError(f"{path}: '{name}' holds NaN or infinity; record it again")
    values = arrays[kinds[0]].astype(np.float64)
    inputs = arrays.get(INPUTS)
    return Recorded(path, kinds[0], values, _inputs(path, inputs, tuple(shape)))


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        return read_arrays(path, MAX_RECORD_BYTES, NUMBERS)
    except ArtifactError as error:
        reason = str(error).partition("; export")[0]
        raise DataError(f"{reason}; record it again with numpy.savez") from error


def _inputs(path: Path, given: Any, shape: tuple[int, ...]) -> NDArray[np.float32] | None:
    if given is None:
        return None
    if given.ndim == len(shape) + 2 and len(given) and (given == given[:1]).all():
        given = given[0]
    if given.ndim != len(shape) + 1 or given.shape[1:] != shape or not len(given):
        raise DataError(
            f"{path}: '{INPUTS}' has the shape {list(given.shape)}, not [N, {', '.join(map(str, shape))}]; "
            "each image is presented unchanged in every timestep"
        )
    if given.min() < 0 or given.max() > 1:
        raise DataError(
            f"{path}: '{INPUTS}' lies between {given.min():g} and {given.max():g}; images lie between 0 and 1"
        )
    return np.ascontiguousarray(given, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Agreement:
    """Recorded outputs beside others.

    Attributes:
        differing: values that are not close.
        values: number of all.
        largest: largest difference.
        same_class: images whose largest value is at the same place; None if an output has one value.
        images: number of images.
    """

    differing: int
    values: int
    largest: float
    same_class: int | None
    images: int


def agreement(recorded: Reals, found: Reals) -> Agreement:
    """Compare outputs [N, size]; values are close within 1e-4 of the recorded ones' root mean square."""
    difference = np.abs(found - recorded)
    scale = float(np.sqrt(np.mean(recorded**2))) or 1.0
    same = int((found.argmax(axis=1) == recorded.argmax(axis=1)).sum()) if found.shape[1] > 1 else None
    return Agreement(
        int((difference > CLOSE * scale).sum()), difference.size, float(difference.max()), same, len(found)
    )


def expected_document(path: Path, of_file: Agreement, of_integers: Agreement) -> dict[str, Any]:
    """JSON values."""
    return {"file": path.name, "float": asdict(of_file), "integer": asdict(of_integers)}


def expected_lines(path: Path, of_file: Agreement, of_integers: Agreement) -> Sequence[str]:
    """A line for the NIR file in float64, and one for the integers."""
    return [
        f"{path.name}: {what} differ from the original in {found.differing:,} of {found.values:,} outputs "
        f"(largest difference {found.largest:.3g})"
        + (
            f", the largest output is at the same place on {found.same_class} of {found.images} images"
            if found.same_class is not None
            else ""
        )
        for what, found in (("the file's equations", of_file), ("the integers", of_integers))
    ]
