"""NIR files that other tools wrote, read with suspicion and held against the nodes that this tool can run."""

from pathlib import Path

import nir
from snn_tool.errors import UnsupportedLayerError
from snn_tool.exporters.nir.reading import MAX_FOREIGN_BYTES, load_graph, read_nodes

SUPPORTED = frozenset(
    ("Input Output Affine Linear Conv1d Conv2d Scale Flatten SumPool2d AvgPool2d IF LIF CubaLIF LI I").split()
)
REMEDY = "write it again with the tool that made it"


def read_foreign(path: Path) -> nir.NIRGraph:
    """A flat graph of supported nodes.

    NIR's own type check is left out: snntorch writes one parameter for a whole population, which it refuses.
    `nir_module` checks every shape when the graph runs.

    Raises:
        ArtifactError: missing, damaged, truncated, too large, or not a NIR graph.
        UnsupportedLayerError: names the first node, by name, of a type that is not supported.
    """
    nodes = read_nodes(path, REMEDY, MAX_FOREIGN_BYTES)
    flat = nodes.get("nodes")
    for name, node in flat.items() if isinstance(flat, dict) else ():
        kind = node.get("type") if isinstance(node, dict) else None
        check_type(str(path), name, kind if isinstance(kind, str) else "a node without type")
    return load_graph(path, nodes, REMEDY, type_check=False)


def check_type(file: str, name: str, kind: str) -> None:
    """Refuse a node that this tool cannot run.

    Raises:
        UnsupportedLayerError: names file, node, type, and what is supported.
    """
    if kind not in SUPPORTED:
        raise UnsupportedLayerError(
            f"{file}: {name}: {kind[:80]} is not supported by the energy report; "
            f"use a graph of {', '.join(sorted(SUPPORTED - {'Input', 'Output'}))}"
        )
