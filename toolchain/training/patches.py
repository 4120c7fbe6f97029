"""The size of patches, which may change during a run, and the rules by which folders may share them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

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
