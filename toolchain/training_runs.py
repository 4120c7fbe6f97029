"""`snn-tool train` and `snn-tool distill`: from a folder of images to a network on disk."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning
from snn_tool.artifacts import sha256_file
from snn_tool.errors import ConfigError
from snn_tool.images import find_images, read_image
from snn_tool.models.distillation import HintLoss, HintPair, LossWeights, pair_hints
from snn_tool.models.student import build_student
from snn_tool.models.student_file import save_student
from snn_tool.models.teachers import build_teacher, load_teacher, save_teacher
from snn_tool.pairs import Pairs, Source, source_for
from snn_tool.patches import ImageSet, split_validation
from snn_tool.ranks import is_first
from snn_tool.run_folder import RunFolder, open_run
from snn_tool.settings import RunSettings
from snn_tool.training import TrainingData, data_hash, fit
from snn_tool.training_module import Guide
from torch import nn

TEACHER_FILE, STUDENT_FILE = "teacher.safetensors", "student.safetensors"
NO_TEACHER = "none"


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """What to learn from: a folder of clean images and a synthetic degradation, or recorded pairs.

    Attributes:
        data: the clean images.
        task, sigma: name of the task (pairs do not say it) and strength; None takes the usual strength.
        pairs: the degraded partners of `data`; replaces the synthetic degradation.
    """

    data: Path
    task: str | None
    sigma: str | None
    pairs: Pairs | None = None

    @property
    def degradation(self) -> Source:
        """The pairs, or the degradation that `task` and `sigma` name."""
        return source_for(self.pairs, self.task, self.sigma, {})


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """The file that a run ended with, and its sidecar's account of the training."""

    path: Path
    training: Mapping[str, Any]
    parameters: int


def load_training_data(options: TaskOptions, settings: RunSettings) -> TrainingData:
    """Decode the images and split off the validation images by the seed."""
    degradation = options.degradation
    training, validation = split_validation(find_images(options.data), seed=settings.training.seed)
    read = options.pairs.read if options.pairs else read_image
    images = (ImageSet.load(paths, settings.training.patch, read) for paths in (training, validation))
    return TrainingData(next(images), next(images), degradation)


def train_teacher(
    architecture: str,
    build: Mapping[str, Any],
    options: TaskOptions,
    settings: RunSettings,
    folder: RunFolder,
) -> TrainedNetwork:
    """Train a teacher with L1 (and FFT, if weighted) and write `teacher.safetensors`."""
    lightning.seed_everything(settings.training.seed, verbose=False)
    teacher = build_teacher(architecture, build)
    data = load_training_data(options, settings)
    asked = {"teacher": {"architecture": architecture, **build}, **_asked(options, settings, data)}
    if is_first():
        open_run(folder, asked)
    account = {**asked, **fit(teacher, data, settings.training, settings.loss, None, folder)}
    path = folder.path / TEACHER_FILE
    if is_first():
        save_teacher(path, teacher, architecture, build, account)
    return TrainedNetwork(path, account, sum(p.numel() for p in teacher.parameters()))


def distill_student(
    teacher_path: Path | None,
    hints: tuple[str, ...],
    options: TaskOptions,
    settings: RunSettings,
    folder: RunFolder,
) -> TrainedNetwork:
    """Distil a student from a teacher, or train it alone, and write `student.safetensors`."""
    lightning.seed_everything(settings.training.seed, verbose=False)
    student = build_student(settings.student)
    guide, pairs = _guide(student, teacher_path, hints, settings.loss)
    data = load_training_data(options, settings)
    asked = {
        "student": asdict(settings.student),
        "teacher": sha256_file(teacher_path) if teacher_path else NO_TEACHER,
        "hints": [asdict(pair) for pair in pairs],
        **_asked(options, settings, data),
    }
    if is_first():
        open_run(folder, asked)
    account = {**asked, **fit(student, data, settings.training, settings.loss, guide, folder)}
    path = folder.path / STUDENT_FILE
    if is_first():
        save_student(path, student, settings.student, account)
    return TrainedNetwork(path, account, student.topology.parameters)


def _asked(options: TaskOptions, settings: RunSettings, data: TrainingData) -> dict[str, Any]:
    """What defines a run; the same values give the same weights on the CPU."""
    return {
        "task": options.degradation.describe(),
        "training": asdict(settings.training),
        "loss": asdict(settings.loss),
        "data": {"training": data_hash(data.training), "validation": data_hash(data.validation)},
    }


def _guide(
    student: nn.Module, teacher_path: Path | None, hints: tuple[str, ...], weights: LossWeights
) -> tuple[Guide | None, tuple[HintPair, ...]]:
    """The frozen teacher with the hints that are weighted.

    Raises:
        ConfigError: hints were named without a teacher, or the teacher does not have them.
    """
    if teacher_path is None:
        if hints:
            raise ConfigError("--hints needs --teacher FILE")
        return None, ()
    teacher, _ = load_teacher(teacher_path)
    pairs = pair_hints(student.feature_scales, teacher.feature_scales, hints)  # type: ignore[arg-type]
    if weights.hints == 0:
        return Guide(teacher, None), ()
    loss = HintLoss(pairs, student.feature_channels, teacher.feature_channels)  # type: ignore[arg-type]
    return Guide(teacher, loss), pairs
