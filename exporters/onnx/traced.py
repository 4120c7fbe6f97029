"""Teachers that are no topology, `nafnet` and `restormer`: traced by torch, with sides of any size around it.

What torch's exporter writes beside the nodes (stack traces with paths of this machine) is left out.
"""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch
from snn_tool.errors import ExportError
from snn_tool.exporters.onnx.graph import OPSET, REPEAT, Graph, cropped, extended
from snn_tool.exporters.onnx.student import IMAGE_INPUT, RESTORED
from torch import Tensor, nn
from torch.export import Dim

EXTENDED, WHOLE, INNER = "extended", "whole", "network."
BATCH, SIDES = 2, (2, 3)
"""The example's images, and its sides in multiples; a 0 or a 1 would be taken for constants."""


class Traceable(Protocol):
    """A teacher whose features have names and whose sides want multiples."""

    multiple: int
    image_channels: int

    @property
    def feature_channels(self) -> Mapping[str, int]:
        """Channels of each feature."""

    def forward_features(self, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Restored image and features."""


def traced_model(teacher: Traceable, kind: str, schema: int, metadata: Mapping[str, Any]) -> Any:
    """A teacher as a checked ONNX file, image [N, C, H, W] to restored image of the same size, float32.

    The features keep their names among the graph's tensors; they are those of the extended image.

    Args:
        teacher: in evaluation mode.
        kind: of the metadata.
        schema: their version.
        metadata: JSON values that say where the teacher is from.

    Raises:
        ExportError: torch cannot trace it.
    """
    graph, names = Graph("teacher"), tuple(teacher.feature_channels)
    shape = ("batch", teacher.image_channels, "height", "width")
    image = graph.input(IMAGE_INPUT, np.float32, shape)
    fitting = extended(graph, image, teacher.multiple, REPEAT)
    inner = _traced(teacher, names)
    made = graph.adopt(inner, {EXTENDED: fitting}, names, INNER)
    cropped(graph, made[WHOLE], image, teacher.multiple, RESTORED)
    graph.output(RESTORED, np.float32, shape)
    described = {"multiple": teacher.multiple, "input": {"offset": 0}, "features": list(names)}
    return graph.model(kind, schema, {**described, **metadata})


class _Outputs(nn.Module):
    """Restored image and features as a tuple, which torch's exporter can name."""

    def __init__(self, teacher: Traceable) -> None:
        super().__init__()
        self.teacher = teacher

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        restored, features = self.teacher.forward_features(image)
        return restored, *features.values()


def _traced(teacher: Traceable, names: tuple[str, ...]) -> Any:
    """The graph from extended images to restored ones and features."""
    multiple = teacher.multiple
    example = torch.zeros(BATCH, teacher.image_channels, *(multiple * side for side in SIDES))
    sizes = {0: Dim("batch"), 2: multiple * Dim("rows"), 3: multiple * Dim("columns")}
    with _silence():
        try:
            program = torch.onnx.export(
                _Outputs(teacher).eval(),
                (example,),
                dynamo=True,
                opset_version=OPSET,
                external_data=False,
                verbose=False,
                input_names=[EXTENDED],
                output_names=[WHOLE, *names],
                dynamic_shapes={"image": sizes},
            )
        except torch.onnx.errors.OnnxExporterError as error:
            reason = str(error).strip().partition("\n")[0]
            raise ExportError(f"torch cannot trace {type(teacher).__name__}: {reason}") from error
    assert program is not None
    return program.model_proto.graph


@contextmanager
def _silence() -> Iterator[None]:
    """Without torch's notes on packages that are not needed and on its own deprecations."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
