"""An ONNX file of pinned versions: checked, with metadata that say what it is and where it is from.

The operator set is what onnxruntime 1.20 and newer run, and what `onnx.checker` knows since 1.17.
"""

import json
from collections.abc import Mapping
from typing import Any

import onnx
from onnx import helper
from snn_tool import __version__
from snn_tool.errors import ExportError

OPSET, IR_VERSION = 20, 10
PREFIX = "snn_tool."
"""Of the keys in `metadata_props`."""


def finished(graph: Any, kind: str, schema: int, metadata: Mapping[str, Any]) -> Any:
    """A graph as a checked file of the pinned versions; equal graphs give equal bytes.

    Args:
        graph: with all its nodes and constants.
        kind: of the metadata.
        schema: their version.
        metadata: JSON values that go into `metadata_props`, texts as they are, everything else as JSON.

    Raises:
        ExportError: `onnx.checker` refuses it, or it is over 2 GB.
    """
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="snn-tool",
        producer_version=__version__,
    )
    values = {**metadata, "kind": kind, "schema": schema, "tool_version": __version__}
    texts = {
        PREFIX + k: v if isinstance(v, str) else json.dumps(v, allow_nan=False) for k, v in values.items()
    }
    helper.set_model_props(model, dict(sorted(texts.items())))
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError) as error:
        raise ExportError(f"the ONNX graph does not pass onnx.checker: {error}") from error
    return model


def metadata_of(model: Any) -> dict[str, str]:
    """What `finished` wrote into a file, without the prefix; empty for a file of other tools."""
    props = {entry.key: entry.value for entry in model.metadata_props}
    return {key.removeprefix(PREFIX): value for key, value in props.items() if key.startswith(PREFIX)}


def value_text(value: Any) -> str:
    """An input or output in a few words, e.g. `image float32 [batch, 3, height, width]`."""
    held = value.type.tensor_type
    kind = helper.tensor_dtype_to_np_dtype(held.elem_type).name
    sizes = ", ".join(str(side.dim_param or side.dim_value) for side in held.shape.dim)
    return f"{value.name} {kind} [{sizes}]"
