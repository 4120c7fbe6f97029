"""`snn-tool export`: an integer student becomes a NIR file, a Loihi-style bundle or a netx file, verified.

Other packages bring further targets (`snn_tool.exporters.contract.targets`). Bundle, netx file and theirs
are always built from the NIR file, never from the network: what is verified is the file.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from snn_tool.deploy.golden import Golden, GoldenOptions, make_golden
from snn_tool.deploy.lowering_costs import LoweringCost, LoweringRefused, count_lowerings
from snn_tool.deploy.onnx_networks import ONNX
from snn_tool.errors import ConfigError
from snn_tool.exporters.contract.folder import GOLDEN, golden_arrays, write_golden
from snn_tool.exporters.contract.targets import BUILT_IN_TARGETS, Plugin, plugin_names
from snn_tool.exporters.contract.traces import BackendResult
from snn_tool.exporters.lava import netx as netx_folder
from snn_tool.exporters.lava.netx import NETX, NetxRun, read_netx_folder, run_entry, write_netx
from snn_tool.exporters.loihi.bundle import HASHED, MANIFEST, NETWORK, Bundle, export_bundle
from snn_tool.exporters.nir.file import read_program
from snn_tool.exporters.verify.netx import BACKEND, BACKENDS, verify_netx_folder
from snn_tool.exporters.verify.report import (
    VerificationReport,
    interpret_nir,
    verify_bundle,
    write_verification,
)
from snn_tool.exporters.verify.target_folder import (
    open_target,
    read_target_folder,
    verify_target_folder,
    write_target,
)
from snn_tool.files.artifacts import sha256_file, write_json
from snn_tool.files.staging import check_folder, staged_folder
from snn_tool.files.temporaries import temporary_folder
from snn_tool.models.streams import FANOUT, check_lowering

TARGETS = tuple(BUILT_IN_TARGETS)
EXPORT, VERIFICATION = netx_folder.MANIFEST, "verification.json"
KINDS = {"nir": ("nir-export", 1), "netx": (netx_folder.KIND, netx_folder.SCHEMA)}


@dataclass(frozen=True, slots=True, eq=False)
class Exported:
    """What an export left behind: a bundle, a netx file and how it is run, a NIR file, or a package's files.

    `made_by` names the target of another package.
    """

    folder: Path
    tiles_shape: tuple[int, ...]
    verification: VerificationReport | None
    bundle: Bundle | None = None
    lowerings: tuple[LoweringCost | LoweringRefused, ...] = ()
    netx: NetxRun | None = None
    made_by: str = ""


def export_student(
    source: Path,
    target: str,
    out: Path,
    options: GoldenOptions,
    *,
    lowering: str = FANOUT,
    overwrite: bool = False,
    verify: bool = True,
    conv: str = "stock",
    log: Callable[[str], None] | None = None,
) -> Exported:
    """Export to a folder and verify what lies there.

    Args:
        source: `student.int.safetensors`, or a `.nir` file for targets other than `nir`.
        target: `nir`, `loihi`, `netx` or one of another package.
        out: folder to make.
        options: golden tiles.
        lowering: of membrane shortcuts, `fanout` or `relay`; of a bundle only, a NIR file is not lowered.
        overwrite: replace an export that is there.
        verify: run the independent implementations and write `verification.json`.
        conv: Lava's convolution, `stock` or `blas`.
        log: receives progress lines.

    Raises:
        ConfigError: unknown target, source or lowering; a lowered NIR file is asked for; `out` exists, or
            holds a file that is in the way.
        ExportError: the network cannot be carried to the target, or a package's target fails.
        BackendUnavailableError: a package's target cannot be used.
    """
    known = (*TARGETS, *plugin_names())
    if target not in known:
        raise ConfigError(f"--target {target} is unknown; use one of {', '.join(known)}")
    if target == ONNX:
        raise ConfigError(f"--target {ONNX} makes a file and no folder; see onnx_export.export_onnx")
    check_lowering(lowering)
    if target != "loihi" and lowering != FANOUT:
        raise ConfigError(f"--lowering {lowering} belongs to --target loihi; a {target} file is not lowered")
    claim_export(out, target, overwrite)
    plugin = open_target(target) if target not in TARGETS else None
    with temporary_folder("export") as scratch:
        golden = make_golden(source, scratch, options)
        if target == "nir":
            return _export_nir(golden, out, overwrite, verify)
        if target == "netx":
            return _export_netx(golden, out, overwrite, verify, conv, log)
        if plugin:
            return _export_plugin(plugin, golden, out, overwrite, verify)
        bundle = export_bundle(
            golden.nir,
            out,
            golden.tiles,
            golden.trace,
            student_sha256=golden.source_sha256,
            origin=golden.origin,
            lowering=lowering,
            overwrite=overwrite,
        )
    costs = count_lowerings(read_program(bundle.folder / NETWORK), bundle.golden.tiles, bundle.golden)
    report = None
    if verify:
        report = verify_bundle(bundle, golden.backends, conv=conv, log=log)
        write_verification(out / VERIFICATION, report)
    return Exported(out, golden.tiles.shape, report, bundle, costs)


def claim_export(out: Path, target: str, overwrite: bool) -> None:
    """Make sure, before anything is computed, that an export can be written to a folder.

    Raises:
        ConfigError: `out` is not empty and `overwrite` is false, or a file that is not ours is in the way.
    """
    own = {"loihi": (*HASHED, MANIFEST), "netx": (*netx_folder.HASHED, EXPORT)}.get(target, (NETWORK, EXPORT))
    check_folder(out, overwrite, (*own, VERIFICATION))


def _export_nir(golden: Golden, out: Path, overwrite: bool, verify: bool) -> Exported:
    """A folder with the file, `export.json` and `verification.json`."""
    if "nir" not in golden.backends:
        raise ConfigError(f"{golden.nir}: is a NIR file already; --target loihi makes a bundle of it")
    report = None
    with staged_folder(out, overwrite) as stage:
        (stage / NETWORK).write_bytes(golden.nir.read_bytes())
        _write_manifest(stage, "nir", golden, (NETWORK,), ("nir", "numpy"), {})
        if verify:
            report = _write_report(stage, [interpret_nir(stage / NETWORK, golden.tiles, golden.trace)])
    return Exported(out, golden.tiles.shape, report)


def _export_netx(
    golden: Golden,
    out: Path,
    overwrite: bool,
    verify: bool,
    conv: str,
    log: Callable[[str], None] | None,
) -> Exported:
    """A netx folder (see `netx_folder`) with `verification.json`."""
    report = None
    with staged_folder(out, overwrite) as stage:
        (stage / NETWORK).write_bytes(golden.nir.read_bytes())
        program = read_program(stage / NETWORK)
        run = write_netx(stage / NETX, program)
        write_golden(stage / GOLDEN, golden_arrays(program, golden.tiles, golden.trace))
        body = {"netx": run_entry(run, program)}
        _write_manifest(stage, "netx", golden, netx_folder.HASHED, ("nir", "h5py", "numpy"), body)
        if verify:
            backends = BACKENDS if "nir" in golden.backends else (BACKEND,)
            report = verify_netx_folder(read_netx_folder(stage), backends, conv=conv, log=log)
            write_verification(stage / VERIFICATION, report)
    return Exported(out, golden.tiles.shape, report, netx=run)


def _export_plugin(plugin: Plugin, golden: Golden, out: Path, overwrite: bool, verify: bool) -> Exported:
    """The folder of another package's target (see `target_folder`) with `verification.json`."""
    report = None
    with staged_folder(out, overwrite) as stage:
        (stage / NETWORK).write_bytes(golden.nir.read_bytes())
        arrays = golden_arrays(read_program(stage / NETWORK), golden.tiles, golden.trace)
        write_golden(stage / GOLDEN, arrays)
        write_target(plugin, stage, _manifest_body(golden, ("nir", "numpy")))
        made = read_target_folder(stage)
        # The interpreter made the integers of a NIR file, so the engine is the one that can disagree.
        backends = made.usual if "nir" in golden.backends else ("integer", *made.usual[1:])
        if verify:
            report = verify_target_folder(made, backends)
            write_verification(stage / VERIFICATION, report)
    return Exported(out, golden.tiles.shape, report, made_by=str(plugin.declared))


def _write_manifest(
    stage: Path,
    target: str,
    golden: Golden,
    files: tuple[str, ...],
    packages: tuple[str, ...],
    further: dict[str, Any],
) -> None:
    """Write export.json for the files that lie in `stage`."""
    hashes = {name: sha256_file(stage / name) for name in files}
    body = {"target": target, **_manifest_body(golden, packages), **further, "files": hashes}
    write_json(stage / EXPORT, *KINDS[target], body)


def _manifest_body(golden: Golden, packages: tuple[str, ...]) -> dict[str, Any]:
    return {
        "image_size": list(golden.tiles.shape[2:]),
        "student_sha256": golden.source_sha256,
        "golden": dict(golden.origin),
        "versions": {name: version(name) for name in packages},
    }


def _write_report(stage: Path, results: list[BackendResult]) -> VerificationReport:
    report = VerificationReport(sha256_file(stage / EXPORT), None, tuple(results))
    write_verification(stage / VERIFICATION, report)
    return report
