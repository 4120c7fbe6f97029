"""PSNR and SSIM of a student on clean images or on pairs, by the protocol that the README states.

Colour, full images; noise from a generator seeded by the seed and the file's name, not clamped; the restored
image rounded to 8 bits and clamped; data range 255. Derained images are scored on luma as well.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snn_tool.artifacts import refuse_existing, refuse_existing_file, sha256_bytes, write_json
from snn_tool.crops import name_below
from snn_tool.degradations import image_rng, task_text
from snn_tool.images import find_images, write_image
from snn_tool.metrics import luma, psnr_db, ssim, to_uint8
from snn_tool.pairs import Pairs, Source, degrade, read_source, source_for
from snn_tool.restoration import open_student

KIND, SCHEMA = "evaluation", 1
Track = Callable[[list[Path], str], Iterable[Path]]

WINDOW = "full images, 8-bit output, data range 255"
PROTOCOL = f"RGB, {WINDOW}, unclamped noise seeded per file name"
SYNTHETIC_PROTOCOL = f"RGB, {WINDOW}, unclamped synthetic degradation seeded per file name"
PAIRS_PROTOCOL = f"RGB, {WINDOW}, recorded pairs of 8-bit images"
LUMA_PROTOCOL = "; luma: Y of BT.601, 16..235, rounded to 8 bits as MATLAB's rgb2ycbcr, data range 255"
FIGURES = ("degraded_psnr_db", "psnr_db", "degraded_ssim", "ssim")
LUMA_FIGURES = ("degraded_psnr_y_db", "psnr_y_db", "degraded_ssim_y", "ssim_y")
WITH_LUMA = ("derain",)


@dataclass(frozen=True, slots=True)
class ImageScore:
    """One image; `inf` dB means identical; the hash is that of its clean pixels; `y` is luma, if scored."""

    name: str
    sha256: str
    height: int
    width: int
    degraded_psnr_db: float
    psnr_db: float
    degraded_ssim: float | None
    ssim: float | None
    degraded_psnr_y_db: float | None = None
    psnr_y_db: float | None = None
    degraded_ssim_y: float | None = None
    ssim_y: float | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of all images, and their means."""

    student: str
    kind: str
    sha256: str
    task: dict[str, Any]
    seed: int
    scores: tuple[ImageScore, ...]

    def mean(self, field: str) -> float:
        """Mean of one score over the images that have it."""
        values = [getattr(score, field) for score in self.scores if getattr(score, field) is not None]
        return float(np.mean(values)) if values else float("nan")

    def spread(self, field: str) -> float:
        """Standard deviation of one score over the images that have it; NaN if one of them is infinite."""
        values = [getattr(score, field) for score in self.scores if getattr(score, field) is not None]
        return float(np.std(values)) if values and np.isfinite(values).all() else float("nan")

    @property
    def with_luma(self) -> bool:
        """Whether luma is scored."""
        return self.task["task"] in WITH_LUMA

    @property
    def protocol(self) -> str:
        """What was scored, and how, in a line."""
        if self.task.get("images") == "pairs":
            base = PAIRS_PROTOCOL
        else:
            base = PROTOCOL if self.task["task"] == "denoise" else SYNTHETIC_PROTOCOL
        return base + (LUMA_PROTOCOL if self.with_luma else "")

    def document(self) -> dict[str, Any]:
        """JSON values; an infinite PSNR (identical images) is written as null."""
        figures = FIGURES + (LUMA_FIGURES if self.with_luma else ())
        return {
            "student": self.student,
            "student_kind": self.kind,
            "student_sha256": self.sha256,
            "task": self.task,
            "seed": self.seed,
            "protocol": self.protocol,
            "mean": {name: finite(self.mean(name)) for name in figures},
            "standard_deviation": {name: finite(self.spread(name)) for name in figures},
            "images": [
                {
                    key: finite(value) if isinstance(value, float) else value
                    for key, value in asdict(score).items()
                    if self.with_luma or key not in LUMA_FIGURES
                }
                for score in self.scores
            ],
        }


def finite(value: float) -> float | None:
    """`value` rounded to 4 places, or None where JSON has no number for it."""
    return round(value, 4) if np.isfinite(value) else None


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """A test image and its degraded version; float32 [H, W, 3] beside uint8."""

    name: str
    clean: NDArray[np.uint8]
    degraded: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EvaluationFiles:
    """What an evaluation leaves behind.

    Attributes:
        scores: JSON file, or None.
        restored: folder for the restored images, or None.
        overwrite: replace them.
    """

    scores: Path | None = None
    restored: Path | None = None
    overwrite: bool = False

    def refuse(self) -> None:
        """Refuse what exists before anything is computed.

        Raises:
            ConfigError: a file or a folder exists and `overwrite` is false.
        """
        if self.scores:
            refuse_existing_file(self.scores, self.overwrite)
        if self.restored:
            refuse_existing(self.restored, self.overwrite)


def load_pair(path: Path, folder: Path, degradation: Source, seed: int) -> Pair:
    """Decode and degrade one image; the noise depends on the seed and on the name below `folder` alone."""
    stack = read_source(path, degradation)
    name = name_below(path, folder)
    degraded, _ = degrade(stack, degradation, image_rng(seed, name))
    return Pair(name, np.ascontiguousarray(stack[..., :3]), degraded)


def score(pair: Pair, restored: NDArray[np.float32], with_luma: bool = False) -> ImageScore:
    """Both figures before and after restoration, on RGB and, if wanted, on luma."""
    before, after = to_uint8(pair.degraded), to_uint8(restored)
    return ImageScore(
        name=pair.name,
        sha256=sha256_bytes(pair.clean.tobytes()),
        height=pair.clean.shape[0],
        width=pair.clean.shape[1],
        degraded_psnr_db=psnr_db(before, pair.clean),
        psnr_db=psnr_db(after, pair.clean),
        degraded_ssim=ssim(before, pair.clean),
        ssim=ssim(after, pair.clean),
        **(_luma_figures(before, after, pair.clean) if with_luma else {}),
    )


def _luma_figures(
    before: NDArray[np.uint8], after: NDArray[np.uint8], clean: NDArray[np.uint8]
) -> dict[str, Any]:
    first, second, target = luma(before), luma(after), luma(clean)
    figures = (
        psnr_db(first, target),
        psnr_db(second, target),
        ssim(first, target),
        ssim(second, target),
    )
    return dict(zip(LUMA_FIGURES, figures, strict=True))


def run_evaluation(
    student_path: Path,
    folder: Path,
    task: tuple[str | None, str | None, int],
    tile: int,
    files: EvaluationFiles,
    track: Track,
    pairs: Pairs | None = None,
) -> Evaluation:
    """Restore and score the images of a folder one by one, and write the files that are wanted.

    Args:
        student_path: float or integer student.
        folder: of clean images.
        task: `--task` and `--strength`, None as trained, and the seed of the degradation.
        tile: side of the tiles of large images.
        files: what to leave behind.
        track: shows how far it is, e.g. `Terminal.track`.
        pairs: degraded images to take instead of synthetic ones; `folder` is then their clean folder.

    Raises:
        ConfigError: a file exists, or nothing says which noise to add.
        DataError: an image is damaged.
    """
    files.refuse()
    student = open_student(student_path)
    degradation = source_for(pairs, task[0], task[1], student.trained_for)
    described = degradation.describe()
    scores = []
    for path in track(find_images(folder), "evaluate"):
        pair = load_pair(path, folder, degradation, task[2])
        restored = student.restore(pair.degraded, tile)
        scores.append(score(pair, restored, described["task"] in WITH_LUMA))
        if files.restored:
            # The old suffix stays, because a.jpg and a.tif may lie side by side.
            png = pair.name if pair.name.endswith(".png") else f"{pair.name}.png"
            write_image(files.restored / png, to_uint8(restored))
    scored = Evaluation(student_path.name, student.kind, student.sha256, described, task[2], tuple(scores))
    if files.scores:
        write_json(files.scores, KIND, SCHEMA, scored.document())
    return scored


def evaluation_text(scored: Evaluation) -> str:
    """A line for each image and one for the means."""
    width = max(len(item.name) for item in scored.scores)
    lines = [f"{'image':{width}}  degraded dB  restored dB  degraded SSIM  restored SSIM"]
    for item in scored.scores:
        similarity = [
            "     -" if value is None else f"{value:.4f}" for value in (item.degraded_ssim, item.ssim)
        ]
        lines.append(
            f"{item.name:{width}}  {item.degraded_psnr_db:11.2f}  {item.psnr_db:11.2f}  "
            f"{similarity[0]:>13}  {similarity[1]:>13}"
        )
    lines.append(
        f"{len(scored.scores)} images, {scored.kind} student, {task_text(scored.task)}, seed {scored.seed}: "
        f"{scored.mean('degraded_psnr_db'):.2f} -> {scored.mean('psnr_db'):.2f} dB "
        f"(standard deviation over images {scored.spread('psnr_db'):.2f}), SSIM "
        f"{scored.mean('degraded_ssim'):.4f} -> {scored.mean('ssim'):.4f}"
    )
    if scored.with_luma:
        lines.append(
            f"luma: {scored.mean('degraded_psnr_y_db'):.2f} -> {scored.mean('psnr_y_db'):.2f} dB, SSIM "
            f"{scored.mean('degraded_ssim_y'):.4f} -> {scored.mean('ssim_y'):.4f}"
        )
    return "\n".join(lines)
