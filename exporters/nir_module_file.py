"""NIR files that other tools wrote, read with suspicion and held against the nodes that this tool can run."""

import warnings
from pathlib import Path

import h5py
import nir
from snn_tool.errors import ArtifactError, UnsupportedLayerError
from snn_tool.exporters.nir_program import MAX_ARRAY_BYTES
from snn_tool.exporters.nir_reading import READING_FAULTS

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
    if not path.is_file():
        raise ArtifactError(f"{path}: no such file; check the path")
    try:
        _guard(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            graph = nir.read(path, type_check=False)
    except READING_FAULTS as error:
        line = str(error).partition("\n")[0] or type(error).__name__
        raise ArtifactError(f"{path}: damaged or inconsistent NIR file ({line}); {REMEDY}") from error
    return graph


def _guard(path: Path) -> None:
    """Types and sizes, before nir loads the arrays into memory."""
    if not h5py.is_hdf5(path):
        raise ArtifactError(f"{path}: not an HDF5 file, which every NIR file is; {REMEDY}")
    with h5py.File(path, "r") as file:
        nodes = file.get("node/nodes")
        if not isinstance(nodes, h5py.Group) or "edges" not in file["node"]:
            raise ArtifactError(f"{path}: an HDF5 file, but not a NIR graph of nodes and edges; {REMEDY}")
        for name, node in nodes.items():
            check_type(str(path), name, node["type"][()].decode())
        size = _array_bytes(nodes)
    if size > MAX_ARRAY_BYTES:
        raise ArtifactError(f"{path}: its arrays take {size >> 30} GiB, above {MAX_ARRAY_BYTES >> 30} GiB")


def check_type(file: str, name: str, kind: str) -> None:
    """Refuse a node that this tool cannot run.

    Raises:
        UnsupportedLayerError: names file, node, type, and what is supported.
    """
    if kind not in SUPPORTED:
        raise UnsupportedLayerError(
            f"{file}: {name}: {kind} is not supported by the energy report; "
            f"use a graph of {', '.join(sorted(SUPPORTED - {'Input', 'Output'}))}"
        )


def _array_bytes(nodes: h5py.Group) -> int:
    sizes: list[int] = []

    def add(_: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            sizes.append(int(item.size or 0) * int(item.dtype.itemsize))

    nodes.visititems(add)
    return sum(sizes)
