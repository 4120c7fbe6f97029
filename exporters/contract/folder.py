"""The manifest of an export, and its files against the hashes there."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray
from snn_tool.errors import ArtifactError, ConfigError, ExportError
from snn_tool.exporters.contract.npz import MAX_BYTES, read_arrays
from snn_tool.exporters.contract.statements import Statements, compare_document
from snn_tool.exporters.contract.traces import Trace
from snn_tool.exporters.nir.metadata import MOST_PASSES
from snn_tool.exporters.nir.passes import described, unchained
from snn_tool.exporters.nir.program import PopulationNode, Program
from snn_tool.files.artifacts import sha256_file, shown, write_bytes
from snn_tool.files.documents import Count, Document, Name, Positive, Sha256, Text, convert
from snn_tool.files.ownership import INSIDE, link_on_the_way, stays_inside
from snn_tool.models.accounts import Degraded

REMEDY = "export the network again"

FilePath = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=1000,
        pattern=INSIDE,
        extra={"allowed": "a path inside the folder"},
    ),
]
GridValue = Annotated[int, Meta(ge=-256, le=512)]
"""An integer of the image: grey levels -128 to 383 on a grid of 1 or more."""

Extent = Annotated[int, Meta(ge=1, le=1 << 16)]
Volume = tuple[Extent, Extent, Extent]
"""(W, H, C), or (C, H, W)."""


class GoldenOrigin(msgspec.Struct, frozen=True):
    """How golden tiles were made; it may say more."""

    images: Text | None = None
    seed: Count | None = None
    degradation: Degraded | None = None


class PassesEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the passes of a network chain (`nir.passes.described`); the texts are formulas for people."""

    count: Annotated[int, Meta(ge=2, le=MOST_PASSES)]
    input: Text
    pixel: Text
    previous_result: Text
    step: Annotated[int, Meta(ge=1, le=256)]
    offset: Annotated[int, Meta(ge=0, le=128)]
    residual_scale: Positive


class Manifest(Document, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the manifest of every export says.

    Attributes:
        passes: of a network that runs more than once on one image.
        student_sha256: of the student artefact that was exported.
        golden: a `GoldenOrigin` as JSON values.
        versions: of the packages that wrote the files.
        files: SHA-256 by path.
    """

    student_sha256: Sha256
    golden: dict[str, Any]
    versions: dict[Name, Name]
    files: dict[FilePath, Sha256]
    passes: PassesEntry | None = None

    def __post_init__(self) -> None:
        """Check the origin, which stays as it was written."""
        convert(self.golden, GoldenOrigin, "", ConfigError, prefix=("golden",))


def hashes_of(manifest: Manifest, path: Path, names: tuple[str, ...]) -> dict[str, str]:
    """The hashes of the files that an export of its kind must have.

    Raises:
        ArtifactError: the manifest has none of one of them.
    """
    for name in names:
        if name not in manifest.files:
            raise ArtifactError(f"{path}: files.{name} is missing; {REMEDY}")
    return {name: manifest.files[name] for name in names}


def check_hashes(folder: Path, hashes: Mapping[str, str], manifest: str) -> None:
    """Hold every file of an export against its hash; what ownership would not call a member is none here.

    Raises:
        ArtifactError: a file is missing, does not match, or lies outside of the folder by its path or behind
            a link; it is named.
    """
    for name, expected in hashes.items():
        if not stays_inside(name):
            raise ArtifactError(f"{folder / manifest}: files.{shown(name)} lies outside of it; {REMEDY}")
        if link := link_on_the_way(folder, name):
            raise ArtifactError(f"{link}: a link, which is not followed; copy the whole export, or {REMEDY}")
        if not (folder / name).is_file():
            raise ArtifactError(f"{folder / name}: no such file; {REMEDY}")
        if sha256_file(folder / name) != expected:
            raise ArtifactError(f"{folder / name}: does not match its hash in {manifest}; {REMEDY}")


GOLDEN = "golden.npz"

MEMBERS: Mapping[str, tuple[type[np.integer], tuple[int, ...]]] = {
    "tiles": (np.int16, (4, 5)),
    "readout": (np.int32, (4,)),
    "spikes": (np.int8, (5,)),
    "membranes": (np.int32, (5,)),
}
"""Type and numbers of axes of each kind of array; the last two stand once for each population."""


@dataclass(frozen=True, slots=True, eq=False)
class Golden:
    """Input tiles and the integers that they must give; fits `Trace`.

    Attributes:
        tiles: int16 [N, C, H, W] on the integer input grid, or [N, T, C, H, W] of what changes with time. Of
            P passes N / P tiles of the first, as many of the second, in the same order, and so on.
        readout: int32 [N, C, H, W].
        spikes: for each population int8 [T, N, C, H, W].
        membranes: for each population int32 [T, N, C, H, W].
    """

    tiles: NDArray[np.int16]
    readout: NDArray[np.int32]
    spikes: dict[str, NDArray[np.int8]]
    membranes: dict[str, NDArray[np.int32]]


def golden_in_memory(tiles: NDArray[np.int16], reference: Trace) -> Golden:
    """Tiles and their trace, as they are, where no file keeps them."""
    return Golden(tiles, reference.readout, dict(reference.spikes), dict(reference.membranes))


def golden_arrays(program: Program, tiles: NDArray[np.int16], reference: Trace) -> dict[str, NDArray[Any]]:
    """The arrays of golden.npz: `tiles`, `readout`, `spikes.<population>`, `membranes.<population>`.

    Raises:
        ExportError: tiles or reference do not belong to the program, or lose a value in the narrower type.
    """
    count = len(tiles)
    shapes = _shapes(program, count)
    arrays: dict[str, NDArray[Any]] = {
        "tiles": _fitting("tiles", tiles, shapes["tiles"]),
        "readout": _fitting("readout", reference.readout, shapes["readout"]),
    }
    for node in program.populations:
        for kind, values in (("spikes", reference.spikes), ("membranes", reference.membranes)):
            if node.name not in values:
                raise ExportError(
                    f"the reference trace has no {kind} of {node.name}; record every population"
                )
            key = f"{kind}.{node.name}"
            arrays[key] = _fitting(kind, values[node.name], shapes[key], f" of {node.name}")
    total = sum(values.nbytes for values in arrays.values())
    if total > MAX_BYTES:
        raise ExportError(
            f"the golden integers of {count} tiles take {total / 2**30:.1f} GiB, more than the "
            f"{MAX_BYTES >> 30} GiB that are read back; use fewer --tiles or a smaller --size"
        )
    return arrays


def golden_statements(program: Program, golden: Golden) -> Statements:
    """Hold a golden file's shapes and its tiles' range against a program; backends compare the values."""
    low, high = int(golden.tiles.min(initial=0)), int(golden.tiles.max(initial=0))
    found: dict[str, NDArray[Any]] = {"tiles": golden.tiles, "readout": golden.readout}
    found |= {f"spikes.{name}": values for name, values in golden.spikes.items()}
    found |= {f"membranes.{name}": values for name, values in golden.membranes.items()}
    held = compare_document(
        GOLDEN,
        {
            "shapes": {name: list(values.shape) for name, values in found.items()},
            "range of tiles": [low, high],
        },
        {
            "shapes": _shapes(program, max(1, len(golden.tiles))),
            "range of tiles": [max(low, program.input_low), min(high, program.input_high)],
        },
    )
    if program.passes > 1 and not held.contradictions:
        wrong = unchained(program, golden.tiles, golden.readout)
        key = "tiles that are not what the pass before gives"
        held = compare_document(GOLDEN, {key: wrong}, {key: 0})
    return replace(held, unchecked={GOLDEN: ("which tiles",)})


def manifest_statements(program: Program, stated: Mapping[str, Any]) -> dict[str, Any]:
    """What a manifest must say of passes; null where it says something of a network with one."""
    return described(program) or ({"passes": None} if "passes" in stated else {})


def image_size(program: Program) -> dict[str, list[int]]:
    """What a manifest says of the tiles."""
    return {"image_size": [program.height, program.width]}


def _shapes(program: Program, count: int) -> dict[str, tuple[int, ...]]:
    """The shape of every array of a number of tiles."""
    shapes: dict[str, tuple[int, ...]] = {
        "tiles": (count, *program.input_shape),
        "readout": (count, *shape_of(program.readout)),
    }
    for node in program.populations:
        for kind in ("spikes", "membranes"):
            shapes[f"{kind}.{node.name}"] = (program.timesteps, count, *shape_of(node))
    return shapes


def shape_of(node: PopulationNode) -> tuple[int, int, int]:
    """(C, H, W) of a population."""
    return node.channels, node.height, node.width


def _fitting(kind: str, values: NDArray[Any], shape: tuple[int, ...], whose: str = "") -> NDArray[Any]:
    """The values in the type of their kind, if they have the shape and lose nothing."""
    narrow = MEMBERS[kind][0]
    converted = values.astype(narrow)
    if values.shape != shape or not values.size or not np.array_equal(converted, values):
        raise ExportError(
            f"{kind}{whose}: {values.dtype} {list(values.shape)} does not fit the network's "
            f"{narrow.__name__} {list(shape)}"
        )
    return converted


def write_golden(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write golden.npz atomically; equal arrays give equal bytes."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **{name: arrays[name] for name in sorted(arrays)})
    write_bytes(path, buffer.getvalue())


def read_golden(path: Path) -> Golden:
    """Tiles and expected integers.

    Raises:
        ArtifactError: the file cannot be read, lacks tiles or read-out, holds something else as well, or an
            array is not of its type and number of axes.
    """
    arrays = read_arrays(path)
    if not {"tiles", "readout"} <= arrays.keys():
        raise ArtifactError(f"{path}: has no tiles or no readout; export the network again")
    kinds: dict[str, dict[str, NDArray[Any]]] = {"spikes": {}, "membranes": {}}
    for key, values in arrays.items():
        kind, dot, population = key.partition(".")
        if kind not in MEMBERS or bool(dot) is not (kind in kinds):
            raise ArtifactError(f"{path}: holds {key!r}, which no export has; export the network again")
        dtype, axes = np.dtype(MEMBERS[kind][0]), MEMBERS[kind][1]
        if values.dtype != dtype or values.ndim not in axes:
            raise ArtifactError(
                f"{path}: {key} is {values.dtype} of {values.ndim} axes, "
                f"not {dtype} of {' or '.join(map(str, axes))}; export the network again"
            )
        if dot:
            kinds[kind][population] = values
    return Golden(arrays["tiles"], arrays["readout"], kinds["spikes"], kinds["membranes"])
