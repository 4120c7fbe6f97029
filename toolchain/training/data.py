"""Training patches and validation crops: every batch is a function of the seed and the step alone.

So a run that is resumed at step k sees exactly the batches that it would have seen, on any machine.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from snn_tool.degradations.pairs import Source, degrade
from snn_tool.degradations.tasks import image_rng
from snn_tool.errors import DataError
from snn_tool.files.artifacts import sha256_bytes
from snn_tool.images.files import Pixels, read_image
from snn_tool.tables import printable
from snn_tool.training.patches import FOLDERS, IMAGES, SQRT, Stage, stage_at
from torch import Tensor
from torch.utils.data import IterableDataset

LOGGER = logging.getLogger("snn_tool")
VALIDATION_SIDE = 128
MAX_VALIDATION_CROPS = 32
Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class ImageSet:
    """Decoded images.

    Attributes:
        names: of the files.
        images: uint8 [H, W, C] each, or pairs [H, W, 2 C].
        digests: SHA-256 of name and pixels of each.
        folders: in which each lies, for balance; empty if that is one for all.
    """

    names: tuple[str, ...]
    images: tuple[Pixels, ...]
    digests: tuple[str, ...]
    folders: tuple[str, ...] = ()

    @property
    def folder_of_each(self) -> tuple[str, ...]:
        """The folder of each image."""
        return self.folders or ("",) * len(self.images)

    @classmethod
    def load(
        cls,
        paths: list[Path],
        smallest_side: int,
        read: Callable[[Path], Pixels] = read_image,
        root: Path | None = None,
    ) -> "ImageSet":
        """Decode files by `read`; those smaller than a patch are left out with a warning.

        Args:
            paths: the files.
            smallest_side: of an image that is kept, in pixels.
            read: decodes a file.
            root: folder below which the images' own folders are told apart; None takes them for one.

        Raises:
            DataError: an image is damaged, or none is large enough.
        """
        names, images, folders = [], [], []
        for path in paths:
            image = read(path)
            if min(image.shape[:2]) < smallest_side:
                size = f"{image.shape[1]}x{image.shape[0]}"
                LOGGER.warning(
                    "%s: left out, %s is smaller than a patch of %d pixels", path, size, smallest_side
                )
                continue
            names.append(path.name)
            images.append(image)
            folders.append(printable(path.parent.relative_to(root).as_posix()) if root else "")
        if not images:
            raise DataError(
                f"{paths[0].parent}: no image of at least {smallest_side}x{smallest_side} pixels among "
                f"{len(paths)}; add larger ones or lower --patch"
            )
        digests = (
            sha256_bytes(n.encode("utf-8", "surrogateescape") + str(i.shape).encode() + i.tobytes())
            for n, i in zip(names, images, strict=True)
        )
        return cls(tuple(names), tuple(images), tuple(digests), tuple(folders))


def split_validation(paths: list[Path], seed: int, fraction: float = 0.1) -> tuple[list[Path], list[Path]]:
    """Split image files into training and validation by the seed, at least one each.

    Raises:
        DataError: fewer than two images.
    """
    if len(paths) < 2:
        raise DataError(f"{paths[0]}: the only image; training needs at least 2, one of them for validation")
    order = np.random.default_rng([seed, 0x5B117]).permutation(len(paths))
    held_out = set(order[: max(1, round(fraction * len(paths)))].tolist())
    training = [path for index, path in enumerate(paths) if index not in held_out]
    return training, [paths[index] for index in sorted(held_out)]


class Draw:
    """Draws an image so that folders share the patches by a rule.

    `images` gives every image the same chance. `sqrt` gives a folder the square root of its number of images
    for a weight, `folders` gives every folder the same; within a folder images are equal.

    Args:
        folders: of each image.
        balance: one of `BALANCES`.
    """

    def __init__(self, folders: Sequence[str], balance: str) -> None:
        self._count = len(folders)
        self._bounds = None if balance == IMAGES else np.cumsum(chances(folders, balance))

    def index(self, rng: np.random.Generator) -> int:
        """The next image."""
        if self._bounds is None:
            return int(rng.integers(self._count))
        drawn = int(np.searchsorted(self._bounds, rng.random(), side="right"))
        return min(drawn, self._count - 1)  # the sum of all chances may fall short of 1 by a rounding


def chances(folders: Sequence[str], balance: str) -> NDArray[np.float64]:
    """The probability of each image, float64, of which the sum is 1."""
    _, of, counts = np.unique(np.array(folders), return_inverse=True, return_counts=True)
    power = {IMAGES: 1.0, SQRT: 0.5, FOLDERS: 0.0}[balance]
    weights = counts.astype(np.float64) ** power
    chance: NDArray[np.float64] = (weights / weights.sum() / counts)[of]
    return chance


def evenly(folders: Sequence[str], most: int) -> list[int]:
    """The places of at most `most` images, as equally many of each folder as it has; in order.

    Every folder gives one in turn, so that a large one fills what small ones leave.
    """
    seen: dict[str, int] = {}
    turns = []
    for place, folder in enumerate(folders):
        turns.append((seen.get(folder, 0), place))
        seen[folder] = seen.get(folder, 0) + 1
    return sorted(place for _, place in sorted(turns)[:most])


class PatchBatches(IterableDataset[Batch]):
    """Random patches: batch k is drawn by a generator seeded with (seed, k).

    Args:
        images: training images, each at least as large as the largest patch on both sides.
        stages: how large and how many the patches are, over the steps of the run.
        degradation: applied to each batch, or the pairs that the images are.
        seed: of all batches.
        balance: for how much a folder of images counts, one of `patches.BALANCES`.
        start_step: first step to draw, for a resumed run.
        share: which part of a batch of N patches this process takes; all processes draw the same batch.
    """

    def __init__(
        self,
        images: ImageSet,
        stages: Sequence[Stage],
        degradation: Source,
        seed: int,
        balance: str = IMAGES,
        start_step: int = 0,
        share: Callable[[int], slice] = slice,
    ) -> None:
        self.images, self.stages, self.start_step = images.images, stages, start_step
        self.degradation, self.seed, self.share = degradation, seed, share
        self._draw = Draw(images.folder_of_each, balance)

    def __iter__(self) -> Iterator[Batch]:
        """Pairs (degraded, clean), float32 [N, C, P, P], clean in [0, 1]."""
        for step in range(self.start_step, self.stages[-1].end):
            yield self.draw(step)

    def draw(self, step: int) -> Batch:
        """The batch of one step."""
        stage, rng = stage_at(self.stages, step), np.random.default_rng([self.seed, step])
        patches = np.stack([self._patch(stage.side, rng) for _ in range(stage.batch)])
        part = self.share(stage.batch)
        degraded, clean = degrade(patches, self.degradation, rng)
        return _channels_first(degraded[part]), _channels_first(clean[part])

    def _patch(self, side: int, rng: np.random.Generator) -> Pixels:
        """One patch [P, P, channels] from a random image and place, in one of the eight orientations."""
        image = self.images[self._draw.index(rng)]
        top = rng.integers(image.shape[0] - side + 1)
        left = rng.integers(image.shape[1] - side + 1)
        crop = image[top : top + side, left : left + side]
        orientation = rng.integers(8)
        if orientation & 1:
            crop = crop[:, ::-1]
        if orientation & 2:
            crop = crop[::-1]
        return crop.transpose(1, 0, 2) if orientation & 4 else crop


class ValidationSet(IterableDataset[Batch]):
    """Centre crops of the validation images under fixed noise, one per batch, the same every time.

    If there are more images than crops, their folders give as equally many as they have.

    Attributes:
        folders: of each crop.
    """

    def __init__(self, images: ImageSet, degradation: Source, seed: int) -> None:
        chosen = evenly(images.folder_of_each, MAX_VALIDATION_CROPS)
        self.folders = tuple(images.folder_of_each[place] for place in chosen)
        self.pairs = [
            self._pair(images.names[place], images.images[place], degradation, seed) for place in chosen
        ]

    @staticmethod
    def _pair(name: str, image: Pixels, degradation: Source, seed: int) -> Batch:
        height, width = (min(VALIDATION_SIDE, side // 8 * 8) for side in image.shape[:2])
        top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
        window = image[top : top + height, left : left + width][None]
        degraded, clean = degrade(window, degradation, image_rng(seed, name))
        return _channels_first(degraded), _channels_first(clean)

    def __iter__(self) -> Iterator[Batch]:
        """Pairs (degraded, clean), float32 [1, C, h, w]."""
        yield from self.pairs

    def __len__(self) -> int:
        """Number of crops."""
        return len(self.pairs)


def _channels_first(images: NDArray[Any]) -> Tensor:
    """[N, H, W, C] to a channels-last tensor [N, C, H, W], without a copy."""
    return torch.from_numpy(images).permute(0, 3, 1, 2)
