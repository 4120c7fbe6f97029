"""Using a student: float or integer, on images of any size."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from snn_tool.degradations.pairs import unit_range
from snn_tool.errors import ConfigError
from snn_tool.files.artifacts import sha256_file
from snn_tool.images.files import Pixels
from snn_tool.images.metrics import to_uint8
from snn_tool.images.tiling import restore_tiled, through_colour
from snn_tool.models.integer.engine import IntegerEngine
from snn_tool.models.integer.engine import restore as restore_integers
from snn_tool.models.integer.file import INTEGER_SUFFIX, load_integer_network
from snn_tool.models.student import load_student
from snn_tool.models.topology import Topology

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
        """A restored image [H, W, 3] or [H, W, 1] of any size, in tiles of at most `tile` pixels, unseen.

        The halo is the receptive radius rounded up to the coarsest grid, so that an integer student gives the
        same bits, and a float student the same values up to rounding, however the image is cut.
        """
        return self._tiled(lambda batch: through_colour(self.restore_batch, batch), image, tile)

    def restore_8_bits(self, image: NDArray[np.float32] | Pixels, tile: int) -> Pixels:
        """As `restore`, rounded to uint8 tile by tile; takes uint8, too, and a fraction of the memory."""

        def run(batch: NDArray[Any]) -> Pixels:
            values = unit_range(batch) if batch.dtype == np.uint8 else batch
            return to_uint8(through_colour(self.restore_batch, values)[0])[None]

        return self._tiled(run, image, tile)

    def _tiled(
        self, run: Callable[[NDArray[Any]], NDArray[Any]], image: NDArray[Any], tile: int
    ) -> NDArray[Any]:
        multiple = self.topology.multiple
        halo = -(-self.topology.receptive_radius // multiple) * multiple
        restored = restore_tiled(run, image.transpose(2, 0, 1)[None], tile, halo, multiple)
        return np.asarray(restored[0].transpose(1, 2, 0))


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
