"""The folder of a run: what was asked (`settings.json`), the log, the checkpoints, and at last a network."""

import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from snn_tool.artifacts import read_json, refuse_existing, write_json
from snn_tool.errors import ArtifactError, ConfigError

RUN_KIND, RUN_SCHEMA = "training-run", 1
LAST, BEST = "last.ckpt", "best.ckpt"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where a run lives, and whether it starts, starts over, or goes on."""

    path: Path
    resume: bool
    overwrite: bool
    quiet: bool = False

    @property
    def checkpoints(self) -> Path:
        """The folder of `last.ckpt` and `best.ckpt`."""
        return self.path / "checkpoints"


def open_run(folder: RunFolder, asked: Mapping[str, Any]) -> None:
    """Prepare a run folder; a resumed run must have been asked for in the same words.

    Raises:
        ConfigError: the folder exists without --overwrite or --resume, or the settings differ (named).
        ArtifactError: nothing to resume.
    """
    path = folder.path / "settings.json"
    if not folder.resume:
        refuse_existing(folder.path, folder.overwrite)
        for stale in (folder.checkpoints / LAST, folder.checkpoints / BEST, folder.path / "metrics.csv"):
            stale.unlink(missing_ok=True)
        write_json(path, RUN_KIND, RUN_SCHEMA, asked)
        return
    require_same(path, asked)
    if not (folder.checkpoints / LAST).exists():
        raise ArtifactError(
            f"{folder.checkpoints / LAST}: no checkpoint to resume from; start with --overwrite"
        )


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
                f"{path}: this run was started with {table} = {json.dumps(before.get(table))}, not "
                f"{json.dumps(values)}; resume with the same options or start anew with --overwrite"
            )


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A Lightning checkpoint without unpickling code.

    Raises:
        ArtifactError: missing or damaged.
    """
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ArtifactError(
            f"{path}: not a readable checkpoint ({reason}); start anew with --overwrite"
        ) from error
    return checkpoint
