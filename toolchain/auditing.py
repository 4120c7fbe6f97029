"""`snn-tool energy report`: the audit of a deployed student on given images, with every network's PSNR."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from snn_tool.artifacts import refuse_existing_file, sha256_file, write_json, write_text
from snn_tool.audit_networks import Restore, measure, open_teacher, restorers
from snn_tool.crops import Crop, channels_first, load_crop
from snn_tool.degradations import Degradation, degradation_for
from snn_tool.energy.html import render
from snn_tool.energy.prices import Pricing, packaged_pricing
from snn_tool.energy.profile import load_profile
from snn_tool.energy.report import audit, check_reference
from snn_tool.energy.report_columns import Teacher
from snn_tool.energy.report_types import KIND, SCHEMA, EnergyReport
from snn_tool.energy.verdict import check_claim
from snn_tool.errors import ConfigError, DataError
from snn_tool.images import find_images
from snn_tool.models.integer import IntegerNetwork
from snn_tool.models.integer_file import load_integer_network
from snn_tool.models.integer_run import quantize_image
from snn_tool.models.streams import FANOUT, check_lowering

JSON_FILE, HTML_FILE = "energy.json", "energy.html"
_Item = TypeVar("_Item")


class Track(Protocol):
    """Iterates over items and shows how far it is, as `Terminal.track` does."""

    def __call__(self, items: Sequence[_Item], label: str) -> Iterable[_Item]:
        """The items, one by one."""
        ...


@dataclass(frozen=True, slots=True)
class AuditOptions:
    """What is compared, and on what.

    Attributes:
        student: `student.int.safetensors`.
        images: folder of clean images.
        teacher: `teacher.safetensors`, or the name of an architecture at its published size, which is counted
            but has no PSNR; None compares with the twin alone.
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


def run_audit(options: AuditOptions, out: Path, overwrite: bool, track: Track) -> EnergyReport:
    """Measure, count, price, and write `energy.json` and `energy.html`.

    Args:
        options: what is compared.
        out: folder of the two files.
        overwrite: replace them.
        track: shows how far the images are, e.g. `Terminal.track`.

    Raises:
        ConfigError: a twin has another shape than the student, an option is out of range, a file exists, or
            the profile holds what cannot be used.
        UnsupportedLayerError: the teacher holds an operation that cannot be counted.
    """
    check_lowering(options.lowering)
    check_claim(options.claim)
    check_reference(options.against, options.teacher is not None)
    pricing = load_profile(options.profile) if options.profile else packaged_pricing()
    for name in (JSON_FILE, HTML_FILE):
        refuse_existing_file(out / name, overwrite)
    network, provenance = load_integer_network(options.student)
    degradation = degradation_for(options.task, options.sigma, provenance.get("noise", {}))
    teacher, hashes = open_teacher(options.teacher)
    by_column = restorers(network, teacher if hashes else None, options.twin, options.qann)
    crops = _load(options, degradation, _multiple(network, teacher))
    report = _audit(options, network, teacher, by_column, crops, hashes, pricing, track)
    body = {
        "degradation": degradation.describe(),
        "seed": options.seed,
        "crop": options.crop,
        **report.to_json(),
    }
    write_json(out / JSON_FILE, KIND, SCHEMA, body)
    write_text(out / HTML_FILE, render(report))
    return report


def _audit(
    options: AuditOptions,
    network: IntegerNetwork,
    teacher: Teacher | None,
    by_column: Mapping[str, Restore],
    crops: list[Crop],
    hashes: Mapping[str, str],
    pricing: Pricing,
    track: Track,
) -> EnergyReport:
    return audit(
        network,
        [quantize_image(channels_first(crop.degraded), network) for crop in crops],
        claim=options.claim,
        against=options.against,
        teacher=teacher,
        quality={name: measure(run, track(crops, f"{name} quality")) for name, run in by_column.items()},
        hashes=_hashes(options, hashes, crops),
        image_names=[crop.name for crop in crops],
        watch=lambda images: track(images, "count"),
        lowering=options.lowering,
        pricing=pricing,
    )


def _multiple(network: IntegerNetwork, teacher: Teacher | None) -> int:
    """Sides that student and teacher can both read; every network's own multiple is a power of two."""
    return max(network.topology.multiple, int(getattr(teacher.module, "multiple", 1)) if teacher else 1)


def _load(options: AuditOptions, degradation: Degradation, multiple: int) -> list[Crop]:
    if options.crop < 0 or options.limit < 0:
        raise ConfigError("--crop and --limit must not be negative; 0 means no limit")
    paths = find_images(options.images)
    chosen = paths[: options.limit] if options.limit else paths
    found = (
        load_crop(path, options.images, degradation, options.crop, multiple, options.seed) for path in chosen
    )
    crops = [crop for crop in found if crop]
    if not crops:
        raise DataError(
            f"{options.images}: no image of at least {multiple}x{multiple} pixels; add larger ones"
        )
    return crops


def _hashes(options: AuditOptions, of_teacher: Mapping[str, str], crops: list[Crop]) -> dict[str, str]:
    hashes = {"student": sha256_file(options.student), **of_teacher}
    optional = {"twin": options.twin, "qann": options.qann, "profile": options.profile}
    hashes |= {name: sha256_file(path) for name, path in optional.items() if path}
    folder = options.images
    return hashes | {
        crop.name: sha256_file(folder / crop.name if folder.is_dir() else folder) for crop in crops
    }
