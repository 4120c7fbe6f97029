"""The options that say which images are degraded and how: annotations for the dataclasses that have them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from snn_tool.flags import IMAGES, Flag, grouped

TASK_NAMES = "denoise, derain, dehaze, deblur or defocus"
USUAL_TASK = "denoise"
"""Of clean images, if nothing is said."""
STRENGTHS = (
    "A number, or a range LOW-HIGH of which every image draws its own. denoise: sigma in grey levels, "
    "0-100 [25]; derain: opacity of the streaks, 0-1 [0.3-0.9]; dehaze: scattering coefficient, "
    "0-4 [0.6-1.8]; deblur: pixels of camera path, 0-40 [5-20]; defocus: pixels of radius, 0-12 [1-4]."
)
KINDS = "How. denoise: gaussian, poisson-gaussian, correlated, or real, a mixture of all [sigma 0-50]."
KIND_NAMES = ("--kind", "--noise")
STRENGTH_NAMES = ("--strength", "--sigma")

Task = Annotated[str | None, Flag(f"What degrades the images: {TASK_NAMES}.", shown=USUAL_TASK, group=IMAGES)]
Strength = Annotated[str | None, Flag(STRENGTHS, STRENGTH_NAMES, group=IMAGES)]
TrainedTask = Annotated[str | None, Flag(f"Degradation: {TASK_NAMES}.", shown="as trained", group=IMAGES)]
TrainedStrength = Annotated[str | None, Flag(STRENGTHS, STRENGTH_NAMES, shown="as trained", group=IMAGES)]
PairsFolder = Annotated[
    Path | None,
    Flag(
        "Instead of clean images: a folder with clean/ and degraded/ (or rainy/, hazy/, blurry/, noisy/) in "
        "it, partners of the same name.",
        group=IMAGES,
    ),
]
DegradedFolder = Annotated[
    Path | None, Flag("Instead of synthetic ones: the degraded partners of the clean images.", group=IMAGES)
]


@grouped(IMAGES)
@dataclass(frozen=True, slots=True)
class HowOptions:
    """How a task's images are degraded, beside its strength.

    Attributes:
        kind: one of the task's kinds; None is the usual one.
        eight_bit: the degraded images are rounded and clipped to 8 bits, as a file holds them.
        jpeg: quality of the JPEG file that they are stored in, or a range of it; None is no JPEG.
    """

    kind: Annotated[str | None, Flag(KINDS, KIND_NAMES, shown="as trained, or the first")] = None
    eight_bit: Annotated[
        bool, Flag("Round and clip degraded images to 8 bits, as a file holds them.", ("--eight-bit",))
    ] = False
    jpeg: Annotated[str | None, Flag("Store degraded images as JPEG of this quality, e.g. 80, or 60-95.")] = (
        None
    )


AS_USUAL = HowOptions()
"""Nothing is said: the usual kind, in floats, not clipped."""
