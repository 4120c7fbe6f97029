"""The text of docs/results/quality.md. What it says holds for any figures, or is computed from them."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from snn_tool.degradations.tasks import task_text
from snn_tool.networks.shipped import Card
from snn_tool.texts.cards import energy_text

from restoration.sets import SetScore
from restoration.sheets import BLOCK
from restoration.tables import (
    anchors_table,
    below_sentence,
    foreign_table,
    luma_table,
    overview_table,
    sets_table,
    smallest_gains_table,
    trials_table,
)
from restoration.trials import JPEG_QUALITY, PHOTOGRAPHS, STRONGER, Trial


class OfStudent(Protocol):
    """What the page needs of a student."""

    @property
    def card(self) -> Card:
        """Its card."""

    @property
    def scores(self) -> Sequence[SetScore]:
        """On test sets."""

    @property
    def trials(self) -> Sequence[Trial]:
        """On photographs."""

    @property
    def teachers(self) -> Sequence[object]:
        """Beside it in the pictures."""


def page(
    command: str, students: Sequence[OfStudent], anchors: Sequence[Mapping[str, Any]], teachers: str = ""
) -> str:
    """The whole page as Markdown; `teachers` is the table of their figures, if pictures show any."""
    cards = [each.card for each in students]
    scores = {each.card.name: each.scores for each in students}
    published = anchors_table(anchors, cards, scores)
    parts = [
        _introduction(command, students),
        "## How to read it",
        _HOW_TO_READ,
        "## Overview",
        overview_table(cards, scores),
        *(("## Beside published figures", _PUBLISHED, published) if published else ()),
        *(("## The teachers of the pictures", _TEACHERS, teachers) if teachers else ()),
        *(part for each in students for part in _student(each)),
        "## Photographs",
        _photographs(),
    ]
    return "\n\n".join(parts) + "\n"


_PUBLISHED = (
    "Published figures come from runs with other seeds of the noise, and perhaps other roundings, so that "
    "small differences say little."
)


_TEACHERS = (
    "Trained by `snn-tool train` on the photographs that the students learnt from. They taught none of the "
    "students here; they show what a larger network of floating-point operations reaches. Measured by the "
    "students' protocol, on whole images."
)


def _introduction(command: str, students: Sequence[OfStudent]) -> str:
    protocols = dict.fromkeys(score.scored.protocol for each in students for score in each.scores)
    listed = "\n".join(f"- {protocol}" for protocol in protocols)
    return (
        "# Results\n\nThe students that come with snn-tool, measured. One command writes this page and its "
        f"pictures; do not edit them:\n\n    {command}\n\nProtocol:\n\n{listed}"
    )


_HOW_TO_READ = f"""\
± is the standard deviation over images. `integer` is the network that comes along and that a chip would
compute, measured by this command and compared with the student's card; `float` is the same before
quantisation, as the card has it. The gain is that of the integers over the degraded input, which is rounded
and clamped to 8 bits as well before it is scored.

The first picture of a student shows middles of photographs, and under them the PSNR of whole photographs.

For its failures, the {len(PHOTOGRAPHS)} photographs at the end of this page are restored under conditions
of several kinds. `as trained` is a strength of the student's table, `none` is strength zero, `weaker` half
of the least that it was trained for, `stronger` {STRONGER:g} times the most, as far as its task goes.
`JPEG` was stored at quality {JPEG_QUALITY} between degradation and restoration. The second picture shows
for every kind the photograph that gains least, of those that no row above it shows, and of it the block of
{BLOCK}x{BLOCK} pixels with the most error after restoration for its error before, with the PSNR of the
block."""


def _student(each: OfStudent) -> list[str]:
    card = each.card
    return [
        f"## {card.name}",
        f"For {card.summary}. {_facts(card)}",
        "\n".join(f"    $ {line}" for line in card.recipe),
        sets_table(each.scores),
        *filter(None, [luma_table(each.scores)]),
        *_foreign(card),
        f"![{_alt(each)}](pictures/{card.name}.jpg)",
        "What its card says of its limits:\n\n" + "\n".join(f"- {limit}" for limit in card.limits),
        f"### Where {card.name} fails",
        below_sentence(each.scores),
        smallest_gains_table(each.scores),
        trials_table(each.trials),
        f"![Where {card.name} fails: {_columns(each)}](pictures/{card.name}-failures.jpg)",
    ]


def _foreign(card: Card) -> list[str]:
    """What it does to data that were degraded otherwise than in its training, as its card has it."""
    if not card.foreign:
        return []
    said = "Degraded otherwise than in its training, as its card has it (`ship_students.py --foreign`)"
    return [f"{said}. {card.weakness}." if card.weakness else f"{said}:", foreign_table(card)]


def _facts(card: Card) -> str:
    training = card.training
    return (
        f"{card.parameters:,} parameters; trained for {task_text(training['task'])} with seed "
        f"{training['seed']}, step {training['best_step']:,} of {training['steps']:,} kept (validation "
        f"{training['validation_psnr_db']:.2f} dB). Energy: {energy_text(card.energy)}. Made by"
    )


def _columns(each: OfStudent) -> str:
    return ", ".join(["degraded", "student in integers", *("teacher" for _ in each.teachers), "clean"])


def _alt(each: OfStudent) -> str:
    return f"Photographs and {each.card.name}: {_columns(each)}"


def _photographs() -> str:
    listed = "\n".join(f"- `{each.name}`: {each.credit}" for each in PHOTOGRAPHS)
    return (
        "All pictures show photographs that come with scikit-image; the docstrings of `skimage.data` say who "
        f"made them and under which terms. `grass` and `gravel` are grey.\n\n{listed}"
    )
