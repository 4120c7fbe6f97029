"""`denoise` as cameras need it: noise that grows with the light, noise in grains, and a mixture of them all.

Every kind's strength is a standard deviation in grey levels of 255, as that of white Gaussian noise is, so
that their figures can be set side by side.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from snn_tool.degradations.noise import Degradation, GaussianNoise, Image, each_image
from snn_tool.degradations.stored import Stored

ROWS = 64
"""Rows that are drawn at once: counts of photons take more memory than pixels."""


class _OfSigma:
    """Noise that each image draws anew, with a standard deviation of its own between two bounds."""

    __slots__ = ()
    KIND: ClassVar[str]
    sigma_low: float
    sigma_high: float

    def apply(self, clean: Image, rng: np.random.Generator) -> Image:
        """Degrade [H, W, C] or every image of [N, H, W, C]."""
        return each_image(clean, lambda image: self.noisy(image, rng))

    def noisy(self, image: Image, rng: np.random.Generator) -> Image:
        """Degrade one image [H, W, C]; it is left as it is."""
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """The task's name, the range of sigma, and the kind of noise."""
        return {"task": "denoise", "sigma": [self.sigma_low, self.sigma_high], "kind": self.KIND}


@dataclass(frozen=True, slots=True)
class PoissonGaussian(_OfSigma):
    """Noise of photons and of the read-out: the variance at the value x is a x + b.

    Foi, Trimeche, Katkovnik and Egiazarian, "Practical Poissonian-Gaussian noise modeling and fitting for
    single-image raw-data", IEEE TIP 17 (2008): z = a P(x / a) + n with P a Poisson count, whose variance is
    its mean, and n Gaussian of variance b. Of the variance at mid-grey, sigma^2 = a / 2 + b, photons make a
    share that each image draws from PHOTONS; the rest is b.

    Attributes:
        sigma_low, sigma_high: standard deviation at mid-grey in grey levels of 255, uniform between them.
    """

    KIND = "poisson-gaussian"
    PHOTONS: ClassVar[tuple[float, float]] = (0.3, 1.0)

    sigma_low: float
    sigma_high: float

    def noisy(self, image: Image, rng: np.random.Generator) -> Image:
        """Draw sigma and the photons' share, then the noise."""
        variance = (rng.uniform(self.sigma_low, self.sigma_high) / 255) ** 2
        photons = rng.uniform(*self.PHOTONS)
        return poisson_gaussian(image, 2 * photons * variance, (1 - photons) * variance, rng)


def poisson_gaussian(image: Image, a: float, b: float, rng: np.random.Generator) -> Image:
    """An image [H, W, C] in [0, 1] with noise of mean 0 and variance a x + b at the value x."""
    noisy = image.astype(np.float32)
    for top in range(0, image.shape[0] if a > 0 else 0, ROWS):
        part = noisy[top : top + ROWS]
        part[...] = a * rng.poisson(np.maximum(part, 0) / a)
    for top in range(0, image.shape[0] if b > 0 else 0, ROWS):
        part = noisy[top : top + ROWS]
        part += np.float32(np.sqrt(b)) * rng.standard_normal(part.shape, dtype=np.float32)
    return noisy


@dataclass(frozen=True, slots=True)
class CorrelatedNoise(_OfSigma):
    """Gaussian noise in grains: alike in neighbouring pixels, and to a part in the three colours.

    White noise is filtered by a Gaussian kernel of energy 1, which keeps the variance. Demosaicing makes
    such noise: it interpolates two of three colours from their neighbours, and its colour matrix mixes them.

    Attributes:
        sigma_low, sigma_high: standard deviation in grey levels of 255, uniform between them.
    """

    KIND = "correlated"
    WIDTHS: ClassVar[tuple[float, float]] = (0.4, 1.2)
    """Standard deviation of the kernel in pixels; neighbours then correlate by 0.09 to 0.84."""
    SHARED: ClassVar[tuple[float, float]] = (0.0, 0.6)
    """Correlation between two colours at a pixel."""

    sigma_low: float
    sigma_high: float

    def noisy(self, image: Image, rng: np.random.Generator) -> Image:
        """Draw sigma, the kernel's width and the colours' correlation, then the noise."""
        sigma = rng.uniform(self.sigma_low, self.sigma_high) / 255
        width, shared = rng.uniform(*self.WIDTHS), rng.uniform(*self.SHARED)
        size, kernel = (image.shape[0], image.shape[1]), kernel_of(width)
        noisy = np.empty(image.shape, np.float32)
        common = grains(size, kernel, rng) * np.float32(sigma * np.sqrt(shared)) if image.shape[2] > 1 else 0
        own = sigma * np.sqrt(1 - shared) if image.shape[2] > 1 else sigma
        for channel in range(image.shape[2]):
            noisy[:, :, channel] = grains(size, kernel, rng) * np.float32(own)
            noisy[:, :, channel] += common
        noisy += image
        return noisy


def kernel_of(width: float) -> NDArray[np.float32]:
    """A Gaussian of standard deviation `width` pixels whose squares sum to 1, out to three deviations."""
    reach = int(np.ceil(3 * width))
    values = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * width**2))
    return np.asarray(values / np.sqrt((values**2).sum()), np.float32)


def grains(size: tuple[int, int], kernel: NDArray[np.float32], rng: np.random.Generator) -> Image:
    """White noise [H, W] of variance 1, filtered down and across; it reaches beyond the borders."""
    reach = len(kernel) - 1
    field: Image = rng.standard_normal((size[0] + reach, size[1] + reach), dtype=np.float32)
    for axis, length in enumerate(size):
        field = np.moveaxis(field, axis, 0)
        filtered = field[:length] * kernel[0]
        for start, tap in enumerate(kernel[1:], 1):
            filtered += field[start : start + length] * tap
        field = np.moveaxis(filtered, 0, axis)
    return field


WITH_NOISE: dict[str, Callable[[float, float], Degradation]] = {
    "gaussian": GaussianNoise,
    PoissonGaussian.KIND: PoissonGaussian,
    CorrelatedNoise.KIND: CorrelatedNoise,
}
"""What the mixture draws from, by name."""


@dataclass(frozen=True, slots=True)
class RealNoise(_OfSigma):
    """A mixture of what photographs have: each image draws a kind of noise, its sigma, and how it is stored.

    The probabilities stand in NOISES and FILES. Some images have no noise at all, so that a clean
    photograph stays clean. What is not stored in 8 bits is as the protocol of white noise has it.

    Attributes:
        sigma_low, sigma_high: standard deviation in grey levels of 255, uniform between them.
    """

    KIND = "real"
    NOISES: ClassVar[dict[str, float]] = {
        "none": 0.05,
        "gaussian": 0.4,
        PoissonGaussian.KIND: 0.25,
        CorrelatedNoise.KIND: 0.3,
    }
    FILES: ClassVar[dict[str, float]] = {"floats": 0.3, "8 bits": 0.4, "jpeg": 0.3}
    JPEG: ClassVar[tuple[int, int]] = (50, 95)

    sigma_low: float
    sigma_high: float

    def noisy(self, image: Image, rng: np.random.Generator) -> Image:
        """Draw the kind of noise and of the file, then the noise."""
        noise, file = _drawn(self.NOISES, rng), _drawn(self.FILES, rng)
        if noise == "none":
            return image.copy()
        made = WITH_NOISE[noise](self.sigma_low, self.sigma_high)
        if file != "floats":
            made = Stored(made, self.JPEG if file == "jpeg" else None)
        return made.apply(image, rng)


def _drawn(chances: dict[str, float], rng: np.random.Generator) -> str:
    """One of the names, each by its probability."""
    places = np.cumsum(list(chances.values()))
    return list(chances)[int(np.searchsorted(places, rng.random() * places[-1], side="right"))]
