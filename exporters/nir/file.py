"""NIR files on disk: written whole or not at all, and read with suspicion.

A file may come from anywhere. `reading` reads it; here it is held against what this tool writes.
"""

from pathlib import Path

import nir
import numpy as np
from snn_tool.errors import ArtifactError
from snn_tool.exporters.nir.hdf5 import Tree
from snn_tool.exporters.nir.metadata import KEY, REMEDY, check_schema, foreign
from snn_tool.exporters.nir.parse import parse_graph
from snn_tool.exporters.nir.program import MAX_ARRAY_BYTES, Program
from snn_tool.exporters.nir.reading import load_graph, read_nodes
from snn_tool.files.artifacts import atomic_path


def write_nir(path: Path, graph: nir.NIRGraph) -> None:
    """Write a graph atomically; equal graphs give equal bytes.

    Raises:
        ArtifactError: the file cannot be written.
    """
    with atomic_path(path) as part:
        nir.write(part, graph)


def read_nir(path: Path) -> nir.NIRGraph:
    """Read a graph that this tool wrote.

    Raises:
        ArtifactError: missing, damaged, not a NIR graph, not made by this tool, or of another schema.
    """
    nodes = read_nodes(path, REMEDY, MAX_ARRAY_BYTES)
    _check_ours(nodes, str(path))
    return load_graph(path, nodes, REMEDY)


def read_program(path: Path) -> Program:
    """Read a NIR file that this tool wrote as the integers it stands for.

    The nodes' values are the truth; the metadata's integers must agree with every one of them.

    Raises:
        ArtifactError: as `read_nir`, or a node's value, shape or edge is missing, wrong or not finite.
    """
    return parse_graph(read_nir(path), str(path))


def _check_ours(nodes: Tree, file: str) -> None:
    metadata = nodes.get("metadata")
    ours = metadata.get(KEY) if isinstance(metadata, dict) else None
    if not isinstance(ours, dict) or "schema" not in ours:
        raise ArtifactError(foreign(file))
    if not isinstance(ours["schema"], np.integer):
        raise ArtifactError(f"{file}: its metadata has no schema version; {REMEDY}")
    check_schema(int(ours["schema"]), file)
