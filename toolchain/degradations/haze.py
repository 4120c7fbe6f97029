"""`dehaze`: the atmospheric scattering model on a synthetic depth, smooth or with edges.

I = J t + A (1 - t) with t = exp(-beta d), Koschmieder's law. RESIDE (Li et al., "Benchmarking single-image
dehazing and beyond", IEEE TIP 2019) draws beta from 0.6..1.8 and A from 0.7..1.0 for its indoor training set;
its depth is measured, ours is not: a ramp that recedes upwards with random undulations.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from snn_tool.degradations.noise import Image, each_image

AIRLIGHT = (0.7, 1.0)
VIEW = 320
"""Longer side in pixels from which on a picture spans the whole depth; a patch spans a part of it."""
COARSE = 32
"""Side of the coarse grid of the undulations; interpolated to the picture."""

MOST_THINGS = 4
"""Things with edges in a picture."""


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


@dataclass(frozen=True, slots=True)
class ColouredHaze:
    """Haze of one density and one airlight per image, whose three colours differ, before things with edges.

    Attributes:
        low, high: strength, the scattering coefficient beta per largest depth; zero is clear air.
    """

    KIND: ClassVar[str] = "coloured"
    AIRLIGHT: ClassVar[tuple[float, float]] = (0.65, 1.0)
    """Mean of the airlight's colours."""
    TINT: ClassVar[float] = 0.1
    """Largest difference of one colour from it; none exceeds 1."""

    low: float
    high: float

    def apply(self, clean: Image, rng: np.random.Generator) -> Image:
        """Haze over [H, W, C] or over every image of [N, H, W, C]."""
        return each_image(clean, lambda image: self._haze(image, rng))

    def _haze(self, image: Image, rng: np.random.Generator) -> Image:
        beta, mean = rng.uniform(self.low, self.high), rng.uniform(*self.AIRLIGHT)
        tint = np.asarray(rng.uniform(-self.TINT, self.TINT, image.shape[2]))
        airlight = np.minimum(mean + tint - tint.mean(), 1).astype(np.float32)
        veil = edged_depth(image, rng)
        veil *= -np.float32(beta)
        np.negative(np.expm1(veil, out=veil), out=veil)
        hazy: Image = airlight - image
        hazy *= veil[:, :, None]
        hazy += image
        return hazy

    def describe(self) -> dict[str, Any]:
        """The task's name, the range of beta, and the kind of haze."""
        return {"task": "dehaze", "strength": [self.low, self.high], "kind": self.KIND}


def edged_depth(image: Image, rng: np.random.Generator) -> Image:
    """A smooth depth with up to MOST_THINGS things before it, float32 [H, W] in [0, 1].

    A thing is where the picture's brightness and a random field together are high: so its edges are edges
    of the picture, as they are where depth jumps. It stands upright: its depth is one, nearer than what it
    hides.
    """
    from scipy.ndimage import gaussian_filter

    size = (image.shape[0], image.shape[1])
    depth = smooth_depth(size, rng)
    things = rng.integers(0, MOST_THINGS, endpoint=True)
    brightness = _standard(gaussian_filter(image.mean(axis=2, dtype=np.float32), 1.5)) if things else 0
    span = min(1.0, max(size) / VIEW)
    for _ in range(things):
        coarse = gaussian_filter(rng.standard_normal((COARSE, COARSE)), min(COARSE / 16 / span, COARSE / 4))
        field = _stretched(_standard(coarse), size)
        field += rng.choice((-1.0, 1.0)) * brightness
        there = field > rng.uniform(0.3, 1.5)
        if there.any():
            depth[there] = np.float32(rng.uniform()) * depth[there].min()
    return depth


def _standard(field: np.ndarray) -> np.ndarray:
    """Of mean 0 and deviation 1; a flat field of 0."""
    return np.asarray((field - field.mean()) / max(float(field.std()), 1e-6))


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
