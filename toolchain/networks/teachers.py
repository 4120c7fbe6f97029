"""Teachers that come with the package, so that nobody trains one before the first distillation.

`models/shipped/teachers/NAME.safetensors` is a teacher of `snn-tool train` whose weights were rounded to half
precision; it is opened in float32. Its card `NAME.card.json` says how it was made and what the rounding cost.
`benchmarks/ship_teacher.py` writes both.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from snn_tool.errors import ConfigError
from snn_tool.files.artifacts import read_json
from snn_tool.files.documents import Count, Document, Finite, Name, NotNegative, Text, convert
from snn_tool.networks import shipped

KIND, SCHEMA = "teacher-card", 1
FOLDER = shipped.FOLDER / "teachers"
_CARD, _WEIGHTS = ".card.json", ".safetensors"


class TeacherFigure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of `figures`: a test set, before and after the weights were rounded."""

    set: Name
    images: Count
    task: shipped.Restored
    degraded_psnr_db: Finite | None
    degraded_ssim: Finite | None
    float32_psnr_db: Finite | None
    float32_ssim: Finite | None
    half_psnr_db: Finite | None
    half_psnr_std_db: NotNegative | None
    half_ssim: Finite | None


class ValidationEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`validation` of a card: the crops that the training left out, before and after the rounding."""

    crops: Count
    float32_psnr_db: Finite
    half_psnr_db: Finite


class TeacherCardDocument(Document, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The schema of a card; see `TeacherCard`."""

    summary: Text
    architecture: Name
    parameters: Count
    figures: Annotated[tuple[TeacherFigure, ...], Meta(min_length=1)]
    validation: ValidationEntry | None
    recipe: tuple[Text, ...]
    training: shipped.TrainingEntry
    limits: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class TeacherCard:
    """What is known about one shipped teacher.

    Attributes:
        name: what `--teacher` takes.
        summary: one line for people.
        architecture: a key of `TEACHERS`.
        parameters: trainable values.
        figures: one entry per test set, means over its images: PSNR in dB (`_psnr_db`) and SSIM (`_ssim`) of
            the degraded images and of those restored by the weights as trained (`float32`) and as they are
            shipped (`half`); null where one is infinite.
        validation: the same of the validation crops; None where the training images were not at hand.
        recipe: the commands that made it.
        training: what the sidecar says of the training.
        limits: sentences about what it is not good for.
    """

    name: str
    summary: str
    architecture: str
    parameters: int
    figures: tuple[Mapping[str, Any], ...]
    validation: Mapping[str, Any] | None
    recipe: tuple[str, ...]
    training: Mapping[str, Any]
    limits: tuple[str, ...]

    @property
    def path(self) -> Path:
        """Its weights."""
        return teacher_path(self.name)


def teacher_path(name: str) -> Path:
    """The file of the teacher of that name."""
    return FOLDER / f"{name}{_WEIGHTS}"


def teacher_names() -> tuple[str, ...]:
    """Names of the teachers in this installation."""
    return tuple(sorted(path.name.removesuffix(_CARD) for path in FOLDER.glob(f"*{_CARD}")))


def read_teacher_card(name: str) -> TeacherCard:
    """The card of a shipped teacher.

    Raises:
        ConfigError: there is no teacher of this name; those that exist are named.
        ArtifactError: the card is damaged or of another schema.
    """
    if name not in teacher_names():
        listed = ", ".join(teacher_names()) or "none"
        raise ConfigError(f"no teacher '{name}' comes with snn-tool; there are {listed}")
    path = FOLDER / f"{name}{_CARD}"
    document = read_json(path, KIND, SCHEMA)
    checked = convert(document, TeacherCardDocument, str(path), remedy="install snn-tool again")
    return TeacherCard(
        name=name,
        summary=checked.summary,
        architecture=checked.architecture,
        parameters=checked.parameters,
        figures=tuple(document["figures"]),
        validation=document["validation"],
        recipe=checked.recipe,
        training=document["training"],
        limits=checked.limits,
    )
