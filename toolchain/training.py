"""Fitting a teacher or a student on a folder of images: data, Lightning, checkpoints, resume.

A run folder holds `settings.json` (what was asked), `metrics.csv`, `checkpoints/` and, at the end, a network.
The network that is kept is the one with the best PSNR on the validation split of the training images.
"""

import json
import logging
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from snn_tool.artifacts import read_json, refuse_existing, sha256_bytes, write_json
from snn_tool.degradations import Degradation
from snn_tool.errors import ArtifactError, ConfigError
from snn_tool.models.distillation import LossWeights
from snn_tool.patches import ImageSet, PatchBatches, ValidationSet
from snn_tool.settings import TrainingSettings
from snn_tool.training_callbacks import BEST, LAST, Checkpoints, GracefulInterrupt, ProgressBar, TrainingLog
from snn_tool.training_module import Guide, RestorationModule
from torch import nn
from torch.utils.data import DataLoader

RUN_KIND, RUN_SCHEMA = "training-run", 1


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Images in memory, split once: training patches and fixed validation crops."""

    training: ImageSet
    validation: ImageSet
    degradation: Degradation


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
    before = read_json(path, RUN_KIND, RUN_SCHEMA)
    wanted = json.loads(json.dumps(asked))
    for table, values in wanted.items():
        if values != before.get(table):
            raise ConfigError(
                f"{path}: this run was started with {table} = {json.dumps(before.get(table))}, not "
                f"{json.dumps(values)}; resume with the same options or start anew with --overwrite"
            )
    if not (folder.checkpoints / LAST).exists():
        raise ArtifactError(
            f"{folder.checkpoints / LAST}: no checkpoint to resume from; start with --overwrite"
        )


def native_bf16() -> bool:
    """Whether this processor multiplies bf16 natively (AVX512-BF16, AMX); elsewhere it is slow."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def resolve_precision(settings: TrainingSettings, device: str) -> str:
    """Lightning's name of the precision to use."""
    wants_bf16 = settings.precision == "bf16" or (
        settings.precision == "auto"
        and (native_bf16() if device == "cpu" else torch.cuda.is_bf16_supported())
    )
    return "bf16-mixed" if wants_bf16 else "32-true"


def resolve_device(settings: TrainingSettings) -> str:
    """`cpu` or `cuda`.

    Raises:
        ConfigError: cuda was asked for and there is none.
    """
    available = torch.cuda.is_available()
    if settings.device == "cuda" and not available:
        raise ConfigError(
            "--device cuda: torch sees no CUDA device; use --device cpu or install a CUDA build of torch"
        )
    return "cuda" if available and settings.device != "cpu" else "cpu"


def fit(
    network: nn.Module,
    data: TrainingData,
    settings: TrainingSettings,
    weights: LossWeights,
    guide: Guide | None,
    folder: RunFolder,
) -> dict[str, Any]:
    """Train `network` in place and leave the best weights in it.

    Returns:
        JSON values for the artefact's sidecar: steps, seed, validation PSNR in dB, hash of the settings.

    Raises:
        Interrupted: Ctrl-C; `last.ckpt` is written.
        ArtifactError: a checkpoint is damaged.
    """
    device = resolve_device(settings)
    module = RestorationModule(network, settings, weights, guide)
    module.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    checkpoints = Checkpoints(folder.checkpoints)
    trainer = _trainer(settings, device, checkpoints, folder)
    last = folder.checkpoints / LAST if folder.resume else None
    start = _step_of(last) if last else 0
    if start < settings.max_steps:
        _run(trainer, module, data, settings, start, last)
    return _keep_best(network, folder.checkpoints / BEST, settings)


def _run(
    trainer: lightning.Trainer,
    module: RestorationModule,
    data: TrainingData,
    settings: TrainingSettings,
    start: int,
    last: Path | None,
) -> None:
    patches = PatchBatches(
        data.training,
        settings.patch,
        settings.batch,
        settings.max_steps,
        data.degradation,
        settings.seed,
        start,
    )
    crops = ValidationSet(data.validation, data.degradation, settings.seed)
    loader = DataLoader(patches, batch_size=None)
    val_loader = DataLoader(crops, batch_size=None)
    with warnings.catch_warnings():
        # Lightning advises worker processes and epoch ends; patches take microseconds and have no epochs.
        warnings.filterwarnings("ignore", module="lightning.*")
        trainer.fit(module, loader, val_loader, ckpt_path=last, weights_only=True)


def _trainer(
    settings: TrainingSettings, device: str, checkpoints: Checkpoints, folder: RunFolder
) -> lightning.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    return lightning.Trainer(
        accelerator="gpu" if device == "cuda" else "cpu",
        devices=1,
        precision=resolve_precision(settings, device),  # type: ignore[arg-type]
        max_steps=settings.max_steps,
        val_check_interval=min(settings.validate_every, settings.max_steps),
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        gradient_clip_val=settings.clip,
        callbacks=[
            TrainingLog(folder.path / "metrics.csv"),
            checkpoints,
            GracefulInterrupt(checkpoints),
            ProgressBar(folder.path.name, settings.batch, folder.quiet),
        ],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        deterministic="warn" if device == "cuda" else True,
        inference_mode=False,
    )


def _read_checkpoint(path: Path) -> dict[str, Any]:
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


def _step_of(path: Path) -> int:
    return int(_read_checkpoint(path)["global_step"])


def _keep_best(network: nn.Module, path: Path, settings: TrainingSettings) -> dict[str, Any]:
    checkpoint = _read_checkpoint(path)
    prefix = "network."
    state = {k.removeprefix(prefix): v for k, v in checkpoint["state_dict"].items() if k.startswith(prefix)}
    network.load_state_dict(state)
    network.eval().cpu()
    figures = checkpoint["callbacks"][Checkpoints.__qualname__]
    return {
        "steps": settings.max_steps,
        "best_step": int(checkpoint["global_step"]),
        "seed": settings.seed,
        "validation_psnr_db": round(float(figures["best_psnr_db"]), 4),
    }


def data_hash(images: ImageSet) -> str:
    """One hash of the names and pixels of all training images, for the sidecar."""
    return sha256_bytes("".join(images.digests).encode())
