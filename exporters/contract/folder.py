"""The manifest of an export, and its files against the hashes there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from snn_tool.files.artifacts import sha256_file
from snn_tool.files.documents import Count, Document, Name, Sha256, Text, convert
from snn_tool.errors import ArtifactError, ConfigError
from snn_tool.models.accounts import Degraded

REMEDY = "export the network again"

FilePath = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=1000,
        pattern=r"^(?!/)(?!(.*/)?\.\.(/|$))[^\x00-\x1f\x7f\\]+$",
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


class Manifest(Document, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the manifest of every export says.

    Attributes:
        student_sha256: of the student artefact that was exported.
        golden: a `GoldenOrigin` as JSON values.
        versions: of the packages that wrote the files.
        files: SHA-256 by path.
    """

    student_sha256: Sha256
    golden: dict[str, Any]
    versions: dict[Name, Name]
    files: dict[FilePath, Sha256]

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
    """Hold every file of an export against its hash.

    Raises:
        ArtifactError: a file is missing or does not match; it is named.
    """
    for name, expected in hashes.items():
        if not (folder / name).is_file():
            raise ArtifactError(f"{folder / name}: no such file; {REMEDY}")
        if sha256_file(folder / name) != expected:
            raise ArtifactError(f"{folder / name}: does not match its hash in {manifest}; {REMEDY}")
