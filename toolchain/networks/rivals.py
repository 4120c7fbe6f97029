"""Int8 CNNs that come with the package beside a shipped student, so that its audit has their PSNR.

`models/shipped/rivals/NAME.int.safetensors` has a card `NAME.card.json` that says whose rival it is and how
it was made; `benchmarks/ship_rivals.py` writes both. A rival is a network of graded neurons with 127 levels:
weights, activations and saturation of an int8 array.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta
from snn_tool.files.artifacts import read_json, sha256_file
from snn_tool.files.documents import Count, Document, Name, Text, convert, one_of
from snn_tool.networks.shipped import FOLDER, FigureEntry, TrainingEntry, student_path

KIND, SCHEMA = "rival-card", 1
RIVALS = FOLDER / "rivals"
TWIN, CNN = "twin", "cnn"
"""A network of the student's wiring, and one of its quality."""

_CARD, _RIVAL = ".card.json", ".int.safetensors"


class RivalDocument(Document, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The schema of a card; see `Rival`."""

    summary: Text
    students: Annotated[tuple[Name, ...], Meta(min_length=1)]
    role: Annotated[str, one_of(TWIN, CNN)]
    parameters: Count
    figures: Annotated[tuple[FigureEntry, ...], Meta(min_length=1)]
    recipe: tuple[Text, ...]
    training: TrainingEntry


@dataclass(frozen=True, slots=True)
class Rival:
    """What is known about one of them.

    Attributes:
        name: of its files.
        path: its integers.
        summary: one line for people.
        students: names of the shipped students whose rival it is.
        role: `twin` or `cnn`.
        parameters: trainable values.
        figures: as on a student's card.
        recipe: the commands that made it.
        training: what its sidecar says of the training.
    """

    name: str
    path: Path
    summary: str
    students: tuple[str, ...]
    role: str
    parameters: int
    figures: tuple[Mapping[str, Any], ...]
    recipe: tuple[str, ...]
    training: Mapping[str, Any]


def shipped_rivals(folder: Path = RIVALS) -> Iterator[Rival]:
    """All of them, by name.

    Raises:
        ArtifactError: a card is damaged or of another schema.
    """
    for path in sorted(folder.glob(f"*{_CARD}")):
        document = read_json(path, KIND, SCHEMA)
        checked = convert(document, RivalDocument, str(path), remedy="install snn-tool again")
        name = path.name.removesuffix(_CARD)
        yield Rival(
            name=name,
            path=rival_path(name, folder),
            summary=checked.summary,
            students=checked.students,
            role=checked.role,
            parameters=checked.parameters,
            figures=tuple(document["figures"]),
            recipe=checked.recipe,
            training=document["training"],
        )


def rival_path(name: str, folder: Path = RIVALS) -> Path:
    """The file of the rival of that name."""
    return folder / f"{name}{_RIVAL}"


def rivals_of(student: Path, folder: Path = RIVALS) -> dict[str, Rival]:
    """The rivals of a shipped student by role; none of any other file, which no rival was measured against.

    Args:
        student: its integers, wherever a copy of them lies.
        folder: of the cards.
    """
    digest = sha256_file(student)
    known = list(shipped_rivals(folder))
    names = {name for rival in known for name in rival.students}
    own = {name for name in names if sha256_file(student_path(name)) == digest}
    return {rival.role: rival for rival in known if own & set(rival.students)}
