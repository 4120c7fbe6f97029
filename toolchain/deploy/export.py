"""`snn-tool export`: an integer student becomes a NIR file, a Loihi-style bundle or a netx file, verified.

Other packages bring further targets (`snn_tool.exporters.contract.targets`). Bundle, netx file and theirs
are always built from the NIR file, never from the network: what is verified is the file.
"""

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from snn_tool.deploy.golden import ExportSource, make_golden
from snn_tool.deploy.lowering_costs import LoweringCost, LoweringRefused, count_lowerings
from snn_tool.deploy.options import ONNX, GoldenOptions
from snn_tool.errors import ConfigError
from snn_tool.exporters.c.steps import StepFootprint
from snn_tool.exporters.c.target import CTarget, Footprint, prefix_of, taken_by
from snn_tool.exporters.contract.export import EXPORT, NETWORK, Export, NirExport, NirManifest
from snn_tool.exporters.contract.folder import GOLDEN, REMEDY, golden_arrays, golden_in_memory, write_golden
from snn_tool.exporters.contract.target_folder import (
    open_target,
    own_plugin,
    read_target_folder,
    write_target,
)
from snn_tool.exporters.contract.targets import BUILT_IN_TARGETS, DEFAULT, Context, Plugin, plugin_names
from snn_tool.exporters.lava.netx import (
    NETX,
    NETX_HASHED,
    NETX_KIND,
    NETX_SCHEMA,
    NetxRun,
    read_netx_folder,
    run_entry,
    write_netx,
)
from snn_tool.exporters.loihi.bundle import HASHED, MANIFEST, Bundle, export_bundle
from snn_tool.exporters.nir.passes import described
from snn_tool.exporters.nir.program import Program
from snn_tool.exporters.verify.report import VerificationReport, verify_golden, write_verification
from snn_tool.exporters.wasm.target import WasmTarget
from snn_tool.files.artifacts import sha256_file, write_json
from snn_tool.files.documents import read_document
from snn_tool.files.staging import check_folder, staged_folder
from snn_tool.files.temporaries import temporary_folder
from snn_tool.models.streams import FANOUT, check_lowering

TARGETS = tuple(BUILT_IN_TARGETS)
C, WASM = "c", "wasm"
VERIFICATION = "verification.json"
KINDS = {"nir": ("nir-export", 1), "netx": (NETX_KIND, NETX_SCHEMA)}


@dataclass(frozen=True, slots=True, eq=False)
class Exported:
    """What an export left behind: a bundle, a netx file and how it is run, a NIR file, or a package's files.

    `program` is what network.nir says; `made_by` names the target of another package; `taken` is of C.
    """

    folder: Path
    tiles_shape: tuple[int, ...]
    verification: VerificationReport | None
    program: Program
    bundle: Bundle | None = None
    lowerings: tuple[LoweringCost | LoweringRefused, ...] = ()
    netx: NetxRun | None = None
    made_by: str = ""
    taken: Footprint | StepFootprint | None = None


def export_student(
    source: Path,
    target: str,
    out: Path,
    options: GoldenOptions,
    *,
    lowering: str = FANOUT,
    overwrite: bool = False,
    verify: bool = True,
    context: Context = DEFAULT,
    prefix: str = "",
) -> Exported:
    """Export to a folder and verify what lies there.

    Args:
        source: `student.int.safetensors`, or a `.nir` file for targets other than `nir`.
        target: `nir`, `loihi`, `netx`, `c` or one of another package.
        out: folder to make.
        options: golden tiles.
        lowering: of membrane shortcuts, `fanout` or `relay`; of a bundle only, a NIR file is not lowered.
        overwrite: replace an export that is there.
        verify: run the independent implementations and write `verification.json`.
        context: how backends run.
        prefix: of the names in C; empty takes the source's name.

    Raises:
        ConfigError: unknown target, source, lowering, prefix or compiler; a lowered NIR file is asked for;
            `out` exists, or holds a file that is in the way.
        ExportError: the network cannot be carried to the target, or a package's target fails.
        BackendUnavailableError: a package's target cannot be used.
    """
    known = (*TARGETS, *plugin_names())
    if target not in known:
        raise ConfigError(f"--target {target} is unknown; use one of {', '.join(known)}")
    if target == ONNX:
        raise ConfigError(
            f"--target {ONNX} makes a file and no folder; in Python use snn_tool.deploy.onnx.export_onnx"
        )
    check_lowering(lowering)
    if target != "loihi" and lowering != FANOUT:
        raise ConfigError(f"--lowering {lowering} belongs to --target loihi; a {target} file is not lowered")
    if prefix and target != C:
        raise ConfigError(f"--prefix {prefix} belongs to --target {C}")
    if context.cc and target != C:
        raise ConfigError(f"--cc {context.cc} belongs to --target {C}; leave it out for {target}")
    claim_export(out, target, overwrite)
    plugin = _plugin(target, prefix or prefix_of(source.name))
    with temporary_folder("export") as scratch:
        job = _Job(make_golden(source, scratch, options), out, overwrite, context if verify else None)
        if plugin:
            return _export_plugin(plugin, job)
        if target == "loihi":
            return _export_loihi(job, lowering)
        return _export_nir(job) if target == "nir" else _export_netx(job)


def _plugin(target: str, prefix: str) -> Plugin | None:
    """What writes a folder beside network.nir: another package, C or WebAssembly; else None."""
    if target == C:
        return own_plugin(C, CTarget(prefix))
    if target == WASM:
        return own_plugin(WASM, WasmTarget())
    return open_target(target) if target not in TARGETS else None


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """What is exported, where to, and how it is verified; `context` is None if it is not."""

    golden: ExportSource
    out: Path
    overwrite: bool
    context: Context | None

    def done(self, report: VerificationReport | None, **further: Any) -> Exported:
        """What is left behind."""
        return Exported(self.out, self.golden.tiles.shape, report, self.golden.nir.program, **further)

    def verified(self, export: Export, folder: Path) -> VerificationReport | None:
        """Run the backends that can disagree with what made the golden integers; write their report."""
        if self.context is None:
            return None
        usual = export.usual
        if not self.golden.by_engine:  # the interpreter made them, so that the engine stands for it
            others = tuple(name for name in usual if name != "nir")
            usual = others if export.target in BUILT_IN_TARGETS else ("integer", *others)
        report = verify_golden(export, usual, self.context)
        write_verification(folder / VERIFICATION, report)
        return report


def claim_export(out: Path, target: str, overwrite: bool) -> None:
    """Make sure, before anything is computed, that an export can be written to a folder.

    Raises:
        ConfigError: `out` is not empty and `overwrite` is false, or a file that is not ours is in the way.
    """
    own = {"loihi": (*HASHED, MANIFEST), "netx": (*NETX_HASHED, EXPORT)}.get(target, (NETWORK, EXPORT))
    check_folder(out, overwrite, (*own, VERIFICATION))


def _export_loihi(job: _Job, lowering: str) -> Exported:
    """A bundle with `verification.json`."""
    golden = job.golden
    bundle = export_bundle(
        golden.nir,
        job.out,
        golden.tiles,
        golden.trace,
        student_sha256=golden.source_sha256,
        origin=golden.origin,
        lowering=lowering,
        overwrite=job.overwrite,
    )
    costs = count_lowerings(bundle.deployment, bundle.golden.tiles, bundle.golden)
    return job.done(job.verified(bundle, job.out), bundle=bundle, lowerings=costs)


def _export_nir(job: _Job) -> Exported:
    """A folder with the file, `export.json` and `verification.json`."""
    golden = job.golden
    if not golden.by_engine:
        raise ConfigError(f"{golden.nir.path}: is a NIR file already; --target loihi makes a bundle of it")
    with staged_folder(job.out, job.overwrite) as stage:
        network = golden.nir.copied(stage)
        _write_manifest(stage, "nir", golden, (NETWORK,), ("nir", "numpy"), {})
        manifest = read_document(stage / EXPORT, *KINDS["nir"], NirManifest, REMEDY)
        expected = golden_in_memory(golden.tiles, golden.trace)
        report = job.verified(NirExport(stage, manifest, expected, network), stage)
    return job.done(report)


def _export_netx(job: _Job) -> Exported:
    """A netx folder with `verification.json`."""
    golden, program = job.golden, job.golden.nir.program
    with staged_folder(job.out, job.overwrite) as stage:
        network = golden.nir.copied(stage)
        run = write_netx(stage / NETX, program)
        write_golden(stage / GOLDEN, golden_arrays(program, golden.tiles, golden.trace))
        body = {"netx": run_entry(run, program)}
        _write_manifest(stage, "netx", golden, NETX_HASHED, ("nir", "h5py", "numpy"), body)
        report = job.verified(read_netx_folder(stage, network), stage)
    return job.done(report, netx=run)


def _export_plugin(plugin: Plugin, job: _Job) -> Exported:
    """The folder of another package's target with `verification.json`."""
    golden = job.golden
    with staged_folder(job.out, job.overwrite) as stage:
        network = golden.nir.copied(stage)
        arrays = golden_arrays(network.program, golden.tiles, golden.trace)
        write_golden(stage / GOLDEN, arrays)
        write_target(plugin, stage, _manifest_body(golden, ("nir", "numpy")))
        report = job.verified(read_target_folder(stage, network), stage)
    if plugin.declared.name == C:
        return job.done(report, taken=taken_by(golden.nir.program))
    return job.done(report, made_by=str(plugin.declared))


def _write_manifest(
    stage: Path,
    target: str,
    golden: ExportSource,
    files: tuple[str, ...],
    packages: tuple[str, ...],
    further: dict[str, Any],
) -> None:
    """Write export.json for the files that lie in `stage`."""
    hashes = {name: sha256_file(stage / name) for name in files}
    body = {"target": target, **_manifest_body(golden, packages), **further, "files": hashes}
    write_json(stage / EXPORT, *KINDS[target], body)


def _manifest_body(golden: ExportSource, packages: tuple[str, ...]) -> dict[str, Any]:
    return {
        "image_size": list(golden.tiles.shape[-2:]),
        "student_sha256": golden.source_sha256,
        "golden": dict(golden.origin),
        **described(golden.nir.program),
        "versions": {name: version(name) for name in packages},
    }
