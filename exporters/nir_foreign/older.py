"""Files of older versions of nir, and of exporters that count the batch: what they leave out, filled in.

What is filled in has one meaning only: a bias that is missing is none, a shape stands elsewhere in the node,
and dimensions of a Flatten count the batch where the next layer takes as many values as the whole map has.
"""

from collections.abc import Mapping
from typing import Any

import nir
import numpy as np

CONVOLUTIONS: Mapping[str, Any] = {
    "input_shape": None,
    "stride": 1,
    "padding": 0,
    "dilation": 1,
    "groups": 1,
}
"""What nodes of a convolution lack in older files, and what it was."""


NEURONS = frozenset(("I", "IF", "LI", "LIF", "CubaLIF"))


def completed(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The same tree of a graph with the keys that nir asks for today; what is there stays as it is."""
    nodes = tree.get("nodes")
    if not isinstance(nodes, Mapping):
        return dict(tree)
    made = {name: _node(one) if isinstance(one, Mapping) else one for name, one in nodes.items()}
    return {**tree, "nodes": made}


def _node(node: Mapping[str, Any]) -> dict[str, Any]:
    kind, made = node.get("type"), dict(node)
    if kind == "NIRGraph":
        return completed(node)
    if kind in ("Conv1d", "Conv2d"):
        made = {**CONVOLUTIONS, **made}
    if kind in ("Conv1d", "Conv2d", "Affine") and isinstance(made.get("weight"), np.ndarray):
        made["bias"] = _bias(made.get("bias"), made["weight"])
    if kind in NEURONS:
        made |= _widened(made)
    if kind in ("Input", "Output") and "shape" not in made:
        side = kind.lower()
        types = made.pop(f"{side}_type", None)
        if isinstance(types, Mapping) and side in types:
            made["shape"] = types[side]
        elif kind == "Output":
            made["shape"] = np.array([1])  # it says nothing that edges do not
    if kind == "Flatten" and isinstance(made.get("input_type"), Mapping):
        made["input_type"] = made["input_type"].get("input")
    return made


def _widened(node: Mapping[str, Any]) -> dict[str, Any]:
    """Single numbers as arrays of the shape that the other parameters have."""
    held = {name: one for name, one in node.items() if isinstance(one, np.ndarray | np.generic | float | int)}
    shape = max((np.shape(one) for one in held.values()), key=lambda own: int(np.prod(own)), default=())
    return {name: np.full(shape, one) for name, one in held.items() if np.ndim(one) == 0 and shape}


def _bias(bias: Any, weight: np.ndarray) -> Any:
    """[out]; of one number, that for all; what is no number stays, and is refused by its reader."""
    given = np.asarray(0.0 if bias is None else bias)
    if weight.ndim == 0 or given.size != 1 or given.dtype.kind not in "biuf":
        return bias
    return np.full(len(weight), given.ravel()[0], dtype=np.float64)


def count_no_batch(graph: nir.NIRGraph) -> None:
    """Let a Flatten from dimension 1 flatten from 0 where the layers behind it take all values of its map."""
    for name, node in graph.nodes.items():
        if not isinstance(node, nir.Flatten) or int(node.start_dim) != 1:
            continue
        shape = node.input_type["input"]
        readers = [graph.nodes.get(target) for source, target in graph.edges if source == name]
        taken = {np.shape(one.weight)[-1:] for one in readers if isinstance(one, nir.Affine | nir.Linear)}
        if shape is not None and taken == {(int(np.prod(shape)),)}:
            node.start_dim = 0
            node.end_dim = -1
