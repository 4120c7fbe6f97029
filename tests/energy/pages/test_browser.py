"""The report's page in a real browser: on a phone, on a desk, on paper, and without a network."""

import html
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from snn_tool.auditing.student import sweep
from snn_tool.degradations.crops import Crop, channels_first
from snn_tool.energy.pages.html import render
from snn_tool.energy.report.audit import audit
from snn_tool.energy.report.columns import Teacher
from snn_tool.energy.report.document import ChipCheck, ChipPart
from snn_tool.models.integer.engine import quantize_image
from snn_tool.models.integer.network import IntegerNetwork
from torch import nn

VARIABLE = "SNN_TOOL_CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = os.environ.get(VARIABLE) or next(filter(None, map(shutil.which, NAMES)), None)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
WIDTHS = (360, 1200)
LONG = "a" * 90 + ".png"
SECTIONS = [
    "equal",
    "grid",
    "ratios",
    "readings",
    "chips",
    "break-even",
    "sensitivity",
    "layers",
    "firing",
    "sweep",
    "thresholds",
    "sanafe",
    "networks",
    "energies",
    "excluded",
    "provenance",
    "inputs",
]
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
MEASURE = """<script>addEventListener("load", () => {
  document.querySelectorAll("details").forEach(details => { details.open = true; });
  const root = document.documentElement, wide = [];
  document.querySelectorAll("body *").forEach(element => {
    const box = element.getBoundingClientRect();
    const free = !element.closest(".scroll, svg");
    if (box.right > innerWidth + 1 && free) wide.push(element.outerHTML.slice(0, 90));
  });
  const found = {
    inner: innerWidth, scroll: root.scrollWidth, height: root.scrollHeight, wide: wide,
    sections: [...document.querySelectorAll("main section")].map(section => section.id),
    hidden: [...document.querySelectorAll("section")].filter(s => s.offsetHeight < 40).map(s => s.id),
    images: [...document.images].map(image => image.naturalWidth),
    requests: performance.getEntriesByType("resource").map(entry => entry.name),
    boxes: [...document.querySelectorAll(".scroll")].map(box => {
      const at = box.getBoundingClientRect();
      return [at.left, at.top, at.right, at.bottom, box.scrollWidth > box.clientWidth + 4];
    }),
    scrolling: [...document.querySelectorAll(".scroll")].filter(s => s.scrollWidth > s.clientWidth).length,
  };
  parent.postMessage(JSON.stringify(found), "*");
});</script>"""
FRAME = """<!doctype html><script>addEventListener("message", event => {
  document.documentElement.setAttribute("data-found", event.data);
});</script><iframe src="copy.html" style="border: 0; height: 900px; width: %dpx"></iframe>"""
"""A browser's window cannot be as narrow as a phone; a frame can, and the page takes it for its window."""

pytestmark = pytest.mark.skipif(
    BROWSER is None, reason=f"no browser: install chromium, or set {VARIABLE} to one of its kind"
)


@pytest.fixture(scope="module")
def page(
    make_network: Callable[..., IntegerNetwork],
    photograph: NDArray[np.float32],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A report with every section, and an image whose name offers no place to break."""
    network = make_network("lif")
    clean = (np.clip(photograph, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    crops = [Crop(LONG, clean, np.ascontiguousarray(photograph.transpose(1, 2, 0)))]
    report = audit(
        network,
        [quantize_image(channels_first(crop.degraded), network) for crop in crops],
        teacher=Teacher("a teacher", nn.Conv2d(3, 3, 33, padding=16)),
        image_names=[LONG],
        hashes={"student": "0" * 64, LONG: "f" * 64},
        sweep=sweep(network, crops, "fanout", iter),
    )
    parts = tuple(ChipPart(name, 1e6, 10.0, 9.0) for name in ("synapse", "dendrite", "soma", "network"))
    chip = ChipCheck(
        architecture="loihi.yaml",
        versions={"sanafe": "2.2.9"},
        tiles=2,
        height=8,
        width=8,
        timesteps=4,
        steps=13,
        passed=True,
        values_compared=99,
        mismatches=0,
        synops=7,
        exact_synops=7,
        spikes=5,
        exact_spikes=5,
        energy_pj=4e6,
        idle_access_pj=1e5,
        per_synop_pj=40.0,
        model_per_synop_pj=36.0,
        parts=parts,
        image_macs=1,
        excluded=("static power",),
    )
    path = tmp_path_factory.mktemp("page") / "energy.html"
    path.write_text(render(replace(report, sanafe=chip)), encoding="utf-8")
    return path


def browse(page: Path, *options: str) -> str:
    """What the browser prints; every call has a profile of its own."""
    assert BROWSER is not None
    profile = f"--user-data-dir={page.parent / 'profile'}"
    command = [BROWSER, *FLAGS, profile, *options, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


def measured(page: Path, width: int, change: Callable[[str], str] = lambda text: text) -> dict[str, Any]:
    """What a script finds in a copy of the page that allows it to run."""
    copy = page.with_name("copy.html")
    text = POLICY.sub("", page.read_text(encoding="utf-8"), count=1)
    copy.write_text(change(text).replace("</body>", MEASURE + "</body>"), encoding="utf-8")
    frame = page.with_name("frame.html")
    frame.write_text(FRAME % width, encoding="utf-8")
    dom = browse(frame, "--window-size=1400,1000", "--virtual-time-budget=3000", "--dump-dom")
    (found,) = re.findall(r'data-found="([^"]*)"', dom)
    body: dict[str, Any] = json.loads(html.unescape(found))
    assert body["inner"] == width
    return body


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_window_and_nothing_is_fetched(page: Path, width: int) -> None:
    found = measured(page, width)
    assert (found["scroll"], found["wide"]) == (width, [])
    assert (found["sections"], found["hidden"]) == (SECTIONS, [])
    assert found["requests"] == [] and min(found["images"]) > 0
    assert (found["scrolling"] > 5) == (width == 360), "tables scroll in their boxes, where they have to"


PHONE = 390


def shades(page: Path, style: str = "") -> list[tuple[bool, int]]:
    """Of each box with a table: whether columns are hidden at its right, and how dark it is there at most.

    Looked at are the last pixels at the right, column by column, so that text does not count; 0 is the paper.
    """
    found = measured(page, PHONE, lambda text: text.replace("</style>", f"{style}</style>", 1))
    picture, height = page.with_name("phone.png"), int(found["height"]) + 50
    frame = page.with_name("frame.html")
    frame.write_text(frame.read_text("utf-8").replace("900px", f"{height}px"), encoding="utf-8")
    browse(frame, f"--window-size=500,{height}", "--virtual-time-budget=3000", f"--screenshot={picture}")
    with Image.open(picture) as opened:
        pixels = np.asarray(opened.convert("L")).astype(int)
    edge = 8  # of the frame inside its own page
    darkest = []
    for _, top, right, bottom, hides in found["boxes"]:
        strip = pixels[int(top) + edge : int(bottom) + edge, int(right) + edge - 10 : int(right) + edge - 1]
        darkest.append((bool(hides), int(255 - np.median(strip, axis=0).min())))
    return darkest


@pytest.mark.slow
def test_a_table_that_hides_columns_shows_it_on_a_phone(page: Path) -> None:
    """A shadow where the table goes on, and none where it ends."""
    found = shades(page)
    hiding = [shade for hides, shade in found if hides]
    whole = [shade for hides, shade in found if not hides]
    assert len(hiding) > 5 and min(hiding) > 60, found
    assert whole and max(whole) < 30, found  # the grid has cells in colour
    assert max(shade for _, shade in shades(page, ".scroll { background: none !important; }")) < 30


@pytest.mark.slow
def test_the_measure_would_notice(page: Path) -> None:
    """A box too wide, and a picture from elsewhere."""
    bad = '<p style="width: 900px">x</p><img src="http://elsewhere.example/x.png" alt=""></main>'
    found = measured(page, 360, lambda text: text.replace("</main>", bad))
    assert found["scroll"] > 360 and found["wide"]
    assert found["requests"] == ["http://elsewhere.example/x.png"] and min(found["images"]) == 0


@pytest.mark.slow
def test_the_pages_policy_runs_no_script(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert len(POLICY.findall(text)) == 1
    marked = "<script>document.documentElement.setAttribute('data-ran', '')</script></body>"
    for name, policy, runs in (("with", POLICY.findall(text)[0], False), ("without", "", True)):
        copy = page.with_name(f"{name}.html")
        copy.write_text(POLICY.sub(policy, text).replace("</body>", marked), encoding="utf-8")
        dom = browse(copy, "--virtual-time-budget=1000", "--dump-dom")
        assert 'id="inputs"' in dom and ("data-ran=" in dom) == runs


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
def test_the_picture_of_the_page_has_ink_all_the_way_down(page: Path, width: int) -> None:
    picture = page.with_name("page.png")
    height = 4000
    browse(page, f"--window-size={width},{height}", f"--screenshot={picture}")
    with Image.open(picture) as opened:
        pixels = np.asarray(opened.convert("RGB")).astype(int)
    assert pixels.shape == (height, width, 3)
    ink = np.abs(pixels - pixels[0, 0]).max(axis=2) > 60
    assert 0.01 < ink.mean() < 0.5
    assert all(ink[top : top + 200].any() for top in range(0, height, 200))
    assert not ink[:, -4:].any(), "nothing is cut off at the right"


@pytest.mark.slow
def test_on_paper_closed_tables_are_open(page: Path) -> None:
    def pages(name: str, text: str) -> int:
        copy, printed = page.with_name(f"{name}.html"), page.with_name(f"{name}.pdf")
        copy.write_text(text, encoding="utf-8")
        browse(copy, "--no-pdf-header-footer", f"--print-to-pdf={printed}")
        content = printed.read_bytes()
        assert content.startswith(b"%PDF-") and content.rstrip().endswith(b"%%EOF")
        return len(re.findall(rb"/Type\s*/Page\b(?!s)", content))

    text = page.read_text(encoding="utf-8")
    opened = pages("open", text)
    closed = pages("closed", re.sub(r"details::details-content \{[^}]*\}", "", text))
    assert 3 <= closed < opened <= 20
