"""An ONNX graph, node by node: equal nodes are made once, and constants are shared."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from snn_tool import __version__
from snn_tool.errors import ExportError

OPSET, IR_VERSION = 20, 10
PREFIX = "snn_tool."
"""Of the keys in `metadata_props`."""

BYTE = 255
MIRROR, REPEAT = "mirror", "repeat"
ROWS, COLUMNS = 2, 3


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


Sizes = Sequence[int | str]


class Graph:
    """Collects nodes in the order in which they are needed, which is the topological one.

    Args:
        name: of the graph in the file.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._made: dict[Any, str] = {}

    def input(self, name: str, kind: Any, sizes: Sizes) -> str:
        """Declare an input of a numpy type; a text among `sizes` names a side that may be any."""
        self._inputs.append(_value(name, kind, sizes))
        return name

    def output(self, name: str, kind: Any, sizes: Sizes) -> None:
        """Declare a tensor that was made under this name as an output."""
        self._outputs.append(_value(name, kind, sizes))

    def constant(self, value: NDArray[Any], name: str = "") -> str:
        """A constant's name; equal constants are stored once."""
        key = (value.dtype.str, value.shape, value.tobytes())
        if key not in self._made:
            self._made[key] = name or f"constant_{len(self._constants)}"
            self._constants[self._made[key]] = numpy_helper.from_array(value, self._made[key])
        return self._made[key]

    def number(self, value: float, kind: Any) -> str:
        """A scalar constant of a numpy type."""
        return self.constant(np.array(value, kind))

    def op(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """The output of a node, which is made unless an equal one is there; under `name`, if one is given."""
        key = (kind, inputs, repr(sorted(attributes.items())))
        if key not in self._made:
            self._made[key] = name or f"{kind.lower()}_{len(self._nodes)}"
            self._nodes.append(helper.make_node(kind, inputs, [self._made[key]], **attributes))
        made = self._made[key]
        return made if name in ("", made) else self.op("Identity", made, name=name)

    def cast(self, tensor: str, kind: Any, name: str = "") -> str:
        """A tensor as another numpy type."""
        return self.op("Cast", tensor, name=name, to=_type(kind))

    def adopt(
        self, graph: Any, given: Mapping[str, str], kept: Collection[str], prefix: str
    ) -> dict[str, str]:
        """Add nodes and constants of another graph, without what it says of their origin.

        Args:
            graph: as `onnx` reads it.
            given: for each of its inputs the tensor that takes its place.
            kept: names that stay.
            prefix: of all other names.

        Returns:
            The new names of its tensors.
        """
        names = {"": "", **given}

        def renamed(values: Iterable[str]) -> list[str]:
            return [names.setdefault(v, v if v in kept else prefix + v) for v in values]

        for constant in graph.initializer:
            array = numpy_helper.to_array(constant)
            (name,) = renamed([constant.name])
            self._constants[name] = numpy_helper.from_array(array, name)
        for node in graph.node:
            made = helper.make_node(node.op_type, renamed(node.input), renamed(node.output))
            made.attribute.extend(node.attribute)
            self._nodes.append(made)
        return names

    def model(self, kind: str, schema: int, metadata: Mapping[str, Any]) -> Any:
        """The checked file; see `finished`.

        Raises:
            ExportError: `onnx.checker` refuses the graph, which is a fault of this exporter.
        """
        graph = helper.make_graph(
            self._nodes, self._name, self._inputs, self._outputs, list(self._constants.values())
        )
        return finished(graph, kind, schema, metadata)


def _type(kind: Any) -> int:
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(kind)))


def _value(name: str, kind: Any, sizes: Sizes) -> Any:
    return helper.make_tensor_value_info(name, _type(kind), list(sizes))


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


def extended(graph: Graph, image: str, multiple: int, edge: str) -> str:
    """An image [N, C, H, W] extended on the right and below to multiples of `multiple`.

    Args:
        graph: receives the nodes.
        image: the tensor.
        multiple: 1 leaves it as it is.
        edge: `MIRROR` as `snn_tool.images.tiling.pad_to_multiple` does (an image too small to mirror repeats
            its last row or column), or `REPEAT` the last row and column, as the `nafnet` and `restormer`
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
