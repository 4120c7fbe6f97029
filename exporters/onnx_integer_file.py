"""An integer student's ONNX file: made, described, and held against the engine integer by integer."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from snn_tool.exporters.comparison import BackendResult, compare
from snn_tool.exporters.onnx.graph import Graph
from snn_tool.exporters.onnx.integer import IntegerArithmetic
from snn_tool.exporters.onnx.student import Form, add_student
from snn_tool.exporters.onnx.run import Image, trace_file
from snn_tool.exporters.contract.traces import Trace
from snn_tool.models.integer.network import IntegerNetwork

KIND, SCHEMA = "onnx-integer-student", 1
BACKEND = "onnxruntime"


def integer_model(network: IntegerNetwork, form: Form, source: Mapping[str, Any]) -> Any:
    """An integer network as a checked ONNX file.

    Args:
        network: what is exported.
        form: of the graph.
        source: JSON values that say where the network is from; they go into the file's metadata.

    Raises:
        ExportError: a sum may exceed 32 bits; synapse or population are named.
    """
    graph = Graph("integer student")
    add_student(network.topology, IntegerArithmetic(graph, network), form)
    return graph.model(KIND, SCHEMA, {**source, **_described(network, form)})


def _described(network: IntegerNetwork, form: Form) -> dict[str, Any]:
    """What a program needs that runs the file, or that holds it against another implementation."""
    low, high = network.input_range
    return {
        "neuron": network.neuron,
        "timesteps": network.timesteps,
        "stateful": form.stateful,
        "levels": network.levels,
        "signed": network.signed,
        "multiple": 1 if network.image_size else network.topology.multiple,
        "input": {"step": network.input_step, "offset": network.input_offset, "low": low, "high": high},
        "residual_scale": network.residual_scale,
        "adds_image": network.adds_image,
        "populations": [
            {**asdict(p.wiring), "threshold": p.threshold, "decay": network.decay_of(p)}
            for p in network.populations
        ],
    }


def compare_integers(
    model: Any, path: Path, network: IntegerNetwork, form: Form, image: Image, reference: Trace
) -> BackendResult:
    """Hold a file in onnxruntime against the integers of a run of the same images.

    Args:
        model: of `integer_model`.
        path: for messages.
        network: what was exported.
        form: of the graph.
        image: float32 [N, C, H, W], sides multiples of the topology's.
        reference: every spike and membrane.

    Raises:
        ArtifactError: onnxruntime refuses the file.
    """
    trace = trace_file(model, path, network.topology, form, network.timesteps, image)
    result = compare(reference, trace, [p.wiring.name for p in network.populations], BACKEND)
    return replace(result, versions={name: version(name) for name in ("onnx", BACKEND)})
