"""A netx folder: a `.net` file with what is needed to run it and to check what it computes.

network.nir   the exported graph, from which the `.net` file is derived
network.net   what lava-dl's `hdf5.Network` loads; see `netx_file`
golden.npz    integer input tiles, and every spike and membrane that they must give
export.json   how the `.net` file is run, versions, and the SHA-256 of all of the above
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray
from snn_tool.files.artifacts import read_json
from snn_tool.files.documents import Count, Name, Positive, read_document
from snn_tool.exporters.contract.folder import (
    REMEDY,
    GridValue,
    Manifest,
    Volume,
    check_hashes,
    hashes_of,
)
from snn_tool.exporters.golden_file import GOLDEN, Golden, golden_statements, image_size, read_golden
from snn_tool.exporters.nir.hdf5 import Tree, read_hdf5
from snn_tool.exporters.lava.netx import NetxRun, write_netx
from snn_tool.exporters.nir.file import read_program
from snn_tool.exporters.nir.program import MAX_ARRAY_BYTES, Program
from snn_tool.exporters.contract.statements import Statements, compare_arrays, compare_document, merged
from snn_tool.models.topology import MOST_PARTS, Side, Timesteps
from snn_tool.files.temporaries import temporary_folder

NETWORK, NETX, MANIFEST = "network.nir", "network.net", "export.json"
HASHED = (NETWORK, NETX, GOLDEN)
KIND, SCHEMA, TARGET = "netx-export", 2, "netx"


class NetxEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The schema of `netx` in export.json; see `NetxRun`."""

    input_message_bits: Annotated[int, Meta(ge=0, le=24)]
    reset_interval: Timesteps
    reset_offset: Count
    timesteps: Timesteps
    depth: Annotated[int, Meta(ge=1, le=MOST_PARTS)]
    populations: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=MOST_PARTS)]
    input_low: GridValue
    input_high: GridValue
    image: Volume
    shapes: Annotated[tuple[Volume, ...], Meta(min_length=1, max_length=MOST_PARTS)]
    input_step: Annotated[int, Meta(ge=1, le=16)]
    residual_scale: Positive

    def __post_init__(self) -> None:
        """A shape for each population, and a range that is one."""
        if len(self.shapes) != len(self.populations) or self.input_low >= self.input_high:
            raise ValueError("there must be a shape for each population, and input_low below input_high")


class NetxManifest(Manifest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The schema of export.json."""

    target: Name
    image_size: tuple[Side, Side]
    netx: NetxEntry


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
    manifest = read_manifest(folder)
    check_hashes(folder, hashes_of(manifest, folder / MANIFEST, HASHED), MANIFEST)
    read_netx(folder / NETX)  # lava-dl would follow its links and read whatever it holds
    run = NetxRun(**{field.name: getattr(manifest.netx, field.name) for field in fields(NetxRun)})
    return NetxFolder(folder, run, read_golden(folder / GOLDEN))


def read_manifest(folder: Path) -> NetxManifest:
    """Read export.json alone.

    Raises:
        ArtifactError: it is missing, of another schema, or a key is missing, unknown or not allowed.
    """
    return read_document(folder / MANIFEST, KIND, SCHEMA, NetxManifest, REMEDY)


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
