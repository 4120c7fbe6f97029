"""Using a student: float or integer, on images of any size."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from snn_tool.degradations.pairs import unit_range
from snn_tool.errors import ConfigError, DataError
from snn_tool.files.artifacts import sha256_file
from snn_tool.files.ownership import claim, owned_path, refuse_existing_file
from snn_tool.images.files import Pixels, check_image, find_images, read_picture, write_image
from snn_tool.images.metrics import to_uint8
from snn_tool.images.tiling import restore_tiled, through_colour
from snn_tool.models.integer.engine import IntegerEngine
from snn_tool.models.integer.engine import restore as restore_integers
from snn_tool.models.integer.file import INTEGER_SUFFIX, load_integer_network
from snn_tool.models.student import load_student
from snn_tool.models.topology import Topology

LOGGER = logging.getLogger("snn_tool")
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


def plan_outputs(inputs: Sequence[Path], out: Path, overwrite: bool) -> dict[Path, Path]:
    """For each image file among `inputs` (files or folders) the PNG file in `out` that it becomes.

    Every image is opened, so that what is none is found before hours are spent on the others; and those that
    lie in `out`, below a folder that is an input, are results and no inputs.

    Raises:
        DataError: an input is missing or empty, or no image.
        ConfigError: a file exists and `overwrite` is false or it is not ours, or two inputs would become
            one file.
    """
    sources: dict[Path, Path] = {}
    for given in inputs:
        for path in find_images(given, without=out):
            below = path.relative_to(given) if given.is_dir() else Path(path.name)
            target = out / below.with_suffix(".png")
            if clash := sources.get(target):
                raise ConfigError(
                    f"{clash} and {path} would both become {target}; restore them to two folders"
                )
            refuse_existing_file(target, overwrite)
            check_image(path)
            sources[target] = path
    claim(sources)
    return {source: target for target, source in sources.items()}


def restore_files(
    student: Student,
    outputs: Mapping[Path, Path],
    tile: int,
    track: Callable[[list[Path], str], Iterable[Path]],
) -> None:
    """Restore the files of `plan_outputs`; a damaged one does not keep the others from being restored.

    Raises:
        DataError: at the end, if files were damaged.
    """
    damaged: list[DataError] = []
    grey_is_news = True
    for source in track(list(outputs), "restore"):
        try:
            is_grey = restore_file(student, source, outputs[source], tile)
        except DataError as error:
            damaged.append(error)
            continue
        if is_grey and grey_is_news:
            warn_of_grey(source, student.title)
        grey_is_news &= not is_grey
    if damaged:
        _refuse_damaged(damaged, len(outputs))


def restore_file(student: Student, source: Path, target: Path, tile: int) -> bool:
    """Restore one image file and say whether it was grey; the PNG appears whole or not at all.

    Grey stays grey, and a profile that says sRGB is kept.
    """
    picture = read_picture(source)
    write_image(target, student.restore_8_bits(picture.pixels, tile), picture.profile, owned_path)
    return bool(picture.pixels.shape[2] == 1)


def warn_of_grey(path: Path, network: str) -> None:
    """Say that a network of colour pictures was given a grey one."""
    LOGGER.warning("%s: grey, but %s was trained on colour; grey photographs restore worse", path, network)


def _refuse_damaged(damaged: list[DataError], count: int) -> None:
    """One line for all; each file has its own before it if there are several."""
    if count == 1:
        raise damaged[0]
    if len(damaged) > 1:
        for error in damaged:
            LOGGER.warning("%s", error)
    first = damaged[0] if len(damaged) == 1 else f"{len(damaged)} files are damaged, see above"
    raise DataError(f"{first}; {count - len(damaged)} of {count} images were restored")
