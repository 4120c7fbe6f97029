"""An ONNX graph, node by node: equal nodes are made once, and constants are shared."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from snn_tool.exporters.onnx_model import finished

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
