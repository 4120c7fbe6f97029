"""Recorded pairs: folders of degraded and clean images that belong together by their names.

A pair is handled as one stack of six channels, clean before degraded, so that whatever is cut, turned or
hashed is cut, turned and hashed in both.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from snn_tool.degradations.noise import Degradation
from snn_tool.degradations.options import AS_USUAL, HowOptions
from snn_tool.degradations.tasks import TrainedFor, degradation_for, known_task
from snn_tool.errors import ConfigError, DataError
from snn_tool.files.artifacts import refuse_missing, write_json
from snn_tool.files.documents import Document, read_document
from snn_tool.files.ownership import is_kind, owned_path
from snn_tool.images.files import Pixels, find_images, in_channels, read_picture

CLEAN_NAMES = ("clean",)
DEGRADED_NAMES = ("degraded", "rainy", "hazy", "blurry", "noisy")
RECORD = "degradation.json"
"""What `degrade` leaves beside its pairs, so that `--pairs` knows what degraded them."""
KIND, SCHEMA = "degradation", 1
MOST_NAMED = 3
Image = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Which degraded image belongs to which clean one, and what is wrong with the degraded ones.

    Attributes:
        clean: folder of the images that name the pairs: the clean ones, or the degraded ones if some share
            a clean one.
        partners: the degraded image of every one of them.
        task: what restoring them is called; empty where nobody wrote it down.
        shared: the clean image of every degraded one; empty where the clean ones name the pairs.
    """

    clean: Path
    partners: Mapping[Path, Path]
    task: str = ""
    shared: Mapping[Path, Path] = field(default_factory=dict)

    def original(self, path: Path) -> Path:
        """The clean image of the pair that `path` names."""
        return self.shared.get(path, path)

    def describe(self) -> dict[str, Any]:
        """The task's name, and that nothing was synthesised."""
        return {"task": self.task, "images": "pairs"}

    def read(self, path: Path, channels: int | None = 3) -> Pixels:
        """The stack uint8 [H, W, 2 C] of a clean image and its degraded partner.

        C is 3, of 1 channel both become grey, and None leaves grey pairs as they are.

        Raises:
            DataError: a file is damaged, or the two differ in size.
        """
        original = self.original(path)
        clean, degraded = read_picture(original).pixels, read_picture(self.partners[path]).pixels
        if channels is None and clean.shape[2] != degraded.shape[2]:
            channels = 3
        clean, degraded = in_channels(clean, channels), in_channels(degraded, channels)
        if clean.shape != degraded.shape:
            raise DataError(
                f"{self.partners[path]}: {_size(degraded)} pixels, but {original} has {_size(clean)}; "
                "a pair must show the same window"
            )
        return np.concatenate([clean, degraded], axis=2)


Source = Degradation | Pairs


def read_source(path: Path, source: Source, channels: int | None = 3) -> Pixels:
    """A clean image [H, W, C], with its degraded partner in C more channels if `source` holds pairs.

    C is 3, of 1 channel the image becomes grey before it is degraded, and None leaves grey ones as they are.
    """
    if isinstance(source, Pairs):
        return source.read(path, channels)
    return in_channels(read_picture(path).pixels, channels)


def degrade(stack: Pixels, source: Source, rng: np.random.Generator) -> tuple[Image, Image]:
    """Degraded and clean float32 [..., H, W, C], from what `read_source` gave or from any part of it.

    Clean images are in [0, 1]; synthetic degradations are drawn from `rng` and not clamped.
    """
    if isinstance(source, Pairs):
        half = stack.shape[-1] // 2
        return unit_range(stack[..., half:]), unit_range(stack[..., :half])
    values = unit_range(stack)
    return source.apply(values, rng), values


def unit_range(pixels: Pixels) -> Image:
    """Pixels of 8 bits as float32 in [0, 1]."""
    values = pixels.astype(np.float32, order="C")
    values /= np.float32(255)  # in place: photographs are large
    return values


def source_for(
    pairs: Pairs | None,
    task: str | None,
    strength: str | None,
    trained_for: TrainedFor,
    how: HowOptions = AS_USUAL,
) -> Source:
    """The pairs under the name of their task, or else the degradation that `degradation_for` finds.

    Raises:
        ConfigError: the options are wrong, or nothing says what degraded the images.
    """
    if pairs is None:
        return degradation_for(task, strength, trained_for, how)
    if how != AS_USUAL:
        raise ConfigError("--kind, --eight-bit, --jpeg: pairs are degraded as they are; leave them out")
    if strength is not None:
        raise ConfigError(f"--strength {strength}: pairs have the strength that they have; leave it out")
    name = task or pairs.task or trained_for.task
    if not name:
        raise ConfigError("pairs do not say what degraded them; name it with --task, e.g. --task derain")
    known_task(name)
    return replace(pairs, task=name)


def images_and_partners(
    clean: Path | None, pairs: Path | None, degraded: Path | None
) -> tuple[Path, Pairs | None]:
    """The folder of clean images, and their degraded partners if they were recorded.

    Args:
        clean: folder of clean images.
        pairs: or else a folder with both in it.
        degraded: the degraded partners of `clean`.

    Raises:
        ConfigError: neither or both of `clean` and `pairs`, or `degraded` beside `pairs`.
        DataError: a folder is missing, or images have no partner.
    """
    for folder in (clean, pairs, degraded):
        if folder is not None:
            refuse_missing(folder)
    if clean is not None and pairs is None:
        found = match_pairs(degraded, clean) if degraded else None
        return found.clean if found else clean, found
    if clean is not None or pairs is None or degraded is not None:
        raise ConfigError("give a folder of clean images, with or without degraded partners, or pairs")
    found = open_pairs(pairs)
    return found.clean, found


def open_pairs(folder: Path) -> Pairs:
    """The pairs below a folder with `clean` and `degraded` (or rainy, hazy, blurry, noisy) inside.

    Their task is the one that `degrade` recorded there, if it made them.

    Raises:
        DataError: a folder is missing, or images have no partner (named).
        ArtifactError: the record of `degrade` is damaged.
    """
    found = match_pairs(_inside(folder, DEGRADED_NAMES), _inside(folder, CLEAN_NAMES))
    return replace(found, task=_recorded_task(folder / RECORD))


class DegradationRecord(Document, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The schema of degradation.json: a degradation as it describes itself, and the seed of its draws."""

    degradation: dict[str, Any]
    seed: int


def record_degradation(folder: Path, degradation: Degradation, seed: int) -> None:
    """Write down what degraded the images of a folder."""
    body = {"degradation": degradation.describe(), "seed": seed}
    write_json(folder / RECORD, KIND, SCHEMA, body, owned_path)


def _recorded_task(path: Path) -> str:
    """The task that `degrade` recorded; empty where it did not make the pairs."""
    if not is_kind(path, KIND):
        return ""
    task = str(read_document(path, KIND, SCHEMA, DegradationRecord).degradation.get("task"))
    known_task(task)
    return task


def _inside(folder: Path, names: tuple[str, ...]) -> Path:
    found = [folder / name for name in names if (folder / name).is_dir()]
    if len(found) != 1:
        has = "has both " + " and ".join(f"{path.name}/" for path in found) if found else "lacks one"
        raise DataError(f"{folder}: --pairs needs one folder named {' or '.join(names)} in it; it {has}")
    return found[0]


def match_pairs(degraded: Path, clean: Path) -> Pairs:
    """Match two folders by the paths below them, without suffix.

    If degraded images are named after clean ones, `lake_1` and `lake_2` after `lake`, each is a pair of
    itself with that one.

    Raises:
        DataError: a folder is missing or empty, names repeat, or images have no partner (named).
    """
    sources, targets = _by_stem(degraded), _by_stem(clean)
    if shared := _shared(sources, targets):
        return Pairs(degraded, {path: path for path in shared}, shared=shared)
    for lonely, missing_in in ((set(targets) - set(sources), degraded), (set(sources) - set(targets), clean)):
        if lonely:
            raise DataError(
                f"{missing_in}: no partner for {_some(lonely)} ({len(sources)} degraded, "
                f"{len(targets)} clean images); pairs have the same name in both folders"
            )
    return Pairs(clean, {targets[stem]: sources[stem] for stem in targets})


def _shared(sources: Mapping[str, Path], targets: Mapping[str, Path]) -> dict[Path, Path]:
    """The clean image of every degraded one that is named after it; empty unless that finds one for all."""
    found: dict[Path, Path] = {}
    for stem, source in sources.items():
        cuts = [at for at, sign in enumerate(stem) if sign == "_" and stem[:at] in targets]
        if not cuts:
            return {}
        found[source] = targets[stem[: cuts[-1]]]
    return found if set(found.values()) == set(targets.values()) else {}


def _by_stem(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in find_images(folder):
        stem = path.relative_to(folder).with_suffix("").as_posix()
        if stem in found:
            raise DataError(f"{path}: {found[stem].name} has the same name; pairs are matched without suffix")
        found[stem] = path
    return found


def _some(names: set[str]) -> str:
    shown = ", ".join(sorted(names)[:MOST_NAMED])
    return shown + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")


def _size(image: Pixels) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"
