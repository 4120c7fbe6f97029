"""Images of any size inside a graph: extended to the network's multiple, and cropped afterwards."""

import numpy as np
from snn_tool.exporters.onnx.graph import Graph

MIRROR, REPEAT = "mirror", "repeat"
ROWS, COLUMNS = 2, 3


def extended(graph: Graph, image: str, multiple: int, edge: str) -> str:
    """An image [N, C, H, W] extended on the right and below to multiples of `multiple`.

    Args:
        graph: receives the nodes.
        image: the tensor.
        multiple: 1 leaves it as it is.
        edge: `MIRROR` as `snn_tool.images.tiling.pad_to_multiple` does (an image too small to mirror repeats its
            last row or column), or `REPEAT` the last row and column, as the `nafnet` and `restormer`
            teachers do.
    """
    if multiple == 1:
        return image
    for axis in (ROWS, COLUMNS):
        image = graph.op("Gather", image, _indices(graph, image, axis, multiple, edge), axis=axis)
    return image


def cropped(graph: Graph, tensor: str, like: str, multiple: int, name: str) -> str:
    """A tensor [N, C, H', W'] without what `extended` added to `like` [N, C, H, W]; made under `name`."""
    if multiple == 1:
        return graph.op("Identity", tensor, name=name)
    sides = graph.op("Shape", like, start=ROWS, end=COLUMNS + 1)
    zeros, axes = (graph.constant(np.array(pair, np.int64)) for pair in ((0, 0), (ROWS, COLUMNS)))
    return graph.op("Slice", tensor, zeros, sides, axes, name=name)


def _indices(graph: Graph, image: str, axis: int, multiple: int, edge: str) -> str:
    """0 to length - 1 and then what stands for the places beyond, int64 [extended length]."""

    def number(value: int) -> str:
        return graph.number(value, np.int64)

    length = graph.op("Squeeze", graph.op("Shape", image, start=axis, end=axis + 1))
    more = graph.op("Mod", graph.op("Neg", length), number(multiple))
    last = graph.op("Sub", length, number(1))
    places = graph.op("Range", number(0), graph.op("Add", length, more), number(1))
    inside = graph.op("Min", places, last)
    if edge == REPEAT:
        return inside
    back = graph.op("Sub", graph.op("Mul", last, number(2)), places)
    beyond = graph.op("Where", graph.op("Greater", length, more), back, last)
    return graph.op("Where", graph.op("LessOrEqual", places, last), places, beyond)
