"""`derain` by another model: drops that fall before a camera, drawn one by one, to measure students on.

It shares nothing with the rain that students are trained on: no noise is filtered. Drops have a size, a place
in the room before the camera and the speed of their size; what the exposure sees of each is a line, drawn and
laid over the picture from the farthest to the nearest.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageDraw, ImageFilter
from snn_tool.degradations.noise import Image, each_image

DEPTHS = (0.7, 6.0)
"""Metres from the camera; the room that it sees grows with the square."""
DIAMETERS = (0.8, 5.0)
"""Millimetres; smaller drops are not seen, larger ones break."""
RAIN_RATES = (5.0, 100.0)
"""Millimetres per hour, drawn by their logarithm."""
FOCAL = 2000.0
"""Focal length in pixels: a picture 480 pixels wide shows 14 degrees."""
EXPOSURES = (1 / 200, 1 / 50)
"""Seconds."""
WIND, GUST = 3.0, 0.5
"""Largest sideways speed, and the deviation of single drops from it, in metres per second."""
DENSITIES = (0.001, 0.01)
"""Drops per pixel, drawn by their logarithm."""
MIST = 0.25
"""Largest opacity at strength 1 of the drops beyond DEPTHS, which no one sees apart."""
LAYERS, FINER = 4, 4
"""Layers of depth, and points per pixel's side that a line is drawn in."""
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Raindrops:
    """Drops of many sizes and depths in one wind per image, with mist behind them.

    Attributes:
        low, high: strength, the opacity of the widest and brightest drop; zero is no rain.
    """

    KIND: ClassVar[str] = "drops"

    low: float
    high: float

    def apply(self, clean: Image, rng: np.random.Generator) -> Image:
        """Rain on [H, W, C] or on every image of [N, H, W, C]."""
        return each_image(clean, lambda image: self._rain(image, rng))

    def _rain(self, image: Image, rng: np.random.Generator) -> Image:
        strength = rng.uniform(self.low, self.high)
        light = np.float32(0.5 + 0.5 * float(image.mean()))  # a drop shows the sky and all that is behind it
        rainy = image + np.float32(strength * rng.uniform(0, MIST)) * (light - image)
        fallen = drops((image.shape[0], image.shape[1]), rng)
        for part in np.array_split(np.argsort(-fallen.depths), LAYERS):
            opacity = lines((image.shape[0], image.shape[1]), fallen, part)
            opacity *= np.float32(strength)
            rainy += opacity[:, :, None] * (light - rainy)
        return rainy

    def describe(self) -> dict[str, Any]:
        """The task's name, the range of the strength, and the kind of rain."""
        return {"task": "derain", "strength": [self.low, self.high], "kind": self.KIND}


@dataclass(frozen=True, slots=True, eq=False)
class Drops:
    """What the exposure sees of drops, [N] each, in pixels.

    Attributes:
        starts, ends: x and y, [N, 2].
        widths: of the lines.
        depths: in metres.
        brightness: from 0 to 1.
    """

    starts: Values
    ends: Values
    widths: Values
    depths: Values
    brightness: Values


def drops(size: tuple[int, int], rng: np.random.Generator) -> Drops:
    """Drops before a camera whose picture has that size (height, width), as many as a drawn density says.

    Diameters follow Marshall and Palmer, "The distribution of raindrops with size", J. Meteorology 5 (1948):
    exponential with 4.1 R^-0.21 per millimetre at R millimetres per hour. Terminal speeds are 9.65 - 10.3
    exp(-0.6 D) m/s (Atlas, Srivastava and Sekhon, "Doppler radar characteristics of precipitation at vertical
    incidence", Rev. Geophys. 11, 1973).
    """
    height, width = size
    rate, density = (np.exp(rng.uniform(*np.log(bounds))) for bounds in (RAIN_RATES, DENSITIES))
    exposure, wind = rng.uniform(*EXPOSURES), rng.uniform(-WIND, WIND)
    margin = FOCAL * 10 * exposure / DEPTHS[0] / 2  # half of the longest line
    count = int(rng.poisson(density * (height + 2 * margin) * (width + 2 * margin)))
    near, far = (bound**3 for bound in DEPTHS)
    depths = np.cbrt(rng.uniform(near, far, count))
    slope = 4.1 * rate**-0.21
    kept = np.exp(-slope * np.array(DIAMETERS))
    diameters = -np.log(rng.uniform(kept[1], kept[0], count)) / slope
    falling = np.column_stack(
        [wind + GUST * rng.standard_normal(count), 9.65 - 10.3 * np.exp(-0.6 * diameters)]
    )
    path = falling * (FOCAL * exposure / depths)[:, None]
    middles = rng.uniform(-margin, np.array([width, height]) + margin, (count, 2))
    widths = FOCAL * diameters / 1000 / depths
    return Drops(middles - path / 2, middles + path / 2, widths, depths, rng.uniform(0.5, 1.0, count))


def lines(size: tuple[int, int], fallen: Drops, chosen: NDArray[np.intp]) -> Image:
    """The opacity float32 [H, W] of some of the drops, 1 for the widest and brightest there can be.

    A line narrower than a pixel covers a part of it; one nearer than the focus is blurred by a pixel.
    """
    canvas = Picture.new("L", (size[1] * FINER, size[0] * FINER))
    draw = ImageDraw.Draw(canvas)
    for index in chosen:
        width = fallen.widths[index]
        opacity = fallen.brightness[index] * min(1.0, width)
        ends = [*(fallen.starts[index] * FINER), *(fallen.ends[index] * FINER)]
        draw.line(ends, fill=round(255 * opacity), width=max(1, round(width * FINER)))
    if len(chosen) and fallen.depths[chosen].mean() < sum(DEPTHS) / 2:
        canvas = canvas.filter(ImageFilter.GaussianBlur(FINER))
    shrunk = canvas.resize((size[1], size[0]), Picture.Resampling.BOX)
    return np.asarray(shrunk, np.float32) / np.float32(255)
