"""The documentation's energy figures: every marked number is what an extract of an energy report says."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from snn_tool.energy.estimators.prices import packaged_pricing
from snn_tool.energy.report.audit import audit
from snn_tool.energy.report.document import EnergyReport
from snn_tool.energy.report.pays import KIND, SCHEMA, pays_report
from snn_tool.energy.report.standings import Standing, StudentPoint
from snn_tool.errors import ArtifactError, ConfigError
from snn_tool.files.artifacts import sha256_file, write_json
from snn_tool.models.integer.engine import quantize_image
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.networks.shipped import student_path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
import statements  # noqa: E402
from sourced.extracts import Extract, Network, Side, extract, read_extracts, written  # noqa: E402
from sourced.figures import FIGURES, Sources, figure_of  # noqa: E402
from sourced.markers import BEGIN, END, checked, rewritten  # noqa: E402
from sourced.pays import charts, read_pays  # noqa: E402


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
        ("pays-layer paper", "needs docs/data/pays.json"),
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
def pays() -> Sources:
    """Curves as they are, and a student that saves by one of two models."""
    standings = (
        Standing("paper", "twin", "fp32", "", 2.0, 1.5, ""),
        Standing("exact-ops", "twin", "fp32", "", 0.5, None, "no"),
        Standing("memory-no-reuse", "twin", "fp32", "state in registers", 3.0, 0.25, ""),
    )
    student = StudentPoint("one", "binary, T = 4", 4, 200.0, 0.125, 1.0, 68, "relay", standings)
    return Sources({}, pays_report((student,), (), packaged_pricing(), 1 << 20))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("marker", "text"),
    [
        # 4.6 / 0.9 / T spikes, and more than 1 at T = 4
        ("pays-rate paper twin fp32 timesteps=8", "0.639"),
        ("pays-rate paper twin fp32", "always"),
        ("pays-rate memory-full-reuse qann int8 timesteps=64", "never"),
        ("pays-student one rate", "0.125"),
        ("pays-student one fan_out", "200"),
        ("pays-saves one twin fp32", "1 of 2"),
    ],
)
def test_break_even_figures_by_hand(pays: Sources, marker: str, text: str) -> None:
    assert figure_of(marker, pays) == text


def test_break_even_tables_by_hand(pays: Sources) -> None:
    lines = figure_of("pays-standings one", pays).splitlines()
    assert "| `paper` | – | – | **2.00** (always) |" in lines
    assert "| `exact-ops` | – | – | 0.500 (never) |" in lines
    assert "| `memory-no-reuse`, state in registers | – | – | **3.00** (0.250) |" in lines
    assert "| `one` | binary, T = 4 | 68 | 200 | 0.125 | 1.00 |" in figure_of("pays-students", pays)
    assert pays.pays is not None
    sections = figure_of("pays-sections", pays)
    for model in pays.pays.models:
        assert f"\n### {model}\n" in sections and f"(pays/{model}-fan-out.svg)" in sections
    assert "by 1 of 2 models against an fp32 network" in figure_of("pays-answer one", pays)
    assert "Davidson" in figure_of("pays-bounds", pays)


@pytest.mark.parametrize(
    ("marker", "said"),
    [
        ("pays-layer guess", "no model 'guess'"),
        ("pays-answer two", "no student 'two'; there are one"),
        ("pays-student one weight", "no 'weight'"),
        ("pays-rate paper twin fp32 timesteps=3", "no curve of paper"),
    ],
)
def test_break_even_markers_that_ask_for_nothing(pays: Sources, marker: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        figure_of(marker, pays)


@pytest.mark.slow
def test_charts_are_drawn_and_old_ones_go(pays: Sources, tmp_path: Path) -> None:
    assert pays.pays is not None
    document = tmp_path / "pays.json"
    body = {"crop": 256, "seed": 0, **pays.pays.to_dict(), "hashes": {}}
    write_json(document, KIND, SCHEMA, body)
    assert read_pays(document) == pays.pays
    folder = tmp_path / "docs" / "explanation" / "pays"
    folder.mkdir(parents=True)
    (folder / "old.svg").write_text("")
    (tmp_path / "docs" / "data").mkdir()
    statements.draw(tmp_path, document)
    drawn = {path.name: path.read_text() for path in folder.iterdir()}
    assert drawn == charts(pays.pays) and len(drawn) == 2 * len(pays.pays.models)
    document.write_text(document.read_text().replace('"rate": 0.125', '"rate": "much"'))
    with pytest.raises(ArtifactError, match="make it again"):
        read_pays(document)


@pytest.mark.slow
def test_the_charts_in_the_docs_are_those_of_their_data() -> None:
    report = Sources.of(ROOT / "docs" / "data").pays
    if report is None:
        pytest.skip("docs/data/pays.json is not there")
    folder = ROOT / "docs" / "explanation" / "pays"
    assert {path.name: path.read_text() for path in folder.iterdir()} == charts(report)


@pytest.fixture(scope="module")
def report(make_network: Callable[..., IntegerNetwork], photograph: NDArray[np.float32]) -> EnergyReport:
    network = make_network("graded")
    images = [quantize_image(photograph[:, y : y + 16, :16], network) for y in (0, 32)]
    return audit(network, images, hashes={"student": "1" * 64})


@pytest.mark.slow
def test_an_extract_has_the_ratios_of_its_report(report: EnergyReport) -> None:
    document = {**report.to_dict(), "tool_version": "0", "schema": 2, "crop": 16}
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
