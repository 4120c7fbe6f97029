"""Degraded crops of photographs, for calibration, golden vectors and the audit."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from snn_tool.degradations.noise import Degradation
from snn_tool.degradations.pairs import Source, degrade, read_source
from snn_tool.degradations.tasks import image_rng
from snn_tool.errors import DataError
from snn_tool.files.ownership import claim, owned_path
from snn_tool.images.files import Pixels, find_images, in_channels, read_image, read_picture, write_image

SCIKIT_IMAGE, SCIKIT_LEARN = "skimage.data", "sklearn.datasets.images"
TRAINING = (
    (SCIKIT_IMAGE, "chelsea.png"),
    (SCIKIT_IMAGE, "rocket.jpg"),
    (SCIKIT_IMAGE, "motorcycle_left.png"),
    (SCIKIT_IMAGE, "hubble_deep_field.jpg"),
    (SCIKIT_IMAGE, "ihc.png"),
    (SCIKIT_LEARN, "china.jpg"),
    (SCIKIT_LEARN, "flower.jpg"),
)
TEST = ((SCIKIT_IMAGE, "astronaut.png"), (SCIKIT_IMAGE, "coffee.png"))
LONGEST_SIDE = 640

LOGGER = logging.getLogger("snn_tool")


def read_photograph(package: str, name: str) -> Pixels:
    """A shipped photograph, uint8 [H, W, 3], shrunk to at most LONGEST_SIDE pixels on its longer side."""
    image = read_image(Path(str(files(package).joinpath(name))))
    factor = LONGEST_SIDE / max(image.shape[:2])
    if factor >= 1:
        return image
    size = (round(image.shape[1] * factor), round(image.shape[0] * factor))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


def demo_photographs(out: Path) -> dict[Path, tuple[str, str]]:
    """Where `write_demo_folders` puts each photograph, which is given by package and name."""
    parts = (("train", TRAINING), ("test", TEST))
    return {
        out / part / f"{Path(name).stem}.png": (package, name) for part, of in parts for package, name in of
    }


def claim_demo_folders(out: Path) -> None:
    """Make sure that only these photographs stand where they will be written.

    Raises:
        ConfigError: other files do; they are named.
    """
    sources = demo_photographs(out)

    def is_the_photograph(path: Path) -> bool:
        try:
            return np.array_equal(read_image(path), read_photograph(*sources[path]))
        except DataError:
            return False

    claim(sources, is_the_photograph)


def write_demo_folders(out: Path) -> tuple[Path, Path]:
    """Write PNG copies to `out`/train and `out`/test and return the two folders.

    Raises:
        ConfigError: another file has the name of one.
    """
    claim_demo_folders(out)
    for path, (package, name) in demo_photographs(out).items():
        write_image(path, read_photograph(package, name), opener=owned_path)
    return out / "train", out / "test"


@dataclass(frozen=True, slots=True)
class ImagesUsed:
    """How many images of how many.

    Attributes:
        used: that were worked on.
        found: that were given.
        why: not all of them, by reason; empty if all were.
    """

    used: int
    found: int
    why: str = ""

    def text(self) -> str:
        """One line, e.g. `16 of 20 images used (--limit 16)`."""
        return f"{self.used} of {self.found} images used" + (f" ({self.why})" if self.why else "")

    def document(self) -> dict[str, int | str]:
        """JSON values."""
        return {"used": self.used, "found": self.found, "why": self.why}


def first_images(paths: Sequence[Path], limit: int) -> tuple[Sequence[Path], ImagesUsed]:
    """The first `limit` paths, or all if it is 0."""
    chosen = paths[:limit] if limit else paths
    why = f"--limit {limit}" if len(chosen) < len(paths) else ""
    return chosen, ImagesUsed(len(chosen), len(paths), why)


Tiles = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """A part of an image and the same part degraded.

    Attributes:
        name: path below the folder, or file name.
        clean: uint8 [h, w, C].
        degraded: float32 [h, w, C], [0, 1] before noise, not clamped.
    """

    name: str
    clean: Pixels
    degraded: NDArray[np.float32]


def centre_crop(image: Pixels, side: int, multiple: int) -> Pixels:
    """The middle of [H, W, C]: sides of at most `side` pixels (0: no limit), multiples of `multiple`."""
    sizes = [(min(side, length) if side else length) // multiple * multiple for length in image.shape[:2]]
    top, left = ((length - size) // 2 for length, size in zip(image.shape[:2], sizes, strict=True))
    return image[top : top + sizes[0], left : left + sizes[1]]


def central(path: Path, height: int, width: int, channels: int = 3) -> Pixels:
    """The middle [height, width, channels] of an image file, for networks that take one size; never resized.

    Raises:
        DataError: the file is damaged, or the image is smaller, or neither 3 nor 1 channels are asked for.
    """
    image = in_channels(read_picture(path).pixels, channels)
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
    path: Path, folder: Path, degradation: Source, side: int, multiple: int, seed: int = 0, channels: int = 3
) -> Crop | None:
    """The degraded centre of one clean file; None, with a warning, if the image is smaller than `multiple`.

    Of 1 channel the image becomes grey before it is degraded.

    Raises:
        DataError: the file is damaged.
    """
    stack = centre_crop(read_source(path, degradation, channels), side, multiple)
    if 0 in stack.shape:
        LOGGER.warning("%s: left out, smaller than %d pixels", path, multiple)
        return None
    name = name_below(path, folder)
    degraded, _ = degrade(stack, degradation, image_rng(seed, name))
    return Crop(name, np.ascontiguousarray(stack[..., :channels]), degraded)


def channels_first(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """[H, W, C] as a contiguous [C, H, W]."""
    return np.ascontiguousarray(image.transpose(2, 0, 1))


def draw_tiles(
    folder: Path | None,
    count: int,
    size: tuple[int, int],
    degradation: Degradation,
    seed: int,
    channels: int = 3,
) -> Tiles:
    """Degraded tiles float32 [count, channels, height, width] from random places of the images of a folder.

    Args:
        folder: of clean images; None takes the photographs that ship with scikit-image.
        count: number of tiles; images are taken in a random order and again if there are fewer.
        size: (height, width) in pixels.
        degradation: applied to each tile.
        seed: of order, places and noise.
        channels: 3, or 1: the images become grey before they are degraded.

    Raises:
        DataError: no image is as large as a tile, one is damaged, or another number of channels.
    """
    return draw_counted(folder, count, size, degradation, seed, channels)[0]


def draw_counted(
    folder: Path | None,
    count: int,
    size: tuple[int, int],
    degradation: Degradation,
    seed: int,
    channels: int = 3,
) -> tuple[Tiles, ImagesUsed]:
    """The tiles of `draw_tiles`, and of how many images they are."""
    rng = np.random.default_rng([seed, 0x711E5])
    images, given = _large_enough(folder, size, rng, count)
    tiles = []
    for index in range(count):
        image = in_channels(images[index % len(images)], channels)
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
