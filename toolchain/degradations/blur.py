"""`deblur`: camera shake as a random trajectory of the camera during the exposure, and a little noise.

The trajectory follows Boracchi and Foi, "Modeling the performance of image restoration from motion blur",
IEEE TIP 21 (2012): a particle of constant speed whose direction suffers a Gaussian perturbation, a pull back
to where it was, and at times an abrupt shake that nearly inverts it; the ranges of the three are those of
DeblurGAN's generator (Kupyn et al., CVPR 2018). One kernel for the whole picture.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snn_tool.degradations.noise import NOISE_SIGMA, Image, Kernel, add_noise, blur, each_image

STEPS = 256
ANXIETY = (0.0005, 0.005)
"""How strongly the three disturb the velocity (logarithmically uniform)."""
MOST_SHAKE, MOST_PULL, MOST_JITTER = 0.2, 0.7, 10.0
PUBLISHED_STEPS, PUBLISHED_LENGTH = 2000, 60.0
"""Steps and path length in pixels that the ranges above are meant for."""

SUBSAMPLES = 16
"""Points per pixel side that measure how much of a pixel the disk covers."""


def shake(length: float, rng: np.random.Generator) -> NDArray[np.complex128]:
    """STEPS points of a camera's path of `length` pixels, as complex x + iy with their mean at 0."""
    anxiety = np.exp(rng.uniform(*np.log(ANXIETY)))
    coarser = PUBLISHED_STEPS / STEPS
    shake_rate, pull, jitter = rng.random(3) * (MOST_SHAKE, MOST_PULL, MOST_JITTER) * anxiety
    # Rates grow with a step's length, a random walk's deviation with its root.
    kicks = rng.standard_normal((STEPS, 2)) @ np.array([1, 1j]) * jitter * np.sqrt(coarser)
    pulls = pull * coarser * PUBLISHED_LENGTH / (STEPS - 1)
    shakes = rng.random(STEPS) < shake_rate * coarser
    turns = 2 * shakes * np.exp(1j * (np.pi + rng.random(STEPS) - 0.5))
    velocity, place = np.exp(2j * np.pi * rng.random()), 0j
    path = np.empty(STEPS, np.complex128)
    for step in range(STEPS):
        path[step] = place
        disturbed = velocity * (1 + turns[step]) + kicks[step] - pulls * place
        velocity = disturbed / max(abs(disturbed), 1e-12)
        place += velocity
    return np.asarray((path - path.mean()) * (length / (STEPS - 1)))


def rasterised(path: NDArray[np.complex128]) -> Kernel:
    """The time that a path spends at each pixel, shared bilinearly, of sum 1 around the centre pixel."""
    half = int(np.ceil(max(np.abs(path.real).max(), np.abs(path.imag).max())))
    kernel = np.zeros((2 * half + 2, 2 * half + 2))
    left, top = np.floor(path.real), np.floor(path.imag)
    right, bottom = path.real - left, path.imag - top
    for row, rows in ((0, 1 - bottom), (1, bottom)):
        for column, columns in ((0, 1 - right), (1, right)):
            place = (top.astype(int) + half + row, left.astype(int) + half + column)
            np.add.at(kernel, place, rows * columns / len(path))
    return kernel[: 2 * half + 1, : 2 * half + 1]


@dataclass(frozen=True, slots=True)
class MotionBlur:
    """Blur by one random camera path per image; its length is drawn uniformly. Borders are mirrored.

    Attributes:
        low, high: strength, the length of the path in pixels; zero leaves the noise alone.
        noise_sigma: noise after the blur, in grey levels of 255.
    """

    low: float
    high: float
    noise_sigma: float = NOISE_SIGMA

    def apply(self, clean: Image, rng: np.random.Generator) -> Image:
        """Blur [H, W, C] or every image of [N, H, W, C]."""
        return each_image(clean, lambda image: self._shaken(image, rng))

    def _shaken(self, image: Image, rng: np.random.Generator) -> Image:
        kernel = rasterised(shake(rng.uniform(self.low, self.high), rng))
        return add_noise(blur(image, kernel), self.noise_sigma, rng)

    def describe(self) -> dict[str, Any]:
        """The task's name, the range of the path's length, and the noise."""
        return {"task": "deblur", "strength": [self.low, self.high], "noise_sigma": self.noise_sigma}


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
