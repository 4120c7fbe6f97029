"""Degraded images as a file holds them: rounded and clipped to 8 bits, or compressed by JPEG as well."""

from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image as Picture
from snn_tool.degradations.noise import Degradation, Image, each_image
from snn_tool.images.metrics import to_uint8

CHROMA = {"subsampling": "4:2:0"}
"""JPEG's colours at half of the resolution, as cameras and phones store them."""


def as_8_bits(image: Image) -> Image:
    """Float32 [H, W, C] rounded to the 256 grey levels of a file, and clipped to them."""
    return np.asarray(to_uint8(image) / np.float32(255), np.float32)


def as_jpeg(image: Image, quality: int) -> Image:
    """Float32 [H, W, 3], or [H, W, 1] of grey, through a JPEG file of that quality, 1 to 100."""
    pixels = to_uint8(image)
    is_grey, file = pixels.shape[2] == 1, BytesIO()
    options = {} if is_grey else CHROMA
    Picture.fromarray(pixels[:, :, 0] if is_grey else pixels).save(file, "JPEG", quality=quality, **options)
    with Picture.open(file) as read:
        decoded = np.asarray(read, np.uint8).reshape(pixels.shape)
    return np.asarray(decoded / np.float32(255), np.float32)


@dataclass(frozen=True, slots=True)
class Stored:
    """A degradation whose images are then stored in 8 bits, and read again.

    What it draws is what `degradation` draws alone, so that both can be compared image by image.

    Attributes:
        degradation: what happens first.
        jpeg: smallest and largest quality of a JPEG file, of which every image draws its own; None for a
            file without loss.
    """

    degradation: Degradation
    jpeg: tuple[int, int] | None = None

    def apply(self, clean: Image, rng: np.random.Generator) -> Image:
        """Degrade and store [H, W, C] or every image of [N, H, W, C]."""
        return each_image(self.degradation.apply(clean, rng), lambda image: self._stored(image, rng))

    def _stored(self, image: Image, rng: np.random.Generator) -> Image:
        if self.jpeg is None:
            return as_8_bits(image)
        return as_jpeg(image, int(rng.integers(self.jpeg[0], self.jpeg[1], endpoint=True)))

    def describe(self) -> dict[str, Any]:
        """As `degradation` does, with the range of the quality, or that 8 bits were kept."""
        how = {"eight_bit": True} if self.jpeg is None else {"jpeg": list(self.jpeg)}
        return self.degradation.describe() | how
