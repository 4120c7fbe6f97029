"""One page that needs no other file and no network, and shows what it was given."""

import base64
import io
import re
import shlex
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jinja2
import numpy as np
import pytest
import typer
from PIL import Image
from snn_tool.cli.app import app
from snn_tool.degradations.crops import centre_crop
from snn_tool.demo.page import CROP, Crop, Photograph, crop, render_page
from snn_tool.demo.run import PARTS, DemoPlan, commands
from snn_tool.energy.pages.charts import data_uri
from snn_tool.terminal import Terminal
from snn_tool.training.curves import Curve, curves_svg, read_curve

CURVE = "step,val_psnr_db,lr,loss\n100,25.5000,0.001,0.2\n200,27.2500,0.0001,0.1\n"


def facts() -> dict[str, Any]:
    uri = data_uri(np.zeros((2, 2, 3), np.uint8))
    backend = {"status": "exact", "name": "nir", "mismatches": 0, "values_compared": 1234567, "detail": "ran"}
    return {
        "training_images": 7,
        "test_images": 2,
        "sigma": "25",
        "gain_db": 7.126,
        "degraded_psnr_db": 20.5,
        "psnr_db": 27.626,
        "parameters": 79908,
        "teacher_parameters": 1000000,
        "backends": [
            {**backend, "reason": ""},
            {**backend, "name": "lava", "status": "different", "mismatches": 3, "reason": "<late>"},
        ],
        "energy_range": "2 to 9",
        "claim": 10.0,
        "verdict": "not supported",
        "crops": [Crop("<b>&.png", uri, uri, uri, 20.123, 27.456)],
        "curves": "<svg id='curves'></svg>",
        "ratios": [
            {"label": "model, int8", "total": 0.01234, "smaller": 1.1, "bits": 2.0, "spikes": 0.005609}
        ],
        "standing": ("The claim is about <Restormer>.", "The demo's own teacher.", "Equal integers."),
        "commands": ["snn-tool train --data 'a & b'"],
    }


def test_the_middle_is_cropped() -> None:
    image = np.arange(131 * 300 * 3).reshape(131, 300, 3).astype(np.uint8)
    np.testing.assert_array_equal(centre_crop(image, CROP, 1), image[1:129, 86:214])
    np.testing.assert_array_equal(centre_crop(image[:20, :130], CROP, 1), image[:20, 1:129])


def test_a_data_uri_is_a_lossless_png() -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    head, body = data_uri(image).split(",")
    assert head == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(body, validate=True))) as decoded:
        assert decoded.format == "PNG"
        np.testing.assert_array_equal(np.asarray(decoded), image)


def test_a_crop_shows_the_three_pictures_at_one_place() -> None:
    """Each keeps its own pixels, whose middle is taken; the figures are those of the whole photograph."""
    draw = np.random.default_rng(1)
    pictures = [draw.integers(0, 256, (140, 150, 3)).astype(np.uint8) for _ in range(3)]
    shown = crop(Photograph("a.png", *pictures, degraded_psnr_db=20.0, psnr_db=27.0))
    assert (shown.name, shown.degraded_psnr_db, shown.psnr_db) == ("a.png", 20.0, 27.0)
    for uri, picture in zip((shown.degraded, shown.restored, shown.clean), pictures, strict=True):
        with Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))) as decoded:
            np.testing.assert_array_equal(np.asarray(decoded), picture[6:134, 11:139])


@pytest.mark.slow
def test_curves_are_one_line_each_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(CURVE)
    curve = read_curve(path)
    assert curve == Curve((100, 200), (25.5, 27.25))
    once, twice = (curves_svg({"teacher": curve, "student": curve}) for _ in range(2))
    assert once == twice
    root = ElementTree.fromstring(once)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert len(re.findall(r'<g id="line2d_', once)) > len(
        re.findall(r'<g id="line2d_', curves_svg({"x": curve}))
    )
    assert "<!-- teacher -->" in once and "<!-- student -->" in once


def test_a_small_ratio_is_the_product_that_it_is_said_to_be() -> None:
    """Three significant digits each, so that rounding moves the product by less than 1.5 %."""
    (row,) = re.findall(r"<tr><td>model, int8</td>(.*?)</tr>", render_page(facts()), re.DOTALL)
    total, smaller, bits, spikes = map(float, re.findall(r">([\d.]+)</td>", row))
    assert (total, smaller, bits, spikes) == (0.0123, 1.1, 2.0, 0.00561)
    assert smaller * bits * spikes == pytest.approx(total, rel=0.015)


def test_three_sentences_set_the_claim_before_the_table() -> None:
    page = render_page(facts())
    places = [
        page.index(text)
        for text in ("&lt;Restormer&gt;", "own teacher.", "Equal integers.", "model, precision")
    ]
    assert places == sorted(places)


def test_the_page_shows_the_facts() -> None:
    page = render_page(facts())
    for text in (
        "+7.13 dB",
        "20.50 &rarr; 27.63 dB",
        "79,908",
        "1,234,567",
        "2 to 9",
        "20.12 dB",
        "27.46 dB",
    ):
        assert text in page, text
    assert page.count('class="good"') == 2 and page.count('class="bad"') == 2
    assert "<svg id='curves'></svg>" in page


def test_names_and_commands_are_escaped() -> None:
    page = render_page(facts())
    assert "<b>&.png" not in page and "&lt;b&gt;&amp;.png" in page
    assert "<late>" not in page and "a &amp; b" in page


def test_the_page_needs_nothing_beside_it_but_the_energy_report() -> None:
    page = render_page(facts())
    sources = re.findall(r'(?:src|href|url)\s*[=(]\s*["\']?([^"\'\s>)]+)', page)
    assert [s for s in sources if not s.startswith("data:image/png;base64,")] == ["energy/energy.html"]
    assert "<script" not in page and "@import" not in page


@pytest.mark.parametrize("name", facts())
def test_a_missing_fact_is_an_error(name: str) -> None:
    with pytest.raises((jinja2.UndefinedError, TypeError), match=f"{name}|StrictUndefined"):
        render_page({key: value for key, value in facts().items() if key != name})


@pytest.mark.parametrize("quick", [False, True])
def test_the_demo_by_hand_is_commands_that_there_are(quick: bool) -> None:
    """Each line is split as a shell would, and typer knows its command and every option of it."""
    plan = DemoPlan(Path("out"), 3, quick, False, Terminal())
    program = typer.main.get_command(app)
    lines = [shlex.split(line) for line in commands(plan)]
    assert [words[1] for words in lines] == [
        *("train", "train", "distill", "quantize", "export", "evaluate", "energy")
    ]
    for tool, *words in lines:
        assert tool == "snn-tool"
        command: Any = program
        while getattr(command, "commands", None):
            command = command.commands[words.pop(0)]
        values, _, _ = command.make_parser(typer.Context(command)).parse_args(words)
        assert values
    assert ("--warmup" in lines[2]) is quick and lines[2][lines[2].index("--seed") + 1] == "3"


def test_the_parts_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    plan = DemoPlan(Path("out"), 0, True, False, Terminal())
    for part in PARTS:
        plan.begin(part)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 9 and said[2] == "3 of 9: train an ANN of the student's shape"
    assert [line.split(" of 9: ")[0] for line in said] == [str(number) for number in range(1, 10)]
