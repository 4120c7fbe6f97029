"""The page of `energy pays`: a sentence and two charts for each model, self-contained, without a script."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from snn_tool.energy.estimators.registry import MODELS
from snn_tool.energy.pages import curves, numbers
from snn_tool.energy.report.equality import RIVALS
from snn_tool.energy.report.pays import USUAL, Curve, PaysReport, Swept
from snn_tool.energy.report.standings import Standing
from snn_tool.tables import printable_in_page

TITLE = "When do spikes pay?"
AGAINST = {
    RIVALS[0]: "the same integers computed densely",
    RIVALS[1]: "an int8 network of the same shape",
    RIVALS[2]: "an fp32 network of the same shape",
}
EDGES = (curves.LEFT, curves.RIGHT, curves.TOP, curves.BOTTOM)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("snn_tool.energy.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=printable_in_page,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(factor=numbers.factor, number=numbers.number, rate=curves.rate_text)
    return environment


def render(report: PaysReport) -> str:
    """The page as a string; every value from the caller is escaped."""
    return (
        _environment()
        .get_template("pays.html")
        .render(
            title=TITLE,
            report=report,
            panels=lambda model: [curves.panel(report, model, across) for across in curves.SWEPT],
            model_title=lambda model: MODELS[model].title,
            sentence=lambda model: sentence(report, model),
            answers=answers(report),
            rows=rows(report),
            against=AGAINST,
            row_text=row_text,
            size=(curves.WIDTH, curves.HEIGHT, EDGES),
        )
    )


def chart(report: PaysReport, model: str, across: Swept) -> str:
    """One chart as an SVG document of its own."""
    module: Any = _environment().get_template("curves.html").module
    label = f"{model}: break-even over {curves.TITLES[across]}"
    shown = curves.panel(report, model, across)
    return str(module.chart(shown, label, curves.WIDTH, curves.HEIGHT, EDGES, True)).strip() + "\n"


def sentence(report: PaysReport, model: str) -> str:
    """Below which rate a layer pays at the usual fan-out: by each rival, and by each reading of memories."""
    found = [c for c in report.curves if c.model == model and c.across == "timesteps"]
    parts = [
        f"{_below(_usual(curve))} against {AGAINST[curve.rival, curve.precision]}"
        for curve in found
        if not curve.memory
    ]
    apart = [c for c in found if c.memory and (c.rival, c.precision) == (found[0].rival, found[0].precision)]
    readings = "; ".join(f"with {curve.memory} {_below(_usual(curve))}" for curve in apart)
    return (
        f"A layer of binary neurons with T = {USUAL.timesteps}, each spike of which reaches "
        f"{report.usual_fan_out} synapses, pays {'; '.join(parts)}."
        + (f" By other readings of memories, against the first of these: {readings}." if readings else "")
    )


def _usual(curve: Curve) -> float | None:
    return dict(curve.points)[USUAL.timesteps]


def rows(report: PaysReport) -> tuple[tuple[str, str], ...]:
    """Model and reading of memories of each row of a student's table; the deployed reading has no name."""
    found = ((curve.model, curve.memory) for curve in report.curves)
    order = {model: index for index, model in enumerate(report.models)}
    return tuple(sorted(dict.fromkeys(found), key=lambda row: order[row[0]]))


def row_text(model: str, memory: str) -> str:
    """How such a row is called."""
    return f"{model}, {memory}" if memory else model


def _below(rate: float | None) -> str:
    if rate is None:
        return "at no rate"
    return "at any rate" if rate >= 1 else f"below {numbers.number(rate)} spikes per neuron and step"


def answers(report: PaysReport) -> tuple[str, ...]:
    """For each student by how many models spikes save, against each rival."""
    return tuple(
        f"{student.name}: spikes save energy "
        + ", ".join(
            f"by {_saving(student.standings, rival)} against {words}" for rival, words in AGAINST.items()
        )
        + "."
        for student in report.students
    )


def _saving(standings: tuple[Standing, ...], rival: tuple[str, str]) -> str:
    ratios = [s.ratio for s in standings if (s.rival, s.precision) == rival and not s.memory]
    return f"{sum(ratio > 1 for ratio in ratios)} of {len(ratios)} models"
