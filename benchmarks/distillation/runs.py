"""One training run of the distillation study: resumable, with its curve and cost, and a row at its end."""

import importlib.metadata
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import lightning
import msgspec
from filelock import FileLock, Timeout
from lightning.pytorch.callbacks import Callback
from snn_tool.errors import ArtifactError, SnnToolError
from snn_tool.files.artifacts import read_json, sha256_file, write_json
from snn_tool.images.files import find_images
from snn_tool.networks.locate import STUDENT_FILE
from snn_tool.networks.open import OpenedTeacher, open_teacher
from snn_tool.training.data import ImageSet, ValidationSet, split_validation
from snn_tool.training.run_folder import LAST, RUN_KIND, RUN_SCHEMA, RunFolder
from snn_tool.training.runs import TaskOptions, distill_student

from distillation.cache import CachedTeacher
from distillation.plan import Key, Plan
from distillation.rows import Point, Row
from distillation.teacher import crop_psnr_db, left_out

KIND, SCHEMA, CURVE_FILE = "hkd-curve", 1, "curve.json"
PACKAGES = ("snn-tool", "torch", "lightning", "numpy")
WAIT_S = 10
"""Between two looks at a run that another process trains."""
LOSS_IS = "the loss is "
"""How the message of a run begins whose loss became NaN; it ends the run for good."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where runs live and what they learn from.

    Attributes:
        images: folder of clean training images.
        out: folder of the runs, `out`/graded/both/10.
        cache: folder of the teachers' answers; None keeps none.
    """

    images: Path
    out: Path
    cache: Path | None

    def folder(self, key: Key) -> Path:
        """Of one run."""
        return self.out / key.neuron / key.variant / str(key.seed)


class Curve(Callback):
    """PSNR of both halves at every validation, and the processor seconds of the training steps up to it.

    Drawing of patches is counted, validation is not. It is written with every validation, as the checkpoint
    is, and at a stop, so that a resumed run adds to it.
    """

    def __init__(self, path: Path, teacher: CachedTeacher | None) -> None:
        self.path, self.teacher = path, teacher
        self.points: list[Point] = []
        self.spent = [0.0, 0.0, 0.0]
        self._crops: list[float] = []
        self._since = (0.0, 0.0, 0.0)

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Take up the account of the steps that are already done."""
        if trainer.global_step and self.path.exists():
            before = read_json(self.path, KIND, SCHEMA)
            points = msgspec.convert(before["points"], list[Point])
            self.points = [point for point in points if point.step <= trainer.global_step]
            self.spent = before["spent"]
        self._since = self._clocks()

    def _clocks(self) -> tuple[float, float, float]:
        """Processor seconds of the process, of the teacher's answers, and of asking for them."""
        cost = (self.teacher.cost_s, self.teacher.asked_s) if self.teacher else (0.0, 0.0)
        return (time.process_time(), *cost)

    def on_train_batch_end(self, *_: object) -> None:
        """Add one step."""
        now = self._clocks()
        process, cost, asked = (n - s for n, s in zip(now, self._since, strict=True))
        self.spent = [s + d for s, d in zip(self.spent, (process - asked, cost, asked), strict=True)]
        self._since = now

    def on_validation_batch_end(self, trainer: lightning.Trainer, *arguments: Any) -> None:
        """Keep the PSNR of one crop."""
        self._crops.append(float(arguments[1]))

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Write, and leave out what validation took."""
        halves = [fmean(self._crops[half::2]) for half in (0, 1)]
        self.points.append(Point(trainer.global_step, *(round(s, 3) for s in self.spent), *halves))
        self._crops.clear()
        self._write()
        self._since = self._clocks()

    def on_exception(self, *_: object) -> None:
        """Write what an interrupted run has done."""
        self._write()

    def _write(self) -> None:
        if self.path.parent.exists():
            write_json(
                self.path, KIND, SCHEMA, {"points": msgspec.to_builtins(self.points), "spent": self.spent}
            )


def train(key: Key, plan: Plan, place: Place, steps: int | None = None) -> Row | None:
    """Start a run, or go on from its last checkpoint, and give its row; None where another process has it.

    Raises:
        SnnToolError: it fails, or is interrupted.
    """
    folder = place.folder(key)
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{folder}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    try:
        return _trained(key, plan, place, steps)
    finally:
        lock.release()


def wait_for(key: Key, place: Place) -> None:
    """Until no other process trains a run."""
    with FileLock(f"{place.folder(key)}.lock").acquire(poll_interval=WAIT_S):
        pass


def _trained(key: Key, plan: Plan, place: Place, steps: int | None) -> Row:
    folder, name = place.folder(key), plan.teacher(key.variant)
    opened = open_teacher(name) if name else None
    teacher = None
    if opened:
        answers = place.cache / f"{opened.provenance.sha256[:16]}-{key.seed}" if place.cache else None
        teacher = CachedTeacher(opened, answers, plan.has_hints(key.variant))
    failed = ""
    try:
        if not (folder / STUDENT_FILE).exists():
            _fit(key, plan, place, steps, teacher)
    except SnnToolError as error:
        if not str(error).startswith(LOSS_IS):
            raise
        failed = str(error)
    finally:
        if teacher:
            teacher.close()
    return row_of(key, plan, place, opened, steps, failed)


def _fit(key: Key, plan: Plan, place: Place, steps: int | None, teacher: CachedTeacher | None) -> None:
    folder = place.folder(key)
    going_on = (folder / "checkpoints" / LAST).exists()
    run = RunFolder(folder, resume=going_on, overwrite=not going_on, quiet=True)
    curve = Curve(folder / CURVE_FILE, teacher)
    distill_student(teacher, (), _options(plan, place), plan.settings(key, steps), run, callbacks=[curve])


def _options(plan: Plan, place: Place) -> TaskOptions:
    task = plan.document["task"]
    return TaskOptions(place.images, task["name"], task["strength"], split_seed=task["split_seed"])


def row_of(
    key: Key, plan: Plan, place: Place, opened: OpenedTeacher | None, steps: int | None, failed: str = ""
) -> Row:
    """The row of a run that has ended.

    Args:
        key: names the run.
        plan: what it is a part of.
        place: where it lives.
        opened: its teacher.
        steps: if they are not those of the plan.
        failed: why it did not end.

    Raises:
        ArtifactError: its curve does not end with its last step.
    """
    folder, wanted = place.folder(key), plan.settings(key, steps).training.max_steps
    curve = _curve(folder / CURVE_FILE)
    if not failed and (not curve or curve[-1].step != wanted):
        raise ArtifactError(f"{folder}: {CURVE_FILE} is not of the whole run; remove the folder")
    data = read_json(folder / "settings.json", RUN_KIND, RUN_SCHEMA)["data"]
    teacher_db, left = _teacher_figures(opened, plan, place) if opened else (None, None)
    return Row(
        neuron=key.neuron,
        variant=key.variant,
        seed=key.seed,
        steps=wanted,
        settings_sha256=plan.settings_hash(key, steps),
        teacher_sha256=opened.provenance.sha256 if opened else None,
        teacher_db=teacher_db,
        teacher_left_out=left,
        training_sha256=data["training"],
        validation_sha256=data["validation"],
        student_sha256=None if failed else sha256_file(folder / STUDENT_FILE),
        processor=processor(),
        versions={name: importlib.metadata.version(name) for name in PACKAGES},
        curve=curve,
        failed=failed,
    )


def _curve(path: Path) -> tuple[Point, ...]:
    points = read_json(path, KIND, SCHEMA)["points"] if path.exists() else []
    return msgspec.convert(points, tuple[Point, ...])


def _teacher_figures(
    opened: OpenedTeacher, plan: Plan, place: Place
) -> tuple[tuple[float, float], bool | None]:
    """PSNR of the teacher on both halves, and whether it had not seen them."""
    task, patch = plan.document["task"], plan.document["training"]["patch"]
    _, paths = split_validation(find_images(place.images), seed=task["split_seed"])
    validation = ImageSet.load(paths, patch, root=place.images)
    crops = ValidationSet(validation, _options(plan, place).degradation, task["split_seed"])
    scores = crop_psnr_db(opened, crops)
    return (round(fmean(scores[::2]), 4), round(fmean(scores[1::2]), 4)), left_out(opened, validation)


def processor() -> str:
    """The processor's name as the system gives it, e.g. `AMD EPYC`."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine() or "unknown")
