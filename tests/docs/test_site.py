"""The site: built strictly, links whole, opened from disk in a browser on a phone and on a desk, searched."""

import html
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
VARIABLE = "SNN_TOOL_CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = os.environ.get(VARIABLE) or next(filter(None, map(shutil.which, NAMES)), None)
WITHOUT_BROWSER = f"no browser: install chromium, or set {VARIABLE} to one of its kind"
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"),
    *("--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND"),
)
PAGES = (
    "index.html",
    *(f"start/{name}.html" for name in ("installation", "first-photo", "tour")),
    *("tutorials/python.html", "tutorials/snntorch_classifier.html"),
    *("guides/training.html", "guides/check.html"),
    *(f"reference/{name}.html" for name in ("cli", "api", "energy-json", "schemas", "files")),
    *("explanation/energy.html", "explanation/glossary.html"),
    *("results/index.html", "results/quality.html", "decisions/0011-energy-models-and-their-prices.html"),
)
PHONE, DESK = 390, 1280
MEASURE = """<script>addEventListener("load", () => setTimeout(() => {
  const root = document.documentElement, wide = [];
  document.querySelectorAll(".md-content *").forEach(element => {
    const box = element.getBoundingClientRect();
    const free = !element.closest(".md-typeset__scrollwrap, table, pre, svg, .highlight");
    if (box.right > innerWidth + 1 && box.width && free) wide.push(element.outerHTML.slice(0, 90));
  });
  parent.postMessage(JSON.stringify({
    page: location.pathname, inner: innerWidth, scroll: root.scrollWidth, wide: wide.slice(0, 3),
    title: document.querySelector("h1").innerText,
    images: [...document.querySelectorAll(".md-content img")].map(image => image.naturalWidth),
    requests: performance.getEntriesByType("resource").map(entry => entry.name).filter(
      name => !name.startsWith("file:") && !name.startsWith("data:")),
  }), "*");
}, 300));</script>"""
FRAMES = """<!doctype html><body data-found=""><script>const found = [];
addEventListener("message", event => {
  found.push(event.data);
  document.body.setAttribute("data-found", JSON.stringify(found));
});</script>%s"""
FRAME = '<iframe src="%s" style="border: 0; height: 900px; width: %dpx"></iframe>'
ELSEWHERE = re.compile(r'<(?:script|img|link|iframe)\b[^>]*?(?:src|href)="((?:https?:)?//[^"]+)"')

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does."""
    for module in ("mkdocs", "material", "mkdocstrings"):
        if find_spec(module) is None:
            pytest.skip(f"no generator of the site ({module}): make docs installs it")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "true"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder


def pages_of(site: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(site.rglob("*.html")):
        yield path, path.read_text(encoding="utf-8")


def test_every_link_inside_leads_somewhere(site: Path) -> None:
    """Pages, pictures and headings alike, also in what is made of code and of docstrings."""
    anchors = {
        path: {html.unescape(name) for name in re.findall(r'\bid="?([^"\s>]+)', text)}
        for path, text in pages_of(site)
    }
    broken, followed = [], 0
    for path, text in pages_of(site):
        if path.name == "404.html":
            continue
        for link in re.findall(r'\b(?:href|src)="([^"]+)"', text):
            target, _, heading = html.unescape(link).partition("#")
            if re.match(r"[a-z]+:", target) or target.startswith("//"):
                continue
            followed += 1
            found = (path.parent / target.partition("?")[0]).resolve() if target else path
            if not found.exists() or (heading and heading not in anchors.get(found, {heading})):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert broken == [] and followed > 1000


def test_nothing_is_taken_from_elsewhere(site: Path) -> None:
    found = {path.name: ELSEWHERE.findall(text) for path, text in pages_of(site)}
    assert {name: links for name, links in found.items() if links} == {}


def test_the_pages_of_code_hold_all_of_it(site: Path) -> None:
    import snn_tool
    from snn_tool.cli.app import app

    api = (site / "reference/api.html").read_text(encoding="utf-8")
    for name in snn_tool.__all__:
        assert re.search(rf'id="snn_tool[\w.]*\.{name}"', api), name
    cli = (site / "reference/cli.html").read_text(encoding="utf-8")
    for command in app.registered_commands:
        assert f'id="{command.name}"' in cli
    assert "--max-steps" in cli and 'id="energy-report"' in cli


def browse(page: str, folder: Path, *options: str) -> str:
    assert BROWSER is not None
    command = [BROWSER, *FLAGS, f"--user-data-dir={folder / 'profile'}", *options, page]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout


@pytest.mark.skipif(BROWSER is None, reason=WITHOUT_BROWSER)
@pytest.mark.parametrize("width", [PHONE, DESK])
def test_pages_open_from_disk_and_fit(site: Path, tmp_path: Path, width: int) -> None:
    """No page is wider than its window, none asks the network for anything, no picture is missing."""
    copy = tmp_path / "site"
    shutil.copytree(site, copy)
    for name in PAGES:
        path = copy / name
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace("</body>", f"{MEASURE}</body>"), encoding="utf-8")
    frames = copy / "frames.html"
    frames.write_text(FRAMES % "".join(FRAME % (name, width) for name in PAGES), encoding="utf-8")
    dom = browse(frames.as_uri(), tmp_path, "--virtual-time-budget=20000", "--dump-dom")
    (said,) = re.findall(r'data-found="([^"]*)"', dom)
    found: list[dict[str, Any]] = [json.loads(each) for each in json.loads(html.unescape(said))]
    assert sorted(each["page"].removeprefix(f"{copy}/") for each in found) == sorted(PAGES)
    for each in found:
        assert (each["inner"], each["scroll"], each["wide"]) == (width, width, []), each
        assert each["requests"] == [] and each["title"], each
        assert all(each["images"]), each


@pytest.mark.skipif(BROWSER is None, reason=WITHOUT_BROWSER)
def test_the_search_finds_without_a_network(site: Path, tmp_path: Path) -> None:
    """From disk, where a browser starts no worker: `?q=` asks as a reader does."""
    page = f"{(site / 'index.html').as_uri()}?q=accumulator"
    dom = browse(page, tmp_path, "--virtual-time-budget=30000", "--dump-dom")
    results = re.findall(r'<a href="([^"]*)" class="md-search-result__link"', dom)
    assert any("explanation/glossary.html" in link for link in results), results
