"""Settings of a training run: dataclasses filled from a TOML file, then from the command line."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, TypeVar

from msgspec import Meta
from snn_tool.errors import ConfigError
from snn_tool.files.artifacts import shown
from snn_tool.files.documents import Count, NotNegative, Positive, check_fields, convert, one_of, read_toml
from snn_tool.flags import Flag, grouped
from snn_tool.models.config import BODIES, NEURONS, LossWeights, StudentConfig, default_config
from snn_tool.training.patches import BALANCES, IMAGES, SIDES, Stage, stages_of

PRECISIONS = ("auto", "fp32", "bf16")
DEVICES = ("cpu", "cuda", "auto")
OPTIMIZERS = ("muon", "adamw")
Steps = Annotated[int, Meta(ge=1, le=1_000_000_000)]
AUTO, MOST_THREADS = "auto", 1024


@grouped("Training")
@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """The optimisation: Muon or AdamW, linear warm-up, cosine to zero, gradient clipping.

    Attributes:
        max_steps: optimiser steps; each sees `batch` patches of `patch` x `patch` pixels.
        patch: a side, or sides with their steps, as `patches.stages_of` reads them; `batch` is of the first.
        balance: for how much a folder of images counts when patches are drawn, as `data.Draw` says.
        optimizer: `muon` (Muon for the hidden kernels, AdamW for all else) or `adamw`.
        lr: AdamW's peak learning rate.
        kernel_lr: Muon's.
        warmup: steps of linear warm-up.
        clip: largest gradient norm.
        ema: decay of the moving average of the weights that is validated and kept; 0 keeps the weights.
        qat: fraction of the steps, at the end, that train a student's weights as the integers round them; its
            validations then measure those from the first step on, and they are what is kept. 0 is off; a
            teacher ignores it.
        synop_budget: synaptic operations per pixel beyond which a student's loss rises; 0 is off.
        validate_every: steps between validations, checkpoints and lines of the log.
        seed: of weights, patches, noise and the validation split.
        device: `cpu`, `cuda`, or `auto` (cuda when there is one).
        precision: `bf16`, `fp32`, or `auto` (bf16 where the processor has native support).
        threads: of a CPU; a number, `auto` for the fastest of some, or None for torch's own.
    """

    max_steps: Annotated[Steps, Flag("Optimiser steps.")] = 4000
    batch: Annotated[int, Meta(ge=1, le=1 << 16), Flag("Patches per step.")] = 8
    patch: Annotated[
        int | str,
        Meta(extra={"allowed": SIDES}),
        Flag("Patch side in pixels, or sides with their steps, e.g. 48:8000,96:4000,192."),
    ] = 48
    balance: Annotated[
        str,
        one_of(*BALANCES),
        Flag(
            "How folders of images share the patches: as their images, by the square roots of their numbers, "
            "or equally."
        ),
    ] = IMAGES
    optimizer: Annotated[str, one_of(*OPTIMIZERS), Flag("Optimiser of the hidden kernels.")] = "muon"
    lr: Annotated[Positive, Flag("AdamW's peak learning rate.")] = 2.5e-3
    kernel_lr: Annotated[Positive, Flag("Muon's peak learning rate.")] = 0.02
    warmup: Annotated[Count, Flag("Steps of linear warm-up.")] = 50
    clip: Positive = 1.0
    ema: Annotated[
        float,
        Meta(ge=0, lt=1, extra={"allowed": "0 (off) to below 1, like 0.999"}),
        Flag("Decay of the weights' moving average."),
    ] = 0.0
    qat: Annotated[
        float,
        Meta(ge=0, le=1, extra={"allowed": "0 (off) to 1 (all steps)"}),
        Flag("Last fraction of the steps, trained as the integers round."),
    ] = 0.2
    synop_budget: Annotated[NotNegative, Flag("Synops per pixel to stay below; 0 is no budget.")] = 0.0
    weight_decay: NotNegative = 1e-4
    validate_every: Annotated[Steps, Flag("Steps per validation.")] = 500
    seed: Annotated[int, Meta(ge=0, lt=1 << 32), Flag("Seed of weights, patches, noise, split.")] = 0
    device: Annotated[str, one_of(*DEVICES), Flag("Where it is trained.")] = "auto"
    precision: Annotated[str, one_of(*PRECISIONS), Flag("Of the arithmetic.")] = "auto"

    threads: Annotated[
        int | str | None,
        Flag(
            "Threads of a CPU: a number, or 'auto', which tries some at the start.",
            shown="all, or OMP_NUM_THREADS",
        ),
    ] = None

    def __post_init__(self) -> None:
        """Refuse values that cannot train.

        Raises:
            ConfigError: names the key and what is allowed.
        """
        check_fields(self, "", prefix=("training",))
        if isinstance(self.patch, str) and self.patch.isdecimal():
            object.__setattr__(self, "patch", int(self.patch))  # the command line knows words alone
        if isinstance(self.threads, str) and self.threads.isdecimal():
            object.__setattr__(self, "threads", int(self.threads))
        check_threads(self.threads)
        stages_of(self.patch, self.batch, self.max_steps)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The sizes of patches, one after the other."""
        return stages_of(self.patch, self.batch, self.max_steps)

    def describe(self) -> dict[str, Any]:
        """JSON values; what came later is left out where it is the default, as older runs lack it.

        The number of threads is none of what was asked for: a run may go on with another.
        """
        newer = {"balance": IMAGES, "threads": self.threads}
        return {key: value for key, value in asdict(self).items() if (key, value) not in newer.items()}


def check_threads(threads: int | str | None) -> None:
    """Refuse what is no number of threads.

    Raises:
        ConfigError: it names what is allowed.
    """
    if threads in (None, AUTO) or (isinstance(threads, int) and 1 <= threads <= MOST_THREADS):
        return
    raise ConfigError(
        f"training.threads = {shown(threads)} is not allowed; use {AUTO} or a whole number from 1 to "
        f"{MOST_THREADS}"
    )


@dataclass(frozen=True, slots=True)
class RunSettings:
    """Everything a run's config file may hold, one table each."""

    training: TrainingSettings
    loss: LossWeights
    student: StudentConfig


def load_settings(path: Path | None, overrides: Mapping[str, Mapping[str, Any]]) -> RunSettings:
    """Defaults, then the file, then `overrides` (table -> key -> value; None values are ignored).

    Raises:
        ConfigError: the file is missing, not TOML, or holds an unknown table or key (valid ones are named).
    """
    where = str(path) if path else ""
    document = convert(read_toml(path) if path else {}, dict[str, dict[str, Any]], where, ConfigError)
    tables = {field.name for field in fields(RunSettings)}
    if unknown := sorted(set(document) - tables):
        raise ConfigError(f"{where}: unknown table {shown(unknown[0])}; use {', '.join(sorted(tables))}")
    given = {
        table: {
            **document.get(table, {}),
            **{k: v for k, v in overrides.get(table, {}).items() if v is not None},
        }
        for table in tables
    }
    neuron, body = given["student"].get("neuron"), given["student"].get("body")
    student = default_config(neuron if neuron in NEURONS else "graded", body if body in BODIES else "unet")
    return RunSettings(
        training=_filled(TrainingSettings(), given["training"], "training", where),
        loss=_filled(LossWeights(), given["loss"], "loss", where),
        student=_filled(student, given["student"], "student", where),
    )


_Section = TypeVar("_Section", TrainingSettings, LossWeights, StudentConfig)


def _filled(section: _Section, given: Mapping[str, Any], table: str, where: str) -> _Section:
    """A section with other values."""
    return convert({**asdict(section), **given}, type(section), where, ConfigError, prefix=(table,))
