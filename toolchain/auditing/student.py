"""`snn-tool energy report`: the audit of a deployed student on given images, with every network's PSNR."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean

from snn_tool.auditing.mapping import mapped_rival, read_rivals
from snn_tool.auditing.networks import (
    Restore,
    audited_cnn,
    audited_teacher,
    dense_rivals,
    measure,
    restorers,
)
from snn_tool.auditing.options import AuditOptions
from snn_tool.degradations.crops import Crop, channels_first, load_crop
from snn_tool.degradations.pairs import Pairs, Source, images_and_partners, source_for
from snn_tool.energy.counts.activity import count_network
from snn_tool.energy.estimators.prices import Pricing, packaged_pricing
from snn_tool.energy.estimators.profile import load_profile
from snn_tool.energy.pages.html import render
from snn_tool.energy.report.audit import audit, check_reference
from snn_tool.energy.report.columns import Cnn, Teacher
from snn_tool.energy.report.document import (
    KIND,
    SCHEMA,
    Cell,
    ChipCheck,
    ChipPart,
    EnergyReport,
    ReadingEnergy,
    check_claim,
)
from snn_tool.energy.report.mapping import with_mapping
from snn_tool.energy.report.networks import Sweep, SweepPoint
from snn_tool.errors import ConfigError, DataError
from snn_tool.exporters.sanafe.report import SanafeReport, read_sanafe
from snn_tool.files.artifacts import sha256_file, write_json, write_text
from snn_tool.files.ownership import claim, of_report, owned_path, refuse_existing_file
from snn_tool.images.files import find_images
from snn_tool.models.integer.engine import quantize_image
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.streams import check_lowering
from snn_tool.models.topology import COLOUR
from snn_tool.networks.open import open_integers
from snn_tool.ranks import is_first
from snn_tool.terminal import Track
from torch import nn


def load_crops(
    images: Path, degradation: Source, side: int, limit: int, multiple: int, seed: int, channels: int = COLOUR
) -> list[Crop]:
    """The degraded centres of the images of a folder, or of one file.

    Args:
        images: folder or file.
        degradation: of the test images.
        side: of the crops in pixels, 0 for whole images.
        limit: largest number of images, 0 for all.
        multiple: of the crops' sides.
        seed: of the noise.
        channels: 3, or 1: the images become grey before they are degraded.

    Raises:
        ConfigError: a negative side or limit.
        DataError: no image is large enough, or one is damaged.
    """
    if side < 0 or limit < 0:
        raise ConfigError("--crop and --limit must not be negative; 0 means no limit")
    paths = find_images(images)
    chosen = paths[:limit] if limit else paths
    found = (load_crop(path, images, degradation, side, multiple, seed, channels) for path in chosen)
    crops = [crop for crop in found if crop]
    if not crops:
        raise DataError(f"{images}: no image of at least {multiple}x{multiple} pixels; add larger ones")
    return crops


def image_hashes(images: Path, crops: list[Crop], pairs: Pairs | None) -> dict[str, str]:
    """SHA-256 of every image by its name.

    The degraded image of a pair has the name of its clean partner after `degraded/`.
    """
    paths = {crop.name: images / crop.name if images.is_dir() else images for crop in crops}
    if pairs:
        partners = {f"degraded/{name}": pairs.partners[path] for name, path in paths.items()}
        paths = {name: pairs.original(path) for name, path in paths.items()} | partners
    return {name: sha256_file(path) for name, path in paths.items()}


MOST_POINTS = 4
"""Up to this largest setting every one is run; beyond it, powers of two."""

Watch = Callable[[Sequence[int]], Iterable[int]]


def sweep(network: IntegerNetwork, crops: list[Crop], lowering: str, watch: Watch) -> Sweep | None:
    """Run the student with smaller settings; None where it has only one.

    Weights and thresholds stay as they are: what a network trained for that setting would reach is not shown.
    A run of T' < T steps is the beginning of the longer one, with its read-out divided by T'.

    Args:
        network: the student.
        crops: of the audit.
        lowering: of its membrane shortcuts.
        watch: goes through the settings, and may show how far it is.
    """
    varied = "timesteps" if network.neuron == "lif" else "levels"
    chosen = settings(network.timesteps if network.neuron == "lif" else network.levels)
    if len(chosen) < 2:
        return None
    points = (_point(_varied(network, varied, value), value, crops, lowering) for value in watch(chosen))
    return Sweep(varied, tuple(points))


def settings(largest: int) -> tuple[int, ...]:
    """All of 1 to `largest`, or powers of two and `largest` where that would be many."""
    if largest <= MOST_POINTS:
        return tuple(range(1, largest + 1))
    return (*(1 << i for i in range((largest - 1).bit_length())), largest)


def _varied(network: IntegerNetwork, varied: str, value: int) -> IntegerNetwork:
    return replace(network, timesteps=value) if varied == "timesteps" else replace(network, levels=value)


def _point(network: IntegerNetwork, setting: int, crops: list[Crop], lowering: str) -> SweepPoint:
    inputs = [quantize_image(channels_first(crop.degraded), network) for crop in crops]
    images = count_network(network, inputs, lowering=lowering).images
    quality = measure(restorers(network)["student"], crops)
    return SweepPoint(
        setting=setting,
        synops_levels=fmean(image.synops_levels for image in images),
        synops_events=fmean(image.synops_events for image in images),
        first_layer_macs=fmean(image.macs_uncached for image in images),
        spikes_per_neuron=fmean(image.spikes_per_neuron for image in images),
        psnr_db=quality.psnr_db,
    )


PICO = 1e12
MODEL = "loihi1-sanafe"
ITEMS = {
    "synapse": ("synops", "stream synops"),
    "dendrite": (),
    "soma": (
        "neuron accesses",
        "neuron updates",
        "relay updates by spikes",
        "spikes out",
        "stream spikes out",
    ),
    "network": ("spike packets", "stream packets"),
}
"""Items of `loihi1-sanafe` by SANA-FE's components; the layers on the image and static power have none."""


def read_check(path: Path, student: Path) -> SanafeReport:
    """The file of a cross-check, of this student.

    Raises:
        ArtifactError: missing or damaged.
        ConfigError: it is of another student.
    """
    check = read_sanafe(path)
    if check.student_sha256 != sha256_file(student):
        raise ConfigError(
            f"--sanafe {path}: made with another student than {student}; export this one and run "
            "'snn-tool energy sanafe' on its bundle"
        )
    return check


def chip_check(check: SanafeReport, report: EnergyReport) -> ChipCheck:
    """The check as the report shows it, per synop beside the report's own model on its own images."""
    tiles, mean = [tile.activity for tile in check.tiles], check.mean_energy_j
    synops = sum(activity.synaptic_events for activity in tiles)
    per_tile = synops / len(tiles)
    modelled, model_synops = _modelled(report)
    parts = tuple(
        ChipPart(
            name,
            getattr(mean, name) * PICO,
            _ratio(getattr(mean, name) * PICO, per_tile),
            _ratio(_sum(modelled, items), model_synops),
        )
        for name, items in ITEMS.items()
    )
    return ChipCheck(
        architecture=check.architecture,
        versions=dict(check.versions),
        tiles=len(tiles),
        height=check.height,
        width=check.width,
        timesteps=check.timesteps,
        steps=check.steps,
        passed=check.passed,
        values_compared=check.result.values_compared,
        mismatches=check.result.mismatches,
        synops=synops,
        exact_synops=sum(tile.exact_synops for tile in check.tiles),
        spikes=sum(activity.neurons_fired for activity in tiles),
        exact_spikes=sum(tile.exact_spikes for tile in check.tiles),
        energy_pj=mean.total * PICO,
        idle_access_pj=check.mean_idle_access_j * PICO,
        per_synop_pj=_ratio(mean.total * PICO, per_tile),
        model_per_synop_pj=_ratio(sum(_sum(modelled, items) for items in ITEMS.values()), model_synops),
        parts=parts,
        image_macs=check.image_macs,
        excluded=check.excluded,
    )


def _modelled(report: EnergyReport) -> tuple[ReadingEnergy, float]:
    """The student by `loihi1-sanafe`, and what it was charged for: synops of edges, relays, accumulators."""
    cell: Cell = next(c for c in report.cells if c.model == MODEL and c.column == "student")
    synops = sum(row.synops_levels for row in report.layers)
    synops += sum(row.synops_levels for row in report.relays)
    return cell.headline, synops + sum(row.synops_events for row in report.accumulators)


def _sum(reading: ReadingEnergy, items: tuple[str, ...]) -> float:
    return sum(reading.items_pj[item] for item in items)


def _ratio(energy_pj: float, synops: float) -> float | None:
    return energy_pj / synops if synops else None


JSON_FILE, HTML_FILE = "energy.json", "energy.html"
TITLE = b"<title>Energy audit: "
"""By which a page of ours is known."""


def run_audit(
    options: AuditOptions, out: Path, overwrite: bool, track: Track, module: nn.Module | None = None
) -> EnergyReport:
    """Measure, count, price, and write `energy.json` and `energy.html`.

    Processes of torchrun share the images; all return the same report, and the first writes it.

    Args:
        options: what is compared.
        out: folder of the two files.
        overwrite: replace them.
        track: shows how far the images are, e.g. `Terminal.track`.
        module: a teacher that is at hand, instead of `options.teacher`.

    Raises:
        ConfigError: the student restores no image, a twin has another shape than the student, an option is
            out of range, a file exists, or the profile holds what cannot be used, or the check on SANA-FE
            or the mapping is of another student or teacher.
        ArtifactError: the check on SANA-FE or the mapping is damaged.
        UnsupportedLayerError: the teacher holds an operation that cannot be counted.
    """
    check_lowering(options.lowering)
    check_claim(options.claim)
    rivals = dense_rivals(options.student, options.twin, options.cnn, options.qann)
    taught = options.teacher if module is None else module
    check_reference(options.against, taught is not None, rivals.cnn is not None)
    pricing = load_profile(options.profile) if options.profile else packaged_pricing()
    for name in (JSON_FILE, HTML_FILE):
        refuse_existing_file(out / name, overwrite)
    claim_report(out)
    check = read_check(options.sanafe, options.student) if options.sanafe else None
    mapped = read_rivals(options.mapping, options.student) if options.mapping else None
    opened = open_integers(options.student)
    network, trained_for = opened.network, opened.provenance.trained_for
    if not network.topology.restores:
        raise ConfigError(
            f"{options.student}: restores no image of any size, so that it has no PSNR and no twin; "
            "'snn-tool energy nir' counts the NIR file that it was imported from"
        )
    images, pairs = images_and_partners(options.images, options.pairs, options.degraded)
    degradation = source_for(pairs, options.task, options.sigma, trained_for)
    teacher, hashes = audited_teacher(taught, options.weights)
    by_column = restorers(network, teacher if hashes else None, rivals)
    sides = (options.crop, options.limit, _multiple(network, teacher))
    crops = load_crops(images, degradation, *sides, options.seed, network.topology.image_channels)
    given = _hashes(options, hashes | rivals.hashes) | image_hashes(images, crops, pairs)
    cnn = audited_cnn(rivals.cnn)
    report = _measured(options, network, teacher, cnn, by_column, crops, given, pricing, track)
    if check:
        report = replace(report, sanafe=chip_check(check, report))
    if mapped:
        report = with_mapping(report, mapped_rival(mapped, pricing))
    body = {
        "degradation": degradation.describe(),
        "seed": options.seed,
        "crop": options.crop,
        **report.to_dict(),
    }
    if is_first():
        write_json(out / JSON_FILE, KIND, SCHEMA, body, owned_path)
        write_text(out / HTML_FILE, render(report), owned_path)
    return report


def _measured(
    options: AuditOptions,
    network: IntegerNetwork,
    teacher: Teacher | None,
    cnn: Cnn | None,
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
        cnn=cnn,
        quality={
            name: measure(run, crops, partial(track, label=f"{name} quality"))
            for name, run in by_column.items()
        },
        hashes=hashes,
        image_names=[crop.name for crop in crops],
        watch=lambda images: track(images, "count"),
        lowering=options.lowering,
        pricing=pricing,
        sweep=swept,
    )


def priced_counts(options: AuditOptions, track: Track) -> EnergyReport:
    """The audit of one student without a measure of quality, and without a file.

    Raises:
        ConfigError, UnsupportedLayerError: as `run_audit` does.
    """
    opened = open_integers(options.student)
    images, pairs = images_and_partners(options.images, options.pairs, options.degraded)
    degradation = source_for(pairs, options.task, options.sigma, opened.provenance.trained_for)
    teacher, _ = audited_teacher(options.teacher, options.weights)
    sides = (options.crop, options.limit, _multiple(opened.network, teacher))
    crops = load_crops(images, degradation, *sides, options.seed, opened.network.topology.image_channels)
    unswept = replace(options, sweep=False)
    return _measured(unswept, opened.network, teacher, None, {}, crops, {}, packaged_pricing(), track)


def claim_report(out: Path) -> None:
    """Make sure that only a report stands where one will be written.

    Raises:
        ConfigError: other files do; they are named.
    """
    claim([out / JSON_FILE, out / HTML_FILE], of_report(KIND, TITLE))


def _multiple(network: IntegerNetwork, teacher: Teacher | None) -> int:
    """Sides that student and teacher can both read; every network's own multiple is a power of two."""
    return max(network.topology.multiple, int(getattr(teacher.module, "multiple", 1)) if teacher else 1)


def _hashes(options: AuditOptions, of_networks: Mapping[str, str]) -> dict[str, str]:
    """SHA-256 of the files that are no images, by their role."""
    files = {"profile": options.profile, "sanafe": options.sanafe, "mapping": options.mapping}
    given = {role: sha256_file(path) for role, path in files.items() if path}
    return {"student": sha256_file(options.student), **of_networks, **given}
