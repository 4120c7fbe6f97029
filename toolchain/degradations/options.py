"""The options that say which images are degraded and how: annotations for the dataclasses that have them."""

from pathlib import Path
from typing import Annotated

from snn_tool.flags import IMAGES, Flag

TASK_NAMES = "denoise, derain, dehaze, deblur or defocus"
USUAL_TASK = "denoise"
"""Of clean images, if nothing is said."""
STRENGTHS = (
    "A number, or a range LOW-HIGH of which every image draws its own. denoise: sigma in grey levels, "
    "0-100 [25]; derain: opacity of the streaks, 0-1 [0.3-0.9]; dehaze: scattering coefficient, "
    "0-4 [0.6-1.8]; deblur: pixels of camera path, 0-40 [5-20]; defocus: pixels of radius, 0-12 [1-4]."
)
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
