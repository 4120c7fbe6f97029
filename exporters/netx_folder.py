"""A netx folder: a `.net` file with what is needed to run it and to check what it computes.

network.nir   the exported graph, from which the `.net` file is derived
network.net   what lava-dl's `hdf5.Network` loads; see `netx_file`
golden.npz    integer input tiles, and every spike and membrane that they must give
export.json   how the `.net` file is run, versions, and the SHA-256 of all of the above
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snn_tool.artifacts import read_json
from snn_tool.errors import ArtifactError
from snn_tool.exporters.export_files import check_hashes
from snn_tool.exporters.golden_file import GOLDEN, Golden, golden_statements, image_size, read_golden
from snn_tool.exporters.hdf5 import Tree, read_hdf5
from snn_tool.exporters.netx_file import NetxRun, write_netx
from snn_tool.exporters.nir_file import read_program
from snn_tool.exporters.nir_program import MAX_ARRAY_BYTES, Program
from snn_tool.exporters.statements import Statements, compare_arrays, compare_document, merged
from snn_tool.temporaries import temporary_folder

NETWORK, NETX, MANIFEST = "network.nir", "network.net", "export.json"
HASHED = (NETWORK, NETX, GOLDEN)
KIND, SCHEMA, TARGET = "netx-export", 2, "netx"


@dataclass(frozen=True, slots=True, eq=False)
class NetxFolder:
    """A netx export whose every file has the hash that its manifest states.

    Attributes:
        folder: where it lies.
        run: how the `.net` file is run.
        golden: tiles and expected integers.
    """

    folder: Path
    run: NetxRun
    golden: Golden


def run_entry(run: NetxRun, program: Program) -> dict[str, Any]:
    """The entry `netx` of export.json: the run, and what turns its integers into grey levels."""
    return {**asdict(run), "input_step": program.input_step, "residual_scale": program.residual_scale}


def read_netx_folder(folder: Path) -> NetxFolder:
    """Read a netx export after every file was held against its hash.

    Raises:
        ArtifactError: a file is missing or does not match its hash (the file is named), the `.net` file is
            damaged or reaches outside itself, or the manifest is incomplete or of another schema.
    """
    manifest = read_json(folder / MANIFEST, KIND, SCHEMA)
    try:
        hashes = {name: str(manifest["files"][name]) for name in HASHED}
        run = _run(manifest["netx"])
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"{folder / MANIFEST}: incomplete ({error!r}); export the network again"
        ) from error
    check_hashes(folder, hashes, MANIFEST)
    read_netx(folder / NETX)  # lava-dl would follow its links and read whatever it holds
    return NetxFolder(folder, run, read_golden(folder / GOLDEN))


def _run(entry: Mapping[str, Any]) -> NetxRun:
    values = {field.name: entry[field.name] for field in fields(NetxRun)}
    width, height, channels = values["image"]
    shapes = tuple(tuple(shape) for shape in values["shapes"])
    populations = tuple(str(name) for name in values["populations"])
    return NetxRun(
        **{**values, "image": (width, height, channels), "shapes": shapes, "populations": populations}
    )


def derive_statements(netx: NetxFolder) -> Statements:
    """Derive again from network.nir what the files of a netx folder state, and compare.

    Raises:
        ArtifactError: a file cannot be read.
        UnsupportedLayerError, TargetLimitError: netx cannot hold the network.
    """
    folder = netx.folder
    program = read_program(folder / NETWORK)
    with temporary_folder("netx") as scratch:
        run = write_netx(scratch / NETX, program)
        expected = read_netx(scratch / NETX)
    facts = {"target": TARGET, **image_size(program), "netx": run_entry(run, program)}
    return merged(
        compare_document(MANIFEST, read_json(folder / MANIFEST, KIND, SCHEMA), facts),
        compare_arrays(NETX, read_netx(folder / NETX), expected),
        golden_statements(program, netx.golden),
    )


def read_netx(path: Path) -> dict[str, NDArray[Any]]:
    """Every array of a `.net` file, by its path in it.

    Raises:
        ArtifactError: as `read_hdf5`.
    """
    return dict(_arrays(read_hdf5(path, "export the network again", MAX_ARRAY_BYTES), ""))


def _arrays(tree: Tree, prefix: str) -> Iterator[tuple[str, NDArray[Any]]]:
    for name, item in tree.items():
        if isinstance(item, dict):
            yield from _arrays(item, f"{prefix}{name}/")
        else:
            yield prefix + name, np.asarray(item)
