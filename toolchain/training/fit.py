"""Fitting a network on images in memory: Lightning, checkpoints, resume, one process or several.

The network that is kept is the one with the best PSNR on the validation split of the training images.
"""

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, WeightAveraging
from snn_tool.degradations.pairs import Source
from snn_tool.errors import ConfigError
from snn_tool.files.artifacts import sha256_bytes
from snn_tool.models.checkpoints import load_into
from snn_tool.models.config import LossWeights, StudentConfig
from snn_tool.models.integer.training import round_parameters
from snn_tool.models.network import Network
from snn_tool.ranks import is_first, processes_per_node, shard, world_size
from snn_tool.training.callbacks import Checkpoints, GracefulInterrupt, ProgressBar, TrainingLog
from snn_tool.training.curves import write_curves
from snn_tool.training.data import ImageSet, PatchBatches, ValidationSet
from snn_tool.training.live_logs import EVERY_STEPS, logger_of
from snn_tool.training.module import Batch, Guide, RestorationModule
from snn_tool.training.run_folder import (
    BEST,
    LAST,
    METRICS,
    SETTINGS,
    RunFolder,
    read_checkpoint,
    record_threads,
    recorded_threads,
)
from snn_tool.training.settings import AUTO, TrainingSettings
from snn_tool.training.threads import available, running_on, try_out
from torch import Tensor, nn
from torch.utils.data import DataLoader

LOGGER = logging.getLogger("snn_tool")
FP32 = "32-true"


def native_bf16() -> bool:
    """Whether this processor multiplies bf16 natively (AVX512-BF16, AMX); elsewhere it is slow."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def resolve_precision(settings: TrainingSettings, device: str) -> str:
    """Lightning's name of the precision to use."""
    wants_bf16 = settings.precision == "bf16" or (
        settings.precision == "auto"
        and (native_bf16() if device == "cpu" else torch.cuda.is_bf16_supported())
    )
    if wants_bf16 and device == "cpu" and not native_bf16():
        LOGGER.warning(
            "--precision bf16: this processor has neither AMX nor AVX512-BF16, so that steps take about ten "
            "times as long as in fp32, which 'auto' takes"
        )
    return "bf16-mixed" if wants_bf16 else FP32


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


class WeightAverage(WeightAveraging):
    """Lightning's exponential moving average, with a warm-up of its decay.

        w <- d w + (1 - d) v        d = min(decay, (1 + n) / (10 + n))

    n is the number of averaged steps. Without the warm-up a run of a few hundred steps would end with little
    more than its first weights. During validation, and in `state_dict` of every checkpoint, the averaged
    weights stand in the network's place; the others travel beside them: a resumed run goes on exactly.
    """

    def __init__(self, decay: float) -> None:
        def average(averaged: Tensor, current: Tensor, steps: Tensor | int) -> Tensor:
            taken = float(steps)
            factor = min(decay, (1 + taken) / (10 + taken))
            return factor * averaged + (1 - factor) * current

        super().__init__(avg_fn=average)


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Images in memory, split once by `split_seed`: training patches and fixed validation crops."""

    training: ImageSet
    validation: ImageSet
    degradation: Source
    split_seed: int

    @property
    def crops(self) -> ValidationSet:
        """The degraded and clean validation crops, the same for every run of this split."""
        return ValidationSet(self.validation, self.degradation, self.split_seed)


def fit(
    network: nn.Module,
    data: TrainingData,
    settings: TrainingSettings,
    weights: LossWeights,
    guide: Guide | None,
    folder: RunFolder,
    student: StudentConfig | None = None,
    callbacks: Sequence[Callback] = (),
) -> dict[str, Any]:
    """Train `network` in place and leave the best weights in it.

    Args:
        network: a teacher, or a student.
        data: what it learns from and is validated on.
        settings: the optimisation.
        weights: of the loss terms.
        guide: the teacher.
        folder: where the run is kept.
        student: the student's configuration.
        callbacks: run after this tool's own.

    Returns:
        JSON values for the artefact's sidecar: steps, seed, validation PSNR in dB, hash of the settings.

    Raises:
        Interrupted: Ctrl-C, SIGTERM or SIGHUP; `last.ckpt` is written.
        ArtifactError: a checkpoint is damaged.
        ConfigError: the batch cannot be shared equally by the processes of torchrun, or there is no such
            logger.
        BackendUnavailableError: the logger is not installed.
    """
    device = resolve_device(settings)
    crops = data.crops
    module = RestorationModule(network, settings, weights, guide, student, crops.folders)
    module.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    trainer = _trainer(settings, device, folder, [*_callbacks(settings, folder, crops), *callbacks])
    last = folder.checkpoints / LAST if folder.resume else None
    start = int(read_checkpoint(last)["global_step"]) if last else 0
    if start < settings.max_steps:
        patches = _patches(data, settings, start)
        with running_on(_threads(settings, device, folder, module, patches)):
            _run(trainer, module, patches, crops, last)
    if is_first():
        write_curves(folder.path / METRICS)
    account = _keep_best(network, folder.checkpoints / BEST, settings)
    if module.rounding_from is not None and student:
        assert isinstance(network, Network)
        round_parameters(network, student)
    return account


def _threads(
    settings: TrainingSettings,
    device: str,
    folder: RunFolder,
    module: RestorationModule,
    patches: PatchBatches,
) -> int | None:
    """How many threads to train on, kept in the run folder for a resume; None leaves it to torch."""
    known = (folder.path / SETTINGS).exists()
    before = recorded_threads(folder) if folder.resume and known else None
    if not isinstance(settings.threads, int) and before is not None:
        return before
    if settings.threads is None or (settings.threads == AUTO and device == "cuda"):
        return None
    if isinstance(settings.threads, int):
        threads = settings.threads
    elif world_size() > 1:
        threads = max(1, available() // processes_per_node())
    else:
        threads = _tried(settings, device, module, patches)
    if known and is_first():
        record_threads(folder, threads)
    return threads


def _tried(settings: TrainingSettings, device: str, module: RestorationModule, patches: PatchBatches) -> int:
    """The number of threads on which a step of the first batch is fastest."""
    batch = patches.draw(patches.start_step)
    in_bf16 = resolve_precision(settings, device) != FP32
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=in_bf16):
        optimizer = module.configure_optimizers()["optimizer"]
        found = try_out(module, lambda: module.loss_of(batch)[0], optimizer)
    (LOGGER.warning if found.shared else LOGGER.info)(found.text())
    return found.threads


def first_batch(data: TrainingData, settings: TrainingSettings) -> Batch:
    """What the first step of a run sees in this process."""
    return _patches(data, settings, 0).draw(0)


def _patches(data: TrainingData, settings: TrainingSettings, start: int) -> PatchBatches:
    """The batches of a run from a step on, for this process.

    Raises:
        ConfigError: those of a later stage cannot be shared equally by the processes of torchrun.
    """
    for stage in settings.stages[1:]:
        if stage.batch % world_size():
            raise ConfigError(
                f"training.batch = {settings.batch} leaves {stage.batch} patches of {stage.side} pixels, "
                f"which {world_size()} processes cannot share equally; use a larger one"
            )
    return PatchBatches(
        data.training, settings.stages, data.degradation, settings.seed, settings.balance, start, shard
    )


def _run(
    trainer: lightning.Trainer,
    module: RestorationModule,
    patches: PatchBatches,
    crops: ValidationSet,
    last: Path | None,
) -> None:
    loader = DataLoader(patches, batch_size=None)
    val_loader = DataLoader(crops, batch_size=None)
    with warnings.catch_warnings():
        # Lightning advises worker processes and epoch ends; patches take microseconds and have no epochs.
        warnings.filterwarnings("ignore", module="lightning.*")
        trainer.fit(module, loader, val_loader, ckpt_path=last, weights_only=True)
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, GracefulInterrupt):
            callback.raise_if_asked(trainer.global_step)


def _trainer(
    settings: TrainingSettings, device: str, folder: RunFolder, callbacks: Sequence[Callback]
) -> lightning.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    return lightning.Trainer(
        accelerator="gpu" if device == "cuda" else "cpu",
        devices=processes_per_node(),
        num_nodes=world_size() // processes_per_node(),
        strategy="ddp" if world_size() > 1 else "auto",
        precision=resolve_precision(settings, device),  # type: ignore[arg-type]
        max_steps=settings.max_steps,
        val_check_interval=min(settings.validate_every, settings.max_steps),
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        gradient_clip_val=settings.clip,
        callbacks=list(callbacks),
        logger=logger_of(folder.logger, folder.path, folder.resume) or False,
        log_every_n_steps=EVERY_STEPS,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        deterministic="warn" if device == "cuda" else True,
        inference_mode=False,
    )


def _callbacks(settings: TrainingSettings, folder: RunFolder, crops: ValidationSet) -> list[Callback]:
    """In the order in which they must run: the average is up to date before anything is measured or saved."""
    checkpoints = Checkpoints(folder.checkpoints)
    chosen: list[Callback] = [WeightAverage(settings.ema)] if settings.ema else []
    if is_first():
        chosen.append(TrainingLog(folder.path / METRICS, crops.folders))
    chosen += [checkpoints, GracefulInterrupt(checkpoints)]
    if is_first():
        chosen.append(ProgressBar(folder.path.name, settings.stages, folder.quiet))
    return chosen


def _keep_best(network: nn.Module, path: Path, settings: TrainingSettings) -> dict[str, Any]:
    checkpoint = read_checkpoint(path)
    prefix = "network."
    state = {k.removeprefix(prefix): v for k, v in checkpoint["state_dict"].items() if k.startswith(prefix)}
    load_into(network, state, path)
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
