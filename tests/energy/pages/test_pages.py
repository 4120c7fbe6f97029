"""Both pages of the audit on hostile names, and the figures in them."""

import io
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from snn_tool.energy.pages import numbers as figures
from snn_tool.energy.pages.charts import ratio_axis
from snn_tool.energy.pages.html import render
from snn_tool.energy.pages.terminal import headlines_text, print_report
from snn_tool.energy.report.audit import audit
from snn_tool.energy.report.columns import Teacher
from snn_tool.energy.report.document import EnergyReport, Range
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.tables import printable
from torch import nn

HOSTILE = [
    '<script src="//evil.example/x.js">alert(1)</script>',
    "\"><img src=x onerror='alert(1)'>",
    "</td></table><iframe>",
    "{{ 7 * 7 }}{% raw %}",
    "[red]red[/red][/]",
    "a\u2028b & c.png",
]


@pytest.fixture(scope="module")
def build(make_network: Callable[..., IntegerNetwork]) -> Callable[[], EnergyReport]:
    """The same audit, made anew at each call."""

    def audited() -> EnergyReport:
        rng = np.random.default_rng(0)
        images = [rng.integers(-64, 64, (3, 8, 8)).astype(np.int16) for _ in HOSTILE]
        return audit(
            make_network("lif"),
            images,
            teacher=Teacher("[bold]<b onclick=x>[/nothing]", nn.Conv2d(3, 3, 3, padding=1)),
            hashes={name: "0" * 64 for name in HOSTILE},
            image_names=HOSTILE,
        )

    return audited


class Page(HTMLParser):
    """Collects tags, attributes and text, and checks that every tag is closed in order."""

    VOID = frozenset({"meta", "br", "line", "rect", "circle", "img", "wbr"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.mark.slow
def test_hostile_names_stay_text(build: Callable[[], EnergyReport]) -> None:
    page = Page(render(build()))
    assert page.open == []
    allowed = """html head meta title style body header main section nav ul li a h1 h2 h3 p strong b small
        span br wbr div table thead tbody tr th td details summary figure figcaption img svg line text
        circle rect code""".split()
    assert page.tags <= set(allowed)
    names = {name for name, _ in page.attributes}
    assert not any(name.startswith("on") for name in names)
    assert not names & {"xlink:href", "srcset", "data", "action", "formaction", "style"}
    assert {v[:22] for name, v in page.attributes if name == "src"} == {"data:image/png;base64,"}
    assert all(v.startswith("#") for name, v in page.attributes if name == "href")
    assert not any(re.search(r"https?:|javascript:|url\(", value) for _, value in page.attributes)
    for name in (*HOSTILE, "[bold]<b onclick=x>[/nothing]"):
        assert any(printable(name) in text for text in page.text), name


@pytest.mark.slow
def test_the_style_asks_for_nothing(build: Callable[[], EnergyReport]) -> None:
    (style,) = re.findall(r"<style>(.*?)</style>", render(build()), re.DOTALL)
    assert not re.search(r"@import|@font-face|url\(|https?:|//", style)


@pytest.mark.slow
def test_equal_reports_give_equal_bytes(build: Callable[[], EnergyReport]) -> None:
    first, second = build(), build()
    assert first is not second and first == second
    assert render(first).encode() == render(second).encode()
    assert render(replace(first, note="another")) != render(first)


@pytest.mark.slow
def test_the_terminal_page_shows_markup_as_it_is(build: Callable[[], EnergyReport]) -> None:
    stream = io.StringIO()
    print_report(build(), Console(file=stream, width=200))
    assert "[bold]<b onclick=x>[/nothing]" in stream.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("claim", [1e-3, 0.5, 1.0, 10.0, 50.0, 1000.0])
def test_the_axis_holds_the_claim_one_and_every_ratio(
    build: Callable[[], EnergyReport], claim: float
) -> None:
    report = build()
    report = replace(report, verdict=replace(report.verdict, claim=claim))
    axis = ratio_axis(report)
    values = [1.0, claim, *(v for row in report.ratios for v in (row.least, row.most) if v is not None)]
    assert axis.low < axis.high
    assert all(0 <= axis.at(value) <= 100 for value in values)
    render(report)


@pytest.mark.slow
def test_every_anchor_of_the_contents_is_there(build: Callable[[], EnergyReport]) -> None:
    page = Page(render(build()))
    anchors = [value[1:] for name, value in page.attributes if name == "href"]
    identities = [value for name, value in page.attributes if name == "id"]
    assert anchors == identities and len(set(anchors)) == len(anchors) >= 12


@pytest.mark.parametrize(
    ("picojoules", "text"),
    [
        (0.0, "0 pJ"),
        (0.0123, "0.0123 pJ"),
        (0.1, "0.100 pJ"),
        (0.9996, "1.00 pJ"),
        (4.6, "4.60 pJ"),
        (9.996, "10.0 pJ"),
        (99.96, "100 pJ"),
        (999.4, "999 pJ"),
        (999.6, "1.00 nJ"),
        (1e3, "1.00 nJ"),
        (76.41e9, "76.4 mJ"),
        (1.53e9, "1.53 mJ"),
        (999.6e9, "1.00 J"),
        (4.6e15, "4 600 J"),
    ],
)
def test_energies(picojoules: float, text: str) -> None:
    assert figures.energy(picojoules).replace("\xa0", " ").replace("\u202f", " ") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (7, "7"),
        (19.5, "19.5"),
        (0.125, "0.125"),
        (999, "999"),
        (1000, "1.00 k"),
        (79_908, "79.9 k"),
        (999_999, "1.00 M"),
        (26_111_668, "26.1 M"),
        (140_990_496_768, "141 G"),
        (2.5e12, "2.50 T"),
    ],
)
def test_counts(value: float, text: str) -> None:
    assert figures.count(value) == text


def test_ratios_and_shares() -> None:
    ratios = {0.000123: "0.000123×", 0.00061: "0.000610×", 0.0123: "0.0123×", 0.5051: "0.505×", 50.0: "50.0×"}
    assert {value: figures.factor(value) for value in ratios} == ratios
    assert figures.span(Range(0.0123, 49.94)) == "0.0123× to 49.9×"
    assert [figures.percent(x) for x in (0.0, 0.1234, 1.0)] == ["0.0 %", "12.3 %", "100.0 %"]
    assert figures.factor(None) == "–"


UNITS = {"pJ": 1.0, "nJ": 1e3, "µJ": 1e6, "mJ": 1e9, "J": 1e12}


@given(st.floats(1e-3, 9.99e14))
def test_an_energy_reads_back_within_three_digits(picojoules: float) -> None:
    number, unit = figures.energy(picojoules).rsplit(" ", 1)
    assert float(number) * UNITS[unit] == pytest.approx(picojoules, rel=5.001e-3)
    assert "e" not in number
    assert sum(character.isdigit() for character in number.lstrip("0.")) == 3


@pytest.mark.slow
@pytest.mark.parametrize("claim", [1e-3, 1e6])
def test_an_audit_is_told_in_eight_lines(make_network: Callable[..., IntegerNetwork], claim: float) -> None:
    """With the two files that is ten; the synops are the mean of what was counted on each image."""
    rng = np.random.default_rng(0)
    images = [rng.integers(-64, 64, (3, 8, 8)).astype(np.int16) for _ in range(2)]
    report = audit(make_network("lif"), images, claim=claim)
    lines = headlines_text(report).splitlines()
    assert len(lines) <= 8 and max(map(len, lines)) <= 80
    text = " ".join(lines)
    assert f"The claim of {claim:g}× less energy" in text
    counted = [image.synops_levels for image in report.images]
    assert len(counted) == 2 and f"Exact: {sum(counted) / 2:,.0f} synops per image" in text
