"""Loops of edges for which no order of evaluation exists."""

from collections.abc import Iterable, Mapping

import nir
import numpy as np
from scipy.sparse import csr_array  # type: ignore[import-untyped]
from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

BREAKING = (nir.Delay, nir.IF, nir.LIF, nir.CubaLIF, nir.LI, nir.CubaLI, nir.I)
"""A delay, or a node with a state: simulators feed back its output of the step before."""


def find_loop(graph: nir.NIRGraph) -> str | None:
    """The alphabetically first node on (or between) loops that hold neither delay nor neuron, or None."""
    instant = {name for name, node in graph.nodes.items() if not isinstance(node, BREAKING)}
    waiting = {name: {a for a, b in graph.edges if b == name and a in instant} for name in instant}
    behind_or_on = _without_ends(waiting)
    return min(_without_ends(_reversed(behind_or_on)), default=None)


def _without_ends(sources: dict[str, set[str]]) -> dict[str, set[str]]:
    """Remove what has no source left, again and again; what stays lies on a loop or behind one."""
    while ends := {name for name, found in sources.items() if not found}:
        sources = {name: found - ends for name, found in sources.items() if name not in ends}
    return sources


def _reversed(sources: dict[str, set[str]]) -> dict[str, set[str]]:
    return {name: {target for target, found in sources.items() if name in found} for name in sources}


def components(names: Iterable[str], edges: Iterable[tuple[str, str]]) -> Mapping[str, int]:
    """A number for each node; two nodes have the same one if each leads to the other."""
    place = {name: index for index, name in enumerate(names)}
    known = [(place[a], place[b]) for a, b in edges if a in place and b in place]
    rows, columns = zip(*known, strict=True) if known else ((), ())
    matrix = csr_array((np.ones(len(known)), (rows, columns)), shape=(len(place), len(place)))
    numbers = connected_components(matrix, connection="strong")[1] if place else ()
    return dict(zip(place, map(int, numbers), strict=True))
