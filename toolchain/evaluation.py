"""PSNR and SSIM of a student on a folder of clean images, by the protocol that the README states.

Colour, full images; noise from a generator seeded by the seed and the file's name, not clamped; the restored
image rounded to 8 bits and clamped; data range 255.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snn_tool.degradations import Degradation, image_rng
from snn_tool.images import find_images, read_image
from snn_tool.metrics import psnr_db, ssim, to_uint8
from snn_tool.restoration import Student


@dataclass(frozen=True, slots=True)
class ImageScore:
    """One image; `inf` dB means identical."""

    name: str
    height: int
    width: int
    degraded_psnr_db: float
    psnr_db: float
    degraded_ssim: float | None
    ssim: float | None


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
        """Standard deviation of one score over the images that have it."""
        values = [getattr(score, field) for score in self.scores if getattr(score, field) is not None]
        return float(np.std(values)) if values else float("nan")

    def document(self) -> dict[str, Any]:
        """JSON values; an infinite PSNR (identical images) is written as null."""
        figures = ("degraded_psnr_db", "psnr_db", "degraded_ssim", "ssim")
        return {
            "student": self.student,
            "student_kind": self.kind,
            "student_sha256": self.sha256,
            "task": self.task,
            "seed": self.seed,
            "protocol": "RGB, full images, 8-bit output, data range 255, unclamped noise seeded per file name",
            "mean": {name: finite(self.mean(name)) for name in figures},
            "standard_deviation": {name: finite(self.spread(name)) for name in figures},
            "images": [
                {
                    key: finite(value) if isinstance(value, float) else value
                    for key, value in asdict(score).items()
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


def test_pairs(folder: Path, degradation: Degradation, seed: int) -> Iterator[Pair]:
    """Decode and degrade one image at a time, in the order of their names."""
    for path in find_images(folder):
        clean = read_image(path)
        name = path.relative_to(folder).as_posix() if folder.is_dir() else path.name
        degraded = degradation.apply(clean.astype(np.float32) / 255, image_rng(seed, name))
        yield Pair(name, clean, degraded)


def score(pair: Pair, restored: NDArray[np.float32]) -> ImageScore:
    """Both figures before and after restoration."""
    before, after = to_uint8(pair.degraded), to_uint8(restored)
    return ImageScore(
        name=pair.name,
        height=pair.clean.shape[0],
        width=pair.clean.shape[1],
        degraded_psnr_db=psnr_db(before, pair.clean),
        psnr_db=psnr_db(after, pair.clean),
        degraded_ssim=ssim(before, pair.clean),
        ssim=ssim(after, pair.clean),
    )


def evaluate(
    student: Student, folder: Path, degradation: Degradation, seed: int, tile: int
) -> Iterator[tuple[Pair, NDArray[np.float32], ImageScore]]:
    """Restore and score the images of a folder one by one."""
    for pair in test_pairs(folder, degradation, seed):
        restored = student.restore(pair.degraded, tile)
        yield pair, restored, score(pair, restored)
