"""The two pictures of a student: what it does to photographs, and where it fails most."""

from collections.abc import Sequence
from itertools import cycle

import numpy as np
from PIL import Image
from snn_tool.degradations.crops import centre_crop
from snn_tool.images.metrics import psnr_db

from restoration.pictures import Row, enlarged, sheet
from restoration.teachers import TeacherColumn
from restoration.trials import PHOTOGRAPHS, Pixels, Trial, worst_block, worst_by_kind

SHOWN = 4
"""Photographs of a contact sheet: those in colour."""
CROP, BLOCK, STEP, FACTOR = 192, 96, 16, 2


def contact_sheet(trials: Sequence[Trial], teachers: Sequence[TeacherColumn]) -> Image.Image:
    """The middles of the colour photographs, degraded as in training, with the PSNR of whole photographs."""
    names = dict.fromkeys(t.condition.name for t in trials if t.condition.kind == "as trained")
    by_name = {(trial.photograph.name, trial.condition.name): trial for trial in trials}
    pairs = zip(PHOTOGRAPHS[:SHOWN], cycle(names), strict=False)
    shown = [by_name[photograph.name, name] for photograph, name in pairs]
    return sheet([_whole(trial, teachers) for trial in shown])


def _whole(trial: Trial, teachers: Sequence[TeacherColumn]) -> Row:
    pictures = _columns(trial, teachers)
    return Row(
        f"{trial.photograph.name}, {trial.condition.name}",
        [
            (centre_crop(picture, CROP, 1), _caption(label, picture, trial.clean))
            for label, picture in pictures
        ],
    )


def failure_sheet(trials: Sequence[Trial], teachers: Sequence[TeacherColumn]) -> Image.Image:
    """For every kind of condition the photograph that gains least, its worst block, and the block's PSNR."""
    return sheet([_block(trial, teachers) for trial in worst_by_kind(trials)])


def _block(trial: Trial, teachers: Sequence[TeacherColumn]) -> Row:
    at, clean = worst_block(trial, BLOCK, STEP), trial.clean
    pictures = [(label, np.ascontiguousarray(picture[at])) for label, picture in _columns(trial, teachers)]
    return Row(
        f"{trial.photograph.name}, {trial.condition.name} ({trial.condition.kind})",
        [(enlarged(block, FACTOR), _caption(label, block, clean[at])) for label, block in pictures],
    )


def _columns(trial: Trial, teachers: Sequence[TeacherColumn]) -> list[tuple[str, Pixels]]:
    degraded = trial.condition.degrade(trial.clean, trial.photograph.name)
    taught = [("teacher", column.restore(degraded)) for column in teachers]
    return [("degraded", trial.degraded), ("student", trial.restored), *taught, ("clean", trial.clean)]


def _caption(label: str, picture: Pixels, clean: Pixels) -> str:
    """What stands under a picture; the font has no sign for an infinite PSNR."""
    if label == "clean":
        return label
    if np.array_equal(picture, clean):
        return f"{label}, equal to clean"
    return f"{label} {psnr_db(picture, clean):.1f} dB"
