"""The folder of an export: one class for every target, its NIR file read once.

Files are what is verified: every export reads its golden integers from disk after each file was held against
its hash, and derives again from network.nir what its other files state.
"""

import shutil
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from snn_tool.errors import ArtifactError
from snn_tool.exporters.contract.folder import Golden, Manifest, golden_statements
from snn_tool.exporters.contract.statements import Statements
from snn_tool.exporters.nir.file import read_program
from snn_tool.exporters.nir.program import Program
from snn_tool.files.artifacts import sha256_file
from snn_tool.files.documents import Name
from snn_tool.models.topology import Side

EXPORT, NETWORK = "export.json", "network.nir"


@dataclass(frozen=True, eq=False)
class NetworkFile:
    """A NIR file of ours, read and hashed when its content is first asked for, and only then.

    Attributes:
        path: of the file.
    """

    path: Path
    _known: Program | None = field(default=None, repr=False)

    @cached_property
    def sha256(self) -> str:
        """Of the bytes that `program` was read from."""
        return sha256_file(self.path)

    @cached_property
    def program(self) -> Program:
        """The file's content.

        Raises:
            ArtifactError: as `read_program`.
        """
        assert self.sha256, "the hash is taken before the file is read"
        return self._known or read_program(self.path)

    def copied(self, folder: Path) -> "NetworkFile":
        """Copy the file into a folder under the name that every export gives it.

        Raises:
            ArtifactError: the file is no longer the one that was read.
        """
        copy = NetworkFile(folder / NETWORK, self.program)
        shutil.copyfile(self.path, copy.path)
        if copy.sha256 != self.sha256:
            raise ArtifactError(f"{self.path}: was changed while it was exported; export it again")
        return copy

    def moved(self, folder: Path) -> "NetworkFile":
        """The same file in a folder that was renamed; its hash is taken again, from there."""
        return NetworkFile(folder / NETWORK, self.program)


@dataclass(frozen=True, eq=False)
class Export(ABC):
    """A folder that an export left, every file as its manifest says.

    Attributes:
        folder: where it lies.
        manifest: what its manifest says.
        golden: tiles and the integers that they must give.
        network: network.nir.
    """

    folder: Path
    manifest: Manifest
    golden: Golden = field(repr=False)
    network: NetworkFile = field(repr=False)

    manifest_name: ClassVar[str]
    """File name of the manifest, which holds the hashes of all others."""

    @property
    @abstractmethod
    def target(self) -> str:
        """What `export --target` calls it."""

    @property
    @abstractmethod
    def usual(self) -> tuple[str, ...]:
        """Backends that are independent of the engine which usually made the golden integers."""

    @abstractmethod
    def statements(self) -> Statements | None:
        """Derive again from network.nir what the files state, and compare; None where they state nothing.

        Raises:
            ArtifactError: a file cannot be read.
            ExportError: the target cannot hold the network.
        """

    @property
    def program(self) -> Program:
        """What network.nir says, read once."""
        return self.network.program

    @property
    def order(self) -> list[str]:
        """Names of the populations in execution order, the read-out last."""
        return [population.name for population in self.program.populations]

    @property
    def origin(self) -> dict[str, Any]:
        """How the golden tiles were made; a `GoldenOrigin` as JSON values."""
        return self.manifest.golden


class NirManifest(Manifest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The schema of export.json beside a network.nir alone."""

    target: Name
    image_size: tuple[Side, Side]


@dataclass(frozen=True, eq=False)
class NirExport(Export):
    """network.nir and its manifest; the golden integers are kept in memory only."""

    manifest: NirManifest
    manifest_name = EXPORT
    target = "nir"
    usual = ("nir",)

    def statements(self) -> Statements | None:
        """Nothing that could contradict the network, but for how the tiles of several passes chain."""
        return golden_statements(self.program, self.golden) if self.program.passes > 1 else None
