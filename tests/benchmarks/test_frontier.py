"""The frontier benchmark: its shapes, a run on crops of shipped photographs, what it calls the frontier."""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from snn_tool.degradations.crops import read_photograph
from snn_tool.errors import ConfigError
from snn_tool.models.topology import macs_per_pixel

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
DOCS = Path(__file__).parents[2] / "docs"
SMALL = """
[twin]
body = "unet"
width = 4
twin = true

[levels]
neuron = "graded"
width = 4

[dense]
neuron = "graded"
width = 4
change = "dense-readout"

[spikes]
neuron = "lif"
width = 4
timesteps = 2
"""


def module(name: str) -> ModuleType:
    """One of the benchmark's files, which import each other by bare names."""
    if str(BENCHMARKS) not in sys.path:
        sys.path.insert(0, str(BENCHMARKS))
    return importlib.import_module(name)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished benchmark of two steps on four crops."""
    root = tmp_path_factory.mktemp("frontier")
    (root / "images").mkdir()
    picture = read_photograph("skimage.data", "chelsea.png")
    for index, left in enumerate((0, 80, 160, 240)):
        Image.fromarray(np.ascontiguousarray(picture[100:164, left : left + 64])).save(
            root / "images" / f"{index}.png"
        )
    (root / "small.toml").write_text(SMALL, encoding="utf-8")
    assert module("frontier").main(options(root)) == 0
    return root


def options(root: Path) -> list[str]:
    sizes = ["--steps", "2", "--batch", "2", "--patch", "16"]
    places = [
        "--data",
        str(root / "images"),
        "--out",
        str(root / "out"),
        "--shapes",
        str(root / "small.toml"),
    ]
    return [*places, *sizes]


def document(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "out" / "frontier.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.slow
def test_every_shape_is_measured(report: Path) -> None:
    shapes = {shape["name"]: shape for shape in document(report)["shapes"]}
    assert list(shapes) == ["twin", "levels", "dense", "spikes"]
    assert shapes["twin"]["points"][0]["synops_per_pixel"] is None
    assert all(10 < shape["points"][0]["psnr_db"] < 40 for shape in shapes.values())
    # Five more 3x3 read-outs of 4 x 3 channels with 3 biases each.
    assert shapes["dense"]["parameters"] - shapes["levels"]["parameters"] == 5 * (4 * 3 * 9 + 3)
    # The first convolution is 3 -> 4 channels of 5x5, and two timesteps see it twice.
    assert shapes["levels"]["head_macs_per_pixel"] == 300
    assert shapes["spikes"]["head_macs_per_pixel"] == 600


@pytest.mark.slow
def test_synops_agree_with_a_count_by_hand(report: Path) -> None:
    frontier, shapes = module("frontier"), module("pareto.shapes")
    lone = shapes.shape("levels", {"neuron": "graded", "width": 4})
    torch.manual_seed(0)
    network = lone.build()
    events: dict[str, float] = {}
    for name, neuron in network.neurons.items():
        neuron.register_forward_hook(
            lambda _, __, out, name=name: events.__setitem__(name, float((out != 0).sum()))
        )
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        network(image)
    expected = 0.0
    for synapse in network.topology.synapses:
        if synapse.source in events:
            expected += events[synapse.source] * synapse.out_channels * synapse.kernel**2 / synapse.stride**2

    class Data:
        crops = ((image, image),)

    found = frontier._synops(frontier.SynopMeter(network), network, Data())
    assert found == pytest.approx(expected / 32**2, abs=0.1)
    assert found < macs_per_pixel(lone.topology)


def test_what_is_finished_is_not_trained_again(report: Path) -> None:
    before = {path: path.read_bytes() for path in sorted((report / "out").glob("frontier.*"))}
    stamps = [path.stat().st_mtime_ns for path in sorted(report.glob("out/runs/*/point.json"))]
    assert module("frontier").main(options(report)) == 0
    assert {path: path.read_bytes() for path in before} == before
    assert [path.stat().st_mtime_ns for path in sorted(report.glob("out/runs/*/point.json"))] == stamps


def test_other_steps_than_those_of_a_finished_run_are_refused(
    report: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = options(report)
    given[given.index("--steps") + 1] = "3"
    assert module("frontier").main(given) == 1
    assert "this run was started with training" in capsys.readouterr().err


def test_the_page_has_every_shape_and_no_path_of_this_machine(report: Path) -> None:
    page = (report / "out" / "frontier.md").read_text(encoding="utf-8")
    assert all(name in page for name in ("twin", "levels", "dense", "spikes"))
    assert "--data IMAGES --out FOLDER" in page
    assert str(report) not in page + (report / "out" / "frontier.json").read_text(encoding="utf-8")


@pytest.mark.skipif(
    not (DOCS / "results" / "frontier.json").exists(), reason="installed without its documents"
)
def test_the_page_that_is_kept_has_the_figures_of_its_document() -> None:
    kept = json.loads((DOCS / "results" / "frontier.json").read_text(encoding="utf-8"))
    assert (DOCS / "results" / "frontier.md").read_text(encoding="utf-8") == module("pareto.page").page(kept)
    compared = [shape["name"] for shape in kept["shapes"]]
    frontier = module("frontier")
    assert compared == [each.name for each in frontier.shapes_of(frontier.SHAPES, [])]


def point(name: str, psnr_db: float, synops: float | None) -> dict[str, Any]:
    return {"name": name, "points": [{"psnr_db": psnr_db, "synops_per_pixel": synops}]}


def test_the_frontier_leaves_out_what_is_beaten_and_the_twins() -> None:
    shapes = [
        point("twin", 31.0, None),
        point("dear", 30.0, 900.0),
        point("beaten", 29.0, 800.0),
        point("cheap", 29.5, 100.0),
    ]
    assert module("pareto.page").frontier(shapes) == ["cheap", "dear"]


def test_the_shapes_that_are_compared_stay_under_the_bound() -> None:
    frontier, shapes = module("frontier"), module("pareto.shapes")
    compared = frontier.shapes_of(frontier.SHAPES, [])
    assert all(each.topology.parameters <= shapes.LARGEST for each in compared)
    assert {each.kind for each in compared} == {"ANN twin", "graded", "lif"}
    assert {each.change for each in compared} == {None, *shapes.CHANGES}
    plain = next(each for each in compared if each.change == "plain-head")
    assert not any(synapse.zero_mean for synapse in plain.build().topology.synapses)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"width": 32}, r"x: has 1\d\d,\d\d\d parameters, more than 87,000"),
        ({"change": "sideways"}, r"change = 'sideways' is not known; use plain-head, dense-readout"),
        ({"depth": 3}, r"x: .*depth"),
        ({"levels": 0}, r"student.levels = 0"),
    ],
)
def test_a_shape_that_cannot_be_is_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        module("pareto.shapes").shape("x", table)
