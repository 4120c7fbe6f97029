"""Restoring image files: which file becomes which, then one after the other.

Nothing here imports torch, so that a mistyped path is found before the seconds that torch takes to load.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from snn_tool.errors import ConfigError, DataError
from snn_tool.files.ownership import claim, owned_path, refuse_existing_file
from snn_tool.images.files import check_image, find_images, in_colour, is_grey, read_picture, write_image
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


Pick = Callable[[bool], "RestoringStudent"]
"""Gives the student for a picture by whether it is grey."""


def restore_files(
    pick: Pick, outputs: Mapping[Path, Path], tile: int, track: Track
) -> dict[Path, "RestoringStudent"]:
    """Restore the files of `plan_outputs`; a damaged one does not keep the others from being restored.

    Args:
        pick: gives the student for each picture; one student for all is `lambda is_grey: student`.
        outputs: the file that each becomes.
        tile: largest side in pixels that is restored at once.
        track: shows how far it is.

    Returns:
        Which student restored which file.

    Raises:
        DataError: at the end, if files were damaged.
    """
    damaged: list[DataError] = []
    told: set[tuple[str, bool]] = set()
    restored: dict[Path, RestoringStudent] = {}
    for source in track(list(outputs), "restore"):
        try:
            student, grey = restore_file(pick, source, outputs[source], tile)
        except DataError as error:
            damaged.append(error)
            continue
        restored[source] = student
        if (case := (student.provenance.title, grey)) not in told:
            warn_of_channels(source, student.provenance.title, grey, student.channels)
            told.add(case)
    if damaged:
        _refuse_damaged(damaged, len(outputs))
    return restored


def restore_file(pick: Pick, source: Path, target: Path, tile: int) -> tuple["RestoringStudent", bool]:
    """Restore one image file: by which student, and whether it is grey; the PNG is whole or not there at all.

    A picture is grey if it has one channel, or three that are equal. As many come out as went in, and a
    profile that says sRGB is kept.
    """
    picture = read_picture(source)
    pixels, grey = picture.pixels, is_grey(picture.pixels)
    student = pick(grey)
    seen = pixels[..., :1] if grey and student.channels == 1 else pixels
    restored = student.restore_8_bits(seen, tile)
    if restored.shape != pixels.shape:
        restored = in_colour(restored)
    write_image(target, restored, picture.profile, owned_path)
    return student, grey


def warn_of_channels(path: Path, network: str, grey: bool, channels: int) -> None:
    """Say that a network of colour was given a grey picture, or the other way round."""
    if grey and channels == 3:
        LOGGER.warning(
            "%s: grey, but %s was trained on colour; grey photographs restore worse", path, network
        )
    if not grey and channels == 1:
        LOGGER.warning(
            "%s: of colour, but %s was trained on grey; it restores each colour alone, which is worse than a "
            "student for colour",
            path,
            network,
        )


def _refuse_damaged(damaged: list[DataError], count: int) -> None:
    """One line for all; each file has its own before it if there are several."""
    if count == 1:
        raise damaged[0]
    if len(damaged) > 1:
        for error in damaged:
            LOGGER.warning("%s", error)
    first = damaged[0] if len(damaged) == 1 else f"{len(damaged)} files are damaged, see above"
    raise DataError(f"{first}; {count - len(damaged)} of {count} images were restored")
