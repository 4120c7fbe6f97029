"""The restoration tasks: which synthetic degradation each is trained against, and in which strength."""

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from snn_tool.degradations.blur import Defocus, MotionBlur
from snn_tool.degradations.camera import CorrelatedNoise, PoissonGaussian, RealNoise
from snn_tool.degradations.haze import ColouredHaze, Haze
from snn_tool.degradations.noise import Degradation, GaussianNoise
from snn_tool.degradations.options import AS_USUAL, HowOptions
from snn_tool.degradations.rain import RainStreaks, VariedRain
from snn_tool.degradations.raindrops import Raindrops
from snn_tool.degradations.stored import Stored
from snn_tool.errors import ConfigError, check_known

Make = Callable[[float, float], Degradation]
"""A degradation from the two bounds of its strength."""


@dataclass(frozen=True, slots=True)
class Task:
    """A restoration task.

    Attributes:
        kinds: the ways in which images are degraded for it; the first is the usual one, and the one of every
            description that names none.
        most: largest strength.
        usual: strength that is taken if none is given, as an option's text.
        example: a number and a range, for messages.
        unit: of the strength, for messages.
        symbol: of the strength, for one-line accounts.
        option: that sets it, for messages.
        usual_of: kinds that have another usual strength.
    """

    kinds: Mapping[str, Make]
    most: float
    usual: str
    example: tuple[str, str]
    unit: str
    symbol: str
    option: str = "--strength"
    usual_of: Mapping[str, str] = field(default_factory=dict)


TASKS: dict[str, Task] = {
    "denoise": Task(
        {
            "gaussian": GaussianNoise,
            PoissonGaussian.KIND: PoissonGaussian,
            CorrelatedNoise.KIND: CorrelatedNoise,
            RealNoise.KIND: RealNoise,
        },
        100,
        "25",
        ("25", "5-50"),
        "grey levels",
        "sigma",
        "--sigma",
        {RealNoise.KIND: "0-50"},
    ),
    "derain": Task(
        {"streaks": RainStreaks, VariedRain.KIND: VariedRain, Raindrops.KIND: Raindrops},
        1,
        "0.3-0.9",
        ("0.5", "0.3-0.9"),
        "opacity of the streaks",
        "opacity",
    ),
    "dehaze": Task(
        {"grey": Haze, ColouredHaze.KIND: ColouredHaze},
        4,
        "0.6-1.8",
        ("1", "0.6-1.8"),
        "scattering coefficient",
        "beta",
    ),
    "deblur": Task({"shake": MotionBlur}, 40, "5-20", ("10", "5-20"), "pixels of camera path", "path"),
    "defocus": Task({"disk": Defocus}, 12, "1-4", ("2", "1-4"), "pixels of radius", "radius"),
}
MAX_SIGMA = TASKS["denoise"].most


def known_task(name: str) -> Task:
    """The task of that name.

    Raises:
        ConfigError: unknown; the known ones are listed.
    """
    check_known("--task", name, TASKS)
    return TASKS[name]


def degradation_from_options(
    task: str, strength: str | None = None, how: HowOptions = AS_USUAL
) -> Degradation:
    """The degradation that `--task`, `--strength` (`--sigma`) and the options of `how` name.

    None takes the task's usual strength, and its usual kind.

    Raises:
        ConfigError: unknown task or kind (the known ones are listed), a strength that is no number and no
            range, or a quality that JPEG does not have.
    """
    known = known_task(task)
    check_known(f"--task {task} --kind", kind := how.kind or next(iter(known.kinds)), known.kinds)
    usual = known.usual_of.get(kind, known.usual)
    made = known.kinds[kind](*_bounds(known, usual if strength is None else strength))
    if how.jpeg is None and not how.eight_bit:
        return made
    return Stored(made, None if how.jpeg is None else _quality(how.jpeg))


def _bounds(kind: Task, text: str) -> tuple[float, float]:
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
    return low, high


def _quality(text: str) -> tuple[int, int]:
    low, dash, high = text.partition("-")
    numbers = (low, high if dash else low)
    if not all(number.isascii() and number.isdecimal() for number in numbers):
        raise ConfigError(f"--jpeg {text}: use a quality like 80 or a range like 60-95")
    bounds = int(numbers[0]), int(numbers[1])
    if not 1 <= bounds[0] <= bounds[1] <= 100:
        raise ConfigError(f"--jpeg {text}: use qualities from 1 to 100, the smaller bound first")
    return bounds


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

    @property
    def how(self) -> HowOptions:
        """The kind and what follows it, as the options take them."""
        jpeg = self.described.get("jpeg")
        return HowOptions(
            kind=self.described.get("kind"),
            eight_bit=bool(self.described.get("eight_bit")),
            jpeg="-".join(map(str, dict.fromkeys(jpeg))) if jpeg else None,
        )


def degradation_for(
    task: str | None, strength: str | None, trained_for: TrainedFor, how: HowOptions = AS_USUAL
) -> Degradation:
    """The degradation that the options name; what they leave open is what the network was trained for.

    A network that was trained on recorded pairs has no strength; the usual one of its task stands in. The
    options of `how` belong together: one of them that is given stands for all.

    Args:
        task: option, or None.
        strength: option, or None.
        trained_for: what the network says of its training.
        how: options of the kind and of the file.

    Raises:
        ConfigError: the options are wrong, or nothing says what to do.
    """
    name = task or trained_for.task or "denoise"
    if strength is None and name == trained_for.task:
        strength = trained_for.option
    if strength is None and task is None and trained_for.task is None:
        raise ConfigError("the network does not say for which noise it was trained; name it with --sigma")
    if how == AS_USUAL and name == trained_for.task:
        how = trained_for.how
    return degradation_from_options(name, strength, how)


def task_text(described: Mapping[str, Any]) -> str:
    """`describe()` of a degradation in a few words, e.g. `denoise sigma 5 to 50, JPEG 60 to 95`."""
    on = "on " if bounds_of(described) is None else ""
    return ", ".join([f"{described['task']} {on}{strength_text(described)}", *how_texts(described)])


def how_texts(described: Mapping[str, Any]) -> list[str]:
    """What `describe()` of a degradation says of its kind and of the file, where that is not as usual."""
    kind, jpeg = described.get("kind"), described.get("jpeg")
    found = [str(kind)] if kind else []
    found += ["8 bits"] if described.get("eight_bit") else []
    return found + (["JPEG " + " to ".join(map(str, dict.fromkeys(jpeg)))] if jpeg else [])


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
