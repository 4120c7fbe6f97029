"""Options that say what degrades the images, shared by the commands that need degraded ones."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from snn_tool.degradations.pairs import Pairs

TASK_NAMES = "denoise, derain, dehaze, deblur or defocus"
STRENGTHS = (
    "A number, or a range LOW-HIGH of which every image draws its own. denoise: sigma in grey levels, "
    "0-100 [25]; derain: opacity of the streaks, 0-1 [0.3-0.9]; dehaze: scattering coefficient, "
    "0-4 [0.6-1.8]; deblur: pixels of camera path, 0-40 [5-20]; defocus: pixels of radius, 0-12 [1-4]."
)
Task = Annotated[
    str | None, typer.Option("--task", help=f"What degrades the images: {TASK_NAMES}. [default: denoise]")
]
Strength = Annotated[str | None, typer.Option("--strength", "--sigma", help=STRENGTHS)]
TrainedTask = Annotated[
    str | None, typer.Option("--task", help=f"Degradation: {TASK_NAMES}. [default: as trained]")
]
TrainedStrength = Annotated[
    str | None, typer.Option("--strength", "--sigma", help=f"{STRENGTHS} [default: as trained]")
]
PairsFolder = Annotated[
    Path | None,
    typer.Option(
        "--pairs",
        help="Instead of clean images: a folder with clean/ and degraded/ (or rainy/, hazy/, blurry/, "
        "noisy/) in it, partners of the same name.",
    ),
]
DegradedFolder = Annotated[
    Path | None,
    typer.Option("--degraded", help="Instead of synthetic ones: the degraded partners of the clean images."),
]


def images_or_pairs(
    clean: Path | None, option: str, pairs: Path | None, degraded: Path | None
) -> tuple[Path, "Pairs | None"]:
    """The folder of clean images, and their degraded partners if they were recorded.

    Args:
        clean: value of `option`.
        option: that names the clean images, `--data` or `--images`.
        pairs: value of `--pairs`.
        degraded: value of `--degraded`.

    Raises:
        typer.BadParameter: neither or both of `option` and `--pairs`.
        DataError: images without a partner.
    """
    if (clean is None) == (pairs is None):
        raise typer.BadParameter(f"give either {option} DIR, of clean images, or --pairs DIR")
    if degraded is not None and pairs is not None:
        raise typer.BadParameter(f"--degraded goes with {option}; --pairs holds both folders")
    if clean is not None and degraded is None:
        return clean, None
    from snn_tool.degradations.pairs import match_pairs, open_pairs

    found = open_pairs(pairs) if pairs else match_pairs(degraded, clean)  # type: ignore[arg-type]
    return found.clean, found
