"""`snn-tool train` and `snn-tool distill`: from a folder of images to a network on disk."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import lightning
from lightning.pytorch.callbacks import Callback
from snn_tool.degradations.options import AS_USUAL, HowOptions
from snn_tool.degradations.pairs import Pairs, Source, read_source, source_for
from snn_tool.degradations.tasks import TrainedFor
from snn_tool.errors import ConfigError, TeacherError
from snn_tool.files.ownership import owned_path
from snn_tool.images.files import find_images
from snn_tool.models.config import LossWeights, StudentConfig
from snn_tool.models.integer.training import dequantized
from snn_tool.models.losses import HintLoss, HintPair, pair_hints
from snn_tool.models.network import Network
from snn_tool.models.student import build_student, build_topology, in_grey, save_student, with_passes
from snn_tool.models.teachers.onnx import OnnxTeacher
from snn_tool.models.teachers.probe import check_pairs, probe
from snn_tool.models.teachers.registry import build_teacher, save_teacher
from snn_tool.models.teachers.tapped import TappedTeacher
from snn_tool.models.topology import COLOUR, GREY
from snn_tool.networks.ensemble import SelfEnsemble
from snn_tool.networks.locate import NO_TEACHER, STUDENT_FILE, TEACHER_FILE, Kind, Spec
from snn_tool.networks.open import (
    FloatStudent,
    IntegerStudent,
    Opened,
    OpenedTeacher,
    channels_of,
    open_network,
    open_teacher,
    teacher_of_module,
)
from snn_tool.ranks import is_first
from snn_tool.training.data import MAX_VALIDATION_CROPS, ImageSet, evenly, split_validation
from snn_tool.training.fit import TrainingData, data_hash, first_batch, fit
from snn_tool.training.module import Batch, Guide
from snn_tool.training.run_folder import RunFolder, open_run
from snn_tool.training.settings import RunSettings
from torch import Tensor, nn

Note = Callable[[str], None]


def open_source(source: Spec | nn.Module | None, hints: tuple[str, ...]) -> OpenedTeacher | None:
    """The teacher, or None without one.

    Raises:
        ConfigError: hints or weights without a teacher.
    """
    if source is None:
        if hints:
            raise ConfigError("--hints needs --teacher FILE")
        return None
    if isinstance(source, nn.Module):
        return teacher_of_module(source, hints)
    return open_teacher(source, hints=hints)


def _demand_channels(opened: OpenedTeacher | None, channels: int) -> None:
    """Refuse a teacher of colour for a grey student, and the other way round.

    A network of colour has learnt that noise differs between colours. Grey noise, which is the same in all
    three, it takes for texture: it would teach to keep the noise.
    """
    if opened is None or (takes := channels_of(opened.network)) == channels:
        return
    colours = {COLOUR: "colour", GREY: "grey"}
    raise ConfigError(
        f"the teacher {opened.provenance.title} restores {colours[takes]} images and cannot teach a student "
        f"of {colours[channels]} ones; train one with 'snn-tool train --channels {channels}'"
    )


def guide_with(
    opened: OpenedTeacher | None,
    student: Network,
    hints: tuple[str, ...],
    weights: LossWeights,
    batch: Batch,
    note: Note,
    sides: Sequence[int] = (),
) -> tuple[Guide | None, tuple[HintPair, ...]]:
    """The guide, with hints if they are weighted, after a look at what the teacher gives for `batch`.

    Args:
        opened: the teacher, or None for no guide.
        student: whose populations are compared; those that `weights` names are tapped.
        hints: names of teacher features, one for each hint population; empty chooses by resolution.
        weights: whether the hints have a weight, and what they compare.
        batch: degraded and clean patches.
        note: told how good the teacher is there, and which features meet how.
        sides: of the patches of later steps, in pixels.

    Raises:
        ConfigError: the teacher does not have the hints, or their number is wrong.
        TeacherError: the teacher cannot guide this student.
    """
    if opened is None:
        return None, ()
    teacher, (degraded, clean) = opened.network, batch
    found = probe(teacher, degraded, clean)
    note(
        f"teacher {opened.provenance.title}: {found.teacher_psnr_db:.2f} dB on the first batch, "
        f"degraded {found.degraded_psnr_db:.2f} dB"
    )
    if found.teacher_psnr_db < found.degraded_psnr_db:
        note("warning: the teacher is worse than the degraded images; is it for this task?")
    if not weights.hints:
        return Guide(teacher, None), ()
    student.tap(weights.hint_sites or student.topology.hints, weights.hint_feature)
    pairs = _pairs(teacher, student, hints, degraded, sides)
    for line in check_pairs(pairs, student.feature_scales, found, degraded):
        note(f"hint {line}")
    ours, theirs = student.feature_channels, cast(Mapping[str, int], teacher.feature_channels)
    return Guide(teacher, HintLoss(pairs, ours, theirs, weights.hint_adapter)), pairs


def _pairs(
    teacher: nn.Module, student: Network, hints: tuple[str, ...], degraded: Tensor, sides: Sequence[int]
) -> tuple[HintPair, ...]:
    if isinstance(teacher, SelfEnsemble):
        raise TeacherError(
            "a self-ensemble (x8:) has an output and no features, for those of eight orientations are no "
            "single map; set --loss-hints 0"
        )
    if isinstance(teacher, TappedTeacher | OnnxTeacher) and not teacher.taps:
        raise TeacherError(
            f"name hints with --hints a,b, one each for {', '.join(student.feature_scales)}, or set "
            f"--loss-hints 0; {teacher.fitting(degraded)}"
        )
    multiple = int(getattr(teacher, "multiple", 1))
    for side in (degraded.shape[2], *sides):
        if side % multiple:
            # Extended images have features that do not lie over the student's.
            raise TeacherError(f"hints of this teacher need a --patch in multiples of {multiple}, not {side}")
    return pair_hints(student.feature_scales, teacher.feature_scales, hints)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """What to learn from: a folder of clean images and a synthetic degradation, or recorded pairs.

    Attributes:
        data: the clean images.
        task, sigma: name of the task (pairs do not say it) and strength; None takes the usual strength.
        pairs: the degraded partners of `data`; replaces the synthetic degradation.
        split_seed: of the validation split and its noise; None takes the run's seed.
        how: kind of the synthetic degradation, and the file that it ends in.
    """

    data: Path
    task: str | None
    sigma: str | None
    pairs: Pairs | None = None
    split_seed: int | None = None
    how: HowOptions = AS_USUAL

    @property
    def degradation(self) -> Source:
        """The pairs, or the degradation that `task` and `sigma` name."""
        return source_for(self.pairs, self.task, self.sigma, TrainedFor(), self.how)


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """The file that a run ended with, and its sidecar's account of the training."""

    path: Path
    training: Mapping[str, Any]
    parameters: int


@dataclass(frozen=True, slots=True)
class InitialStudent:
    """Weights to start from, and the hash of their file."""

    weights: Mapping[str, Tensor]
    sha256: str


def read_initial(spec: Spec, wanted: StudentConfig) -> InitialStudent:
    """The weights of a float or quantised student of the same configuration, timesteps left aside.

    No weight belongs to a timestep, and a start with fewer of them costs less: the time inheritance training
    of Deng et al., ICLR 2022 (arXiv 2202.11946). A grey student may start from one for colour, by `in_grey`.
    A start may also run less often on an image; from one pass the kernels that read a result are added, as
    zeros (`with_passes`), so that nothing changes at first.

    Raises:
        ConfigError: the student has another shape; every key that differs is named.
        ArtifactError: the file is missing, damaged, or not a student.
    """
    opened = open_network(spec, accept=(Kind.FLOAT, Kind.INTEGER))
    student, config = _in_float(opened)
    if (config.channels, wanted.channels) == (COLOUR, GREY):
        student, config = in_grey(student, config)
    differing = [
        f"{key} is {value}, not {asked}"
        for (key, value), asked in zip(asdict(config).items(), asdict(wanted).values(), strict=True)
        if value != asked and key != "timesteps" and not (key == "passes" and value < asked)
    ]
    if differing:
        raise ConfigError(
            f"{opened.provenance.path}: a student of another shape than asked for: {'; '.join(differing)}"
        )
    weights = student.state_dict()
    if config.passes == 1 < wanted.passes:
        weights = with_passes(weights, build_topology(wanted))
    return InitialStudent(weights, opened.provenance.sha256)


def _in_float(opened: Opened) -> tuple[Network, StudentConfig]:
    """A student's network and configuration; integers give the floats that deploy as they are."""
    if isinstance(opened, FloatStudent):
        return opened.network, opened.config
    assert isinstance(opened, IntegerStudent) and opened.provenance.path
    return dequantized(opened.network, opened.provenance.account, opened.provenance.path)


def load_training_data(options: TaskOptions, settings: RunSettings, channels: int = COLOUR) -> TrainingData:
    """Decode the images and split off the validation images by the seed; of 1 channel they become grey."""
    degradation = options.degradation
    seed = settings.training.seed if options.split_seed is None else options.split_seed
    training, validation = split_validation(find_images(options.data), seed=seed)
    read = partial(read_source, source=degradation, channels=channels)
    smallest = max(stage.side for stage in settings.training.stages)
    root = options.data if options.data.is_dir() else None
    images = (ImageSet.load(paths, smallest, read, root) for paths in (training, validation))
    return TrainingData(next(images), next(images), degradation, seed)


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
    data = load_training_data(options, settings, channels_of(teacher))
    asked = {"teacher": {"architecture": architecture, **build}, **asked_of(options, settings, data)}
    if is_first():
        open_run(folder, asked, TEACHER_FILE)
    account = {**asked, **fit(teacher, data, settings.training, settings.loss, None, folder)}
    path = folder.path / TEACHER_FILE
    if is_first():
        save_teacher(path, teacher, architecture, build, account, owned_path)
    return TrainedNetwork(path, account, sum(p.numel() for p in teacher.parameters()))


def _silent(line: str) -> None:
    """A note to nobody."""


def distill_student(
    teacher: Spec | nn.Module | None,
    hints: tuple[str, ...],
    options: TaskOptions,
    settings: RunSettings,
    folder: RunFolder,
    note: Note = _silent,
    initial: InitialStudent | None = None,
    callbacks: Sequence[Callback] = (),
) -> TrainedNetwork:
    """Distil a student from a teacher, or train it alone, and write `student.safetensors`.

    Args:
        teacher: in any form of `networks.locate`, or a network at hand; None for no teacher.
        hints: names of its features; empty takes those of the settings.
        options: the data.
        settings: of the student, the training and the loss.
        folder: of the run.
        note: is told what the teacher gives, line by line.
        initial: weights to start from; None draws them.
        callbacks: run after this tool's own.
    """
    lightning.seed_everything(settings.training.seed, verbose=False)
    hints = hints or settings.loss.hint_targets
    student = build_student(settings.student)
    if initial:
        student.load_state_dict(initial.weights)
    opened = open_source(teacher, hints)
    _demand_channels(opened, settings.student.channels)
    data = load_training_data(options, settings, settings.student.channels)
    batch, say = first_batch(data, settings.training), note if is_first() else _silent
    sides = tuple(stage.side for stage in settings.training.stages)
    guide, pairs = guide_with(opened, student, hints, settings.loss, batch, say, sides)
    asked = {
        "student": settings.student.describe(),
        "teacher": opened.provenance.sha256 if opened else NO_TEACHER,
        **({"teacher_source": dict(origin)} if (origin := opened and opened.provenance.origin) else {}),
        **({"init": initial.sha256} if initial else {}),
        "hints": [asdict(pair) for pair in pairs],
        **asked_of(options, settings, data),
    }
    if is_first():
        open_run(folder, asked, STUDENT_FILE)
    trained = fit(student, data, settings.training, settings.loss, guide, folder, settings.student, callbacks)
    account = {**asked, **trained}
    path = folder.path / STUDENT_FILE
    if is_first():
        save_student(path, student, settings.student, account, owned_path)
    return TrainedNetwork(path, account, student.topology.parameters)


def asked_of(options: TaskOptions, settings: RunSettings, data: TrainingData) -> dict[str, Any]:
    """What defines a run; the same values give the same weights on the CPU."""
    return {
        "task": options.degradation.describe(),
        "training": settings.training.describe(),
        "loss": settings.loss.describe(),
        "data": {
            "training": data_hash(data.training),
            "validation": data_hash(data.validation),
            **_crops_of(data),
            **({} if data.split_seed == settings.training.seed else {"split_seed": data.split_seed}),
        },
    }


def _crops_of(data: TrainingData) -> dict[str, Any]:
    """How many crops of each folder validate, where not all images do; older runs took the first ones."""
    of_each = data.validation.folder_of_each
    if len(set(of_each)) < 2 or len(of_each) <= MAX_VALIDATION_CROPS:
        return {}
    return {"crops": dict(Counter(of_each[place] for place in evenly(of_each, MAX_VALIDATION_CROPS)))}
