"""How good a teacher is where the students are measured."""

import torch
from snn_tool.networks.open import OpenedTeacher
from snn_tool.training.data import ImageSet, ValidationSet
from snn_tool.training.fit import data_hash
from torch import Tensor


def crop_psnr_db(opened: OpenedTeacher, crops: ValidationSet) -> list[float]:
    """PSNR in dB of every validation crop as the teacher restores it, clamped to [0, 1], in fp32."""
    found = []
    for degraded, clean in crops:
        with torch.no_grad():
            restored, _ = opened.network.forward_features(degraded)  # type: ignore[operator]
        found.append(_psnr_db(restored, clean))
    return found


def left_out(opened: OpenedTeacher, validation: ImageSet) -> bool | None:
    """Whether its own training held out exactly these images; None if nobody wrote it down."""
    hashes = opened.provenance.account.get("data", {})
    return hashes.get("validation") == data_hash(validation) if hashes else None


def _psnr_db(image: Tensor, clean: Tensor) -> float:
    error = (image.float().clamp(0, 1) - clean).square().mean()
    return float(-10 * torch.log10(error))
