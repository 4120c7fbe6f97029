"""The restoration tasks: which synthetic degradation each is trained against, and in which strength."""

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from snn_tool.degradations.blur import Defocus, MotionBlur
from snn_tool.degradations.haze import Haze
from snn_tool.degradations.noise import Degradation, GaussianNoise
from snn_tool.degradations.rain import RainStreaks
from snn_tool.errors import ConfigError, check_known


@dataclass(frozen=True, slots=True)
class Task:
    """A restoration task.

    Attributes:
        make: from the two bounds of the strength.
        most: largest strength.
        usual: strength that is taken if none is given, as an option's text.
        example: a number and a range, for messages.
        unit: of the strength, for messages.
        symbol: of the strength, for one-line accounts.
        option: that sets it, for messages.
    """

    make: Callable[[float, float], Degradation]
    most: float
    usual: str
    example: tuple[str, str]
    unit: str
    symbol: str
    option: str = "--strength"


TASKS: dict[str, Task] = {
    "denoise": Task(GaussianNoise, 100, "25", ("25", "5-50"), "grey levels", "sigma", "--sigma"),
    "derain": Task(RainStreaks, 1, "0.3-0.9", ("0.5", "0.3-0.9"), "opacity of the streaks", "opacity"),
    "dehaze": Task(Haze, 4, "0.6-1.8", ("1", "0.6-1.8"), "scattering coefficient", "beta"),
    "deblur": Task(MotionBlur, 40, "5-20", ("10", "5-20"), "pixels of camera path", "path"),
    "defocus": Task(Defocus, 12, "1-4", ("2", "1-4"), "pixels of radius", "radius"),
}
MAX_SIGMA = TASKS["denoise"].most


def known_task(name: str) -> Task:
    """The task of that name.

    Raises:
        ConfigError: unknown; the known ones are listed.
    """
    check_known("--task", name, TASKS)
    return TASKS[name]


def degradation_from_options(task: str, strength: str | None = None) -> Degradation:
    """The degradation that `--task` and `--strength` (`--sigma`) name; None takes the task's usual strength.

    Raises:
        ConfigError: unknown task (the known ones are listed), or a strength that is no number and no range.
    """
    kind = known_task(task)
    text = kind.usual if strength is None else strength
    low_text, dash, high_text = text.partition("-")
    try:
        low = float(low_text)
        high = float(high_text) if dash else low
    except ValueError:
        number, interval = kind.example
        raise ConfigError(
            f"{kind.option} {text}: use a number like {number} or a range like {interval}, in {kind.unit}"
        ) from None
    if not (math.isfinite(low) and math.isfinite(high) and 0 <= low <= high <= kind.most):
        raise ConfigError(
            f"{kind.option} {text}: use 0 to {kind.most:g} {kind.unit}, the smaller bound first"
        )
    return kind.make(low, high)


@dataclass(frozen=True, slots=True)
class TrainedFor:
    """What a network learned to undo, as far as its file says.

    Attributes:
        task: its name; None where nobody wrote it down.
        strength: smallest and largest, in the task's unit; None of recorded pairs, or where it is not known.
        described: `describe()` of the degradation, JSON values; empty where nobody wrote it down.
    """

    task: str | None = None
    strength: tuple[float, float] | None = None
    described: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> "TrainedFor":
        """Read what `describe()` of a degradation gave, as sidecars hold it."""
        task = described.get("task")
        return cls(str(task) if task else None, bounds_of(described), described)

    @property
    def option(self) -> str | None:
        """The strength as `--strength` takes it; None where there is none."""
        return strength_option(self.described)


def degradation_for(task: str | None, strength: str | None, trained_for: TrainedFor) -> Degradation:
    """The degradation that the options name; what they leave open is what the network was trained for.

    A network that was trained on recorded pairs has no strength; the usual one of its task stands in.

    Args:
        task: option, or None.
        strength: option, or None.
        trained_for: what the network says of its training.

    Raises:
        ConfigError: the options are wrong, or nothing says what to do.
    """
    name = task or trained_for.task or "denoise"
    if strength is None and name == trained_for.task:
        strength = trained_for.option
    if strength is None and task is None and trained_for.task is None:
        raise ConfigError("the network does not say for which noise it was trained; name it with --sigma")
    return degradation_from_options(name, strength)


def task_text(described: Mapping[str, Any]) -> str:
    """`describe()` of a degradation in a few words, e.g. `denoise sigma 5 to 50`."""
    on = "on " if bounds_of(described) is None else ""
    return f"{described['task']} {on}{strength_text(described)}"


def strength_text(described: Mapping[str, Any]) -> str:
    """The strength alone, e.g. `sigma 5 to 50`; `pairs` where it was recorded, not made."""
    bounds = bounds_of(described)
    if bounds is None:
        return "pairs"
    low, high = bounds
    name = str(described["task"])
    symbol = TASKS[name].symbol if name in TASKS else "strength"
    return f"{symbol} {low:g}" + (f" to {high:g}" if high > low else "")


def strength_option(described: Mapping[str, Any]) -> str | None:
    """The strength as `--strength` takes it, e.g. `5-50`; None for recorded pairs."""
    bounds = bounds_of(described)
    if bounds is None:
        return None
    return "-".join(dict.fromkeys(np.format_float_positional(bound, trim="-") for bound in bounds))


def bounds_of(described: Mapping[str, Any]) -> tuple[float, float] | None:
    """Smallest and largest strength in `describe()` of a degradation; None for recorded pairs."""
    bounds = described.get("sigma", described.get("strength"))
    if not (isinstance(bounds, list | tuple) and len(bounds) == 2):
        return None
    return float(bounds[0]), float(bounds[1])


def image_rng(seed: int, name: str) -> np.random.Generator:
    """A generator that depends on the seed and the file's name alone, not on other images or their order.

    The name counts by its bytes in UTF-8, or as they are where it is none.
    """
    digest = hashlib.sha256(f"{seed}:{name}".encode("utf-8", "surrogateescape")).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))
