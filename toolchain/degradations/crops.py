"""Degraded crops of photographs, for calibration, golden vectors and the audit."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from snn_tool.degradations.tasks import Degradation, image_rng
from snn_tool.errors import DataError
from snn_tool.image_choice import ImagesUsed
from snn_tool.images.files import Pixels, find_images, read_image
from snn_tool.degradations.pairs import Source, degrade, read_source
from snn_tool.photographs import TEST, read_photograph

LUMA = (0.299, 0.587, 0.114)
"""Grey of red, green and blue: ITU-R BT.601."""

LOGGER = logging.getLogger("snn_tool")
Tiles = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """A part of an image and the same part degraded.

    Attributes:
        name: path below the folder, or file name.
        clean: uint8 [h, w, 3].
        degraded: float32 [h, w, 3], [0, 1] before noise, not clamped.
    """

    name: str
    clean: Pixels
    degraded: NDArray[np.float32]


def centre_crop(image: Pixels, side: int, multiple: int) -> Pixels:
    """The middle of [H, W, C]: sides of at most `side` pixels (0: no limit), multiples of `multiple`."""
    sizes = [(min(side, length) if side else length) // multiple * multiple for length in image.shape[:2]]
    top, left = ((length - size) // 2 for length, size in zip(image.shape[:2], sizes, strict=True))
    return image[top : top + sizes[0], left : left + sizes[1]]


def central(path: Path, height: int, width: int) -> Pixels:
    """The middle [height, width, 3] of an image file, for networks that take one size; never resized.

    Raises:
        DataError: the file is damaged, or the image is smaller.
    """
    image = read_image(path)
    if image.shape[0] < height or image.shape[1] < width:
        raise DataError(
            f"{path}: {image.shape[1]}x{image.shape[0]} pixels, but the network takes {width}x{height}; "
            "give a larger one, or remove it"
        )
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]


def name_below(path: Path, folder: Path) -> str:
    """The name of an image in reports, and the seed of its noise: its path below the folder, or its own."""
    return path.relative_to(folder).as_posix() if folder.is_dir() else path.name


def load_crop(
    path: Path, folder: Path, degradation: Source, side: int, multiple: int, seed: int = 0
) -> Crop | None:
    """The degraded centre of one clean file; None, with a warning, if the image is smaller than `multiple`.

    Raises:
        DataError: the file is damaged.
    """
    stack = centre_crop(read_source(path, degradation), side, multiple)
    if 0 in stack.shape:
        LOGGER.warning("%s: left out, smaller than %d pixels", path, multiple)
        return None
    name = name_below(path, folder)
    degraded, _ = degrade(stack, degradation, image_rng(seed, name))
    return Crop(name, np.ascontiguousarray(stack[..., :3]), degraded)


def channels_first(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """[H, W, C] as a contiguous [C, H, W]."""
    return np.ascontiguousarray(image.transpose(2, 0, 1))


def to_channels(tiles: Tiles, channels: int) -> Tiles:
    """Colour tiles [N, 3, H, W] as a network of 3 channels sees them, or of 1: grey, by their luma.

    Raises:
        DataError: another number of channels.
    """
    if channels not in (1, 3):
        raise DataError(f"the network takes {channels} channels; images have 3, or 1 if they are grey")
    if channels == 3:
        return tiles
    weights = np.array(LUMA, dtype=np.float32)[:, None, None]
    grey: Tiles = (tiles * weights).sum(axis=1, keepdims=True, dtype=np.float32)
    return grey


def draw_tiles(
    folder: Path | None, count: int, size: tuple[int, int], degradation: Degradation, seed: int
) -> Tiles:
    """Degraded tiles float32 [count, 3, height, width] from random places of the images of a folder.

    Args:
        folder: of clean images; None takes the photographs that ship with scikit-image.
        count: number of tiles; images are taken in a random order and again if there are fewer.
        size: (height, width) in pixels.
        degradation: applied to each tile.
        seed: of order, places and noise.

    Raises:
        DataError: no image is as large as a tile, or one is damaged.
    """
    return draw_counted(folder, count, size, degradation, seed)[0]


def draw_counted(
    folder: Path | None, count: int, size: tuple[int, int], degradation: Degradation, seed: int
) -> tuple[Tiles, ImagesUsed]:
    """The tiles of `draw_tiles`, and of how many images they are."""
    rng = np.random.default_rng([seed, 0x711E5])
    images, given = _large_enough(folder, size, rng, count)
    tiles = []
    for index in range(count):
        image = images[index % len(images)]
        top, left = (
            rng.integers(length - side + 1) for length, side in zip(image.shape[:2], size, strict=True)
        )
        clean = image[top : top + size[0], left : left + size[1]].astype(np.float32) / np.float32(255)
        tiles.append(channels_first(degradation.apply(clean, rng)))
    used = min(count, len(images))
    why = f"{count} tiles, of images of at least {size[1]}x{size[0]} pixels" if used < given else ""
    return np.stack(tiles), ImagesUsed(used, given, why)


def _large_enough(
    folder: Path | None, size: tuple[int, int], rng: np.random.Generator, count: int
) -> tuple[list[Pixels], int]:
    """Up to `count` images in random order that hold a tile, and the number of all."""
    if folder is None:
        return [read_photograph(package, name) for package, name in TEST], len(TEST)
    paths = find_images(folder)
    found: list[Pixels] = []
    for index in rng.permutation(len(paths)):
        image = read_image(paths[index])
        if image.shape[0] >= size[0] and image.shape[1] >= size[1]:
            found.append(image)
        if len(found) == count:
            break
    if not found:
        raise DataError(
            f"{folder}: no image of at least {size[1]}x{size[0]} pixels; add larger ones or lower --size"
        )
    return found, len(paths)
