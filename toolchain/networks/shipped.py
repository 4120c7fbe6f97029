"""Students that come with the package: trained, quantised, measured, each with a card.

`models/shipped/NAME.int.safetensors` has, besides its sidecar, a card `NAME.card.json`: recipe, commands,
figures on the protocol's test sets, energy range and limits. `benchmarks/ship_students.py` writes both.

NAME is the newest version. `NAME@2` is a version by its number: the newest one, too, if that is its number,
else `models/shipped/versions/NAME@2`, where files lie that were the newest once, bit for bit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import snn_tool.models
from msgspec import Meta
from snn_tool.errors import ConfigError
from snn_tool.files.artifacts import read_json
from snn_tool.files.documents import Count, Document, Finite, Name, NotNegative, Text, convert
from snn_tool.models.accounts import Degraded

KIND, SCHEMA = "model-card", 2
DEFAULT, DEFAULT_OF_GREY = "denoise-blind", "denoise-gray-blind"
"""What `restore` takes for images of colour and for grey ones."""
PREFERRED = (DEFAULT, DEFAULT_OF_GREY)
"""Students that go before the others of their task, which go by name."""
FOLDER = Path(snn_tool.models.__path__[0]) / "shipped"
VERSIONS, AT = "versions", "@"
"""The folder of former versions, and what stands between a name and a version."""

LEAST_GAIN_DB = 1.0
"""What a student must gain on data that were degraded by others, or else it says so."""
_CARD, _STUDENT = ".card.json", ".int.safetensors"


@dataclass(frozen=True, slots=True)
class Card:
    """What is known about one shipped student.

    Attributes:
        name: what `--student` takes.
        summary: one line for people.
        parameters: trainable values.
        figures: one entry per test set and degradation: `set`, `images`, `task` (its `describe()`), and for
            `degraded`, `float` and `integer` the mean over the images of PSNR in dB (`_psnr_db`) and of SSIM
            (`_ssim`), with its standard deviation (`_psnr_std_db`, `_ssim_std`); null where one is infinite.
        recipe: the commands that made it.
        training: what the sidecar says of the training.
        energy: least and most of the ratios of the energy report, and what they are against; the same against
            the student's own ANN (`twin_`) and against its own integers on a dense array (`qann_`, null of
            cards from before); synops per pixel (a spike of level n counts as n), deliveries per pixel and
            nonzero spikes per neuron.
        limits: sentences about what it is not good for.
        channels: of its images: 3 of colour, 1 of grey.
        foreign: one entry per set that was degraded otherwise than in the training: `set`, `images`, `task`,
            `register` (pixels), and `degraded_psnr_db`, `integer_psnr_db`, `gain_db`, means over the images.
        version: counted from 1.
        seeds: of all trainings by this recipe: `seed` and `validation_psnr_db`; the best one is shipped.
        changes: sentences about what is different from the version before.
    """

    name: str
    summary: str
    parameters: int
    figures: tuple[Mapping[str, Any], ...]
    recipe: tuple[str, ...]
    training: Mapping[str, Any]
    energy: Mapping[str, Any]
    limits: tuple[str, ...]
    channels: int = 3
    foreign: tuple[Mapping[str, Any], ...] = ()
    version: int = 1
    seeds: tuple[Mapping[str, Any], ...] = ()
    changes: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The integer student."""
        return student_path(self.name)

    @property
    def task(self) -> str:
        """What it was trained to restore, a key of `TASKS`."""
        return str(self.training["task"]["task"])

    @property
    def weakness(self) -> str:
        """Where it hardly helps on data of others, in a sentence; empty where it gains LEAST_GAIN_DB."""
        weak = [each for each in self.foreign if each["gain_db"] < LEAST_GAIN_DB]
        if not weak:
            return ""
        where = "; ".join(
            f"{each['set']} {each['degraded_psnr_db']:.2f} -> {each['integer_psnr_db']:.2f} dB"
            for each in weak
        )
        return f"{self.name} gains less than {LEAST_GAIN_DB:g} dB on data of others: {where}"


class Restored(Degraded, frozen=True, kw_only=True):
    """What a student of a card restores; its task has a name."""

    task: Name


class FigureEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of `figures`."""

    set: Name
    images: Count
    task: Restored
    degraded_psnr_db: Finite | None
    degraded_psnr_std_db: NotNegative | None
    degraded_ssim: Finite | None
    degraded_ssim_std: NotNegative | None
    float_psnr_db: Finite | None
    float_psnr_std_db: NotNegative | None
    float_ssim: Finite | None
    float_ssim_std: NotNegative | None
    integer_psnr_db: Finite | None
    integer_psnr_std_db: NotNegative | None
    integer_ssim: Finite | None
    integer_ssim_std: NotNegative | None


class ForeignEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of `foreign`."""

    set: Name
    images: Count
    task: Restored
    degraded_psnr_db: Finite
    integer_psnr_db: Finite
    gain_db: Finite
    register: Count = 0


class EnergyEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`energy` of a card."""

    against: Text
    least: NotNegative
    most: NotNegative
    twin_least: NotNegative
    twin_most: NotNegative
    synops_per_pixel: NotNegative
    deliveries_per_pixel: NotNegative
    spikes_per_neuron: NotNegative
    qann_least: NotNegative | None = None
    qann_most: NotNegative | None = None


class SeedEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of `seeds`."""

    seed: Count
    validation_psnr_db: Finite


class TrainingEntry(msgspec.Struct, frozen=True):
    """What is read of `training`; it may say more."""

    task: Restored
    seed: Count
    steps: Count
    best_step: Count
    validation_psnr_db: Finite


class CardDocument(Document, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The schema of a card; see `Card`."""

    summary: Text
    parameters: Count
    figures: Annotated[tuple[FigureEntry, ...], Meta(min_length=1)]
    recipe: tuple[Text, ...]
    training: TrainingEntry
    energy: EnergyEntry
    limits: tuple[Text, ...]
    channels: Literal[1, 3] = 3
    foreign: tuple[ForeignEntry, ...] = ()
    version: Annotated[int, Meta(ge=1)] = 1
    seeds: tuple[SeedEntry, ...] = ()
    changes: tuple[Text, ...] = ()


def student_path(name: str, folder: Path = FOLDER) -> Path:
    """The file of the integer student of that name, or of that name and version."""
    return _beside_card(name, folder, _STUDENT)


def shipped_names(folder: Path = FOLDER) -> tuple[str, ...]:
    """Names of the students in this installation, without versions."""
    return tuple(sorted(path.name.removesuffix(_CARD) for path in folder.glob(f"*{_CARD}")))


def versions_of(name: str, folder: Path = FOLDER) -> tuple[int, ...]:
    """The versions of a student, given without one, that are in this installation; the newest last."""
    former = (path.name.removesuffix(_CARD) for path in (folder / VERSIONS).glob(f"{name}{AT}*{_CARD}"))
    numbers = [int(text) for _, _, text in (each.rpartition(AT) for each in former) if text.isdecimal()]
    return tuple(sorted(numbers)) + ((_newest(name, folder),) if name in shipped_names(folder) else ())


def is_shipped(name: str, folder: Path = FOLDER) -> bool:
    """Whether a student of that name, or of that name and version, is in this installation."""
    bare, at, version = name.partition(AT)
    if not at:
        return bare in shipped_names(folder)
    return version.isdecimal() and int(version) in versions_of(bare, folder)


def _newest(name: str, folder: Path) -> int:
    """The version that the card of a name without one says."""
    document = read_json(folder / f"{name}{_CARD}", KIND, SCHEMA)
    version = document.get("version", 1)
    return version if isinstance(version, int) else 1  # `read_card` refuses what is none


def _beside_card(name: str, folder: Path, suffix: str) -> Path:
    """A file of a student: of a version that is not the newest it lies among the former ones."""
    bare, at, version = name.partition(AT)
    if not at or (bare in shipped_names(folder) and version == str(_newest(bare, folder))):
        return folder / f"{bare}{suffix}"
    return folder / VERSIONS / f"{name}{suffix}"


def read_card(name: str, folder: Path = FOLDER) -> Card:
    """The card of a shipped student.

    Raises:
        ConfigError: there is no student of this name, or not that version; those that exist are named.
        ArtifactError: the card is damaged or of another schema.
    """
    if not is_shipped(name, folder):
        bare = name.partition(AT)[0]
        if has := versions_of(bare, folder):
            raise ConfigError(f"no '{name}' comes with snn-tool; {bare} has version {_numbers(has)}")
        raise ConfigError(f"no student '{name}' comes with snn-tool; there are {_listed(folder)}")
    path = _beside_card(name, folder, _CARD)
    document = read_json(path, KIND, SCHEMA)
    checked = convert(document, CardDocument, str(path), remedy="install snn-tool again")
    return Card(
        name=name,
        summary=checked.summary,
        parameters=checked.parameters,
        figures=tuple(document["figures"]),
        recipe=checked.recipe,
        training=document["training"],
        energy=document["energy"],
        limits=checked.limits,
        channels=checked.channels,
        foreign=tuple(document.get("foreign", ())),
        version=checked.version,
        seeds=tuple(document.get("seeds", ())),
        changes=checked.changes,
    )


def card_of(path: Path) -> Card | None:
    """The card of a student's file, if it comes along."""
    name = path.name.removesuffix(_STUDENT)
    return read_card(name) if path.parent == FOLDER and name in shipped_names() else None


def shipped_for(task: str, folder: Path = FOLDER, grey: bool = False) -> Card:
    """The student that restores what `task` names: a preferred one, or else the first by name.

    With `grey` one for grey images goes before those for colour; without, none is taken.

    Raises:
        ConfigError: none does; the tasks of those that exist are named.
    """
    cards = [read_card(name, folder) for name in shipped_names(folder)]
    fitting = [card for card in cards if card.task == task and card.channels in ((1, 3) if grey else (3,))]
    fitting.sort(key=lambda card: (card.channels, card.name not in PREFERRED))
    if not fitting:
        tasks = ", ".join(sorted({card.task for card in cards})) or "no task"
        raise ConfigError(f"--task {task}: the students that come with snn-tool are for {tasks}")
    return fitting[0]


def _numbers(versions: tuple[int, ...]) -> str:
    return " and ".join(filter(None, (", ".join(map(str, versions[:-1])), str(versions[-1]))))


def _listed(folder: Path) -> str:
    return ", ".join(shipped_names(folder)) or "none"
