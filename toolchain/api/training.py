"""Training from Python: teachers and students on images in memory or on disk, and parts for other loops."""

import difflib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from snn_tool.api.images import Images, folders_of
from snn_tool.api.networks import Student, Teacher, load_teacher, student_of
from snn_tool.degradations.options import USUAL_TASK, HowOptions
from snn_tool.degradations.pairs import match_pairs
from snn_tool.errors import ConfigError
from snn_tool.files.temporaries import new_place
from snn_tool.models.config import LossWeights, StudentConfig
from snn_tool.models.teachers.registry import size_options
from snn_tool.models.topology import COLOUR
from snn_tool.networks.locate import Spec
from snn_tool.results import Result
from snn_tool.training import runs
from snn_tool.training.data import Batch, PatchBatches
from snn_tool.training.live_logs import Chosen, check_logger
from snn_tool.training.options import CSV
from snn_tool.training.run_folder import RunFolder
from snn_tool.training.runs import TaskOptions, load_training_data
from snn_tool.training.settings import RunSettings, TrainingSettings, load_settings
from torch import nn

Strength = str | float | tuple[float, float] | None
"""As `--strength` takes it, e.g. `"5-50"`; or a number; or the two ends of a range."""

TABLES = {"training": TrainingSettings, "loss": LossWeights, "student": StudentConfig}


def keywords(tables: Iterable[str]) -> dict[str, tuple[str, str]]:
    """For each keyword the table and the field that it sets; weights of terms begin with `loss_`."""
    return {
        f"loss_{field.name}" if table == "loss" and not field.name.startswith("hint_") else field.name: (
            table,
            field.name,
        )
        for table in tables
        for field in fields(TABLES[table])
    }


def settings_of(tables: tuple[str, ...], options: Mapping[str, Any]) -> RunSettings:
    """The settings of a run from keywords.

    Raises:
        ConfigError: a keyword is unknown, the nearest is named; or a value is not allowed.
    """
    known = keywords(tables)
    overrides: dict[str, dict[str, Any]] = {table: {} for table in TABLES}
    for name, value in options.items():
        if name not in known:
            raise ConfigError(_unknown(name, known))
        table, field = known[name]
        overrides[table][field] = value
    return load_settings(None, overrides)


def _how_and_settings(options: Mapping[str, Any]) -> tuple[HowOptions, dict[str, Any]]:
    """How images are degraded, and the options that say nothing of it."""
    names = {field.name for field in fields(HowOptions)}
    how = {name: value for name, value in options.items() if name in names}
    return HowOptions(**how), {name: value for name, value in options.items() if name not in names}


def _unknown(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = difflib.get_close_matches(name, names, 1)
    hint = f"did you mean {near[0]}?" if near else f"use some of {', '.join(names)}"
    return f"there is no option {name}; {hint}"


_Options = TypeVar("_Options")


def filled(kind: type[_Options], options: Mapping[str, Any], **given: Any) -> _Options:
    """A dataclass of options from keywords; `given` are those that the caller sets.

    Raises:
        ConfigError: a keyword is no field of it, the nearest is named; or a value is not allowed.
    """
    names = {field.name for field in fields(kind)} - given.keys()  # type: ignore[arg-type]
    for name in options:
        if name not in names:
            raise ConfigError(_unknown(name, names))
    values = {key: strength_text(value) if key == "sigma" else value for key, value in options.items()}
    return kind(**given, **values)


def strength_text(strength: Strength) -> str | None:
    """A strength as the command line takes it."""
    if isinstance(strength, tuple):
        return "-".join(f"{end:g}" for end in strength)
    return strength if strength is None or isinstance(strength, str) else f"{strength:g}"


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Run(Result):
    """What a distillation ended with.

    Attributes:
        student: the best by validation.
        folder: log (`metrics.csv`, drawn in `curves.svg`), checkpoints, settings and the student's file.
        training: how it was trained, as JSON values; `validation_psnr_db` is that of `student`.
    """

    student: Student
    folder: Path
    training: Mapping[str, Any]

    @property
    def validation_psnr_db(self) -> float:
        """PSNR in dB of the student on held-out images, as the integers round it."""
        return float(self.training["validation_psnr_db"])

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "folder": str(self.folder),
            "student": str(self.student.path),
            "training": dict(self.training),
        }

    def __repr__(self) -> str:
        steps = f"step {self.training['best_step']} of {self.training['steps']}"
        student = repr(self.student).replace("\n", "\n  ")
        return f"Run in {self.folder}\n  validation {self.validation_psnr_db:.2f} dB at {steps}\n  {student}"


def train_teacher(
    images: Images,
    *,
    arch: str = "unet",
    size: str | None = None,
    build: Mapping[str, Any] | None = None,
    degraded: Images | None = None,
    task: str | None = None,
    strength: Strength = None,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    resume: bool = False,
    quiet: bool = True,
    logger: Chosen = CSV,
    **options: Any,
) -> Teacher:
    """Train an ANN that restores, as `snn-tool train` does.

    Args:
        images: clean ones; a folder, paths, or arrays. A tenth is held out for validation.
        arch: `unet`, `flat`, `chain`, `nafnet` or `restormer`.
        size: a named size of the architecture, e.g. `small`.
        build: arguments of its constructor, e.g. `{"width": 32}`, or `{"channels": 1}` for grey images; they
            override those of `size`.
        degraded: the recorded partners of `images`; then nothing is synthesised.
        task: what degrades the images: `denoise` (the default), `derain`, `dehaze`, `deblur`, `defocus`.
        strength: of the degradation, in the task's unit; by default the usual one.
        out: run folder to make; by default a temporary one that goes when the process ends.
        overwrite: replace what is there.
        resume: go on from its last checkpoint.
        quiet: show no progress.
        logger: `csv` for `metrics.csv` alone, `tensorboard`, or a logger of Lightning, told as well.
        **options: fields of `TrainingSettings`, `loss_l1`, `loss_mse`, `loss_fft`, and how images are
            degraded: `kind`, `eight_bit`, `jpeg`, as the command line has them.

    Raises:
        ConfigError: an option is unknown or out of range, or `out` exists.
        BackendUnavailableError: TensorBoard is not installed.
        DataError: fewer than two images, or one that cannot be used.
        Interrupted: by a signal; `resume` goes on.
    """
    how, options = _how_and_settings(options)
    settings = settings_of(("training", "loss"), options)
    check_logger(logger)
    shape = {**size_options(arch, size), **(build or {})}
    folder = RunFolder(Path(out or new_place("teacher")), resume, overwrite, quiet, logger)
    with folders_of(images, degraded) as (clean, partners):
        pairs = match_pairs(partners, clean) if partners else None
        name = task or (None if pairs else USUAL_TASK)
        learned = TaskOptions(clean, name, strength_text(strength), pairs, how=how)
        trained = runs.train_teacher(arch, shape, learned, settings, folder)
    return load_teacher(trained.path)


def distill(
    images: Images,
    *,
    teacher: Teacher | nn.Module | str | os.PathLike[str] | None = None,
    init: Student | str | os.PathLike[str] | None = None,
    hints: tuple[str, ...] = (),
    degraded: Images | None = None,
    task: str | None = None,
    strength: Strength = None,
    split_seed: int | None = None,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    resume: bool = False,
    quiet: bool = True,
    logger: Chosen = CSV,
    note: Callable[[str], None] | None = None,
    **options: Any,
) -> Run:
    """Distil a spiking student, as `snn-tool distill` does.

    Args:
        images: clean ones; a folder, paths, or arrays. A tenth is held out for validation.
        teacher: of `train_teacher` or `load`, what `load` opens as one, or a torch module of yours that maps
            RGB images [N, 3, H, W] in [0, 1] to restored ones, or grey ones [N, 1, H, W] if its attribute
            `image_channels` is 1; None trains without.
        init: a student of the same shape, but for timesteps, whose weights are the start.
        hints: names of the teacher's features that are compared, by default those it has; modules of a torch
            module of yours.
        degraded: the recorded partners of `images`; then nothing is synthesised.
        task: what degrades the images: `denoise` (the default), `derain`, `dehaze`, `deblur`, `defocus`.
        strength: of the degradation, in the task's unit; by default the usual one.
        out: run folder to make; by default a temporary one that goes when the process ends.
        overwrite: replace what is there.
        resume: go on from its last checkpoint.
        quiet: show no progress.
        logger: `csv` for `metrics.csv` alone, `tensorboard`, or a logger of Lightning, told as well.
        split_seed: of the validation split, by default `seed`.
        note: is told what the teacher gives on the first batch, line by line.
        **options: fields of `TrainingSettings`, `StudentConfig`, and `LossWeights` (`loss_l1`, `loss_mse`,
            `loss_fft`, `loss_output`, `loss_hints`, and `hint_...`), and how images are degraded: `kind`,
            `eight_bit`, `jpeg`, as the command line has them.

    Raises:
        ConfigError: an option is unknown or out of range, or `out` exists.
        BackendUnavailableError: TensorBoard is not installed.
        DataError: fewer than two images, or one that cannot be used.
        TeacherError: the teacher cannot guide this student.
        Interrupted: by a signal; `resume` goes on.
    """
    how, options = _how_and_settings(options)
    settings = settings_of(("training", "loss", "student"), options)
    check_logger(logger)
    folder = RunFolder(Path(out or new_place("run")), resume, overwrite, quiet, logger)
    source = teacher if isinstance(teacher, nn.Module) else _spec(teacher)
    start = _spec(init)
    initial = runs.read_initial(start, settings.student) if start else None
    say = note or (lambda line: None)
    with folders_of(images, degraded) as (clean, partners):
        pairs = match_pairs(partners, clean) if partners else None
        name = task or (None if pairs else USUAL_TASK)
        learned = TaskOptions(clean, name, strength_text(strength), pairs, split_seed, how)
        trained = runs.distill_student(source, hints, learned, settings, folder, say, initial)
    return Run(student_of(trained.path, str(trained.path)), folder.path, trained.training)


def _spec(given: Student | Teacher | str | os.PathLike[str] | None) -> Spec | None:
    """What names a network.

    Raises:
        ConfigError: another type.
    """
    if isinstance(given, Student | Teacher):
        return given.path if isinstance(given, Student) else given.source
    if given is None or isinstance(given, str):
        return given
    if isinstance(given, os.PathLike):
        return Path(given)
    raise ConfigError(f"{type(given).__name__} names no network; give a name, a path or what `load` returns")


def patches(
    images: Images,
    settings: TrainingSettings,
    *,
    degraded: Images | None = None,
    task: str | None = None,
    strength: Strength = None,
    channels: int = COLOUR,
    **how: Any,
) -> tuple[Iterable[Batch], list[Batch]]:
    """The batches that `distill` trains on with these settings, and the crops that it is validated on.

    Args:
        images: clean ones; a folder, paths, or arrays. A tenth is held out for validation.
        settings: `max_steps`, `batch`, `patch`, `balance` and `seed` decide.
        degraded: the recorded partners of `images`; then nothing is synthesised.
        task: what degrades the images: `denoise` (the default), `derain`, `dehaze`, `deblur`, `defocus`.
        strength: of the degradation, in the task's unit; by default the usual one.
        channels: C, 3 of colour or 1: the images become grey before they are degraded.
        **how: images are degraded: `kind`, `eight_bit`, `jpeg`, as the command line has them.

    Returns:
        For each step degraded and clean patches, float32 [batch, C, patch, patch], clean in [0, 1]; and the
        validation crops, likewise, [1, C, h, w] each.

    Raises:
        ConfigError, DataError: as `train_teacher`.
    """
    run = RunSettings(settings, LossWeights(), StudentConfig(channels=channels))
    with folders_of(images, degraded) as (clean, partners):
        pairs = match_pairs(partners, clean) if partners else None
        name = task or (None if pairs else USUAL_TASK)
        asked = filled(HowOptions, how)
        learned = TaskOptions(clean, name, strength_text(strength), pairs, how=asked)
        data = load_training_data(learned, run, channels)
    batches = PatchBatches(data.training, settings.stages, data.degradation, settings.seed, settings.balance)
    return batches, list(data.crops)
