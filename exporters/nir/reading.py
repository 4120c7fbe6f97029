"""NIR files of any tool, read with suspicion: one line per fault.

`hdf5` reads the file and bounds what it may hold; what nir finds contradictory in it is said in one sentence.
"""

import math
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import nir
import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from snn_tool.errors import ArtifactError, first_line
from snn_tool.exporters.nir.hdf5 import Tree, read_hdf5

BREAKING = (nir.Delay, nir.IF, nir.LIF, nir.CubaLIF, nir.LI, nir.CubaLI, nir.I)
"""A delay, or a node with a state: simulators feed back its output of the step before."""

MAX_FOREIGN_BYTES = 1 << 30
"""Limit on all arrays of a file together; also on the values that a port may declare."""

REPAIR = "export it again from the library that made it"
READING_FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What nir 1.0.8 raises on contradictory content (it validates by assert in places)."""

MAX_RANK = 16
"""Dimensions of a port."""

MAX_QUOTED = 160
"""Characters of a file's own text in a message."""


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


def pair(value: Any) -> tuple[int, int]:
    """Rows and columns of a stride, padding, dilation or kernel, which a node may give as one number."""
    rows, columns = np.broadcast_to(value, 2)
    return int(rows), int(columns)


def read_foreign_nir(path: Path, *, grouped: bool = False) -> nir.NIRGraph:
    """Read a NIR graph of any origin; no array is loaded before all declared sizes are known to be bounded.

    Args:
        path: of the file.
        grouped: also read a file with grouped convolutions whose shapes nir finds contradictory: it takes
            weight.shape[1] for the input channels, which are `groups` times as many.

    Raises:
        ArtifactError: not a file, not HDF5, not NIR, truncated, too large, contradictory shapes, an edge
            twice or to a missing node, a loop that nothing delays, or a value that is not finite.
    """
    nodes = read_nodes(path, REPAIR, MAX_FOREIGN_BYTES)
    try:
        graph = load_graph(path, nodes, REPAIR)
    except ArtifactError:
        if not grouped:
            raise
        graph = load_graph(path, nodes, REPAIR, type_check=False)
        if not has_groups(graph):
            raise
    _check_graph(path, graph, "")
    return graph


def has_groups(graph: nir.NIRGraph) -> bool:
    """Whether a convolution of more than one group is in it, or in a graph inside it."""
    return any(
        has_groups(node)
        if isinstance(node, nir.NIRGraph)
        else isinstance(node, nir.Conv1d | nir.Conv2d) and int(node.groups) > 1
        for node in graph.nodes.values()
    )


def read_nodes(path: Path, remedy: str, most_bytes: int) -> Tree:
    """Read a NIR file as `nir.read` finds it before it makes nodes of it; `remedy` ends every message.

    Raises:
        ArtifactError: as `read_hdf5`, or an HDF5 file of something else.
    """
    tree = read_hdf5(path, remedy, most_bytes)
    nodes = tree.get("node")
    if not isinstance(nodes, dict) or not isinstance(nodes.get("type"), str):
        raise ArtifactError(f"{path}: an HDF5 file, but not a NIR graph; pass a file that nir.write made")
    return nodes


def load_graph(path: Path, nodes: Tree, remedy: str, type_check: bool = True) -> nir.NIRGraph:
    """Make nir's graph of what `read_nodes` read; `type_check` is nir's.

    Raises:
        ArtifactError: nir finds the content contradictory, or it is a node and no graph.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            if nodes["type"] != "NIRGraph":
                kind = type(nir.dict2NIRNode(_copied(nodes))).__name__
                raise ArtifactError(f"{path}: holds a single {kind}, not a graph; {remedy}")
            if "type_check" in nodes:
                raise ValueError("a graph has no entry 'type_check'")
            return nir.dict2NIRNode({**_copied(nodes), "type_check": type_check})
    except READING_FAULTS as error:
        reason = first_line(error, MAX_QUOTED)
        raise ArtifactError(f"{path}: not a consistent NIR graph ({reason}); {remedy}") from error


def _copied(tree: Tree) -> Tree:
    """The same arrays in dictionaries of their own: nir changes those that it is given."""
    return {name: _copied(item) if isinstance(item, dict) else item for name, item in tree.items()}


def _check_graph(path: Path, graph: nir.NIRGraph, prefix: str) -> None:
    if loop := find_loop(graph):
        raise ArtifactError(
            f"{path}: {prefix}{loop}: lies on a loop of edges that no delay and no neuron breaks; "
            "put a Delay or a neuron into it"
        )
    for name, node in graph.nodes.items():
        if isinstance(node, nir.NIRGraph):
            _check_graph(path, node, f"{prefix}{name}.")
        else:
            _check_values(path, node, f"{prefix}{name}")


def _check_values(path: Path, node: nir.NIRNode, name: str) -> None:
    for key, value in vars(node).items():
        if isinstance(value, np.ndarray) and value.dtype.kind == "f" and not np.isfinite(value).all():
            raise ArtifactError(f"{path}: {name}: '{key}' holds NaN or infinity; {REPAIR}")
    if isinstance(node, nir.Input | nir.Output):
        shapes = node.input_type if isinstance(node, nir.Input) else node.output_type
        for shape in shapes.values():
            port_shape(str(path), name, shape)


def port_shape(file: str, name: str, value: object) -> tuple[int, ...]:
    """The shape that an Input or Output declares, without the batch.

    Raises:
        ArtifactError: it is no list of numbers above 0, or a tensor of that shape would be too large.
    """
    numbers = np.ravel(np.asarray(value))
    if numbers.dtype.kind not in "iuf" or not np.isfinite(numbers).all():
        raise ArtifactError(f"{file}: {name}: declares a shape that is no list of numbers; {REPAIR}")
    shape = [int(n) for n in numbers[: MAX_RANK + 1]]
    # Python's integers: a product of int64 could wrap around to something small.
    if not 1 <= len(shape) <= MAX_RANK or min(shape) < 1 or math.prod(shape) * 4 > MAX_FOREIGN_BYTES:
        raise ArtifactError(f"{file}: {name}: declares the shape {shape}, no usable size; {REPAIR}")
    return tuple(shape)
