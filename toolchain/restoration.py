"""Using a student: float or integer, on images of any size."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from snn_tool.artifacts import refuse_existing_file, sha256_file
from snn_tool.errors import ConfigError
from snn_tool.images import find_images, read_image, write_image
from snn_tool.metrics import to_uint8
from snn_tool.models.integer_file import INTEGER_SUFFIX, load_integer_network
from snn_tool.models.integer_run import IntegerEngine
from snn_tool.models.integer_run import restore as restore_integers
from snn_tool.models.student_file import load_student
from snn_tool.models.topology import Topology
from snn_tool.tiling import restore_tiled

Batch = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Student:
    """A loaded student, ready to restore.

    Attributes:
        restore_batch: float32 [N, 3, h, w] with sides that are multiples of the topology's `multiple`.
        kind: `float` or `integer`.
        sha256: of its tensor file.
        trained_for: `describe()` of the degradation that it was trained with; empty if nobody wrote it down.
    """

    path: Path
    restore_batch: Callable[[Batch], Batch]
    topology: Topology
    kind: str
    sha256: str
    trained_for: Mapping[str, Any]

    @property
    def title(self) -> str:
        """Name of its file."""
        return self.path.name

    def restore(self, image: NDArray[np.float32], tile: int) -> NDArray[np.float32]:
        """A restored image [H, W, 3] of any size, in tiles of at most `tile` pixels; the cuts do not show.

        The halo is the receptive radius rounded up to the coarsest grid, so that an integer student gives the
        same bits, and a float student the same values up to rounding, however the image is cut.
        """
        multiple = self.topology.multiple
        halo = -(-self.topology.receptive_radius // multiple) * multiple
        batch = np.ascontiguousarray(image.transpose(2, 0, 1)[None], dtype=np.float32)
        restored = restore_tiled(self.restore_batch, batch, tile=tile, halo=halo, multiple=multiple)
        output: Batch = restored[0].transpose(1, 2, 0)
        return output


def open_student(path: Path) -> Student:
    """Load `student.safetensors` (float) or `student.int.safetensors` (integer).

    Raises:
        ConfigError: neither of the two, or an imported network that restores no image.
        ArtifactError: damaged, or of another schema.
    """
    if path.name.endswith(INTEGER_SUFFIX):
        return _integer_student(path)
    if path.suffix == ".safetensors":
        return _float_student(path)
    raise ConfigError(
        f"{path}: a student is a .safetensors file, from distill, or a {INTEGER_SUFFIX} file, from quantize; "
        "'snn-tool models' lists those that have a name"
    )


def _integer_student(path: Path) -> Student:
    network, provenance = load_integer_network(path)
    if not network.topology.restores:
        raise ConfigError(f"{path}: restores no colour image of any size; 'export' and 'verify' take it")
    engine = IntegerEngine(network)

    def run(batch: Batch) -> Batch:
        return restore_integers(engine, batch).astype(np.float32)

    trained_for = provenance.get("training", {}).get("task") or provenance.get("noise", {})
    return Student(path, run, network.topology, "integer", sha256_file(path), trained_for)


def _float_student(path: Path) -> Student:
    network, _, training = load_student(path)

    def run(batch: Batch) -> Batch:
        with torch.inference_mode():
            return np.asarray(network(torch.from_numpy(batch)).numpy(), dtype=np.float32)

    return Student(path, run, network.topology, "float", sha256_file(path), training.get("task", {}))


def plan_outputs(inputs: Sequence[Path], out: Path, overwrite: bool) -> dict[Path, Path]:
    """For each image file among `inputs` (files or folders) the PNG file in `out` that it becomes.

    Every image is decoded once, so that a damaged one is found before hours are spent on the others.

    Raises:
        DataError: an input is missing, empty or damaged.
        ConfigError: a file exists and `overwrite` is false, or two inputs would become one file.
    """
    sources: dict[Path, Path] = {}
    for given in inputs:
        for path in find_images(given):
            below = path.relative_to(given) if given.is_dir() else Path(path.name)
            target = out / below.with_suffix(".png")
            if clash := sources.get(target):
                raise ConfigError(
                    f"{clash} and {path} would both become {target}; restore them to two folders"
                )
            refuse_existing_file(target, overwrite)
            read_image(path)
            sources[target] = path
    return {source: target for target, source in sources.items()}


def restore_file(student: Student, source: Path, target: Path, tile: int) -> None:
    """Restore one image file; the PNG appears whole or not at all."""
    degraded = read_image(source).astype(np.float32) / np.float32(255)
    write_image(target, to_uint8(student.restore(degraded, tile)))
