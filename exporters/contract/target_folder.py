"""What `export --target` of another package leaves: its files, and all that is needed to check a backend by.

network.nir   the exported graph, from which the target made its files
golden.npz    integer input tiles, and every spike and membrane that they must give
…             the target's files
export.json   the target, its package, versions, and the SHA-256 of all of the above
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from snn_tool import __version__
from snn_tool.errors import ExportError
from snn_tool.exporters.contract.backends import foreign_code, open_backend
from snn_tool.exporters.contract.export import EXPORT, NETWORK, Export, NetworkFile
from snn_tool.exporters.contract.folder import (
    GOLDEN,
    REMEDY,
    Manifest,
    check_hashes,
    golden_statements,
    hashes_of,
    image_size,
    manifest_statements,
    read_golden,
)
from snn_tool.exporters.contract.statements import Statements, compare_document, merged
from snn_tool.exporters.contract.targets import (
    BUILT_IN_BACKENDS,
    GROUP,
    Declared,
    Plugin,
    Target,
    open_plugin,
)
from snn_tool.files.artifacts import LARGEST_JSON, parse_json, read_json, sha256_file, shown, write_json
from snn_tool.files.documents import Name, read_document
from snn_tool.models.topology import Side

VERIFICATION = "verification.json"
OURS = (EXPORT, VERIFICATION)
KIND, SCHEMA = "target-export", 1


class TargetManifest(Manifest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The schema of export.json."""

    target: Name
    package: Name
    package_version: Name
    runs: bool
    image_size: tuple[Side, Side]


@dataclass(frozen=True, eq=False)
class TargetFolder(Export):
    """An export by another package's target, every file as its manifest says."""

    manifest: TargetManifest
    manifest_name = EXPORT

    @property
    def target(self) -> str:
        """Name of the target."""
        return self.manifest.target

    @property
    def usual(self) -> tuple[str, ...]:
        """The interpreter, and the target if it is a backend as well."""
        return ("nir", self.target) if self.manifest.runs else ("nir",)

    def statements(self) -> Statements:
        """Derive again what the manifest states; the target's own files are not checked."""
        stated = read_json(self.folder / EXPORT, KIND, SCHEMA)
        theirs = sorted(stated["files"].keys() - {NETWORK, GOLDEN})
        return merged(
            compare_document(
                EXPORT, stated, image_size(self.program) | manifest_statements(self.program, stated)
            ),
            golden_statements(self.program, self.golden),
            Statements({}, {f"what is in {shown(name)}": () for name in theirs}),
        )


def open_target(name: str) -> Plugin:
    """A target of another package.

    Raises:
        BackendUnavailableError: there is no such name, or it cannot be used.
        ExportError: it is a backend only.
    """
    plugin = open_plugin(name)
    if plugin.target is None:
        raise ExportError(f"{plugin.declared} is a backend and no target: it has no export(network, folder)")
    return plugin


def own_plugin(name: str, target: Target) -> Plugin:
    """A target of this tool that is also a backend, in the form of another package's."""
    entry = EntryPoint(name, BUILT_IN_BACKENDS[name].factory, GROUP)
    item = Declared(name, "snn-tool", __version__, entry)
    return Plugin(item, target.description, target, open_backend(name))


def write_target(plugin: Plugin, folder: Path, body: Mapping[str, Any]) -> None:
    """Let a target write its files into a folder that holds network.nir and golden.npz, then the manifest.

    Args:
        plugin: of `open_target`.
        folder: gets the files.
        body: further values of the manifest.

    Raises:
        UnsupportedLayerError: the target cannot hold the network.
        BackendUnavailableError: it misses something.
        ExportError: it fails, writes nothing, or touches a file that is not its own.
    """
    assert plugin.target is not None
    item, given = plugin.declared, {name: sha256_file(folder / name) for name in (NETWORK, GOLDEN)}
    with foreign_code(plugin, ExportError):
        plugin.target.export(folder / NETWORK, folder)
    files = _files(folder, str(item))
    for name, digest in given.items():
        if files.get(name) != digest:
            raise ExportError(f"{item} changed {name}, which it is only given to read")
    if files.keys() == given.keys():
        raise ExportError(f"{item} wrote no file")
    head = {"target": item.name, "package": item.package, "package_version": item.version}
    runs = plugin.backend is not None
    write_json(folder / EXPORT, KIND, SCHEMA, {**head, "runs": runs, **body, "files": files})


def _files(folder: Path, who: str) -> dict[str, str]:
    """Hashes by path relative to the folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ExportError(
                f"{who} made {name}, which is no plain file; an export must hold all that it needs"
            )
        if name in OURS:
            raise ExportError(f"{who} wrote {name}, a name that snn-tool keeps for itself")
        if path.is_file():
            found[name] = sha256_file(path)
    return found


def is_target_folder(folder: Path) -> bool:
    """Whether a folder's manifest says that another package's target made it."""
    try:
        with (folder / EXPORT).open("rb") as stream:
            document = parse_json(stream.read(LARGEST_JSON + 1))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(document, dict) and document.get("kind") == KIND


def read_target_folder(folder: Path, network: NetworkFile | None = None) -> TargetFolder:
    """Read an export after every file was held against its hash.

    Args:
        folder: of the export.
        network: its network.nir, if it was read already.

    Raises:
        ArtifactError: a file is missing or does not match its hash (the file is named), or the manifest is
            incomplete or of another schema.
    """
    manifest = read_manifest(folder)
    hashes_of(manifest, folder / EXPORT, (NETWORK, GOLDEN))
    check_hashes(folder, manifest.files, EXPORT)
    found = network or NetworkFile(folder / NETWORK)
    return TargetFolder(folder, manifest, read_golden(folder / GOLDEN), found)


def read_manifest(folder: Path) -> TargetManifest:
    """Read export.json alone.

    Raises:
        ArtifactError: it is missing, of another schema, or a key is missing, unknown or not allowed.
    """
    return read_document(folder / EXPORT, KIND, SCHEMA, TargetManifest, REMEDY)
