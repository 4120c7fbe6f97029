"""An ONNX file as a teacher, run by onnxruntime on the CPU; it is frozen, so no gradient is needed.

Intermediate tensors become hints by appending them to the graph's outputs. The graph takes one float32 input
[N, 3, H, W], RGB in [0, 1], and its first output is the restored image of the same shape and range.
"""

import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from snn_tool.errors import ArtifactError, TeacherError
from snn_tool.models.teachers.tapped import listing
from torch import Tensor, nn

TELEMETRY_OFF = "ORT_DISABLE_TELEMETRY"
"""Set to 1 before its library is loaded, it keeps onnxruntime from making a device id."""
_MESSAGE: Any = importlib.import_module("google.protobuf.message")  # without type stubs
_Undecodable, _Unencodable = _MESSAGE.DecodeError, _MESSAGE.EncodeError


def read_graph(path: Path) -> Any:
    """An ONNX model with its external data inside, which may lie nowhere but in the model's folder.

    Raises:
        ArtifactError: missing, damaged, or its data is elsewhere or missing.
    """
    try:
        model = onnx.load_model_from_string(path.read_bytes())
        onnx.external_data_helper.load_external_data_for_model(model, str(path.resolve().parent))
    except _Undecodable as error:
        raise ArtifactError(
            f"{path}: not an ONNX file, or damaged ({one_line(error)}); export it again"
        ) from error
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise ArtifactError(
            f"{path}: cannot be read with its data ({one_line(error)}); external data must lie beside it"
        ) from error
    if not model.graph.node:
        raise ArtifactError(f"{path}: holds no graph; export it again")
    return model


def with_outputs(model: Any, taps: tuple[str, ...], path: Path) -> bytes:
    """The model with the tapped tensors among its outputs; without types, which onnxruntime infers.

    Raises:
        TeacherError: a tensor does not exist; those that fit are listed.
        ArtifactError: it is larger than a protobuf message may be.
    """
    made = {name for node in model.graph.node for name in node.output}
    for name in taps:
        if name not in made:
            raise TeacherError(
                f"--hints: {path} has no tensor '{name}'; {fitting_text(rank_four_tensors(model))}"
            )
        if name not in {output.name for output in model.graph.output}:
            model.graph.output.append(onnx.ValueInfoProto(name=name))
    try:
        data: bytes = model.SerializeToString()
    except (ValueError, _Unencodable) as error:
        raise ArtifactError(f"{path}: over 2 GB with its data ({one_line(error)})") from error
    return data


def fitting_text(tensors: Mapping[str, str]) -> str:
    """A sentence that lists tensors that could be hints."""
    return listing("tensors that fit", [f"{name} [{sizes}]" for name, sizes in tensors.items()])


def onnx_runtime() -> Any:
    """Import onnxruntime with its telemetry off: nothing is sent, and no device id is written.

    Its library makes a device id and a database in the user's cache as it is loaded, unless the variable is
    set by then (onnxruntime's Privacy.md); `disable_telemetry_events` alone comes too late for that, but it
    is what stops the events of Windows. Somebody who sets the variable decides otherwise.
    """
    os.environ.setdefault(TELEMETRY_OFF, "1")
    runtime = importlib.import_module("onnxruntime")
    if os.environ[TELEMETRY_OFF] == "1":
        runtime.disable_telemetry_events()
    return runtime


def start_session(data: bytes, path: Path) -> Any:
    """A session of onnxruntime on the CPU with torch's number of threads.

    Raises:
        ArtifactError: onnxruntime refuses the graph.
    """
    onnxruntime = onnx_runtime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # what matters is raised
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no narrower base
        raise ArtifactError(
            f"{path}: onnxruntime cannot run it ({one_line(error)}); export it again"
        ) from error


def rank_four_tensors(model: Any) -> dict[str, str]:
    """Float tensors of four dimensions by name, with their sizes without the batch, in the graph's order."""
    try:
        graph = onnx.shape_inference.infer_shapes(model).graph
    except (onnx.shape_inference.InferenceError, ValueError):
        graph = model.graph
    made = {name for node in model.graph.node for name in node.output}
    found = {}
    for value in (*graph.value_info, *graph.output):
        kind = value.type.tensor_type
        if value.name in made and kind.elem_type == onnx.TensorProto.FLOAT and len(kind.shape.dim) == 4:
            sizes = [d.dim_value or d.dim_param or "?" for d in kind.shape.dim[1:]]
            found[value.name] = ", ".join(map(str, sizes))
    return found


def one_line(error: Exception) -> str:
    """The first lines of a library's message as one."""
    return " ".join(str(error).split())[:160] or type(error).__name__


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
