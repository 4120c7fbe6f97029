"""A netx folder: a `.net` file with what is needed to run it and to check what it computes.

network.nir   the exported graph, from which the `.net` file is derived
network.net   what lava-dl's `hdf5.Network` loads; see `netx_file`
golden.npz    integer input tiles, and every spike and membrane that they must give
export.json   how the `.net` file is run, versions, and the SHA-256 of all of the above
"""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from snn_tool.artifacts import read_json
from snn_tool.errors import ArtifactError
from snn_tool.exporters.export_files import check_hashes
from snn_tool.exporters.golden_file import GOLDEN, Golden, read_golden
from snn_tool.exporters.hdf5 import Tree, read_hdf5
from snn_tool.exporters.netx_file import NetxRun, write_netx
from snn_tool.exporters.nir_file import read_program
from snn_tool.exporters.nir_program import MAX_ARRAY_BYTES, Program

NETWORK, NETX, MANIFEST = "network.nir", "network.net", "export.json"
HASHED = (NETWORK, NETX, GOLDEN)
KIND, SCHEMA = "netx-export", 2


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


def net_follows_network(folder: NetxFolder) -> bool:
    """Whether network.net holds, value for value, what network.nir gives, and is run as that says."""
    with tempfile.TemporaryDirectory(prefix="snn-tool-netx-") as name:
        expected = Path(name) / NETX
        run = write_netx(expected, read_program(folder.folder / NETWORK))
        return run == folder.run and read_netx(expected) == read_netx(folder.folder / NETX)


def read_netx(path: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Type, shape and bytes of every array of a `.net` file, by its path in it.

    Raises:
        ArtifactError: as `read_hdf5`.
    """
    return dict(_arrays(read_hdf5(path, "export the network again", MAX_ARRAY_BYTES), ""))


def _arrays(tree: Tree, prefix: str) -> Iterator[tuple[str, tuple[str, tuple[int, ...], bytes]]]:
    for name, item in tree.items():
        if isinstance(item, dict):
            yield from _arrays(item, f"{prefix}{name}/")
        else:
            values = np.asarray(item)
            content = b"\0".join(values.flat) if values.dtype == object else values.tobytes()
            yield prefix + name, (values.dtype.str, values.shape, content)
