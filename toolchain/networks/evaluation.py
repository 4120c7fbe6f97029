"""PSNR and SSIM of a student or a teacher on clean images or on pairs, by the README's protocol.

RGB, or the one channel of grey files; full images; noise from a generator seeded by the seed and the file's
name, not clamped; the restored image rounded to 8 bits and clamped; data range 255. Derained images are
scored on luma as well.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from snn_tool.files.artifacts import Opener, atomic_path, write_json
from snn_tool.degradations.crops import name_below
from snn_tool.degradations.tasks import image_rng
from snn_tool.evaluation_scores import WITH_LUMA, Evaluation, ImageScore, Pair, score
from snn_tool.images.files import find_images, write_image
from snn_tool.networks.teachers import TeacherSource
from snn_tool.files.ownership import claim, of_kind, owned_path, refuse_existing, refuse_existing_file
from snn_tool.degradations.pairs import Pairs, Source, degrade, read_source, source_for
from snn_tool.networks.students import open_student, warn_of_grey
from snn_tool.teacher_restoration import open_restoring_teacher

KIND, SCHEMA = "evaluation", 1
Track = Callable[[list[Path], str], Iterable[Path]]


@dataclass(frozen=True, slots=True)
class EvaluationFiles:
    """What an evaluation leaves behind.

    Attributes:
        scores: JSON file, or None.
        restored: folder for the restored images, or None.
        overwrite: replace them.
        opener: how the scores are written; `owned_path` in a folder that is not theirs alone.
    """

    scores: Path | None = None
    restored: Path | None = None
    overwrite: bool = False
    opener: Opener = atomic_path

    def refuse(self) -> None:
        """Refuse what exists before anything is computed.

        Raises:
            ConfigError: a file or a folder exists and `overwrite` is false.
        """
        if self.scores:
            refuse_existing_file(self.scores, self.overwrite, of_kind(KIND), "evaluation")
        if self.restored:
            refuse_existing(self.restored, self.overwrite)


def load_pair(path: Path, folder: Path, degradation: Source, seed: int) -> Pair:
    """Decode and degrade one image; the noise depends on the seed and on the name below `folder` alone.

    A grey image has one channel, and so one draw of noise.
    """
    stack = read_source(path, degradation, keep_grey=True)
    name = name_below(path, folder)
    degraded, _ = degrade(stack, degradation, image_rng(seed, name))
    return Pair(name, np.ascontiguousarray(stack[..., : degraded.shape[2]]), degraded)


def run_evaluation(
    network: Path | TeacherSource,
    folder: Path,
    task: tuple[str | None, str | None, int],
    tile: int,
    files: EvaluationFiles,
    track: Track,
    pairs: Pairs | None = None,
) -> Evaluation:
    """Restore and score the images of a folder one by one, and write the files that are wanted.

    Args:
        network: float or integer student, or a teacher.
        folder: of clean images.
        task: `--task` and `--strength`, None as trained, and the seed of the degradation.
        tile: side of the tiles of large images.
        files: what to leave behind.
        track: shows how far it is, e.g. `Terminal.track`.
        pairs: degraded images to take instead of synthetic ones; `folder` is then their clean folder.

    Raises:
        ConfigError: a file exists, or nothing says which noise to add.
        DataError: an image is damaged.
        TeacherError: the teacher fails, or gives NaN or another shape.
    """
    files.refuse()
    opened = open_student(network) if isinstance(network, Path) else open_restoring_teacher(network)
    degradation = source_for(pairs, task[0], task[1], opened.trained_for)
    described = degradation.describe()
    scores: list[ImageScore] = []
    paths = find_images(folder, without=files.restored)
    if files.restored:
        claim(files.restored / _png(name_below(path, folder)) for path in paths)
    for path in track(paths, "evaluate"):
        pair = load_pair(path, folder, degradation, task[2])
        restored = opened.restore_8_bits(pair.degraded, tile)
        if pair.clean.shape[2] == 1 and all(scored.channels == 3 for scored in scores):
            warn_of_grey(path, opened.title)
        scores.append(score(pair, restored, described["task"] in WITH_LUMA))
        if files.restored:
            write_image(files.restored / _png(pair.name), restored, opener=owned_path)
    scored = Evaluation(opened.title, opened.kind, opened.sha256, described, task[2], tuple(scores))
    if files.scores:
        write_json(files.scores, KIND, SCHEMA, scored.document(), files.opener)
    return scored


def _png(name: str) -> str:
    """The name of a restored image; the old suffix stays, for a.jpg and a.tif may lie side by side."""
    return name if name.endswith(".png") else f"{name}.png"
