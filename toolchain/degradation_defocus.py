"""`defocus`: the image of a point is a uniform disk (thin lens, circular aperture), and a little noise.

The pillbox is the geometric-optics model of Pentland, "A new sense for depth of field", IEEE TPAMI 9 (1987).
One radius for the whole picture: a flat scene out of focus.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from snn_tool.degradation_parts import NOISE_SIGMA, Image, Kernel, add_noise, blur, each_image

SUBSAMPLES = 16
"""Points per pixel side that measure how much of a pixel the disk covers."""


def disk(radius: float) -> Kernel:
    """A disk of `radius` pixels, each pixel weighted by its covered area, of sum 1; below 0.5 one pixel."""
    half = int(np.ceil(radius - 0.5)) if radius > 0.5 else 0
    if half == 0:
        return np.ones((1, 1))
    points = (np.arange((2 * half + 1) * SUBSAMPLES) + 0.5) / SUBSAMPLES - half - 0.5
    inside = points[:, None] ** 2 + points[None, :] ** 2 <= radius**2
    side = 2 * half + 1
    covered = inside.reshape(side, SUBSAMPLES, side, SUBSAMPLES).sum(axis=(1, 3))
    return np.asarray(covered / covered.sum())


@dataclass(frozen=True, slots=True)
class Defocus:
    """Blur by one disk per image, its radius drawn uniformly. Borders are mirrored.

    Attributes:
        low, high: strength, the radius in pixels; up to 0.5 it leaves the noise alone.
        noise_sigma: noise after the blur, in grey levels of 255.
    """

    low: float
    high: float
    noise_sigma: float = NOISE_SIGMA

    def apply(self, clean: Image, rng: np.random.Generator) -> Image:
        """Blur [H, W, C] or every image of [N, H, W, C]."""
        return each_image(clean, lambda image: self._unfocused(image, rng))

    def _unfocused(self, image: Image, rng: np.random.Generator) -> Image:
        return add_noise(blur(image, disk(rng.uniform(self.low, self.high))), self.noise_sigma, rng)

    def describe(self) -> dict[str, Any]:
        """The task's name, the range of the radius, and the noise."""
        return {"task": "defocus", "strength": [self.low, self.high], "noise_sigma": self.noise_sigma}
