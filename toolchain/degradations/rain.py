"""`derain`: streaks of motion-blurred noise over the image, in one direction, or in several and through mist.

So were Rain12600/Rain1400 made (Fu et al., "Removing rain from single images via a deep detail network", CVPR
2017: noise, motion blur, screen blend, in streaks of several directions and magnitudes).
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from snn_tool.degradations.haze import smooth_depth
from snn_tool.degradations.noise import Image, Kernel, each_image
from snn_tool.images.tiling import blocks

MOST_ANGLE = 45.0
"""Largest lean of the streaks from the vertical, in degrees; drawn uniformly on both sides."""
LENGTHS = (15.0, 45.0)
"""Length of the streaks in pixels."""
WIDTHS = (0.5, 0.9)
"""Standard deviation of the streaks' profile across, in pixels."""
DENSITIES = (0.002, 0.012)
"""Streaks per pixel."""


def streak(length: float, width: float, angle: float) -> Kernel:
    """One streak of peak 1 around the centre: a Gaussian profile across, faded at both ends.

    Args:
        length: pixels from end to end.
        width: standard deviation of the profile in pixels.
        angle: degrees from the vertical, positive leans to the right at the bottom.
    """
    half = int(np.ceil(length / 2 + 3 * width))
    rows, columns = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float64)
    sine, cosine = np.sin(np.radians(angle)), np.cos(np.radians(angle))
    along, across = rows * cosine + columns * sine, columns * cosine - rows * sine
    beyond = np.maximum(np.abs(along) - length / 2 + 2 * width, 0)
    return np.asarray(np.exp(-(across**2 + beyond**2) / (2 * width**2)))


@dataclass(frozen=True, slots=True)
class RainStreaks:
    """Rain of one direction, length, width and density per image, all drawn uniformly.

    O = 1 - (1 - B)(1 - s R): the clean image B, the streaks R in [0, 1], the strength s. A streak has a
    brightness of its own. The streaks are white, so R is the same in all channels.

    Attributes:
        low, high: strength, the opacity of the brightest streak; zero is no rain.
    """

    low: float
    high: float

    def apply(self, clean: Image, rng: np.random.Generator) -> Image:
        """Rain on [H, W, C] or on every image of [N, H, W, C]."""
        return each_image(clean, lambda image: self._rain(image, rng))

    def _rain(self, image: Image, rng: np.random.Generator) -> Image:
        strength = rng.uniform(self.low, self.high)
        layer = rain_layer((image.shape[0], image.shape[1]), rng)
        rainy: Image = 1 - image  # in place from here: photographs are large
        rainy *= np.float32(strength) * layer[:, :, None]
        rainy += image
        return rainy

    def describe(self) -> dict[str, Any]:
        """The task's name, the range of the strength and the blend."""
        return {"task": "derain", "strength": [self.low, self.high], "blend": "screen"}


def rain_layer(size: tuple[int, int], rng: np.random.Generator) -> Image:
    """Streaks float32 [H, W] in [0, 1]; those that begin outside the picture reach into it."""
    angle = rng.uniform(-MOST_ANGLE, MOST_ANGLE)
    length, width, density = (rng.uniform(*bounds) for bounds in (LENGTHS, WIDTHS, DENSITIES))
    return streaks(size, streak(length, width, angle), density, rng)


def streaks(size: tuple[int, int], kernel: Kernel | Image, density: float, rng: np.random.Generator) -> Image:
    """Copies of one streak, float32 [H, W] in [0, 1], each with a brightness of its own.

    Args:
        size: of the picture.
        kernel: the streak; its type is that of the arithmetic.
        density: streaks per pixel.
        rng: draws their places and their brightness.
    """
    from scipy.signal import fftconvolve  # as in `noise.blur`

    shape = (size[0] + kernel.shape[0] - 1, size[1] + kernel.shape[1] - 1)
    brightness: NDArray[Any] = rng.uniform(0.2, 1.0, shape).astype(kernel.dtype, copy=False)
    brightness *= rng.random(shape) < density
    layer: Image = np.empty(size, np.float32)
    for rows, columns in blocks(*size):
        reached = brightness[
            rows.start : rows.stop + kernel.shape[0] - 1, columns.start : columns.stop + kernel.shape[1] - 1
        ]
        # Crossing streaks add up as light does until the film is white.
        layer[rows, columns] = np.clip(fftconvolve(reached, kernel, mode="valid"), 0, 1)
    return layer


@dataclass(frozen=True, slots=True)
class VariedRain:
    """Rain in one to three layers, each with a direction, length, width and density of its own, and mist.

    First the mist, O = B (1 - v) + v A, whose opacity v grows with a smooth depth; then each layer of
    streaks R of grey level L, by one of two blends that each image draws: O = B + s R (L - B), as light
    behind a film, or O = min(B + s R L, 1), as light that adds up. Rain100 adds up, Rain1400 is blended (Yang
    et al., CVPR 2017; Fu et al., CVPR 2017).

    Attributes:
        low, high: strength s, the opacity of the brightest streak; the mist's grows with it. Zero is no rain.
    """

    KIND: ClassVar[str] = "varied"
    LAYERS: ClassVar[tuple[int, int]] = (1, 3)
    LENGTHS: ClassVar[tuple[float, float]] = (6.0, 100.0)
    WIDTHS: ClassVar[tuple[float, float]] = (0.35, 2.5)
    DENSITIES: ClassVar[tuple[float, float]] = (0.0005, 0.03)
    """Lengths and widths in pixels and densities in streaks per pixel are drawn by their logarithm."""
    FAINTEST: ClassVar[float] = 0.25
    """Opacity of the faintest layer, as a part of the strength."""
    SPREAD: ClassVar[float] = 12.0
    """Standard deviation in degrees of the other layers' directions around the first one's."""
    MOST_COVERED: ClassVar[float] = 0.8
    """Share of the picture that one layer's streaks cover at most, before they overlap."""
    LEVELS: ClassVar[tuple[float, float]] = (0.75, 1.0)
    """Grey level L of the streaks."""
    MIST: ClassVar[float] = 0.35
    """Largest opacity of the mist at strength 1."""
    AIRLIGHT: ClassVar[tuple[float, float]] = (0.6, 0.95)
    """Grey level A of the mist."""

    low: float
    high: float

    def apply(self, clean: Image, rng: np.random.Generator) -> Image:
        """Rain on [H, W, C] or on every image of [N, H, W, C]."""
        return each_image(clean, lambda image: self._rain(image, rng))

    def _rain(self, image: Image, rng: np.random.Generator) -> Image:
        strength, size = rng.uniform(self.low, self.high), (image.shape[0], image.shape[1])
        rainy = self._misty(image, strength, rng)
        main = rng.uniform(-MOST_ANGLE, MOST_ANGLE)
        level, adds = np.float32(rng.uniform(*self.LEVELS)), rng.random() < 0.5
        for layer in range(rng.integers(*self.LAYERS, endpoint=True)):
            angle = main + (rng.normal(0, self.SPREAD) if layer else 0)
            opacity = self._layer(size, angle, rng)
            opacity *= np.float32(strength * rng.uniform(self.FAINTEST, 1))
            if adds:
                rainy += (opacity * level)[:, :, None]
                np.minimum(rainy, 1, out=rainy)
            else:
                rainy += opacity[:, :, None] * (level - rainy)
        return rainy

    def _misty(self, image: Image, strength: float, rng: np.random.Generator) -> Image:
        veil, airlight = smooth_depth((image.shape[0], image.shape[1]), rng), rng.uniform(*self.AIRLIGHT)
        veil *= np.float32(strength * rng.uniform(0, self.MIST))
        misty: Image = np.float32(airlight) - image
        misty *= veil[:, :, None]
        misty += image
        return misty

    def _layer(self, size: tuple[int, int], angle: float, rng: np.random.Generator) -> Image:
        bounds = (self.LENGTHS, self.WIDTHS, self.DENSITIES)
        length, width, density = (np.exp(rng.uniform(*np.log(each))) for each in bounds)
        covered = density * length * 2.5 * width  # the area under a Gaussian is 2.5 deviations
        kernel = streak(length, width, angle).astype(np.float32)  # twice as fast
        return streaks(size, kernel, density / max(1, covered / self.MOST_COVERED), rng)

    def describe(self) -> dict[str, Any]:
        """The task's name, the range of the strength, and the kind of rain."""
        return {"task": "derain", "strength": [self.low, self.high], "kind": self.KIND}
