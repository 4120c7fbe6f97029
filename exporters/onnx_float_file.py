"""A float student's or `unet` teacher's ONNX file; `onnx_float_check` holds it against torch."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from snn_tool.exporters.onnx.float import FloatArithmetic
from snn_tool.exporters.onnx.graph import Graph
from snn_tool.exporters.onnx.student import Form, add_student
from snn_tool.models.network import IMAGE_OFFSET, Network

STUDENT, TEACHER, SCHEMA = "onnx-student", "onnx-teacher", 1


def float_model(network: Network, form: Form, kind: str, metadata: Mapping[str, Any]) -> Any:
    """A float network as a checked ONNX file.

    Args:
        network: what is exported, in evaluation mode.
        form: of the graph.
        kind: `STUDENT` or `TEACHER`.
        metadata: JSON values that say where the network is from, and what its neurons are.

    Raises:
        ExportError: `onnx.checker` refuses the graph.
    """
    graph = Graph(kind.removeprefix("onnx-"))
    add_student(network.topology, FloatArithmetic(graph, network), form)
    features = network.topology.hints if kind == TEACHER else ()
    for name in features:
        graph.op("Identity", f"potentials.{name}.0", name=name)
    described = {
        "timesteps": network.timesteps,
        "stateful": form.stateful,
        "multiple": network.multiple,
        "input": {"offset": IMAGE_OFFSET},
        "features": list(features),
        "populations": [asdict(population) for population in network.topology.populations],
    }
    return graph.model(kind, SCHEMA, {**described, **metadata})
