"""What `restore`, `evaluate` and `degrade` are asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from snn_tool.degradations.options import (
    TASK_NAMES,
    USUAL_TASK,
    DegradedFolder,
    PairsFolder,
    Strength,
    TrainedStrength,
    TrainedTask,
)
from snn_tool.flags import IMAGES, NETWORKS, OUTPUT, Flag, Overwrite, grouped
from snn_tool.inputs.options import LabelsPath
from snn_tool.networks.locate import student_file
from snn_tool.networks.shipped import DEFAULT

_STUDENT = (
    "student.safetensors (float), student.int.safetensors (integer), a run folder, or a name from 'models'."
)
Tile = Annotated[int, Flag("Images larger than this are cut into tiles; the cuts do not show.")]
TILE = 512
"""Pixels of a tile's side, if nothing is said."""


@dataclass(frozen=True, slots=True)
class RestoreOptions:
    """Which images are restored by which student.

    Attributes:
        images: degraded images, or folders of them.
        student: its file.
        task: instead of `student`, what the shipped one is for.
        out: folder for the restored images.
        tile: largest side in pixels that is restored at once.
        overwrite: replace what is there.
    """

    images: Annotated[tuple[Path, ...], Flag("Degraded images, or folders of them.", argument=True)]
    student: Annotated[Path | None, Flag(_STUDENT, shown=DEFAULT, read=student_file)] = None
    task: Annotated[
        str | None, Flag(f"Instead of --student: the one that comes with snn-tool for {TASK_NAMES}.")
    ] = None
    out: Annotated[Path, Flag("Folder for the restored images (PNG).")] = Path("restored")
    tile: Tile = TILE
    overwrite: Overwrite = False


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """Which network is scored on which images.

    Attributes:
        student: its file; or else `teacher`.
        teacher: any form that `networks.locate` knows.
        weights: file that fills a teacher without weights of its own.
        data: folder of clean images; or else `pairs`, or inputs of a classifier.
        original: of a classifier, the NIR file that it was imported from.
        labels: of a classifier's inputs.
        limit: largest number of these, 0 for all.
        pairs: folder of recorded pairs.
        degraded: folder of the degraded partners of `data`.
        out: file for the scores.
        save: folder for the restored images.
        per_image: print a line for each image.
        task, sigma: degradation; None takes the one that the network was trained for.
        seed: of the synthetic degradation.
        register: largest shift in pixels that is undone before scoring.
        in_colour: grey files become three equal channels before they are degraded.
        tile: largest side in pixels that is restored at once.
        overwrite: replace what is there.
    """

    student: Annotated[Path | None, Flag(_STUDENT, read=student_file, group=NETWORKS)] = None
    teacher: Annotated[
        str | None,
        Flag(
            "Instead of --student: a teacher from 'models', teacher.safetensors, a run folder, model.onnx, "
            "package.module:factory, an architecture with --weights, or x8: and any network.",
            group=NETWORKS,
        ),
    ] = None
    weights: Annotated[
        Path | None, Flag("Weights of a factory's or an architecture's network.", group=NETWORKS)
    ] = None
    data: Annotated[Path | None, Flag("Folder of clean test images.", group=IMAGES)] = None
    original: Annotated[
        Path | None,
        Flag(
            "With --inputs: the NIR file that the student was imported from, scored beside it.",
            group=NETWORKS,
        ),
    ] = None
    labels: LabelsPath = None
    limit: Annotated[int, Flag("With --inputs: largest number of samples; 0 takes all.", group="Inputs")] = 0
    pairs: PairsFolder = None
    degraded: DegradedFolder = None
    out: Annotated[
        Path | None, Flag("File for the scores, e.g. evaluation.json.", shown="none is written", group=OUTPUT)
    ] = None
    save: Annotated[
        Path | None, Flag("Folder for the restored images.", shown="none are written", group=OUTPUT)
    ] = None
    per_image: Annotated[
        bool, Flag("Print a line for each image, not for the worst three alone.", group=OUTPUT)
    ] = False
    task: TrainedTask = None
    sigma: TrainedStrength = None
    seed: Annotated[int, Flag("Seed of the synthetic degradation.", group=IMAGES)] = 0
    register: Annotated[
        int,
        Flag(
            "Score at the best shift within N pixels, borders left out: blurred pairs lie beside each other.",
            least=0,
            group=IMAGES,
        ),
    ] = 0
    in_colour: Annotated[
        bool,
        Flag(
            "Give grey files three channels before they are degraded, as sets for colour are published.",
            ("--in-colour",),
            group=IMAGES,
        ),
    ] = False
    tile: Tile = TILE
    overwrite: Overwrite = False


@grouped(IMAGES)
@dataclass(frozen=True, slots=True)
class DegradeOptions:
    """What degrades photographs, and where the copies go.

    Attributes:
        images: folder of clean images.
        out: folder for the copies and their sheet; None takes `NAME-degraded` beside the images.
        task, strength: of the degradation.
        seed: with an image's name, its draw.
        overwrite: replace what is there.
    """

    images: Annotated[Path, Flag("Folder of clean images.")]
    out: Annotated[
        Path | None,
        Flag(
            "Folder for the copies (PNG) and contact-sheet.png.",
            shown="NAME-degraded beside the images",
            group=OUTPUT,
        ),
    ] = None
    task: Annotated[str, Flag(f"What degrades the images: {TASK_NAMES}.")] = USUAL_TASK
    strength: Strength = None
    seed: Annotated[int, Flag("With an image's name, its draw.")] = 0
    overwrite: Overwrite = False
