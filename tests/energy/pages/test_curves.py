"""The break-even charts: places by hand, labels that do not overlap, SVG that is well-formed."""

import re
from xml.etree import ElementTree

import pytest
from snn_tool.energy.estimators.prices import packaged_pricing
from snn_tool.energy.pages.break_even import answers, chart, render, sentence
from snn_tool.energy.pages.curves import (
    BOTTOM,
    LEFT,
    LINE_HEIGHT,
    RIGHT,
    SWEPT,
    TOP,
    Label,
    Scale,
    panel,
    rate_text,
    spaced,
)
from snn_tool.energy.report.pays import PaysReport, Swept, pays_report
from snn_tool.energy.report.standings import Standing, StudentPoint

SVG = "{http://www.w3.org/2000/svg}"


def student(name: str, rate: float, standing: float | None, ratio: float) -> StudentPoint:
    held = Standing("exact-ops", "qann", "int8", "", ratio, standing, "")
    return StudentPoint(name, "binary, T = 4", 4, 200.0, rate, 1.0, 1, "relay", (held,))


@pytest.fixture(scope="module")
def report() -> PaysReport:
    students = (
        student("<one>", 0.1, 0.2, 2.0),
        student("near", 0.1, 0.2, 2.0),
        student("loud", 0.9, None, 0.5),
    )
    return pays_report(students, (), packaged_pricing(), 1 << 20)


def test_a_scale_by_hand() -> None:
    scale = Scale(1, 100, 0, 50)
    assert [scale.at(value) for value in (1, 10, 100)] == [0, 25, 50]
    assert scale.holds(1) and scale.holds(100) and not scale.holds(101)


def test_labels_keep_a_line_between_them_and_stay_within_the_plot() -> None:
    crowded = [Label(float(y), f"{y}", "") for y in (BOTTOM, BOTTOM - 1, BOTTOM - 2, TOP, TOP)]
    heights = [label.y for label in spaced(crowded)]
    assert all(b - a >= LINE_HEIGHT - 0.11 for a, b in zip(heights, heights[1:], strict=False))
    assert min(heights) >= TOP and max(heights) <= BOTTOM
    assert spaced([Label(50.0, "", "")]) == ()


@pytest.mark.slow
@pytest.mark.parametrize("across", SWEPT)
def test_every_mark_stands_within_the_plot(report: PaysReport, across: Swept) -> None:
    for model in report.models:
        shown = panel(report, model, across)
        places = [tuple(map(float, p.split(","))) for line in shown.lines for p in line.points.split()]
        places += [(dot.x, dot.y) for dot in shown.dots] + list(shown.diamonds)
        assert all(LEFT <= x <= RIGHT and TOP <= y <= BOTTOM for x, y in places)


def test_students_that_lie_together_share_a_name(report: PaysReport) -> None:
    first, second, loud, pilotnet = panel(report, "exact-ops", "fan_out").dots
    assert (pilotnet.label, pilotnet.style, first.style) == ("PilotNet", "measured", "student")
    assert (first.label, second.label, loud.label) == ("<one> and 1 more", "", "loud")
    # a decade is (BOTTOM - TOP) / 5 high: its break-even at twice its rate stands log10 2 of that above it
    (mark,) = first.marks
    assert first.y - mark.y == pytest.approx(0.30103 * (BOTTOM - TOP) / 5, abs=0.11)
    assert loud.silent and loud.reach[1] == BOTTOM and not first.silent


@pytest.mark.slow
def test_charts_stand_alone_and_are_well_formed(report: PaysReport) -> None:
    for model in report.models:
        for across in SWEPT:
            root = ElementTree.fromstring(chart(report, model, across))
            assert root.tag == f"{SVG}svg" and len(root.findall(f"{SVG}circle")) == 4
            texts = [text.text for text in root.findall(f"{SVG}text")]
            assert "<one> and 1 more" in texts or model != "exact-ops"


def test_the_page_holds_every_model_and_nothing_foreign(report: PaysReport) -> None:
    page = render(report)
    assert page.count('<svg class="curves"') == 2 * len(report.models)
    assert "<one>" not in page and "&lt;one&gt;" in page
    assert not re.search(r"<script|https?://(?!www\.w3\.org)|src=", page)
    for model in report.models:
        assert f'<section id="{model}">' in page
        assert sentence(report, model) in page.replace("&#39;", "'")
    assert page == render(report)


def test_sentences_say_what_the_curves_say(report: PaysReport) -> None:
    assert answers(report)[0].startswith("<one>: spikes save energy by 1 of 1 models against the same")
    assert "by 0 of 1 models" in answers(report)[2]
    # 0.3 / 0.1 / 4 at int8, 4.6 / 0.9 / 4 > 1 at fp32
    assert "below 0.750 spikes per neuron and step against an int8" in sentence(report, "paper")
    assert "at any rate against an fp32" in sentence(report, "paper")
    assert [rate_text(rate) for rate in (None, 1.5, 0.25)] == ["never", "always", "0.250"]
