"""Students that come with the package: trained, quantised, measured, each with a card.

`models/shipped/NAME.int.safetensors` has, besides its sidecar, a card `NAME.card.json`: recipe, commands,
figures on the protocol's test sets, energy range and limits. `benchmarks/ship_students.py` writes both.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import snn_tool.models
from snn_tool.artifacts import read_json
from snn_tool.errors import ArtifactError, ConfigError

KIND, SCHEMA = "model-card", 1
DEFAULT = "denoise-blind"
FOLDER = Path(snn_tool.models.__path__[0]) / "shipped"
_CARD, _STUDENT = ".card.json", ".int.safetensors"


@dataclass(frozen=True, slots=True)
class Card:
    """What is known about one shipped student.

    Attributes:
        name: what `--student` takes.
        summary: one line for people.
        parameters: trainable values.
        figures: one entry per test set and noise: `set`, `images`, `sigma`, and mean PSNR in dB and SSIM,
            degraded and restored, of the float and of the integer student.
        recipe: the commands that made it.
        training: what the sidecar says of the training.
        energy: least and most of the ratios of the energy report, and what they are against.
        limits: sentences about what it is not good for.
    """

    name: str
    summary: str
    parameters: int
    figures: tuple[Mapping[str, Any], ...]
    recipe: tuple[str, ...]
    training: Mapping[str, Any]
    energy: Mapping[str, Any]
    limits: tuple[str, ...]

    @property
    def path(self) -> Path:
        """The integer student."""
        return FOLDER / f"{self.name}{_STUDENT}"


def shipped_names(folder: Path = FOLDER) -> tuple[str, ...]:
    """Names of the students in this installation."""
    return tuple(sorted(path.name.removesuffix(_CARD) for path in folder.glob(f"*{_CARD}")))


def read_card(name: str, folder: Path = FOLDER) -> Card:
    """The card of a shipped student.

    Raises:
        ConfigError: there is no student of this name; those that exist are named.
        ArtifactError: the card is damaged or of another schema.
    """
    if name not in shipped_names(folder):
        raise ConfigError(f"no student '{name}' comes with snn-tool; there are {_listed(folder)}")
    path = folder / f"{name}{_CARD}"
    document = read_json(path, KIND, SCHEMA)
    try:
        return Card(
            name=name,
            summary=document["summary"],
            parameters=document["parameters"],
            figures=tuple(document["figures"]),
            recipe=tuple(document["recipe"]),
            training=document["training"],
            energy=document["energy"],
            limits=tuple(document["limits"]),
        )
    except KeyError as error:
        raise ArtifactError(f"{path}: the card lacks {error}; install snn-tool again") from error


def student_or_shipped(given: Path | None) -> Path | None:
    """A student's file: the path itself, or the file of the shipped student that it names.

    A bare word that is no file here is a name, so that a typing error is told what names there are.

    Raises:
        ConfigError: a bare word that names no shipped student.
    """
    if given is None or given.suffix or len(given.parts) != 1 or given.exists():
        return given
    return read_card(given.name).path


def _listed(folder: Path) -> str:
    return ", ".join(shipped_names(folder)) or "none"
