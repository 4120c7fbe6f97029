"""`snn-tool energy pays`: the break-even charts of every model, with students of the user's own on them."""

from pathlib import Path

from snn_tool.auditing.options import PaysOptions
from snn_tool.auditing.student import load_crops
from snn_tool.degradations.crops import channels_first
from snn_tool.degradations.pairs import source_for
from snn_tool.energy.counts.activity import count_network
from snn_tool.energy.estimators.prices import Pricing, packaged_pricing
from snn_tool.energy.estimators.profile import load_profile
from snn_tool.energy.pages.break_even import TITLE, render
from snn_tool.energy.report.hidden_layer import Neurons
from snn_tool.energy.report.pays import KIND, SCHEMA, PaysReport, pays_report
from snn_tool.energy.report.standings import StudentPoint, kind_of, student_point
from snn_tool.errors import ConfigError
from snn_tool.files.artifacts import sha256_file, write_json, write_text
from snn_tool.files.ownership import claim, of_report, owned_path, refuse_existing_file
from snn_tool.models.integer.engine import quantize_image
from snn_tool.models.streams import check_lowering
from snn_tool.networks.locate import integer_file
from snn_tool.networks.open import open_integers
from snn_tool.terminal import Track

PAGE, DOCUMENT = ".html", ".json"


def run_pays(options: PaysOptions, out: Path, overwrite: bool, track: Track) -> PaysReport:
    """Count the students, solve for break-even, and write the page and a JSON document beside it.

    Args:
        options: which students, on which images.
        out: the page, a `.html` file.
        overwrite: replace both files.
        track: shows how far the images are.

    Raises:
        ConfigError: students without images or images without students, a student that restores no image, an
            option out of range, a profile that cannot be used, another suffix, or a file that exists.
        DataError: no image is large enough, or one is damaged.
    """
    _check(options, out)
    document = out.with_suffix(DOCUMENT)
    for path in (out, document):
        refuse_existing_file(path, overwrite)
    claim((out, document), of_report(KIND, f"<title>{TITLE}".encode()))
    files = [_file(name) for name in options.student]
    pricing = load_profile(options.profile) if options.profile else packaged_pricing()
    named = tuple(zip(options.student, files, strict=True))
    found = [_student(name, file, options, pricing, track) for name, file in named]
    points, kinds = [point for point, _ in found], [kind for _, kind in found]
    report = pays_report(points, kinds, pricing, options.neurons)
    hashes = {point.name: sha256_file(file) for point, file in zip(points, files, strict=True)}
    body = {"crop": options.crop, "seed": options.seed, **report.to_dict(), "hashes": hashes}
    write_json(document, KIND, SCHEMA, body, owned_path)
    write_text(out, render(report), owned_path)
    return report


def _check(options: PaysOptions, out: Path) -> None:
    if out.suffix != PAGE:
        raise ConfigError(f"--out {out}: the page is a {PAGE} file, and the JSON document stands beside it")
    if bool(options.student) != (options.images is not None):
        missing = "--images DIR, too" if options.student else "--student, or no --images"
        raise ConfigError(f"students are counted on images: give {missing}")
    check_lowering(options.lowering)


def _file(name: str) -> Path:
    file = integer_file(Path(name))
    assert file is not None, "only of None it makes None"
    return file


def _student(
    name: str, file: Path, options: PaysOptions, pricing: Pricing, track: Track
) -> tuple[StudentPoint, Neurons]:
    opened = open_integers(file)
    network = opened.network
    if not network.topology.restores:
        raise ConfigError(f"{name}: restores no image of any size, so that it has no rival of its shape")
    assert options.images is not None, "students come with images"
    degradation = source_for(None, None, None, opened.provenance.trained_for)
    sides = (options.crop, options.limit, network.topology.multiple)
    crops = load_crops(options.images, degradation, *sides, options.seed, network.topology.image_channels)
    inputs = [quantize_image(channels_first(crop.degraded), network) for crop in crops]

    title = Path(name).name
    activity = count_network(
        network, inputs, lambda images: track(images, f"count {title}"), options.lowering
    )
    return student_point(title, network, activity, options.lowering, pricing), kind_of(network, activity)
