"""Training patches and validation crops: every batch is a function of the seed and the step alone.

So a run that is resumed at step k sees exactly the batches that it would have seen, on any machine.
"""

import logging
from collections.abc import Callable, Iterator
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
from torch import Tensor
from torch.utils.data import IterableDataset

LOGGER = logging.getLogger("snn_tool")
VALIDATION_SIDE = 128
MAX_VALIDATION_CROPS = 32
Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class ImageSet:
    """Decoded images, uint8 [H, W, C] each, or pairs [H, W, 2 C], and the SHA-256 of names and pixels."""

    names: tuple[str, ...]
    images: tuple[Pixels, ...]
    digests: tuple[str, ...]

    @classmethod
    def load(
        cls, paths: list[Path], smallest_side: int, read: Callable[[Path], Pixels] = read_image
    ) -> "ImageSet":
        """Decode files by `read`; those smaller than a patch are left out with a warning.

        Raises:
            DataError: an image is damaged, or none is large enough.
        """
        names, images = [], []
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
        if not images:
            raise DataError(
                f"{paths[0].parent}: no image of at least {smallest_side}x{smallest_side} pixels among "
                f"{len(paths)}; add larger ones or lower --patch"
            )
        digests = (
            sha256_bytes(n.encode("utf-8", "surrogateescape") + str(i.shape).encode() + i.tobytes())
            for n, i in zip(names, images, strict=True)
        )
        return cls(tuple(names), tuple(images), tuple(digests))


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


class PatchBatches(IterableDataset[Batch]):
    """Random patches: batch k is drawn by a generator seeded with (seed, k).

    Args:
        images: training images, each at least `patch` on both sides.
        patch, batch: side in pixels, patches per step.
        steps: total steps of the run.
        degradation: applied to each batch, or the pairs that the images are.
        seed: of all batches.
        start_step: first step to draw, for a resumed run.
        part: which of the batch's patches this process takes; all processes draw the same batch.
    """

    def __init__(
        self,
        images: ImageSet,
        patch: int,
        batch: int,
        steps: int,
        degradation: Source,
        seed: int,
        start_step: int = 0,
        part: slice = slice(None),
    ) -> None:
        self.images, self.patch, self.batch = images.images, patch, batch
        self.steps, self.start_step = steps, start_step
        self.degradation, self.seed, self.part = degradation, seed, part

    def __iter__(self) -> Iterator[Batch]:
        """Pairs (degraded, clean), float32 [N, C, P, P], clean in [0, 1]."""
        for step in range(self.start_step, self.steps):
            yield self.draw(step)

    def draw(self, step: int) -> Batch:
        """The batch of one step."""
        rng = np.random.default_rng([self.seed, step])
        patches = np.stack([self._patch(rng) for _ in range(self.batch)])
        degraded, clean = degrade(patches, self.degradation, rng)
        return _channels_first(degraded[self.part]), _channels_first(clean[self.part])

    def _patch(self, rng: np.random.Generator) -> Pixels:
        """One patch [P, P, channels] from a random image and place, in one of the eight orientations."""
        image = self.images[rng.integers(len(self.images))]
        top = rng.integers(image.shape[0] - self.patch + 1)
        left = rng.integers(image.shape[1] - self.patch + 1)
        crop = image[top : top + self.patch, left : left + self.patch]
        orientation = rng.integers(8)
        if orientation & 1:
            crop = crop[:, ::-1]
        if orientation & 2:
            crop = crop[::-1]
        return crop.transpose(1, 0, 2) if orientation & 4 else crop


class ValidationSet(IterableDataset[Batch]):
    """Centre crops of the validation images under fixed noise, one per batch, the same every time."""

    def __init__(self, images: ImageSet, degradation: Source, seed: int) -> None:
        self.pairs = [
            self._pair(name, image, degradation, seed)
            for name, image in list(zip(images.names, images.images, strict=True))[:MAX_VALIDATION_CROPS]
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
