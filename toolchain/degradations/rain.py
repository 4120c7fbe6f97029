"""`derain`: streaks of motion-blurred noise, laid over the image by the screen blend.

So were Rain12600/Rain1400 made (Fu et al., "Removing rain from single images via a deep detail network", CVPR
2017: noise, motion blur, screen blend, in streaks of several directions and magnitudes).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
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
    from scipy.signal import fftconvolve  # as in `noise.blur`

    angle = rng.uniform(-MOST_ANGLE, MOST_ANGLE)
    length, width, density = (rng.uniform(*bounds) for bounds in (LENGTHS, WIDTHS, DENSITIES))
    kernel = streak(length, width, angle)
    shape = (size[0] + kernel.shape[0] - 1, size[1] + kernel.shape[1] - 1)
    brightness = rng.uniform(0.2, 1.0, shape)
    brightness *= rng.random(shape) < density
    layer: Image = np.empty(size, np.float32)
    for rows, columns in blocks(*size):
        reached = brightness[
            rows.start : rows.stop + kernel.shape[0] - 1, columns.start : columns.stop + kernel.shape[1] - 1
        ]
        # Crossing streaks add up as light does until the film is white.
        layer[rows, columns] = np.clip(fftconvolve(reached, kernel, mode="valid"), 0, 1)
    return layer
