"""A student on photographs that may be shown, under conditions that it was trained for, and under others."""

import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from snn_tool.degradations.crops import SCIKIT_IMAGE, read_photograph
from snn_tool.degradations.noise import Degradation
from snn_tool.degradations.tasks import (
    TASKS,
    TrainedFor,
    bounds_of,
    degradation_for,
    image_rng,
)
from snn_tool.images.files import in_channels
from snn_tool.images.metrics import psnr_db, to_uint8
from snn_tool.networks.shipped import Card

from restoration.kept import SEED, Restore
from restoration.sets import degradation_text, gain_db, synthetic_tasks

Pixels = NDArray[np.uint8]
JPEG_QUALITY = 50
STRONGER = 1.5


@dataclass(frozen=True, slots=True)
class Photograph:
    """A photograph of scikit-image, and why it may be shown; see the docstrings of `skimage.data`."""

    file: str
    credit: str

    @property
    def name(self) -> str:
        """The file's name without suffix, as scikit-image calls it."""
        return Path(self.file).stem

    def read(self, channels: int = 3) -> Pixels:
        """Its pixels, uint8 [H, W, channels]; with 1 their luma."""
        return in_channels(read_photograph(SCIKIT_IMAGE, self.file), channels)


PHOTOGRAPHS = (
    Photograph("astronaut.png", "NASA, public domain"),
    Photograph("coffee.png", "Rachel Michetti, courtesy of Pikolo Espresso Bar, CC0"),
    Photograph("chelsea.png", "Stéfan van der Walt, CC0"),
    Photograph("rocket.jpg", "SpaceX, public domain"),
    Photograph("grass.png", "linolafett on DeviantArt, CC0"),
    Photograph("gravel.png", "CC0 Textures, CC0"),
)


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that a photograph may have suffered.

    Attributes:
        kind: `as trained`, `none`, `weaker`, `stronger` or `JPEG`.
        name: for people.
        degradation: synthetic.
        jpeg: quality at which the degraded picture was stored before the student sees it, or None.
    """

    kind: str
    name: str
    degradation: Degradation
    jpeg: int | None = None

    def degrade(self, clean: Pixels, name: str) -> NDArray[np.float32]:
        """Degraded float32 [H, W, C]; of seed SEED and the name alone."""
        values = clean.astype(np.float32) / np.float32(255)
        degraded = self.degradation.apply(values, image_rng(SEED, name))
        if self.jpeg is None:
            return degraded
        stored = io.BytesIO()
        Image.fromarray(to_uint8(degraded).squeeze()).save(stored, "JPEG", quality=self.jpeg)
        with Image.open(stored) as image:
            return np.asarray(image, dtype=np.float32).reshape(clean.shape) / np.float32(255)


def conditions(card: Card) -> list[Condition]:
    """As measured; nothing, half the least and 1.5 times the largest strength of training; stored as JPEG."""
    tasks = synthetic_tasks(card)
    found = [_condition("as trained", degradation_for(None, None, TrainedFor.of(task))) for task in tasks]
    low, high = bounds_of(degradation_for(None, None, TrainedFor.of(card.training["task"])).describe()) or (
        0.0,
        0.0,
    )
    kind = TASKS[card.task]
    make = kind.kinds[card.training["task"].get("kind", next(iter(kind.kinds)))]
    beyond = {"none": 0.0, "weaker": low / 2, "stronger": min(STRONGER * high, kind.most)}
    for name, strength in beyond.items():
        if name == "none" or not low <= strength <= high:
            found.append(_condition(name, make(strength, strength)))
    middle = found[len(tasks) // 2]
    stored = f"{middle.name}, then JPEG of quality {JPEG_QUALITY}"
    return [*found, replace(middle, kind="JPEG", name=stored, jpeg=JPEG_QUALITY)]


def _condition(kind: str, degradation: Degradation) -> Condition:
    return Condition(kind, degradation_text(degradation.describe()), degradation)


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """A photograph under a condition.

    Attributes:
        clean, degraded, restored: uint8 [H, W, C].
        before_db, after_db: PSNR of the degraded and of the restored; infinite where nothing happened.
    """

    photograph: Photograph
    condition: Condition
    clean: Pixels
    degraded: Pixels
    restored: Pixels
    before_db: float
    after_db: float

    @property
    def rank(self) -> tuple[float, float]:
        """Smallest for the trial that failed most: by gain, then by what is left."""
        return gain_db(self.before_db, self.after_db), self.after_db


def run_trials(
    restore: Restore,
    tried: Sequence[Condition],
    photographs: Iterable[Photograph] = PHOTOGRAPHS,
    channels: int = 3,
) -> list[Trial]:
    """Every photograph under every condition, restored by `restore` as [H, W, channels]."""
    trials = []
    for photograph in photographs:
        clean = photograph.read(channels)
        for condition in tried:
            values = condition.degrade(clean, photograph.name)
            degraded, restored = to_uint8(values), restore(values)
            figures = psnr_db(degraded, clean), psnr_db(restored, clean)
            trials.append(Trial(photograph, condition, clean, degraded, restored, *figures))
    return trials


def worst_by_kind(trials: Sequence[Trial]) -> list[Trial]:
    """For each kind of condition the trial that gains least, of photographs that no kind before it took.

    With more kinds than photographs, all of them may be taken again.
    """
    kinds = dict.fromkeys(trial.condition.kind for trial in trials)
    found: list[Trial] = []
    for kind in kinds:
        taken = {trial.photograph for trial in found}
        of_kind = [trial for trial in trials if trial.condition.kind == kind]
        fresh = [trial for trial in of_kind if trial.photograph not in taken]
        found.append(min(fresh or of_kind, key=lambda trial: trial.rank))
    return found


def worst_block(trial: Trial, side: int, step: int) -> tuple[slice, slice]:
    """Where a block of `side` pixels, on a grid of `step`, has the most error after for its error before."""
    before, after = (
        ((np.asarray(image, np.float64) - trial.clean) ** 2).sum(axis=2)
        for image in (trial.degraded, trial.restored)
    )
    height, width = trial.clean.shape[:2]
    places = [
        (slice(top, top + side), slice(left, left + side))
        for top in range(0, max(height - side, 0) + 1, step)
        for left in range(0, max(width - side, 0) + 1, step)
    ]
    return max(places, key=lambda at: _worse(float(before[at].sum()), float(after[at].sum())))


def _worse(before: float, after: float) -> tuple[float, float]:
    """Orders blocks: any error where there was none beats every ratio, and then the larger error counts."""
    return (math.inf if after > 0 else 1.0, after) if before == 0 else (after / before, after)
