"""A user's ONNX file: read with its data, tapped, and started in onnxruntime."""

import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import torch
from snn_tool.errors import ArtifactError, TeacherError
from snn_tool.models.teachers.tapped import listing

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
