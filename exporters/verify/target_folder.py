"""What `export --target` of another package leaves: its files, and all that is needed to check a backend by.

network.nir   the exported graph, from which the target made its files
golden.npz    integer input tiles, and every spike and membrane that they must give
…             the target's files
export.json   the target, its package, versions, and the SHA-256 of all of the above
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snn_tool.errors import ExportError
from snn_tool.exporters.contract.folder import (
    GOLDEN,
    REMEDY,
    Golden,
    Manifest,
    check_hashes,
    golden_statements,
    hashes_of,
    image_size,
    read_golden,
)
from snn_tool.exporters.contract.statements import Statements, compare_document, merged
from snn_tool.exporters.contract.targets import Plugin, foreign_code, open_plugin, plugin_names
from snn_tool.exporters.nir.file import read_program
from snn_tool.exporters.verify.report import (
    FILE_BACKENDS,
    VerificationReport,
    check_backends,
    verify_file,
    verify_with,
)
from snn_tool.files.artifacts import LARGEST_JSON, parse_json, read_json, sha256_file, shown, write_json
from snn_tool.files.documents import Name, read_document
from snn_tool.models.topology import Side

NETWORK, MANIFEST, VERIFICATION = "network.nir", "export.json", "verification.json"
OURS = (MANIFEST, VERIFICATION)
KIND, SCHEMA = "target-export", 1


class TargetManifest(Manifest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The schema of export.json."""

    target: Name
    package: Name
    package_version: Name
    runs: bool
    image_size: tuple[Side, Side]


@dataclass(frozen=True, slots=True, eq=False)
class TargetFolder:
    """An export whose every file has the hash that its manifest states.

    Attributes:
        folder: where it lies.
        target: name of the target.
        runs: the target is a backend as well.
        golden: tiles and expected integers.
    """

    folder: Path
    target: str
    runs: bool
    golden: Golden

    @property
    def usual(self) -> tuple[str, ...]:
        """Backends that are independent of the engine which usually made the golden integers."""
        return ("nir", self.target) if self.runs else ("nir",)


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
    write_json(folder / MANIFEST, KIND, SCHEMA, {**head, "runs": runs, **body, "files": files})


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
        with (folder / MANIFEST).open("rb") as stream:
            document = parse_json(stream.read(LARGEST_JSON + 1))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(document, dict) and document.get("kind") == KIND


def read_target_folder(folder: Path) -> TargetFolder:
    """Read an export after every file was held against its hash.

    Raises:
        ArtifactError: a file is missing or does not match its hash (the file is named), or the manifest is
            incomplete or of another schema.
    """
    manifest = read_manifest(folder)
    hashes_of(manifest, folder / MANIFEST, (NETWORK, GOLDEN))
    check_hashes(folder, manifest.files, MANIFEST)
    return TargetFolder(folder, manifest.target, manifest.runs, read_golden(folder / GOLDEN))


def read_manifest(folder: Path) -> TargetManifest:
    """Read export.json alone.

    Raises:
        ArtifactError: it is missing, of another schema, or a key is missing, unknown or not allowed.
    """
    return read_document(folder / MANIFEST, KIND, SCHEMA, TargetManifest, REMEDY)


def known_backends(folder: TargetFolder) -> tuple[str, ...]:
    """Names that such an export can be verified by."""
    own = (folder.target,) if folder.runs else ()
    return tuple(dict.fromkeys((*FILE_BACKENDS, *own, *plugin_names())))


def verify_target_folder(folder: TargetFolder, backends: Sequence[str]) -> VerificationReport:
    """Run an export's tiles through each backend and compare with its golden integers.

    Raises:
        ConfigError: a backend is unknown.
        VerificationError: an implementation refuses the file or gives values of other shapes.
    """
    check_backends(backends, known_backends(folder))
    return verify_with(
        backends,
        folder.folder / MANIFEST,
        derive_statements(folder),
        lambda name: verify_file(name, folder.folder, folder.golden),
    )


def derive_statements(target: TargetFolder) -> Statements:
    """Derive again from network.nir what the manifest states; the target's own files are not checked.

    Raises:
        ArtifactError: a file cannot be read.
    """
    program = read_program(target.folder / NETWORK)
    manifest = read_json(target.folder / MANIFEST, KIND, SCHEMA)
    theirs = sorted(manifest["files"].keys() - {NETWORK, GOLDEN})
    return merged(
        compare_document(MANIFEST, manifest, image_size(program)),
        golden_statements(program, target.golden),
        Statements({}, {f"what is in {shown(name)}": () for name in theirs}),
    )
