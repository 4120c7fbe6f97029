"""Degraded copies of a folder of photographs, and a contact sheet of both."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from snn_tool.degradations.noise import Degradation
from snn_tool.degradations.pairs import RECORD, record_degradation
from snn_tool.errors import ConfigError
from snn_tool.files.ownership import claim, owned_path, refuse_existing
from snn_tool.images.files import Pixels, find_images, in_colour, write_image
from snn_tool.images.metrics import to_uint8
from snn_tool.networks.evaluation import load_pair
from snn_tool.terminal import Track

SHEET = "contact-sheet.png"
THUMBNAIL, MOST_COLUMNS, GAP = 256, 6, 4


@dataclass(frozen=True, slots=True)
class DegradedFolder:
    """What was written: for every image its degraded copy, and the sheet."""

    copies: Mapping[Path, Path]
    sheet: Path


def usual_folder(images: Path) -> Path:
    """Where the copies go unless it is said: beside the images."""
    place = images.resolve()
    return place.with_name(f"{place.stem if place.is_file() else place.name}-degraded")


def degrade_folder(
    images: Path, out: Path, degradation: Degradation, seed: int, overwrite: bool, track: Track
) -> DegradedFolder:
    """Write `out`/degraded, `out`/clean (PNG, 8 bits), the contact sheet, and what the degradation was.

    Raises:
        ConfigError: `out` is not empty and `overwrite` is false, a file in it is in the way, or two images
            would become one file.
        DataError: no images, or one is damaged.
    """
    refuse_existing(out, overwrite)
    copies = _targets(images, out)
    originals = {target: out / "clean" / target.relative_to(out / "degraded") for target in copies.values()}
    claim([*originals, *originals.values(), out / SHEET, out / RECORD])
    columns: list[tuple[Pixels, Pixels]] = []
    for path in track(list(copies), "degrade"):
        pair = load_pair(path, images, degradation, seed)
        degraded = to_uint8(pair.degraded)
        write_image(copies[path], degraded, opener=owned_path)
        write_image(originals[copies[path]], pair.clean, opener=owned_path)
        if len(columns) < MOST_COLUMNS:
            columns.append((thumbnail(in_colour(pair.clean)), thumbnail(in_colour(degraded))))
    write_image(out / SHEET, contact_sheet(columns), opener=owned_path)
    record_degradation(out, degradation, seed)
    return DegradedFolder(copies, out / SHEET)


def _targets(images: Path, out: Path) -> dict[Path, Path]:
    sources: dict[Path, Path] = {}
    for path in find_images(images, without=out):
        below = path.relative_to(images) if images.is_dir() else Path(path.name)
        target = out / "degraded" / below.with_suffix(".png")
        if clash := sources.get(target):
            raise ConfigError(f"{clash} and {path} would both become {target}; put them into two folders")
        sources[target] = path
    return {path: target for target, path in sources.items()}


def thumbnail(image: Pixels) -> Pixels:
    """The middle of an image at its own resolution, uint8 [THUMBNAIL, THUMBNAIL, 3], on grey if smaller.

    It is not shrunk: that would hide what noise and blur do.
    """
    tile = np.full((THUMBNAIL, THUMBNAIL, 3), 128, np.uint8)
    height, width = (min(side, THUMBNAIL) for side in image.shape[:2])
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    down, right = (THUMBNAIL - height) // 2, (THUMBNAIL - width) // 2
    tile[down : down + height, right : right + width] = image[top : top + height, left : left + width]
    return tile


def contact_sheet(columns: list[tuple[Pixels, Pixels]]) -> Pixels:
    """Clean thumbnails above their degraded ones, GAP white pixels apart."""
    step = THUMBNAIL + GAP
    sheet = np.full((2 * step - GAP, len(columns) * step - GAP, 3), 255, np.uint8)
    for column, pair in enumerate(columns):
        for row, tile in enumerate(pair):
            sheet[row * step : row * step + THUMBNAIL, column * step : column * step + THUMBNAIL] = tile
    return sheet
