"""NIR files on disk: written whole or not at all, and read with suspicion.

A file may come from anywhere. What HDF5 and nir say about a damaged one is of many types and rarely names the
file, so cheap guards look first, and what still goes wrong inside nir is reported as one sentence.
"""

from pathlib import Path

import h5py
import nir
from snn_tool.artifacts import atomic_path
from snn_tool.errors import ArtifactError
from snn_tool.exporters.nir_metadata import KEY, REMEDY, check_schema, foreign
from snn_tool.exporters.nir_parse import parse_graph
from snn_tool.exporters.nir_program import MAX_ARRAY_BYTES, Program
from snn_tool.exporters.nir_reading import load_graph


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
    _guard(path)
    return load_graph(path, REMEDY)


def read_program(path: Path) -> Program:
    """Read a NIR file that this tool wrote as the integers it stands for.

    The nodes' values are the truth; the metadata's integers must agree with every one of them.

    Raises:
        ArtifactError: as `read_nir`, or a node's value, shape or edge is missing, wrong or not finite.
    """
    return parse_graph(read_nir(path), str(path))


def _guard(path: Path) -> None:
    """Look at the file's structure before nir loads all of it into memory."""
    if not path.is_file():
        raise ArtifactError(f"{path}: no such file")
    try:
        if not h5py.is_hdf5(path):
            raise ArtifactError(f"{path}: not an HDF5 file, which every NIR file is; {REMEDY}")
        with h5py.File(path, "r") as file:
            _guard_content(path, file)
    except (KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path}: damaged or truncated HDF5 ({error}); {REMEDY}") from error


def _guard_content(path: Path, file: h5py.File) -> None:
    kind = file.get("node/type")
    if "version" not in file or not isinstance(kind, h5py.Dataset) or kind.shape != ():
        raise ArtifactError(
            f"{path}: an HDF5 file, but not a NIR graph; pass the .nir file that 'export' wrote"
        )
    schema = file.get(f"node/metadata/{KEY}/schema")
    if schema is None:
        raise ArtifactError(foreign(str(path)))
    if not isinstance(schema, h5py.Dataset) or schema.shape != () or schema.dtype.kind not in "iu":
        raise ArtifactError(f"{path}: its metadata has no schema version; {REMEDY}")
    check_schema(int(schema[()]), str(path))
    size = _array_bytes(file)
    if size > MAX_ARRAY_BYTES:
        raise ArtifactError(
            f"{path}: its arrays would take {size / (1 << 30):.1f} GiB, above the limit of "
            f"{MAX_ARRAY_BYTES >> 30} GiB; export a smaller image size"
        )


def _array_bytes(file: h5py.File) -> int:
    total = 0

    def add(_: str, item: h5py.HLObject) -> None:
        nonlocal total
        if isinstance(item, h5py.Dataset):
            total += int(item.size or 0) * int(item.dtype.itemsize)

    file.visititems(add)
    return total
