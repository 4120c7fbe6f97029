"""NIR files of other tools, read with suspicion: sizes before values, one line per fault.

HDF5 declares a dataset's shape apart from its content, so a file of kilobytes may claim gigabytes. Everything
declared is therefore added up before anything is read.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path

import h5py
import nir
import numpy as np
from snn_tool.errors import ArtifactError
from snn_tool.exporters.nir_loops import find_loop

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
"""What nir 1.0.8 and h5py raise on damaged or contradictory content (nir validates by assert in places)."""


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
    _guard(path)
    try:
        graph = load_graph(path, REPAIR)
    except ArtifactError:
        if not grouped:
            raise
        graph = load_graph(path, REPAIR, type_check=False)
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


def load_graph(path: Path, remedy: str, type_check: bool = True) -> nir.NIRGraph:
    """Load a file whose sizes were looked at; `remedy` ends every message, `type_check` is nir's.

    Raises:
        ArtifactError: nir finds the content contradictory, or it is a node and no graph.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            graph = nir.read(path, type_check=type_check)
    except READING_FAULTS as error:
        first_line = str(error).partition("\n")[0] or type(error).__name__
        raise ArtifactError(f"{path}: not a consistent NIR graph ({first_line}); {remedy}") from error
    if not isinstance(graph, nir.NIRGraph):
        raise ArtifactError(f"{path}: holds a single {type(graph).__name__}, not a graph; {remedy}")
    return graph


def _guard(path: Path) -> None:
    """Look at the structure before nir loads all of it into memory."""
    if path.is_dir():
        raise ArtifactError(f"{path}: a folder, not a file; pass the .nir file")
    if not path.is_file():
        raise ArtifactError(f"{path}: no such file")
    try:
        if not h5py.is_hdf5(path):
            raise ArtifactError(f"{path}: empty or not an HDF5 file, which every NIR file is; {REPAIR}")
        with h5py.File(path, "r") as file:
            _guard_content(path, file)
    except (KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path}: damaged or truncated HDF5 ({error}); {REPAIR}") from error


def _guard_content(path: Path, file: h5py.File) -> None:
    kind = file.get("node/type")
    if "version" not in file or not isinstance(kind, h5py.Dataset) or kind.shape != ():
        raise ArtifactError(f"{path}: an HDF5 file, but not a NIR graph; pass a file that nir.write made")
    total, largest, where = 0, 0, ""
    for name, size in _declared_bytes(file).items():
        total += size
        if size > largest:
            largest, where = size, name
    if total > MAX_FOREIGN_BYTES:
        raise ArtifactError(
            f"{path}: {where}: its arrays would take {total / (1 << 30):.1f} GiB, above the limit of "
            f"{MAX_FOREIGN_BYTES >> 30} GiB; {REPAIR} with smaller layers"
        )


def _declared_bytes(file: h5py.File) -> Mapping[str, int]:
    """Bytes that each dataset would occupy in memory, by its node's path."""
    sizes: dict[str, int] = {}

    def add(name: str, item: h5py.HLObject) -> None:
        if isinstance(item, h5py.Dataset):
            place = name.removeprefix("node/").removeprefix("nodes/").replace("/nodes/", ".")
            sizes[place.replace("/", ".")] = int(item.size or 0) * int(item.dtype.itemsize)

    file.visititems(add)
    return sizes


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
            _check_port(path, name, [int(n) for n in np.ravel(shape)])


def _check_port(path: Path, name: str, shape: list[int]) -> None:
    values = 1
    for n in shape:
        values *= n  # Python integers: a product of int64 could wrap around to something small
    if not shape or min(shape) < 1 or values * 4 > MAX_FOREIGN_BYTES:
        raise ArtifactError(f"{path}: {name}: declares the shape {shape}, no usable size; {REPAIR}")
