"""An ONNX file as a teacher, run by onnxruntime on the CPU; it is frozen, so no gradient is needed.

Intermediate tensors become hints by appending them to the graph's outputs. The graph takes one float32 input
[N, 3, H, W], RGB in [0, 1], and its first output is the restored image of the same shape and range.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from snn_tool.errors import ArtifactError, TeacherError
from snn_tool.models.onnx_file import (
    fitting_text,
    one_line,
    rank_four_tensors,
    read_graph,
    start_session,
    with_outputs,
)
from torch import Tensor, nn


class OnnxTeacher(nn.Module):
    """A graph and the values of some of its tensors.

    Args:
        path: the .onnx file; external data must lie in its folder.
        taps: names of intermediate tensors.

    Attributes:
        feature_channels, feature_scales: filled in by the probe; empty before.

    Raises:
        ArtifactError: the file is missing, damaged, or no network of one image.
        TeacherError: a tensor does not exist; those that fit are listed.
    """

    def __init__(self, path: Path, taps: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.path, self.taps = path, taps
        self.feature_channels: Mapping[str, int] = {}
        self.feature_scales: Mapping[str, int] = {}
        model = read_graph(path)
        self.inferred = rank_four_tensors(model)
        self._bytes = with_outputs(model, taps, path)
        self._session: Any = None
        self.input_name, self.shape = _image_input(self.session, path)

    @property
    def session(self) -> Any:
        """The session of onnxruntime, made again after a copy: it cannot be pickled."""
        if self._session is None:
            self._session = start_session(self._bytes, self.path)
        return self._session

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the session."""
        return {**self.__dict__, "_session": None}

    def fitting(self, image: Tensor | None = None) -> str:
        """A sentence that lists the float tensors of four dimensions."""
        return fitting_text(self.inferred)

    def forward(self, image: Tensor) -> Tensor:
        """The restored image, on the device of `image`."""
        return self.forward_features(image)[0]

    def forward_features(self, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The restored image [N, 3, H, W] and the tapped tensors, float32, on the device of `image`.

        Raises:
            TeacherError: the graph is of another size, or fails.
        """
        given = image.detach().to("cpu", torch.float32).contiguous().numpy()
        self._check_size(given.shape)
        step = self.shape[0] if isinstance(self.shape[0], int) else len(given)
        parts = [self._run(given[start : start + step]) for start in range(0, len(given), step)]
        joined = [
            torch.from_numpy(np.concatenate(values)).to(image.device) for values in zip(*parts, strict=True)
        ]
        return joined[0], dict(zip(self.taps, joined[1:], strict=True))

    def _check_size(self, shape: tuple[int, ...]) -> None:
        """Compare what the graph was exported for with the images."""
        batch, _, height, width = (size if isinstance(size, int) else None for size in self.shape)
        if height not in (None, shape[2]) or width not in (None, shape[3]):
            sides = {side for side in (height, width) if side}
            usable = len(sides) == 1 and all(side >= 16 and side % 8 == 0 for side in sides)
            raise TeacherError(
                f"{self.path}: takes images of {height or 'any'}x{width or 'any'} alone, "
                f"not {shape[2]}x{shape[3]}; "
                + (f"use --patch {sides.pop()}, or " if usable else "")
                + "export it with dynamic sides"
            )
        if batch and shape[0] % batch:
            raise TeacherError(
                f"{self.path}: takes {batch} images at once; use a --batch that is a multiple of {batch}"
            )

    def _run(self, images: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        wanted = [self.session.get_outputs()[0].name, *self.taps]
        try:
            values: list[NDArray[np.float32]] = self.session.run(wanted, {self.input_name: images})
        except Exception as error:  # onnxruntime's errors share no narrower base
            if "allocate memory" in str(error):
                raise MemoryError(str(error)) from error
            raise TeacherError(
                f"{self.path}: fails on images {images.shape} ({one_line(error)}); use another --patch"
            ) from error
        return values


def _image_input(session: Any, path: Path) -> tuple[str, tuple[int | str | None, ...]]:
    inputs = session.get_inputs()
    given = ", ".join(f"{i.name} {i.type} {i.shape}" for i in inputs)
    if len(inputs) != 1 or inputs[0].type != "tensor(float)" or len(inputs[0].shape) != 4:
        raise ArtifactError(f"{path}: takes {given}; a teacher takes one float32 image tensor [N, 3, H, W]")
    if isinstance(inputs[0].shape[1], int) and inputs[0].shape[1] != 3:
        raise ArtifactError(f"{path}: takes {given}; a teacher takes RGB, [N, 3, H, W]")
    return inputs[0].name, tuple(inputs[0].shape)
