"""`snn-tool export`: an integer student becomes a NIR file or a Loihi-style bundle, and is verified.

The bundle is always built from the NIR file, never from the network: what is verified is the file. The golden
integers come from the integer engine; where a NIR file is the source there is none, and its interpreter gives
them, so that only Lava remains to disagree.
"""

import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snn_tool.artifacts import sha256_file, staged_folder, write_json
from snn_tool.crops import draw_tiles
from snn_tool.degradations import degradation_for
from snn_tool.errors import ConfigError
from snn_tool.exporters.loihi_bundle import MANIFEST, NETWORK, Bundle, export_bundle
from snn_tool.exporters.nir_file import read_program, write_nir
from snn_tool.exporters.nir_graph import to_nir
from snn_tool.exporters.nir_interpreter import run_program
from snn_tool.exporters.traces import Trace
from snn_tool.exporters.verification import (
    BACKENDS,
    VerificationReport,
    interpret_nir,
    verify_bundle,
    write_verification,
)
from snn_tool.models.integer_file import load_integer_network
from snn_tool.models.integer_run import IntegerEngine, quantize_image, to_input_grid
from snn_tool.restoration import INTEGER_SUFFIX

TARGETS = ("nir", "loihi")
NIR_SUFFIX = ".nir"
EXPORT, VERIFICATION = "export.json", "verification.json"
EXPORT_KIND, EXPORT_SCHEMA = "nir-export", 1


@dataclass(frozen=True, slots=True)
class GoldenOptions:
    """Where the golden tiles come from.

    Attributes:
        images: folder of clean images; None takes photographs that ship with scikit-image.
        tiles: how many.
        size: side of a tile in pixels, and the size that the NIR file is written for.
        task, sigma: degradation; None takes the one that the student was trained for.
        seed: of places and noise.
    """

    images: Path | None = None
    tiles: int = 2
    size: int = 64
    task: str | None = None
    sigma: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse counts and sizes that give no tile.

        Raises:
            ConfigError: names the option.
        """
        if self.tiles < 1 or self.size < 2:
            raise ConfigError(f"--tiles {self.tiles} --size {self.size}: use at least 1 tile of 2 pixels")


@dataclass(frozen=True, slots=True, eq=False)
class Golden:
    """A NIR file with tiles and the integers that they must give.

    Attributes:
        nir: the file.
        tiles: int16 [N, 3, H, W].
        trace: of the integer engine, or of the interpreter where a NIR file was the source.
        source_sha256: hash of what was exported.
        backends: the implementations that are independent of `trace`.
    """

    nir: Path
    tiles: NDArray[np.int16]
    trace: Trace
    source_sha256: str
    backends: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Exported:
    """What an export left behind; `bundle` is None for a NIR file alone."""

    folder: Path
    tiles_shape: tuple[int, ...]
    verification: VerificationReport | None
    bundle: Bundle | None


def export_student(
    source: Path,
    target: str,
    out: Path,
    options: GoldenOptions,
    *,
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
        overwrite: replace an export that is there.
        verify: run the independent implementations and write `verification.json`.
        conv: Lava's convolution, `stock` or `blas`.
        log: receives progress lines.

    Raises:
        ConfigError: unknown target or source; `out` exists.
        ExportError: the network cannot be carried to the target.
    """
    if target not in TARGETS:
        raise ConfigError(f"--target {target} is unknown; use one of {', '.join(TARGETS)}")
    with tempfile.TemporaryDirectory(prefix="snn-tool-export-") as name:
        golden = _golden(source, Path(name), options)
        if target == "nir":
            return _export_nir(golden, out, overwrite, verify)
        bundle = export_bundle(
            golden.nir,
            out,
            golden.tiles,
            golden.trace,
            student_sha256=golden.source_sha256,
            overwrite=overwrite,
        )
    report = None
    if verify:
        report = verify_bundle(bundle, golden.backends, conv=conv, log=log)
        write_verification(out / VERIFICATION, report)
    return Exported(out, golden.tiles.shape, report, bundle)


def _golden(source: Path, folder: Path, options: GoldenOptions) -> Golden:
    if source.name.endswith(INTEGER_SUFFIX):
        return _golden_of_student(source, folder / NETWORK, options)
    if source.suffix == NIR_SUFFIX:
        return _golden_of_nir(source, options)
    raise ConfigError(
        f"{source}: what is exported is a {INTEGER_SUFFIX} file, from 'snn-tool quantize', "
        f"or a {NIR_SUFFIX} file"
    )


def _golden_of_student(source: Path, nir: Path, options: GoldenOptions) -> Golden:
    network, provenance = load_integer_network(source)
    trained_for = provenance.get("noise", {})
    write_nir(nir, to_nir(network, options.size, options.size))
    tiles = quantize_image(_tiles(options, (options.size, options.size), trained_for), network)
    trace = IntegerEngine(network).run(tiles, [p.wiring.name for p in network.populations])
    return Golden(nir, tiles, trace, sha256_file(source), BACKENDS)


def _golden_of_nir(source: Path, options: GoldenOptions) -> Golden:
    program = read_program(source)
    options = options if options.sigma else replace(options, sigma="25")
    degraded = _tiles(options, (program.height, program.width), {})
    tiles = to_input_grid(degraded, program.input_step, program.input_low, program.input_high)
    trace = run_program(program, tiles.astype(np.int64))
    return Golden(source, tiles, trace, sha256_file(source), tuple(b for b in BACKENDS if b != "nir"))


def _tiles(options: GoldenOptions, size: tuple[int, int], trained_for: dict[str, Any]) -> NDArray[np.float32]:
    degradation = degradation_for(options.task, options.sigma, trained_for)
    return draw_tiles(options.images, options.tiles, size, degradation, options.seed)


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
            "versions": {name: version(name) for name in ("nir", "numpy")},
            "files": {NETWORK: sha256_file(stage / NETWORK)},
        }
        write_json(stage / EXPORT, EXPORT_KIND, EXPORT_SCHEMA, body)
        if verify:
            result = interpret_nir(stage / NETWORK, golden.tiles, golden.trace)
            report = VerificationReport(sha256_file(stage / EXPORT), None, (result,))
            write_verification(stage / VERIFICATION, report)
    return Exported(out, golden.tiles.shape, report, None)


def export_document(exported: Exported) -> dict[str, Any]:
    """An export as JSON values."""
    report, bundle = exported.verification, exported.bundle
    return {
        "folder": str(exported.folder),
        "manifest": MANIFEST if bundle else EXPORT,
        "golden_tiles": list(exported.tiles_shape),
        "resources": asdict(bundle.resources) if bundle else None,
        "verification": verification_document(report) if report else None,
    }


def verification_document(report: VerificationReport) -> dict[str, Any]:
    """A verification as JSON values."""
    return {"passed": report.passed, **asdict(report)}


def verification_text(report: VerificationReport) -> str:
    """One line for each backend, and one if the plan is not the network's."""
    lines = []
    for result in report.results:
        line = f"{result.backend}: {result.status}"
        if result.values_compared:
            line += f", {result.mismatches:,} of {result.values_compared:,} integers differ"
        line += f" ({', '.join(f'{k} {v}' for k, v in result.versions.items())})" if result.versions else ""
        line += f"; {result.reason}" if result.reason else ""
        line += f"; first: {result.first}" if result.first else ""
        lines.append(line)
    if report.plan_follows_network is False:
        lines.append("plan.json is not the plan that network.nir gives; export the network again")
    return "\n".join(lines)


def export_text(exported: Exported) -> str:
    """What an export left behind, in a few lines."""
    count, _, height, width = exported.tiles_shape
    lines = [f"{exported.folder}: {count} golden tiles of {width}x{height} pixels"]
    if exported.bundle:
        uses, bundle = exported.bundle.resources, exported.bundle
        lines[0] = (
            f"{exported.folder}: Loihi-style bundle, {bundle.neuron} neurons, T = {bundle.timesteps}, "
            f"{count} golden tiles of {width}x{height} pixels"
        )
        lines.append(
            f"{uses.neurons:,} neurons ({uses.relay_neurons:,} of them relays), "
            f"{uses.shared_synapses:,} synapses with shared kernels, {uses.expanded_synapses:,} expanded; "
            f"{uses.cores_low} to {uses.cores_high} cores, "
            f"{uses.chips_low} to {uses.chips_high} Loihi 2 chips: model-feasible, physical fit unverified"
        )
    if exported.verification:
        lines.append(verification_text(exported.verification))
    return "\n".join(lines)
