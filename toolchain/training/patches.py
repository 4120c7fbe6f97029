"""Which patches a step sees: their side, which may change during a run, and the folders that share them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import ConfigError
from snn_tool.files.artifacts import shown

SMALLEST_SIDE, LARGEST_SIDE, MULTIPLE = 16, 8192, 8
SIDES = f"a multiple of {MULTIPLE} from {SMALLEST_SIDE} to {LARGEST_SIDE}"
FORM = re.compile(r"[0-9]{1,5}:[0-9]{1,10}(,[0-9]{1,5}:[0-9]{1,10})*(,[0-9]{1,5})?")
IMAGES, SQRT, FOLDERS = "images", "sqrt", "folders"
BALANCES = (IMAGES, SQRT, FOLDERS)
"""What `--balance` takes: for how much a folder counts."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Steps of a run that see patches of one size.

    Attributes:
        side: of the patches in pixels.
        batch: patches of a step.
        end: the first step after it.
    """

    side: int
    batch: int
    end: int


def stages_of(patch: int | str, batch: int, max_steps: int) -> tuple[Stage, ...]:
    """The stages of a run: one of `patch` pixels, or those that a text like `48:8000,96:4000,192` lists.

    Later stages have as many patches as show about the pixels of the first one's, and at least one; so a step
    costs about the same throughout. The last stage may leave out its steps and takes the rest.

    Args:
        patch: a side, or `SIDE:STEPS,...`.
        batch: patches of a step of the first stage.
        max_steps: of the run.

    Raises:
        ConfigError: a side is not allowed, the text is none of these, or its steps are not those of the run.
    """
    if isinstance(patch, int):
        return (Stage(_side(patch, patch), batch, max_steps),)
    if not FORM.fullmatch(patch):
        raise _refused(patch, f"{SIDES}, or sides with their steps like 48:8000,96:4000,192")
    stages: list[Stage] = []
    for text in patch.split(","):
        side, _, steps = text.partition(":")
        before = stages[-1].end if stages else 0
        end = before + int(steps) if steps else max_steps
        if end <= before:
            raise _refused(patch, f"at least one step for each side; training.max_steps is {max_steps}")
        first = stages[0].side if stages else int(side)
        stages.append(Stage(_side(int(side), patch), patches_of(int(side), first, batch), end))
    if stages[-1].end != max_steps:
        raise _refused(
            patch, f"steps that add up to training.max_steps = {max_steps}, not to {stages[-1].end}"
        )
    return tuple(stages)


def _side(side: int, patch: int | str) -> int:
    if not SMALLEST_SIDE <= side <= LARGEST_SIDE or side % MULTIPLE:
        raise _refused(patch, SIDES)
    return side


def _refused(patch: int | str, use: str) -> ConfigError:
    return ConfigError(f"training.patch = {shown(patch)} is not allowed; use {use}")


def patches_of(side: int, first: int, batch: int) -> int:
    """How many patches of `side` have about the pixels of `batch` of side `first`; at least one."""
    return max(1, (2 * batch * first**2 + side**2) // (2 * side**2))


def stage_at(stages: Sequence[Stage], step: int) -> Stage:
    """The stage that a step lies in; after the last step, the last."""
    return next((stage for stage in stages if step < stage.end), stages[-1])


class Draw:
    """Draws an image so that folders share the patches by a rule.

    `images` gives every image the same chance. `sqrt` gives a folder the square root of its number of images
    for a weight, `folders` gives every folder the same; within a folder images are equal.

    Args:
        folders: of each image.
        balance: one of `BALANCES`.
    """

    def __init__(self, folders: Sequence[str], balance: str) -> None:
        self._count = len(folders)
        self._bounds = None if balance == IMAGES else np.cumsum(chances(folders, balance))

    def index(self, rng: np.random.Generator) -> int:
        """The next image."""
        if self._bounds is None:
            return int(rng.integers(self._count))
        drawn = int(np.searchsorted(self._bounds, rng.random(), side="right"))
        return min(drawn, self._count - 1)  # the sum of all chances may fall short of 1 by a rounding


def chances(folders: Sequence[str], balance: str) -> NDArray[np.float64]:
    """The probability of each image, float64, of which the sum is 1."""
    _, of, counts = np.unique(np.array(folders), return_inverse=True, return_counts=True)
    power = {IMAGES: 1.0, SQRT: 0.5, FOLDERS: 0.0}[balance]
    weights = counts.astype(np.float64) ** power
    chance: NDArray[np.float64] = (weights / weights.sum() / counts)[of]
    return chance


def evenly(folders: Sequence[str], most: int) -> list[int]:
    """The places of at most `most` images, as equally many of each folder as it has; in order.

    Every folder gives one in turn, so that a large one fills what small ones leave.
    """
    seen: dict[str, int] = {}
    turns = []
    for place, folder in enumerate(folders):
        turns.append((seen.get(folder, 0), place))
        seen[folder] = seen.get(folder, 0) + 1
    return sorted(place for _, place in sorted(turns)[:most])
