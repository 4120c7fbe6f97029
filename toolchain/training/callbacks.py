"""What happens beside the optimisation: checkpoints, the CSV log, the progress bar, Ctrl-C."""

import csv
import io
import re
import signal
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from rich.progress import TaskID
from snn_tool.errors import ArtifactError, Interrupted, first_line
from snn_tool.files.artifacts import shown, write_text
from snn_tool.files.ownership import owned_path
from snn_tool.signals import WORDS, end_at_once, give_back, leave_closed_terminal, take_over
from snn_tool.tables import printable
from snn_tool.terminal import LONGEST_LABEL, progress
from snn_tool.training.patches import Stage, stage_at
from snn_tool.training.run_folder import BEST, COLUMNS, LAST, VALIDATION, of_folder
from torch import Tensor

STEP = re.compile(r"[0-9]{1,18}")


class Checkpoints(Callback):
    """Keeps `last.ckpt` and `best.ckpt` (by validation PSNR), replaced by a rename: a kill loses none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.best_psnr_db = float("-inf")

    def state_dict(self) -> dict[str, Any]:
        """The best validation figure so far travels with the checkpoint."""
        return {"best_psnr_db": self.best_psnr_db}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the best figure up again after a resume."""
        self.best_psnr_db = state_dict["best_psnr_db"]

    def save(self, trainer: lightning.Trainer, name: str) -> None:
        """Write one checkpoint atomically; every process takes part, the first one writes.

        Raises:
            ArtifactError: the folder cannot be written or the disk is full; the old checkpoint stays whole.
        """
        if trainer.is_global_zero:
            self._write(trainer, name)
        else:
            trainer.save_checkpoint(self.folder / name)
        trainer.strategy.barrier()

    def _write(self, trainer: lightning.Trainer, name: str) -> None:
        with owned_path(self.folder / name) as part:
            try:
                trainer.save_checkpoint(part)
            except RuntimeError as error:
                # torch's writer says of a full disk that a position was unexpected.
                reason = first_line(error)
                raise ArtifactError(
                    f"{self.folder / name}: cannot be written ({reason}); free some space"
                ) from error

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """After each validation: the best so far, then the last, which already knows the best figure."""
        psnr_db = float(trainer.callback_metrics[VALIDATION])
        if psnr_db > self.best_psnr_db:
            self.best_psnr_db = psnr_db
            self.save(trainer, BEST)
        self.save(trainer, LAST)


class TrainingLog(Callback):
    """`metrics.csv`: one line per validation, losses and synops as means since the line before.

    After a resume the lines of later steps are dropped and written again; the sums since the last line travel
    with the checkpoint, so that an interrupted run ends with the file of a whole one.

    Args:
        path: of the file.
        folders: of the validation crops, each of which has a column if there are several.
    """

    def __init__(self, path: Path, folders: Sequence[str] = ()) -> None:
        self.path = path
        several = sorted(set(folders)) if len(set(folders)) > 1 else ()
        self._of_folders = tuple(map(of_folder, several))
        self.rows: list[dict[str, str]] = []
        self._sums: dict[str, Tensor] = {}
        self._steps = 0

    def state_dict(self) -> dict[str, Any]:
        """What the steps since the last line add up to, and how many they are."""
        return {"sums": dict(self._sums), "steps": self._steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on adding after a resume."""
        self._sums, self._steps = dict(state_dict["sums"]), state_dict["steps"]

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Take up the lines of the steps that are already done."""
        if self.path.exists() and trainer.global_step > 0:
            self.rows = [row for row in self.read() if int(row["step"]) <= trainer.global_step]

    def read(self) -> list[dict[str, str]]:
        """The lines so far.

        Raises:
            ArtifactError: the file is none that was written here.
        """
        try:
            with self.path.open(newline="", encoding="utf-8") as stream:
                reader = csv.DictReader(stream, strict=True)
                rows = list(reader)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise ArtifactError(
                f"{self.path}: cannot be read ({error}); start anew with --overwrite"
            ) from error
        for row in rows:
            if (
                tuple(row) != COLUMNS + self._of_folders
                or None in row.values()
                or not STEP.fullmatch(row["step"])
            ):
                raise ArtifactError(
                    f"{self.path}: line {shown(','.join(map(str, row.values())))} is none of a training log; "
                    "start anew with --overwrite"
                )
        return rows

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any
    ) -> None:
        """Add this step's losses to the running sums."""
        for name, value in trainer.callback_metrics.items():
            if name.startswith("loss") or name == "synops_per_px":
                self._sums[name] = self._sums.get(name, torch.zeros(())) + value.cpu()
        self._steps += 1

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Add a line and rewrite the file."""
        losses = {name: f"{float(total) / self._steps:.6g}" for name, total in self._sums.items()}
        self._sums, self._steps = {}, 0
        lr = trainer.optimizers[0].param_groups[0]["lr"]
        figures = {
            name: f"{float(trainer.callback_metrics[name]):.4f}" for name in (VALIDATION, *self._of_folders)
        }
        row = {"step": str(trainer.global_step), "lr": f"{lr:.6g}", **figures, **losses}
        self.rows = [r for r in self.rows if r["step"] != row["step"]] + [row]
        text = io.StringIO()
        columns = COLUMNS + self._of_folders
        writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self.path, text.getvalue(), owned_path)


class ProgressBar(Callback):
    """A bar on stderr with steps, patches per second, the loss and the time left."""

    def __init__(self, label: str, stages: Sequence[Stage], quiet: bool) -> None:
        self._stages = stages
        self._label = printable(label, LONGEST_LABEL)
        counter = "{task.completed}/{task.total} steps"
        self._bar = progress(counter, "figures", quiet=quiet, refresh_per_second=2)
        self._task: TaskID | None = None

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Show the bar at the resumed step."""
        total = trainer.max_steps
        done = trainer.global_step
        self._task = self._bar.add_task(self._label, total=total, completed=done, rate="", figures="")
        self._bar.start()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any
    ) -> None:
        """Advance."""
        assert self._task is not None
        speed = self._bar.tasks[0].speed
        patches = stage_at(self._stages, trainer.global_step - 1).batch
        rate = f"{speed * patches:.0f} patches/s" if speed else ""
        figures = f"loss {float(trainer.callback_metrics['loss']):.4f}"
        if VALIDATION in trainer.callback_metrics:
            figures += f"  val {float(trainer.callback_metrics[VALIDATION]):.2f} dB"
        self._bar.update(self._task, completed=trainer.global_step, rate=rate, figures=figures)

    def teardown(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Give the terminal back, also after an error."""
        self._bar.stop()


class GracefulInterrupt(Callback):
    """Ctrl-C, SIGTERM or SIGHUP ends the step, writes `last.ckpt` and stops; a second Ctrl-C kills."""

    def __init__(self, checkpoints: Checkpoints) -> None:
        self.checkpoints = checkpoints
        self._asked: int | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Take the signals over for the time of the training."""
        self._previous = take_over(self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        leave_closed_terminal()
        if self._asked is None:
            self._asked = number
        elif number == signal.SIGINT:
            end_at_once(number)

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Stop between two steps, where weights, optimiser and Lightning's counters agree.

        Raises:
            Interrupted: the checkpoint is written; the message says how to resume.
        """
        if trainer.strategy.reduce_boolean_decision(self._asked is not None, all=False):
            # Lightning has already counted the coming step as ready and, after a resume, would validate one
            # step early; the trackers' own method takes that back, which it does not do for the totals.
            progress = trainer.fit_loop.epoch_loop.batch_progress
            progress.total.reset_on_restart()
            progress.current.reset_on_restart()
            self.checkpoints.save(trainer, LAST)
            self._raise(trainer.global_step)

    def _raise(self, step: int) -> NoReturn:
        number = signal.Signals(self._asked or signal.SIGINT)  # another process of torchrun was asked
        self._asked = None
        raise Interrupted(
            f"{WORDS[number]} at step {step}; the same command with --resume goes on", 128 + number
        )

    def raise_if_asked(self, step: int) -> None:
        """After the training: stop now, if the signal came too late to stop between two steps.

        Raises:
            Interrupted: as above; the last validation wrote the checkpoint.
        """
        if self._asked is not None:
            self._raise(step)

    def teardown(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Give the signals back."""
        give_back(self._previous)
        self._previous = {}
