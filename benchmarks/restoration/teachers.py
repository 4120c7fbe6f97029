"""Teachers of the pictures: a column beside the students of their task, and figures of their own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from snn_tool.degradations.tasks import bounds_of, strength_option
from snn_tool.errors import ConfigError
from snn_tool.models.topology import COLOUR
from snn_tool.networks.open import open_teacher
from snn_tool.networks.running import RestoringTeacher
from snn_tool.networks.shipped import Card
from snn_tool.terminal import Track

from restoration.kept import TILE, Kept, Question, Restore
from restoration.sets import SetScore, degradation_text, how_of, synthetic_tasks
from restoration.tables import number, spread, table


@dataclass(frozen=True, slots=True, eq=False)
class TeacherColumn:
    """A teacher beside the students of its task.

    Attributes:
        file: from `snn-tool train`, or of a teacher that comes along.
        training: what its sidecar says of how it was made.
        restore: what it makes of an image.
    """

    file: Path
    teacher: RestoringTeacher
    training: Mapping[str, Any]
    restore: Restore

    def fits(self, card: Card) -> bool:
        """Whether it was trained for all that the student is measured at."""
        trained_for = self.teacher.provenance.trained_for
        own = trained_for.strength
        if own is None or trained_for.task != card.task:
            return False
        wanted = [bounds_of(task) or own for task in synthetic_tasks(card)]
        return all(own[0] <= low and high <= own[1] for low, high in wanted)


def open_teachers(files: Sequence[Path], cards: Sequence[Card], kept: Kept) -> list[TeacherColumn]:
    """Teachers from their files.

    Raises:
        ArtifactError: a file is no teacher.
        ConfigError: no student is measured at what it was trained for.
    """
    found = []
    for file in files:
        opened = open_teacher(file)
        teacher = RestoringTeacher.of(opened)
        restore = kept.restoring(file, partial(teacher.restore_8_bits, tile=TILE))
        column = TeacherColumn(file, teacher, opened.provenance.account, restore)
        if not any(column.fits(card) for card in cards):
            raise ConfigError(f"--teacher {file}: no student is measured at what it was trained for")
        found.append(column)
    return found


def score_teacher(
    column: TeacherColumn, cards: Sequence[Card], clean: Mapping[str, Path], track: Track, kept: Kept
) -> list[SetScore]:
    """A teacher on clean sets at every strength at which a student beside it is measured."""
    tasks: list[Mapping[str, Any]] = []
    for card in cards:
        tasks += [task for task in synthetic_tasks(card) if column.fits(card) and task not in tasks]
    found = []
    for label, folder in clean.items():
        for described in tasks:
            strength, how = strength_option(described), how_of(described)
            colour = column.teacher.channels == COLOUR
            asked = Question(column.file, folder, described["task"], strength, how, in_colour=colour)
            found.append(SetScore(label, kept.scores(asked, track), None))
    return found


def teachers_table(scores: Sequence[tuple[TeacherColumn, Sequence[SetScore]]]) -> str:
    """A line for each teacher, set and strength."""
    head = ("teacher", "parameters", "trained", "set", "strength", "degraded dB", "restored dB", "SSIM")
    rows = [
        [
            column.teacher.provenance.title,
            f"{column.teacher.parameters:,}",
            _trained(column.training),
            each.label,
            degradation_text(each.scored.task),
            number(each.scored.mean("degraded_psnr_db")),
            f"**{spread(each.scored.mean('psnr_db'), each.scored.spread('psnr_db'))}**",
            number(each.scored.mean("ssim"), 3),
        ]
        for column, of_sets in scores
        for each in of_sets
    ]
    return table(head, rows)


def _trained(training: Mapping[str, Any]) -> str:
    batch, side = (training["training"][key] for key in ("batch", "patch"))
    return (
        f"{training['steps']:,} steps of {batch} patches {side}x{side}, "
        f"seed {training['seed']}, validation {training['validation_psnr_db']:.2f} dB"
    )
