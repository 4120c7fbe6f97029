"""Synthetic degradations of clean images; rain, haze and blur join as more classes of the same protocol."""

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import ConfigError

Image = NDArray[np.float32]
MAX_SIGMA = 100.0


class Degradation(Protocol):
    """A random map from clean images to degraded ones."""

    def apply(self, clean: Image, rng: np.random.Generator) -> Image:
        """Degrade float32 images in [0, 1], [..., H, W, C] or [..., C, H, W]; the result is not clamped."""

    def describe(self) -> dict[str, Any]:
        """JSON values that define it."""


@dataclass(frozen=True, slots=True)
class GaussianNoise:
    """Additive white Gaussian noise; one standard deviation per image, uniform between the two bounds.

    Attributes:
        sigma_low, sigma_high: standard deviation in grey levels of 255; equal for a fixed one.
    """

    sigma_low: float
    sigma_high: float

    def apply(self, clean: Image, rng: np.random.Generator) -> Image:
        """Add noise to a batch [N, ...] (a sigma for each of its images) or to one image of 3 dimensions."""
        count = clean.shape[0] if clean.ndim == 4 else 1
        sigma = rng.uniform(self.sigma_low, self.sigma_high, count).astype(np.float32) / 255
        scale = sigma.reshape(-1, 1, 1, 1) if clean.ndim == 4 else sigma[0]
        return clean + scale * rng.standard_normal(clean.shape, dtype=np.float32)

    def describe(self) -> dict[str, Any]:
        """The task's name and the range of sigma."""
        return {"task": "denoise", "sigma": [self.sigma_low, self.sigma_high]}


def _denoise(sigma: str) -> Degradation:
    low_text, dash, high_text = sigma.partition("-")
    try:
        low = float(low_text)
        high = float(high_text) if dash else low
    except ValueError:
        raise ConfigError(
            f"--sigma {sigma}: use a number like 25 or a range like 5-50, in grey levels"
        ) from None
    if not (math.isfinite(low) and math.isfinite(high) and 0 <= low <= high <= MAX_SIGMA):
        raise ConfigError(f"--sigma {sigma}: use 0 to {MAX_SIGMA:g} grey levels, the smaller bound first")
    return GaussianNoise(low, high)


TASKS: dict[str, Callable[[str], Degradation]] = {"denoise": _denoise}


def degradation_from_options(task: str, sigma: str) -> Degradation:
    """The degradation that `--task` and `--sigma` name.

    Raises:
        ConfigError: unknown task (the known ones are listed) or a sigma that is not a number or a range.
    """
    if task not in TASKS:
        raise ConfigError(f"--task {task} is unknown; use one of {', '.join(TASKS)}")
    return TASKS[task](sigma)


def degradation_for(task: str | None, sigma: str | None, trained_for: Mapping[str, Any]) -> Degradation:
    """The degradation that the options name; what they leave open is what the network was trained for.

    Args:
        task: option, or None.
        sigma: option, or None.
        trained_for: `describe()` of the training's degradation, or empty where nobody wrote it down.

    Raises:
        ConfigError: the options are wrong, or nothing says what to do.
    """
    bounds = trained_for.get("sigma")
    if sigma is None and isinstance(bounds, list) and len(bounds) == 2:
        sigma = "-".join(dict.fromkeys(np.format_float_positional(bound, trim="-") for bound in bounds))
    if sigma is None:
        raise ConfigError("the network does not say for which noise it was trained; name it with --sigma")
    return degradation_from_options(task or str(trained_for.get("task", "denoise")), sigma)


def image_rng(seed: int, name: str) -> np.random.Generator:
    """A generator that depends on the seed and the file's name alone, not on other images or their order."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))
