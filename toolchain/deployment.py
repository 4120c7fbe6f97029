"""`snn-tool export`: an integer student becomes a NIR file or a Loihi-style bundle, and is verified.

The bundle is always built from the NIR file, never from the network: what is verified is the file.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from snn_tool.artifacts import sha256_file, staged_folder, write_json
from snn_tool.errors import ConfigError
from snn_tool.exporters.loihi_bundle import NETWORK, Bundle, export_bundle
from snn_tool.exporters.nir_file import read_program
from snn_tool.exporters.verification import (
    VerificationReport,
    interpret_nir,
    verify_bundle,
    write_verification,
)
from snn_tool.golden import Golden, GoldenOptions, make_golden
from snn_tool.lowering_costs import LoweringCost, LoweringRefused, count_lowerings
from snn_tool.models.streams import FANOUT, check_lowering

TARGETS = ("nir", "loihi")
EXPORT, VERIFICATION = "export.json", "verification.json"
EXPORT_KIND, EXPORT_SCHEMA = "nir-export", 1


@dataclass(frozen=True, slots=True, eq=False)
class Exported:
    """What an export left behind; for a NIR file alone, `bundle` is None and `lowerings` is empty."""

    folder: Path
    tiles_shape: tuple[int, ...]
    verification: VerificationReport | None
    bundle: Bundle | None
    lowerings: tuple[LoweringCost | LoweringRefused, ...]


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
        source: `student.int.safetensors`, or a `.nir` file for target `loihi`.
        target: `nir` or `loihi`.
        out: folder to make.
        options: golden tiles.
        lowering: of membrane shortcuts, `fanout` or `relay`; of a bundle only, a NIR file is not lowered.
        overwrite: replace an export that is there.
        verify: run the independent implementations and write `verification.json`.
        conv: Lava's convolution, `stock` or `blas`.
        log: receives progress lines.

    Raises:
        ConfigError: unknown target, source or lowering; a lowered NIR file is asked for; `out` exists.
        ExportError: the network cannot be carried to the target.
    """
    if target not in TARGETS:
        raise ConfigError(f"--target {target} is unknown; use one of {', '.join(TARGETS)}")
    check_lowering(lowering)
    if target == "nir" and lowering != FANOUT:
        raise ConfigError(f"--lowering {lowering} belongs to --target loihi; a NIR file is not lowered")
    with tempfile.TemporaryDirectory(prefix="snn-tool-export-") as name:
        golden = make_golden(source, Path(name), options)
        if target == "nir":
            return _export_nir(golden, out, overwrite, verify)
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


def _export_nir(golden: Golden, out: Path, overwrite: bool, verify: bool) -> Exported:
    """A folder with the file, `export.json` and `verification.json`."""
    if "nir" not in golden.backends:
        raise ConfigError(f"{golden.nir}: is a NIR file already; --target loihi makes a bundle of it")
    report = None
    with staged_folder(out, overwrite, EXPORT) as stage:
        (stage / NETWORK).write_bytes(golden.nir.read_bytes())
        body = {
            "target": "nir",
            "image_size": list(golden.tiles.shape[2:]),
            "student_sha256": golden.source_sha256,
            "golden": dict(golden.origin),
            "versions": {name: version(name) for name in ("nir", "numpy")},
            "files": {NETWORK: sha256_file(stage / NETWORK)},
        }
        write_json(stage / EXPORT, EXPORT_KIND, EXPORT_SCHEMA, body)
        if verify:
            result = interpret_nir(stage / NETWORK, golden.tiles, golden.trace)
            report = VerificationReport(sha256_file(stage / EXPORT), None, (result,))
            write_verification(stage / VERIFICATION, report)
    return Exported(out, golden.tiles.shape, report, None, ())
