"""The training runs of the distillation benchmark: each in a process, resumable, with its cost beside it."""

import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from snn_tool.errors import Interrupted, SnnToolError
from snn_tool.files.artifacts import read_json, sha256_file, write_json
from snn_tool.networks.evaluation import KIND, SCHEMA, EvaluationFiles, run_evaluation
from snn_tool.networks.locate import STUDENT_FILE, Spec
from snn_tool.training.run_folder import LAST, RunFolder
from snn_tool.training.runs import TaskOptions, distill_student
from snn_tool.training.settings import RunSettings

COST_KIND, COST_SCHEMA, COST_FILE = "training-cost", 1, "cost.json"
TILE = 512


@dataclass(frozen=True, slots=True)
class Job:
    """One run: a variant with a seed.

    Attributes:
        source: the teacher; None where no term needs one, so that its time is not counted.
        tests: folders of clean images by name, scored when the run has ended.
    """

    variant: str
    seed: int
    folder: Path
    source: Spec | None
    options: TaskOptions
    settings: RunSettings
    tests: dict[str, Path]
    threads: int

    @property
    def student(self) -> Path:
        """The file that a finished run has."""
        return self.folder / STUDENT_FILE


class StepCost(Callback):
    """CPU-seconds of the process during training steps, drawing of patches included, validation left out.

    Written with every validation, as the checkpoint is, so that a resumed run adds to it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.steps, self.cpu_s, self._since = 0, 0.0, 0.0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Take up the account of the steps that are already done."""
        if trainer.global_step and self.path.exists():
            before = read_json(self.path, COST_KIND, COST_SCHEMA)
            self.steps, self.cpu_s = before["steps"], before["cpu_s"]
        self._since = time.process_time()

    def on_train_batch_end(self, *_: object) -> None:
        """Add one step."""
        now = time.process_time()
        self.steps, self.cpu_s, self._since = self.steps + 1, self.cpu_s + now - self._since, now

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Write, and leave out what validation took."""
        self._write()
        self._since = time.process_time()

    def on_exception(self, *_: object) -> None:
        """Write what an interrupted run has done."""
        self._write()

    def _write(self) -> None:
        if self.steps:
            write_json(self.path, COST_KIND, COST_SCHEMA, {"steps": self.steps, "cpu_s": self.cpu_s})


def work(job: Job) -> Job:
    """Train what is not trained, score what is not scored."""
    torch.set_num_threads(job.threads)
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        _train_and_score(job)
    finally:
        signal.signal(signal.SIGTERM, before)
    return job


def _train_and_score(job: Job) -> None:
    if not job.student.exists():
        train(job)
    for name, images in job.tests.items():
        _score(job, name, images)


def train(job: Job) -> None:
    """Start a run, or go on from its last checkpoint."""
    going_on = (job.folder / "checkpoints" / LAST).exists()
    folder = RunFolder(job.folder, resume=going_on, overwrite=not going_on, quiet=True)
    cost = StepCost(job.folder / COST_FILE)
    distill_student(job.source, (), job.options, job.settings, folder, callbacks=[cost])


def scores_path(job: Job, name: str) -> Path:
    """The evaluation of a run on one test set."""
    return job.folder / "evaluations" / f"{name}.json"


def _score(job: Job, name: str, images: Path) -> None:
    path = scores_path(job, name)
    if path.exists() and read_json(path, KIND, SCHEMA)["student_sha256"] == sha256_file(job.student):
        return
    files = EvaluationFiles(scores=path, overwrite=True)
    run_evaluation(job.student, images, (None, None, 0), TILE, files, lambda paths, label: paths)


def run_all(jobs: Sequence[Job], processes: int, say: Callable[[Job], None]) -> None:
    """Run all jobs, `processes` at a time, in processes that are started once.

    A stop or the failure of one lets the others end their step and write a checkpoint. A pool fetches work
    ahead that cannot be taken back, so it is given no more than it can start.

    Raises:
        SnnToolError: a run failed or was interrupted, or a process died.
    """
    context = multiprocessing.get_context("spawn")
    waiting, running = deque(jobs), set[Future[Job]]()
    with ProcessPoolExecutor(min(processes, len(jobs)), mp_context=context, initializer=_alone) as pool:
        try:
            while waiting or running:
                while waiting and len(running) < processes:
                    running.add(pool.submit(work, waiting.popleft()))
                ended, running = wait(running, return_when=FIRST_COMPLETED)
                for future in ended:
                    say(future.result())
        except BaseException as error:
            for child in multiprocessing.active_children():
                child.terminate()
            if isinstance(error, BrokenExecutor):
                raise SnnToolError(
                    "a training process died; the same command goes on, try --jobs 1"
                ) from error
            raise


def _alone() -> None:
    """Leave Ctrl-C to the parent, which asks each run to stop once; a second request would kill it."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _stop(number: int, frame: FrameType | None) -> None:
    """Before and after its training a run has nothing to save."""
    raise Interrupted("interrupted; the same command goes on")
