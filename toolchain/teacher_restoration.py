"""Using a teacher: any that `--teacher` can name, on whole images of any size."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from snn_tool.images.files import Pixels
from snn_tool.images.metrics import to_uint8
from snn_tool.models.teachers.probe import check_finite, check_restored, run_teacher
from snn_tool.networks.teachers import TeacherSource, open_teacher
from snn_tool.images.tiling import pad_to_multiple, through_colour
from torch import nn

CROP = "crop the images to sides that it can take"
FINITE = "give other weights, or leave out images that hold NaN"


@dataclass(frozen=True, slots=True, eq=False)
class RestoringTeacher:
    """An opened teacher, ready to restore.

    Attributes:
        title: for reports.
        network: frozen, with `forward_features`.
        sha256: of its weights.
        trained_for: `describe()` of the degradation that it was trained with; empty if nobody wrote it down.
    """

    title: str
    network: nn.Module
    sha256: str
    trained_for: Mapping[str, Any]
    kind: ClassVar[str] = "teacher"

    @property
    def parameters(self) -> int:
        """Trainable values; 0 for a graph of ONNX."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    def restore(self, image: NDArray[np.float32], tile: int) -> NDArray[np.float32]:
        """A restored image [H, W, 3] or [H, W, 1] of any size.

        It is never cut into tiles: attention and pooled statistics, as NAFNet and Restormer have, depend on
        the whole image, so that cuts would show.

        Args:
            image: [H, W, 3] or [H, W, 1] in [0, 1].
            tile: not used; a student's `restore` takes it.

        Raises:
            TeacherError: it fails, or gives NaN or another shape.
        """
        batch = np.ascontiguousarray(image.transpose(2, 0, 1)[None], dtype=np.float32)
        padded = pad_to_multiple(batch, int(getattr(self.network, "multiple", 1)))
        output = through_colour(self._run, padded)[0, :, : image.shape[0], : image.shape[1]]
        return np.ascontiguousarray(output.transpose(1, 2, 0))

    def restore_8_bits(self, image: NDArray[np.float32], tile: int) -> Pixels:
        """As `restore`, rounded to uint8."""
        return to_uint8(self.restore(image, tile))

    def _run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        given = torch.from_numpy(batch)
        restored, _ = run_teacher(self.network, given, CROP)
        check_restored(restored, given)
        check_finite(restored, {}, remedy=FINITE)
        output: NDArray[np.float32] = restored.float().numpy()
        return output


def open_restoring_teacher(source: TeacherSource) -> RestoringTeacher:
    """Load a teacher that restores images.

    Raises:
        ConfigError, ArtifactError, TeacherError: as `open_teacher` does.
    """
    opened = open_teacher(source)
    return RestoringTeacher(opened.title, opened.network, opened.sha256, opened.trained_for)
