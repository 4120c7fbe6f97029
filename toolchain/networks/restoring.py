"""Restoring image files: which file becomes which, then one after the other.

Nothing here imports torch, so that a mistyped path is found before the seconds that torch takes to load.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from snn_tool.errors import ConfigError, DataError
from snn_tool.files.ownership import claim, owned_path, refuse_existing_file
from snn_tool.images.files import check_image, find_images, read_picture, write_image
from snn_tool.terminal import Track

if TYPE_CHECKING:
    from snn_tool.networks.running import RestoringStudent

LOGGER = logging.getLogger("snn_tool")


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
    student: "RestoringStudent",
    outputs: Mapping[Path, Path],
    tile: int,
    track: Track,
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
            warn_of_grey(source, student.provenance.title)
        grey_is_news &= not is_grey
    if damaged:
        _refuse_damaged(damaged, len(outputs))


def restore_file(student: "RestoringStudent", source: Path, target: Path, tile: int) -> bool:
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
