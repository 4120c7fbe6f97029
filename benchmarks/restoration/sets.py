"""Scores of a student on test sets, held against what its card says."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from snn_tool.degradations.options import HowOptions
from snn_tool.degradations.pairs import open_pairs
from snn_tool.degradations.tasks import (
    TASKS,
    TrainedFor,
    bounds_of,
    degradation_for,
    how_texts,
    strength_option,
    strength_text,
)
from snn_tool.errors import ArtifactError
from snn_tool.images.files import find_images, read_picture
from snn_tool.models.topology import COLOUR
from snn_tool.networks.evaluation import Evaluation
from snn_tool.networks.shipped import Card
from snn_tool.terminal import Track

from restoration.kept import Kept, Question

AGREEMENT_DB = 0.001
"""How far a card may be from what is measured: the card has four places."""


@dataclass(frozen=True, slots=True)
class SetScore:
    """A test set at one strength.

    Attributes:
        label: name of the set.
        scored: the integer student, image by image.
        figure: what the card says of it, or None if the card does not know the set.
    """

    label: str
    scored: Evaluation
    figure: Mapping[str, Any] | None

    @property
    def gains_db(self) -> dict[str, float]:
        """What each image gains by its name."""
        return {each.name: gain_db(each.degraded_psnr_db, each.psnr_db) for each in self.scored.scores}


@cache
def is_grey_set(folder: Path) -> bool:
    """Whether all images of a test set have one channel."""
    return all(read_picture(path).pixels.shape[2] == 1 for path in find_images(folder))


def gain_db(before_db: float, after_db: float) -> float:
    """The difference of two PSNR; zero if both are infinite, of pictures that are perfect."""
    return 0.0 if before_db == after_db else after_db - before_db


def score_sets(
    card: Card,
    student: Path,
    clean: Mapping[str, Path],
    pairs: Mapping[str, Path],
    track: Track,
    kept: Kept,
) -> list[SetScore]:
    """The integer student on clean sets at every strength that its card has, and on the card's pairs.

    What the folder of `kept` holds is not measured again.

    Raises:
        ArtifactError: the card says otherwise than what is measured.
    """
    found, colour = [], card.channels == COLOUR
    for label, folder in clean.items():
        for described in synthetic_tasks(card):
            strength, how = strength_option(described), how_of(described)
            asked = Question(student, folder, card.task, strength, how, in_colour=colour)
            found.append(SetScore(label, kept.scores(asked, track), card_figure(card, label, described)))
    for label, folder in pairs.items():
        if figure := card_figure(card, label, {"task": card.task, "images": "pairs"}):
            opened = open_pairs(folder)
            asked = Question(student, opened.clean, card.task, pairs=opened)
            found.append(SetScore(label, kept.scores(asked, track), figure))
    for each in found:
        _agree(card, each)
    return found


def synthetic_tasks(card: Card) -> list[Mapping[str, Any]]:
    """The synthetic degradations at which a student was measured, or else the one that it was trained for."""
    tasks = [figure["task"] for figure in card.figures if bounds_of(figure["task"])]
    tasks = tasks or [degradation_for(None, None, TrainedFor.of(card.training["task"])).describe()]
    return [task for index, task in enumerate(tasks) if task not in tasks[:index]]


def how_of(described: Mapping[str, Any]) -> HowOptions:
    """The options that give a degradation again, whatever the student was trained on: its kind is named."""
    usual = next(iter(TASKS[described["task"]].kinds))
    return replace(TrainedFor.of(described).how, kind=described.get("kind", usual))


def degradation_text(described: Mapping[str, Any]) -> str:
    """Strength, and kind and file where they are not as usual: `sigma 25`, `opacity 0.2 to 0.9, varied`."""
    return ", ".join([strength_text(described), *how_texts(described)])


def card_figure(card: Card, label: str, task: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The card's figure of a set at a strength."""
    same = (each for each in card.figures if each["set"] == label and _same(each["task"], task))
    return next(same, None)


def _same(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    return all(get(first) == get(second) for get in (lambda task: task["task"], bounds_of, how_texts))


def _agree(card: Card, each: SetScore) -> None:
    if each.figure is None:
        return
    said, measured = each.figure["integer_psnr_db"], each.scored.mean("psnr_db")
    if each.figure["images"] != len(each.scored.scores) or not abs(said - measured) < AGREEMENT_DB:
        raise ArtifactError(
            f"{card.name}: its card says {said:.4f} dB for {each.figure['images']} images of {each.label}, "
            f"{degradation_text(each.figure['task'])}, but {len(each.scored.scores)} gave {measured:.4f} dB; "
            "run benchmarks/ship_students.py --measure"
        )
