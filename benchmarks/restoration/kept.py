"""Measurements kept in a folder, so that a page with one more student measures only that one.

What a network makes of an image is found by hashes of the network and of the pixels that it saw, so that
nothing else can be taken for it. The scores of a test set are found by hashes of the network and of the
set's files and by what was asked; they are believed only if the set's first image, measured again, scores
the same: a change of the degradations, of the engine or of a measure shows there, and all is measured anew.
"""

import json
import logging
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snn_tool.degradations.options import AS_USUAL, HowOptions
from snn_tool.degradations.pairs import Pairs
from snn_tool.files.artifacts import read_json, sha256_bytes, sha256_file, write_json
from snn_tool.files.documents import convert
from snn_tool.images.files import Pixels, find_images, read_picture, write_image
from snn_tool.networks.evaluation import Evaluation, EvaluationFiles, run_evaluation
from snn_tool.terminal import Track

LOGGER = logging.getLogger("snn_tool")
KIND, SCHEMA = "kept-evaluation", 1
SEED, TILE = 0, 512
Restore = Callable[[NDArray[np.float32]], Pixels]
"""A degraded image float32 [H, W, C] to the restored one, uint8 of the same shape."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a network is measured on.

    Attributes:
        network: file of an integer student or of a teacher, with a sidecar.
        folder: of the clean images, or the one that names the pairs.
        task, strength, how: as `run_evaluation` takes them.
        pairs: recorded ones instead of synthetic degradation.
        in_colour: grey files of a set for colour get three channels.
    """

    network: Path
    folder: Path
    task: str
    strength: str | None = None
    how: HowOptions = AS_USUAL
    pairs: Pairs | None = None
    in_colour: bool = False

    def answer(self, track: Track) -> Evaluation:
        """The scores, measured."""
        asked = (self.task, self.strength, SEED)
        how = (EvaluationFiles(), track, self.pairs, self.how, 0, self.in_colour)
        return run_evaluation(self.network, self.folder, asked, TILE, *how)

    def key(self) -> str:
        """Of all that decides the answer but the program: files by their content, not by their place."""
        paths = find_images(self.folder)
        images = [[path.relative_to(self.folder).as_posix(), *self._hashes(path)] for path in paths]
        asked = [self.task, self.strength, asdict(self.how), SEED, TILE, self.in_colour]
        return sha256_bytes(json.dumps([network_key(self.network), images, asked]).encode())

    def _hashes(self, path: Path) -> list[str]:
        if self.pairs is None:
            return [sha256_file(path)]
        return [sha256_file(each) for each in (self.pairs.original(path), self.pairs.partners[path])]

    def first(self) -> "Question | None":
        """The same of the first image alone; None where its name, and so its noise, would be another."""
        path = find_images(self.folder)[0]
        return replace(self, folder=path) if path.parent == self.folder else None


def network_key(path: Path) -> str:
    """A network by its weights and its sidecar."""
    return sha256_file(path) + sha256_file(path.with_suffix(".json"))


class Kept:
    """The folder of what was measured.

    Args:
        folder: made if it is not there; None keeps nothing, and measures everything.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def scores(self, question: Question, track: Track) -> Evaluation:
        """Scores of a set, kept or measured.

        Raises:
            ArtifactError: what is kept is damaged; the line names the file.
        """
        if self._folder is None:
            return question.answer(track)
        path = self._folder / "scores" / f"{question.key()}.json"
        if path.exists() and self._still_so(question, kept := _read(path)):
            return kept
        scored = question.answer(track)
        write_json(path, KIND, SCHEMA, _document(scored))
        return scored

    def _still_so(self, question: Question, kept: Evaluation) -> bool:
        alone = question.first()
        if alone is None:
            return False
        again = alone.answer(lambda paths, _: paths)
        if again == replace(kept, scores=kept.scores[:1]):
            return True
        LOGGER.warning("%s, %s: scores otherwise than was kept; measured again", kept.network, alone.folder)
        return False

    def restoring(self, network: Path, restore: Restore) -> Restore:
        """`restore`, but an image that this network has restored before is read."""
        if self._folder is None:
            return restore
        folder = self._folder / "restored" / sha256_bytes(network_key(network).encode())[:16]

        def found(image: NDArray[np.float32]) -> Pixels:
            seen = np.ascontiguousarray(image, np.float32)
            path = folder / f"{sha256_bytes(repr(seen.shape).encode() + seen.tobytes())}.png"
            if not path.exists():
                write_image(path, restore(image))
            return read_picture(path).pixels

        return found


def _document(scored: Evaluation) -> dict[str, Any]:
    """All of an evaluation; an infinite PSNR, for which JSON has no number, as the text `inf`."""

    def plain(value: Any) -> Any:
        return "inf" if isinstance(value, float) and math.isinf(value) else value

    scores = [{key: plain(value) for key, value in asdict(each).items()} for each in scored.scores]
    return {"evaluation": {**asdict(scored), "scores": scores}}


def _read(path: Path) -> Evaluation:
    document = read_json(path, KIND, SCHEMA)["evaluation"]
    for score in document["scores"]:
        score |= {key: math.inf for key, value in score.items() if value == "inf"}
    return convert(document, Evaluation, str(path), remedy="delete the file")
