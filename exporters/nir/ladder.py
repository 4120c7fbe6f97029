r"""Graded neurons in standard NIR nodes: a ladder of thresholds whose outputs are added.

    z = sum_k [v > rung_k - LSB / 2] - sum_k [-v > rung_k - LSB / 2]        k = 1 .. levels

The first sum runs over `above_k`; the second, of signed neurons only, over `below_k`, between two Scale nodes
of factor -1. Membranes are multiples of the LSB and no rung lies on one, so that `>` and `>=` agree.
"""

import nir
import numpy as np
from snn_tool.errors import ArtifactError
from snn_tool.exporters.nir.metadata import REMEDY
from snn_tool.exporters.nir.program import GradedNode

Edges = list[tuple[str, str]]


def ladder_graph(node: GradedNode, lsb_exponent: int) -> nir.NIRGraph:
    """The nested graph of one population; parameters have its full shape, as NIR requires."""
    shape = (node.channels, node.height, node.width)
    nodes: dict[str, nir.NIRNode] = {
        name: nir.Threshold(np.full(shape, value)) for name, value in _rungs(node, lsb_exponent).items()
    }
    nodes |= {name: nir.Scale(np.full(shape, -1.0)) for name in _mirrors(node)}
    nodes["input"] = nir.Input({"input": np.array(shape)})
    nodes["output"] = nir.Output({"output": np.array(shape)})
    return nir.NIRGraph(nodes, _edges(node))


def check_ladder(graph: nir.NIRGraph, node: GradedNode, lsb_exponent: int, where: str) -> None:
    """Hold a nested graph against the constants that its metadata claims.

    Raises:
        ArtifactError: names the first rung, edge or shape that differs.
    """
    rungs = _rungs(node, lsb_exponent)
    expected = {"input", "output", *rungs, *_mirrors(node)}
    if odd := sorted(expected ^ set(graph.nodes)):
        raise ArtifactError(f"{where}.{odd[0]}: the ladder does not fit {node.levels} levels; {REMEDY}")
    if wrong := sorted(set(graph.edges) ^ set(_edges(node))):
        raise ArtifactError(
            f"{where}: the ladder's edge {' -> '.join(wrong[0])} is missing or superfluous; {REMEDY}"
        )
    for name, value in rungs.items():
        _check_constant(graph.nodes[name], nir.Threshold, "threshold", value, node, f"{where}.{name}")
    for name in _mirrors(node):
        _check_constant(graph.nodes[name], nir.Scale, "scale", -1.0, node, f"{where}.{name}")
    for name, kind in (("input", nir.Input), ("output", nir.Output)):
        if not isinstance(graph.nodes[name], kind):
            raise ArtifactError(f"{where}.{name}: not a node of type {kind.__name__}; {REMEDY}")


def _check_constant(
    found: nir.NIRNode, kind: type, field: str, value: float, node: GradedNode, where: str
) -> None:
    if not isinstance(found, kind):
        raise ArtifactError(f"{where}: a {type(found).__name__} where a {kind.__name__} belongs; {REMEDY}")
    array = np.asarray(getattr(found, field))
    if array.shape != (node.channels, node.height, node.width) or not (array == value).all():
        raise ArtifactError(
            f"{where}: {field} is not {value} everywhere, as threshold {node.threshold} says; {REMEDY}"
        )


def _rungs(node: GradedNode, lsb_exponent: int) -> dict[str, float]:
    values = [float(np.ldexp(rung - 0.5, lsb_exponent)) for rung in node.rungs]
    sides = ("above", "below") if node.signed else ("above",)
    return {f"{side}_{k}": value for side in sides for k, value in enumerate(values, start=1)}


def _mirrors(node: GradedNode) -> tuple[str, ...]:
    return ("negated", "mirrored") if node.signed else ()


def _edges(node: GradedNode) -> Edges:
    steps = range(1, node.levels + 1)
    edges = [(a, b) for k in steps for a, b in (("input", f"above_{k}"), (f"above_{k}", "output"))]
    if node.signed:
        edges += [("input", "negated"), ("mirrored", "output")]
        edges += [(a, b) for k in steps for a, b in (("negated", f"below_{k}"), (f"below_{k}", "mirrored"))]
    return edges
