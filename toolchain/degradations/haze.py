"""`dehaze`: the atmospheric scattering model on a smooth synthetic depth.

I = J t + A (1 - t) with t = exp(-beta d), Koschmieder's law. RESIDE (Li et al., "Benchmarking single-image
dehazing and beyond", IEEE TIP 2019) draws beta from 0.6..1.8 and A from 0.7..1.0 for its indoor training set;
its depth is measured, ours is not: a ramp that recedes upwards with random undulations.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from snn_tool.degradations.noise import Image, each_image

AIRLIGHT = (0.7, 1.0)
VIEW = 320
"""Longer side in pixels from which on a picture spans the whole depth; a patch spans a part of it."""
COARSE = 32
"""Side of the coarse grid of the undulations; interpolated to the picture."""


@dataclass(frozen=True, slots=True)
class Haze:
    """Haze of one density and one airlight per image, both drawn uniformly.

    Attributes:
        low, high: strength, the scattering coefficient beta per largest depth; zero is clear air.
    """

    low: float
    high: float

    def apply(self, clean: Image, rng: np.random.Generator) -> Image:
        """Haze over [H, W, C] or over every image of [N, H, W, C]."""
        return each_image(clean, lambda image: self._haze(image, rng))

    def _haze(self, image: Image, rng: np.random.Generator) -> Image:
        beta, airlight = rng.uniform(self.low, self.high), np.float32(rng.uniform(*AIRLIGHT))
        veil = smooth_depth((image.shape[0], image.shape[1]), rng)
        veil *= -np.float32(beta)  # in place: photographs are large
        np.negative(np.expm1(veil, out=veil), out=veil)
        hazy: Image = airlight - image
        hazy *= veil[:, :, None]
        hazy += image
        return hazy

    def describe(self) -> dict[str, Any]:
        """The task's name and the ranges of beta and of the airlight."""
        return {"task": "dehaze", "strength": [self.low, self.high], "airlight": list(AIRLIGHT)}


def smooth_depth(size: tuple[int, int], rng: np.random.Generator) -> Image:
    """Depth float32 [H, W] in [0, 1]: far at the top, near at the bottom, with smooth undulations."""
    from scipy.ndimage import gaussian_filter  # where it is used, as in `noise.blur`

    waves = gaussian_filter(rng.standard_normal((COARSE, COARSE)), COARSE / 8, mode="reflect")
    waves = (waves - waves.min()) / max(float(np.ptp(waves)), 1e-12)
    share = rng.uniform(0.3, 0.7)
    field = share * np.linspace(1, 0, COARSE)[:, None] + (1 - share) * waves
    span = min(1.0, max(size) / VIEW)
    nearest = rng.uniform(0, 1 - span)
    depth = _stretched(field, size)
    depth *= span
    depth += nearest
    return depth.astype(np.float32)


def _stretched(field: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The coarse field, linear between its points, on a grid of `size`, so that its corners coincide."""
    for axis, length in enumerate(size):
        places = np.linspace(0, COARSE - 1, length)
        lower = np.minimum(places.astype(int), COARSE - 2)
        share = (places - lower).reshape([-1 if a == axis else 1 for a in range(2)])
        upper = np.take(field, lower + 1, axis)
        upper *= share
        field = np.take(field, lower, axis)
        field *= 1 - share
        field += upper
    return field
