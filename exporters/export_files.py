"""The files of an export against the hashes in its manifest."""

from collections.abc import Mapping
from pathlib import Path

from snn_tool.artifacts import sha256_file
from snn_tool.errors import ArtifactError


def check_hashes(folder: Path, hashes: Mapping[str, str], manifest: str) -> None:
    """Hold every file of an export against its hash.

    Raises:
        ArtifactError: a file is missing or does not match; it is named.
    """
    for name, expected in hashes.items():
        if not (folder / name).is_file():
            raise ArtifactError(f"{folder / name}: no such file; export the network again")
        if sha256_file(folder / name) != expected:
            raise ArtifactError(
                f"{folder / name}: does not match its hash in {manifest}; export the network again"
            )
