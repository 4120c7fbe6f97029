"""`denoise`: additive white Gaussian noise of a fixed or a random standard deviation."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from snn_tool.images.tiling import BLOCK, blocks

Image = NDArray[np.float32]
Kernel = NDArray[np.float64]
NOISE_SIGMA = 2.55
"""Of blurred images, in grey levels of 255: one per cent of full scale, usual in synthetic benchmarks."""


class Degradation(Protocol):
    """A random map from clean images to degraded ones."""

    def apply(self, clean: Image, rng: np.random.Generator) -> Image:
        """Degrade float32 images in [0, 1], [H, W, C] or a batch [N, H, W, C], each of its images anew.

        The result has the same shape and type and is not clamped.
        """

    def describe(self) -> dict[str, Any]:
        """JSON values that define it."""


def each_image(clean: Image, degrade: Callable[[Image], Image]) -> Image:
    """`degrade` for every image of a batch [N, H, W, C] in turn, or for the one of [H, W, C]."""
    if clean.ndim == 3:
        return degrade(clean).astype(np.float32, copy=False)
    degraded = np.empty_like(clean, dtype=np.float32)
    for index, image in enumerate(clean):
        degraded[index] = degrade(image)
    return degraded


def blur(image: Image, kernel: Kernel) -> Image:
    """Convolve every channel of [H, W, C] with a kernel of odd sides; borders are mirrored.

    What lies outside the picture is unknown; the mirror, without the border pixel twice, is the picture's own
    guess, as in `numpy.pad(mode="reflect")`. So a border is blurred as strongly as the middle.
    """
    if kernel.size == 1:
        return image.copy()
    from scipy.signal import fftconvolve  # half a second that restoring need not wait for

    places = [
        np.pad(np.arange(length), side // 2, mode="reflect")
        for length, side in zip(image.shape, kernel.shape, strict=False)
    ]
    blurred = np.empty(image.shape, np.float32)
    for rows, columns in blocks(image.shape[0], image.shape[1]):
        reached = (
            slice(part.start, part.stop + side - 1)
            for part, side in zip((rows, columns), kernel.shape, strict=True)
        )
        down, across = (place[part] for place, part in zip(places, reached, strict=True))
        seen = image[down[:, None], across].astype(np.float64)
        blurred[rows, columns] = fftconvolve(seen, kernel[:, :, None], mode="valid", axes=(0, 1))
    return blurred


def add_noise(image: Image, sigma: float, rng: np.random.Generator) -> Image:
    """Add white Gaussian noise of `sigma` grey levels of 255 in place; none is drawn for zero."""
    if sigma == 0:
        return image
    for top in range(0, image.shape[0], BLOCK):  # the same draws, whatever the number of rows
        part = image[top : top + BLOCK]
        part += np.float32(sigma / 255) * rng.standard_normal(part.shape, dtype=np.float32)
    return image


@dataclass(frozen=True, slots=True)
class GaussianNoise:
    """Additive white Gaussian noise; one standard deviation per image, uniform between the two bounds.

    Attributes:
        sigma_low, sigma_high: standard deviation in grey levels of 255; equal for a fixed one.
    """

    sigma_low: float
    sigma_high: float

    def apply(self, clean: Image, rng: np.random.Generator) -> Image:
        """Add noise to a batch [N, ...] (a sigma for each of its images) or to one image of 3 dimensions."""
        count = clean.shape[0] if clean.ndim == 4 else 1
        sigma = rng.uniform(self.sigma_low, self.sigma_high, count).astype(np.float32) / 255
        scale = sigma.reshape(-1, 1, 1, 1) if clean.ndim == 4 else sigma[0]
        noisy = rng.standard_normal(clean.shape, dtype=np.float32)
        noisy *= scale  # in place: photographs are large
        noisy += clean
        return noisy

    def describe(self) -> dict[str, Any]:
        """The task's name and the range of sigma."""
        return {"task": "denoise", "sigma": [self.sigma_low, self.sigma_high]}
