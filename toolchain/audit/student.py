"""`snn-tool energy report`: the audit of a deployed student on given images, with every network's PSNR."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from snn_tool.files.artifacts import sha256_file, write_json, write_text
from snn_tool.audit_chip import chip_check, read_check
from snn_tool.audit_inputs import input_hashes, load_crops
from snn_tool.audit.networks import Restore, audited_teacher, measure, restorers
from snn_tool.audit_sweep import sweep
from snn_tool.degradations.crops import Crop, channels_first
from snn_tool.energy.audit_arguments import check_reference
from snn_tool.energy.pages.html import render
from snn_tool.energy.estimators.prices import Pricing, packaged_pricing
from snn_tool.energy.estimators.profile import load_profile
from snn_tool.energy.report.audit import audit
from snn_tool.energy.report_columns import Teacher
from snn_tool.energy.report.types import KIND, SCHEMA, EnergyReport
from snn_tool.energy.verdict import check_claim
from snn_tool.errors import ConfigError
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.integer.file import load_integer_network
from snn_tool.models.integer.engine import quantize_image
from snn_tool.models.streams import FANOUT, check_lowering
from snn_tool.files.ownership import claim, is_kind, owned_path, refuse_existing_file
from snn_tool.degradations.pairs import Pairs, source_for
from snn_tool.terminal import Track

JSON_FILE, HTML_FILE = "energy.json", "energy.html"
TITLE = b"<title>Energy audit: "
"""By which a page of ours is known."""


@dataclass(frozen=True, slots=True)
class AuditOptions:
    """What is compared, and on what.

    Attributes:
        student: `student.int.safetensors`.
        images: folder of clean images.
        teacher: `teacher.safetensors`, `package.module:factory`, or the name of an architecture, which
            without `weights` is counted at its published size but has no PSNR; None compares with the twin
            alone.
        twin: a trained network of the student's shape with ReLU; without it the twin is only counted.
        claim: how many times less energy is claimed.
        crop: side of the centre crops in pixels, 0 for whole images.
        limit: largest number of images, 0 for all.
        task, sigma: degradation; None takes the one that the student was trained for.
        seed: of the noise.
        lowering: of the student's membrane shortcuts, as it is deployed: `fanout` or `relay`.
        qann: for a `lif` student, its bit-matched quantised twin: an integer student of the same synapses
            with unsigned graded activations of T levels; without it that twin is only counted.
        profile: TOML file of constants and precisions that override or add to the packaged ones.
        against: what the claim is against, `teacher`, `twin` or `qann`; None takes the teacher, or else the
            twin.
        sweep: measure quality and synops with fewer timesteps or levels, too.
        sanafe: file of `snn-tool energy sanafe` for this student.
        weights: of a teacher that is given as code or by its architecture's name.
        pairs: degraded images to take instead of synthetic ones; `images` is then their clean folder.
    """

    student: Path
    images: Path
    teacher: str | None = None
    twin: Path | None = None
    claim: float = 50.0
    crop: int = 256
    limit: int = 0
    task: str | None = None
    sigma: str | None = None
    seed: int = 0
    lowering: str = FANOUT
    qann: Path | None = None
    profile: Path | None = None
    against: str | None = None
    sweep: bool = True
    sanafe: Path | None = None
    weights: Path | None = None
    pairs: Pairs | None = None


def run_audit(options: AuditOptions, out: Path, overwrite: bool, track: Track) -> EnergyReport:
    """Measure, count, price, and write `energy.json` and `energy.html`.

    Args:
        options: what is compared.
        out: folder of the two files.
        overwrite: replace them.
        track: shows how far the images are, e.g. `Terminal.track`.

    Raises:
        ConfigError: the student restores no image, a twin has another shape than the student, an option is
            out of range, a file exists, or the profile holds what cannot be used, or the check on SANA-FE is
            of another student.
        ArtifactError: the check on SANA-FE is damaged.
        UnsupportedLayerError: the teacher holds an operation that cannot be counted.
    """
    check_lowering(options.lowering)
    check_claim(options.claim)
    check_reference(options.against, options.teacher is not None)
    pricing = load_profile(options.profile) if options.profile else packaged_pricing()
    for name in (JSON_FILE, HTML_FILE):
        refuse_existing_file(out / name, overwrite)
    claim_report(out)
    check = read_check(options.sanafe, options.student) if options.sanafe else None
    network, provenance = load_integer_network(options.student)
    if not network.topology.restores:
        raise ConfigError(
            f"{options.student}: restores no colour image of any size, so that it has no PSNR and no twin; "
            "'snn-tool energy report --nir' counts the NIR file that it was imported from"
        )
    degradation = source_for(options.pairs, options.task, options.sigma, provenance.get("noise", {}))
    teacher, hashes = audited_teacher(options.teacher, options.weights)
    by_column = restorers(network, teacher if hashes else None, options.twin, options.qann)
    sides = (options.crop, options.limit, _multiple(network, teacher))
    crops = load_crops(options.images, degradation, *sides, options.seed)
    given = _hashes(options, hashes, crops)
    report = _measured(options, network, teacher, by_column, crops, given, pricing, track)
    if check:
        report = replace(report, sanafe=chip_check(check, report))
    body = {
        "degradation": degradation.describe(),
        "seed": options.seed,
        "crop": options.crop,
        **report.to_json(),
    }
    write_json(out / JSON_FILE, KIND, SCHEMA, body, owned_path)
    write_text(out / HTML_FILE, render(report), owned_path)
    return report


def _measured(
    options: AuditOptions,
    network: IntegerNetwork,
    teacher: Teacher | None,
    by_column: Mapping[str, Restore],
    crops: list[Crop],
    hashes: Mapping[str, str],
    pricing: Pricing,
    track: Track,
) -> EnergyReport:
    inputs = [quantize_image(channels_first(crop.degraded), network) for crop in crops]
    swept = (
        sweep(network, crops, options.lowering, lambda values: track(values, "sweep"))
        if options.sweep
        else None
    )
    return audit(
        network,
        inputs,
        claim=options.claim,
        against=options.against,
        teacher=teacher,
        quality={name: measure(run, track(crops, f"{name} quality")) for name, run in by_column.items()},
        hashes=hashes,
        image_names=[crop.name for crop in crops],
        watch=lambda images: track(images, "count"),
        lowering=options.lowering,
        pricing=pricing,
        sweep=swept,
    )


def claim_report(out: Path) -> None:
    """Make sure that only a report stands where one will be written.

    Raises:
        ConfigError: other files do; they are named.
    """
    claim([out / JSON_FILE, out / HTML_FILE], _is_report)


def _is_report(path: Path) -> bool:
    """Whether a file is of a report that has no ledger beside it, as older versions wrote them."""
    if path.suffix == ".json":
        return is_kind(path, KIND)
    return TITLE in path.read_bytes()[:2048]


def _multiple(network: IntegerNetwork, teacher: Teacher | None) -> int:
    """Sides that student and teacher can both read; every network's own multiple is a power of two."""
    return max(network.topology.multiple, int(getattr(teacher.module, "multiple", 1)) if teacher else 1)


def _hashes(options: AuditOptions, of_teacher: Mapping[str, str], crops: list[Crop]) -> dict[str, str]:
    given = {
        "twin": options.twin,
        "qann": options.qann,
        "profile": options.profile,
        "sanafe": options.sanafe,
    }
    student = {"student": sha256_file(options.student)}
    return student | dict(of_teacher) | input_hashes(given, options.images, crops, options.pairs)
