"""The teacher of the distillation benchmark: how good it is where the students are measured."""

from dataclasses import dataclass
from statistics import fmean

import torch
from snn_tool.networks.open import OpenedTeacher
from snn_tool.training.fit import TrainingData, data_hash
from torch import Tensor

WANTED_LEAD_DB = 1.0
"""A teacher that is hardly better than the student has little to teach."""


@dataclass(frozen=True, slots=True)
class TeacherFigures:
    """What is known of a teacher.

    Attributes:
        psnr_db, degraded_psnr_db: mean over the validation crops, clamped to [0, 1], in fp32.
        held_out: True if its own training left out exactly these validation images; None if it is unknown.
    """

    title: str
    sha256: str
    parameters: int
    psnr_db: float
    degraded_psnr_db: float
    crops: int
    held_out: bool | None


def measure_teacher(opened: OpenedTeacher, data: TrainingData) -> TeacherFigures:
    """Restore every validation crop."""
    psnr_db, degraded_psnr_db = [], []
    for degraded, clean in data.crops:
        with torch.no_grad():
            restored, _ = opened.network.forward_features(degraded)  # type: ignore[operator]
        psnr_db.append(_psnr_db(restored, clean))
        degraded_psnr_db.append(_psnr_db(degraded, clean))
    hashes = opened.provenance.account.get("data", {})
    held_out = hashes.get("validation") == data_hash(data.validation) if hashes else None
    parameters = sum(parameter.numel() for parameter in opened.network.parameters())
    figures = fmean(psnr_db), fmean(degraded_psnr_db), len(psnr_db)
    return TeacherFigures(
        opened.provenance.title, opened.provenance.sha256, parameters, *figures, held_out or None
    )


def _psnr_db(image: Tensor, clean: Tensor) -> float:
    error = (image.float().clamp(0, 1) - clean).square().mean()
    return float(-10 * torch.log10(error))


def lead_text(teacher: TeacherFigures, none_db: float) -> tuple[str, ...]:
    """The teacher's lead over the student without one, and loudly if it is small."""
    lead_db = teacher.psnr_db - none_db
    lines = [
        f"teacher {teacher.title}: {teacher.psnr_db:.2f} dB on {teacher.crops} validation crops, "
        f"{lead_db:+.2f} dB against the student without a teacher ({none_db:.2f} dB)"
    ]
    if lead_db < WANTED_LEAD_DB:
        what = "is WORSE than the student" if lead_db < 0 else f"leads by less than {WANTED_LEAD_DB:g} dB"
        lines.append(f"WARNING: the teacher {what}; this is no fair test of distillation, train a better one")
    if not teacher.held_out:
        lines.append(
            "note: the teacher is not known to have left these validation images out of its training"
        )
    return tuple(lines)
