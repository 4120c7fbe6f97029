"""The folder of a run: what was asked (`settings.json`), the log, the checkpoints, and at last a network."""

import json
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from snn_tool.errors import ArtifactError, ConfigError
from snn_tool.files.artifacts import read_json, shown, write_json
from snn_tool.files.ownership import claim, disown, holding, is_kind, is_ours, owned_path, refuse_existing
from snn_tool.models.checkpoints import is_pair, sidecar_of
from snn_tool.models.student import STUDENT_KIND
from snn_tool.models.teachers.registry import TEACHER_KIND
from snn_tool.models.teachers.weights import reason_of
from snn_tool.training.curves import CURVES, TITLE
from snn_tool.training.live_logs import Chosen
from snn_tool.training.options import CSV

RUN_KIND, RUN_SCHEMA = "training-run", 1
LAST, BEST = "last.ckpt", "best.ckpt"
SETTINGS, METRICS = "settings.json", "metrics.csv"
CHOSEN = "chosen"
"""In settings.json: what the machine decided, beside what was asked."""
VALIDATION = "val_psnr_db"
COLUMNS = (
    *("step", VALIDATION, "lr", "loss", "loss_l1", "loss_mse", "loss_fft", "loss_output"),
    *("loss_hints", "loss_synops", "synops_per_px"),
)
"""Of metrics.csv; if validation crops are from several folders, one of each follows, named by `of_folder`."""


def of_folder(folder: str) -> str:
    """The column, and the name in logs, of the validation PSNR of one folder's crops."""
    return f"{VALIDATION}/{folder}"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where a run lives, whether it starts, starts over, or goes on, and who is told of it meanwhile."""

    path: Path
    resume: bool
    overwrite: bool
    quiet: bool = False
    logger: Chosen = CSV

    @property
    def checkpoints(self) -> Path:
        """The folder of `last.ckpt` and `best.ckpt`."""
        return self.path / "checkpoints"

    @property
    def logs(self) -> tuple[Path, Path]:
        """The log, and the picture that is drawn of it."""
        return self.path / METRICS, self.path / CURVES


def open_run(folder: RunFolder, asked: Mapping[str, Any], network: str = "") -> None:
    """Prepare a run folder; a resumed run must have been asked for in the same words.

    Args:
        folder: of the run.
        asked: what defines it.
        network: file name of the tensors that it will end with, if it writes any.

    Raises:
        ConfigError: the folder exists without --overwrite or --resume, the settings differ (named), or a
            file that is not of a run has the name of one.
        ArtifactError: nothing to resume.
    """
    path = folder.path / SETTINGS
    if not folder.resume:
        refuse_existing(folder.path, folder.overwrite)
        claim_run(folder, network)
        disown((folder.checkpoints / LAST, folder.checkpoints / BEST, *folder.logs))
        write_json(path, RUN_KIND, RUN_SCHEMA, asked, owned_path)
        return
    require_same(path, asked)
    last = folder.checkpoints / LAST
    if not last.exists():
        raise ArtifactError(f"{last}: no checkpoint to resume from; start with --overwrite")
    if not is_ours(last):
        read_checkpoint(last)  # a damaged one is better called so
    claim_run(folder, network)


def recorded_threads(folder: RunFolder) -> int | None:
    """The number of threads that a run was started with; None if it left that to torch."""
    chosen = read_json(folder.path / SETTINGS, RUN_KIND, RUN_SCHEMA).get(CHOSEN)
    threads = chosen.get("threads") if isinstance(chosen, Mapping) else None
    return threads if type(threads) is int and threads > 0 else None


def record_threads(folder: RunFolder, threads: int) -> None:
    """Write down how many threads a run is on, for when it is resumed."""
    path = folder.path / SETTINGS
    asked = read_json(path, RUN_KIND, RUN_SCHEMA)
    body = {key: value for key, value in asked.items() if key not in ("kind", "schema", "tool_version")}
    write_json(path, RUN_KIND, RUN_SCHEMA, {**body, CHOSEN: {"threads": threads}}, owned_path)


def claim_run(folder: RunFolder, network: str = "") -> None:
    """Make sure that only files of a run stand where the run will write.

    Raises:
        ConfigError: others do; they are named.
    """
    tensors = folder.path / (network or "none")
    pair = (tensors, sidecar_of(tensors)) if network else ()
    checkpoints = (folder.checkpoints / LAST, folder.checkpoints / BEST)
    claim((folder.path / SETTINGS, *folder.logs, *checkpoints, *pair), _is_of_a_run)


def _is_of_a_run(path: Path) -> bool:
    """Whether a file that no ledger knows was written by a run of an older version, by its content."""
    if path.name == SETTINGS:
        return is_kind(path, RUN_KIND)
    if path.name == METRICS:
        # Columns may have been added since; the first three never changed.
        return path.read_bytes().startswith(",".join(COLUMNS[:3]).encode())
    if path.name == CURVES:
        return holding(TITLE.encode())(path)
    if path.suffix == ".ckpt":
        try:
            read_checkpoint(path)
        except ArtifactError:
            return False
        return True
    return any(is_pair(path, kind) for kind in (STUDENT_KIND, TEACHER_KIND))


def require_same(path: Path, asked: Mapping[str, Any]) -> None:
    """Compare each value of `asked` with what a run's `settings.json` says.

    Raises:
        ConfigError: the first difference, with both values.
        ArtifactError: the file is missing or damaged.
    """
    before = read_json(path, RUN_KIND, RUN_SCHEMA)
    wanted = json.loads(json.dumps(asked))
    for table, values in wanted.items():
        if values != before.get(table):
            raise ConfigError(
                f"{path}: this run was started with {table} = {shown(before.get(table), 400)}, not "
                f"{shown(values, 400)}; resume with the same options or start anew with --overwrite"
            )


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A Lightning checkpoint of this tool, without unpickling code.

    Raises:
        ArtifactError: missing, damaged, or the checkpoint of something else.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of a pickle's protocol
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _unreadable(path, "it holds pickled objects, or is no torch file") from error
    except MemoryError:
        raise  # no fault of the file
    except Exception as error:  # foreign reader: what damaged bytes make it raise has no end
        reason = getattr(error, "strerror", None) or reason_of(error)
        raise _unreadable(path, reason) from error
    if not _is_of_training(checkpoint):
        raise _unreadable(path, "it lacks what a training run keeps")
    return dict(checkpoint)


def _unreadable(path: Path, reason: str) -> ArtifactError:
    return ArtifactError(
        f"{path}: not a readable checkpoint ({reason}); remove it and start anew with --overwrite"
    )


def _is_of_training(checkpoint: Any) -> bool:
    """Whether what is read of a checkpoint here is there: the step, the tensors, the best figure so far."""
    if not isinstance(checkpoint, Mapping):
        return False
    step, tensors, kept = (checkpoint.get(key) for key in ("global_step", "state_dict", "callbacks"))
    best = kept.get("Checkpoints") if isinstance(kept, Mapping) else None
    return (
        type(step) is int
        and isinstance(tensors, Mapping)
        and all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in tensors.items())
        and isinstance(best, Mapping)
        and isinstance(best.get("best_psnr_db"), float)
    )
