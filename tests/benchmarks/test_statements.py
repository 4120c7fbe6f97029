"""The documentation's energy figures: every marked number is what an extract of an energy report says."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from snn_tool.energy.report.audit import audit
from snn_tool.energy.report.types import EnergyReport
from snn_tool.errors import ArtifactError, ConfigError
from snn_tool.files.artifacts import sha256_file
from snn_tool.models.integer.engine import quantize_image
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.networks.shipped import student_path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
import statements  # noqa: E402
from sourced.extracts import Extract, Network, Side, extract, read_extracts, written  # noqa: E402
from sourced.figures import FIGURES, Sources, figure_of  # noqa: E402
from sourced.markers import BEGIN, END, checked, rewritten  # noqa: E402


def side(headline: float, **others: float) -> Side:
    memories = {name: f"other, {name}" for name in others}
    readings = {"headline": headline} | {f"other, {name}": value for name, value in others.items()}
    return Side("headline", readings, {"DRAM": "headline", **memories}, {"chips": 217, "lacks": ["a", "b"]})


EXTRACTS = {
    "one": Extract(
        command="snn-tool energy report",
        tool_version="0",
        schema=2,
        student_sha256="0" * 64,
        images=68,
        crop=256,
        neuron="lif",
        timesteps=4,
        levels=1,
        lowering="relay",
        spikes_per_neuron=0.87654,
        networks={
            "student": Network("a student", 12, 30.8351, 0.8),
            "twin": Network("a twin", 12, None, None),
        },
        rows={
            "paper/fp32": {"twin": side(3e6), "student": side(2e6)},
            "exact-ops/int8": {
                "twin": side(1e6, cores=9e6),
                "qann": side(5e5),
                "student": side(2e6, cores=3e6),
            },
        },
    )
}
SOURCES = Sources(EXTRACTS)


@pytest.mark.parametrize(
    ("marker", "text"),
    [
        ("ratio one paper/fp32 twin", "1.50"),
        ("ratio one exact-ops/int8 qann", "0.250"),
        ("ratio one exact-ops/int8 twin cores", "3.00"),
        ("ratio one exact-ops/int8 twin memory=cores", "3.00"),
        ("inverse one exact-ops/int8 qann", "4.00"),
        ("over one exact-ops/int8 twin qann", "2.00"),
        ("energy one exact-ops/int8 student", "2.00 µJ"),
        ("saves one twin", "1 of 2"),
        ("saves one qann", "0 of 1"),
        ("where one twin", "`paper/fp32`"),
        ("where one qann", "none"),
        ("span one twin", "0.500 to 1.50"),
        ("spikes one", "0.877"),
        ("images one", "68"),
        ("psnr one student", "30.84"),
        ("psnr one twin", "–"),
        ("psnr one cnn", "–"),
        ("command one", "`snn-tool energy report`"),
        ("chip one paper/fp32 chips", "217"),
        ("chip one paper/fp32 lacks", "a; b"),
    ],
)
def test_figures_by_hand(marker: str, text: str) -> None:
    assert figure_of(marker, SOURCES) == text


def test_tables_by_hand() -> None:
    """Bold where the student needs less, a dash where a rival has no cell."""
    assert figure_of("students twin,qann one", SOURCES).splitlines() == [
        "",
        "| model | ANN twin / `one` | same integers / `one` |",
        "| --- | --- | --- |",
        "| `paper/fp32` | **1.50** | – |",
        "| `exact-ops/int8` | 0.500 | 0.250 |",
    ]
    assert "| `exact-ops/int8` | 0.500 | 0.250 |" in figure_of("rivals one twin,qann", SOURCES)
    assert figure_of("memories one exact-ops/int8 twin", SOURCES).splitlines()[3:] == [
        "| DRAM | 0.500 |",
        "| cores | **3.00** |",
    ]


@pytest.mark.parametrize(
    ("marker", "said"),
    [
        ("guess one", "no figure 'guess'"),
        ("ratio two paper/fp32 twin", "no extract 'two'; there are one"),
        ("ratio one paper/fp64 twin", "no row 'paper/fp64'"),
        ("ratio one paper/fp32 qann", "no column 'qann'"),
        ("ratio one exact-ops/int8 twin heaven", "no reading of 'heaven'"),
        ("chip one paper/fp32 watts", "nothing is said of 'watts'; only of chips, lacks"),
        ("ratio one", "missing 2 required"),
        ("images one two", "positional argument"),
        ('images "one', "cannot be read"),
    ],
)
def test_markers_that_ask_for_nothing_that_is_there(marker: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        figure_of(marker, SOURCES)


def marked(what: str, text: str) -> str:
    return f"{BEGIN}{what} -->{text}{END}"


def test_a_changed_digit_is_found_and_mended() -> None:
    good = f"Costs\n{marked('ratio one paper/fp32 twin', '1.50')} times, {marked('images one', '68')} images."
    assert list(checked(good, SOURCES)) == [] and rewritten(good, SOURCES) == good
    bad = good.replace("1.50", "1.51")
    (found,) = checked(bad, SOURCES)
    assert (found.line, found.stands, found.expected) == (2, "1.51", "1.50")
    assert rewritten(bad, SOURCES) == good


@pytest.mark.parametrize("text", [f"{BEGIN}images one --> 68", f"68 {END}", f"{BEGIN}images one {END}"])
def test_a_marker_that_is_not_closed_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match="close each"):
        rewritten(text, SOURCES)


def test_files_are_checked_and_written(tmp_path: Path) -> None:
    (tmp_path / "docs" / "data").mkdir(parents=True)
    (tmp_path / "docs" / "data" / "energy-one.json").write_text(written(EXTRACTS["one"]))
    assert read_extracts(tmp_path / "docs" / "data") == EXTRACTS
    (tmp_path / "README.md").write_text(f"a\n\n{marked('images one', '69')}\n")
    (tmp_path / "docs" / "page.md").write_text("nothing is marked here\n")
    (line,) = statements.check(tmp_path)
    assert line == "README.md:3: images one: '69' stands there, its source says '68'"
    statements.write(tmp_path)
    assert statements.check(tmp_path) == [] and "-->68<" in (tmp_path / "README.md").read_text()
    (tmp_path / "docs" / "data" / "energy-one.json").write_text("{}")
    with pytest.raises(ArtifactError, match="energy-one.json: .*make it again"):
        statements.check(tmp_path)


@pytest.fixture(scope="module")
def report(make_network: Callable[..., IntegerNetwork], photograph: NDArray[np.float32]) -> EnergyReport:
    network = make_network("graded")
    images = [quantize_image(photograph[:, y : y + 16, :16], network) for y in (0, 32)]
    return audit(network, images, hashes={"student": "1" * 64})


def test_an_extract_has_the_ratios_of_its_report(report: EnergyReport) -> None:
    document = {**report.to_json(), "tool_version": "0", "schema": 2, "crop": 16}
    found = extract(json.loads(json.dumps(document)), "a command")
    ratios = {row.model: row.split.twin_over_student for row in report.ratios}
    assert {row: found.ratio(row, "twin") for row in found.rows} == pytest.approx(ratios, rel=1e-5)
    assert (found.images, found.student_sha256, found.lowering) == (2, "1" * 64, "fanout")
    mean = sum(image.spikes_per_neuron for image in report.images) / 2
    assert found.spikes_per_neuron == pytest.approx(mean, rel=1e-5)
    for cell in report.cells:
        held = found.rows[cell.row][cell.column]
        assert held.headline == cell.headline.name
        assert len(held.readings) == 1 + len(cell.alternatives)
    del document["cells"]
    with pytest.raises(ArtifactError, match="'cells'"):
        extract(document, "a command")


def test_every_marked_number_of_readme_and_docs_is_what_the_extracts_say() -> None:
    assert statements.check(ROOT) == []


def test_the_extracts_are_of_the_students_that_ship_and_of_all_images() -> None:
    found = read_extracts(ROOT / "docs" / "data")
    for name, held in found.items():
        student = name.removesuffix(f"-{held.lowering}")
        assert held.student_sha256 == sha256_file(student_path(student))
        assert (held.images, held.crop) == (68, 256)
        options = statements.asked_of(name)
        assert options[options.index("--student") + 1] == student
        assert held.command == statements.shown(options, "CBSD68")


def test_every_figure_says_what_it_is() -> None:
    assert all(figure.__doc__ for figure in FIGURES.values())
