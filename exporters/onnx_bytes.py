"""Integers of a graph as unsigned bytes with zero points, which ConvInteger takes."""

from dataclasses import dataclass

import numpy as np
from snn_tool.exporters.onnx.graph import Graph

BYTE = 255


@dataclass(frozen=True, slots=True)
class Part:
    """Unsigned bytes of a source, whose values are the sum over its parts of factor * (byte - zero_point)."""

    tensor: str
    zero_point: int
    factor: int


def byte_parts(graph: Graph, source: str, low: int, high: int) -> list[Part]:
    """Values low..high, 0 among them, as one byte, or as high and low bits where they need more.

    Args:
        graph: receives the nodes.
        source: an int32 tensor.
        low: its smallest value, 0 or below.
        high: its largest.
    """
    shift = 0
    while (high >> shift) - (low >> shift) > BYTE:
        shift += 1
    zero = -(low >> shift)
    raised = graph.op("Add", source, graph.number(zero << shift, np.int32))
    if not shift:
        return [Part(graph.cast(raised, np.uint8), zero, 1)]
    step = graph.number(1 << shift, np.int32)
    upper = graph.op("Div", raised, step)
    lower = graph.op("Sub", raised, graph.op("Mul", upper, step))
    return [Part(graph.cast(upper, np.uint8), zero, 1 << shift), Part(graph.cast(lower, np.uint8), 0, 1)]
