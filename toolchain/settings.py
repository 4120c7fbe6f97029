"""Settings of a training run: dataclasses filled from a TOML file, then from the command line."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from snn_tool.errors import ConfigError
from snn_tool.models.distillation import LossWeights
from snn_tool.models.student import StudentConfig, default_config

PRECISIONS = ("auto", "fp32", "bf16")
DEVICES = ("cpu", "cuda", "auto")
OPTIMIZERS = ("muon", "adamw")


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """The optimisation: Muon or AdamW, linear warm-up, cosine to zero, gradient clipping.

    Attributes:
        max_steps: optimiser steps; each sees `batch` patches of `patch` x `patch` pixels.
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
    """

    max_steps: int = 4000
    batch: int = 8
    patch: int = 48
    optimizer: str = "muon"
    lr: float = 2.5e-3
    kernel_lr: float = 0.02
    warmup: int = 50
    clip: float = 1.0
    ema: float = 0.0
    qat: float = 0.2
    synop_budget: float = 0.0
    weight_decay: float = 1e-4
    validate_every: int = 500
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"

    def __post_init__(self) -> None:
        """Refuse values that cannot train.

        Raises:
            ConfigError: names the key and what is allowed.
        """
        for key in ("max_steps", "batch", "validate_every"):
            if getattr(self, key) < 1:
                raise ConfigError(f"training.{key} = {getattr(self, key)} is not allowed; use 1 or more")
        if self.patch < 16 or self.patch % 8:
            raise ConfigError(f"training.patch = {self.patch} is not allowed; use a multiple of 8 from 16 on")
        for key in ("lr", "kernel_lr", "clip"):
            if not 0 < getattr(self, key) < float("inf"):
                raise ConfigError(
                    f"training.{key} = {getattr(self, key)} is not allowed; use a positive number"
                )
        if not 0 <= self.ema < 1:
            raise ConfigError(f"training.ema = {self.ema} is not allowed; use 0 (off) to below 1, like 0.999")
        if not 0 <= self.qat <= 1:
            raise ConfigError(f"training.qat = {self.qat} is not allowed; use 0 (off) to 1 (all steps)")
        if not 0 <= self.synop_budget < float("inf"):
            raise ConfigError(
                f"training.synop_budget = {self.synop_budget} is not allowed; use synops per pixel, 0 is off"
            )
        if self.weight_decay < 0 or self.warmup < 0 or self.seed < 0:
            raise ConfigError("training.weight_decay, training.warmup and training.seed must not be negative")
        if self.optimizer not in OPTIMIZERS:
            raise ConfigError(
                f"training.optimizer = '{self.optimizer}' is not allowed; use {', '.join(OPTIMIZERS)}"
            )
        if self.device not in DEVICES:
            raise ConfigError(f"training.device = '{self.device}' is not allowed; use {', '.join(DEVICES)}")
        if self.precision not in PRECISIONS:
            raise ConfigError(
                f"training.precision = '{self.precision}' is not allowed; use {', '.join(PRECISIONS)}"
            )


@dataclass(frozen=True, slots=True)
class RunSettings:
    """Everything a run's config file may hold, one table each."""

    training: TrainingSettings
    loss: LossWeights
    student: StudentConfig


_Section = TypeVar("_Section", TrainingSettings, LossWeights, StudentConfig)


def load_settings(path: Path | None, overrides: Mapping[str, Mapping[str, Any]]) -> RunSettings:
    """Defaults, then the file, then `overrides` (table -> key -> value; None values are ignored).

    Raises:
        ConfigError: the file is missing, not TOML, or holds an unknown table or key (valid ones are named).
    """
    document = _read_toml(path) if path else {}
    tables = {field.name for field in fields(RunSettings)}
    if unknown := sorted(set(document) - tables):
        raise ConfigError(f"{path}: unknown table '{unknown[0]}'; use {', '.join(sorted(tables))}")
    for table, values in document.items():
        if not isinstance(values, Mapping):
            raise ConfigError(f"{path}: '{table}' must be a table")
    merged = {
        table: {
            **document.get(table, {}),
            **{k: v for k, v in overrides.get(table, {}).items() if v is not None},
        }
        for table in tables
    }
    student = default_config(merged["student"].get("neuron", "graded"), merged["student"].get("body", "unet"))
    return RunSettings(
        training=_fill(TrainingSettings(), merged["training"], "training", path),
        loss=_fill(LossWeights(), merged["loss"], "loss", path),
        student=_fill(student, merged["student"], "student", path),
    )


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a TOML file ({error})") from error


def _fill(section: _Section, values: Mapping[str, Any], table: str, path: Path | None) -> _Section:
    where = f"{path}: " if path else ""
    defaults = {field.name: getattr(section, field.name) for field in fields(section)}
    if unknown := sorted(set(values) - set(defaults)):
        raise ConfigError(
            f"{where}unknown key '{table}.{unknown[0]}'; valid keys: {', '.join(sorted(defaults))}"
        )
    given: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
    }
    for key, value in given.items():
        if isinstance(defaults[key], tuple):
            _require_names(value, f"{where}{table}.{key}")
            continue
        wanted = float if isinstance(defaults[key], float) else type(defaults[key])
        same_kind = isinstance(value, int | float) if wanted is float else isinstance(value, wanted)
        if not same_kind or (isinstance(value, bool) and wanted is not bool):
            raise ConfigError(
                f"{where}{table}.{key} = {value!r} is not allowed; use a value like {defaults[key]!r}"
            )
    return replace(section, **given)


def _require_names(value: Any, where: str) -> None:
    if not isinstance(value, tuple) or not all(isinstance(name, str) for name in value):
        raise ConfigError(
            f"{where} = {value!r} is not allowed; use a list of names like ['up_in', 'tail_in']"
        )
