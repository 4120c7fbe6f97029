"""The two pictures of a student: what it does to photographs, and where it fails most."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from results_pictures import Row, enlarged, sheet
from results_sets import synthetic_tasks
from results_trials import PHOTOGRAPHS, Pixels, Restore, Trial, worst_block, worst_by_kind
from snn_tool.crops import centre_crop
from snn_tool.degradations import bounds_of
from snn_tool.errors import ConfigError
from snn_tool.metrics import psnr_db, to_uint8
from snn_tool.models.teachers import load_teacher
from snn_tool.shipped import Card
from snn_tool.tiling import pad_to_multiple
from torch import nn

SHOWN = 4
"""Photographs of a contact sheet: those in colour."""
CROP, BLOCK, STEP, FACTOR = 192, 96, 16, 2


@dataclass(frozen=True, slots=True, eq=False)
class TeacherColumn:
    """A teacher beside the students of its task.

    Attributes:
        task: `describe()` of what it was trained for.
        restore: from [H, W, 3] to [H, W, 3].
    """

    task: Mapping[str, Any]
    restore: Restore

    def fits(self, card: Card) -> bool:
        """Whether it was trained for all that the student is measured at."""
        own = bounds_of(self.task)
        if own is None or self.task["task"] != card.task:
            return False
        wanted = [bounds_of(task) or own for task in synthetic_tasks(card)]
        return all(own[0] <= low and high <= own[1] for low, high in wanted)


def open_teachers(files: Sequence[Path], cards: Sequence[Card]) -> list[TeacherColumn]:
    """Teachers from `snn-tool train`.

    Raises:
        ArtifactError: a file is no teacher.
        ConfigError: no student is measured at what it was trained for.
    """
    found = []
    for file in files:
        network, description = load_teacher(file)
        teacher = TeacherColumn(description["training"]["task"], _restoring(network))
        if not any(teacher.fits(card) for card in cards):
            raise ConfigError(f"--teacher {file}: no student is measured at what it was trained for")
        found.append(teacher)
    return found


def _restoring(network: nn.Module) -> Restore:
    multiple = int(getattr(network, "multiple", 1))

    def restore(image: NDArray[np.float32]) -> NDArray[np.float32]:
        batch = pad_to_multiple(np.ascontiguousarray(image.transpose(2, 0, 1)[None]), multiple)
        with torch.inference_mode():
            restored = network(torch.from_numpy(batch)).numpy()[0].transpose(1, 2, 0)
        return np.asarray(restored[: image.shape[0], : image.shape[1]])

    return restore


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
    taught = [("teacher", to_uint8(teacher.restore(degraded))) for teacher in teachers]
    return [("degraded", trial.degraded), ("student", trial.restored), *taught, ("clean", trial.clean)]


def _caption(label: str, picture: Pixels, clean: Pixels) -> str:
    """What stands under a picture; the font has no sign for an infinite PSNR."""
    if label == "clean":
        return label
    if np.array_equal(picture, clean):
        return f"{label}, equal to clean"
    return f"{label} {psnr_db(picture, clean):.1f} dB"
