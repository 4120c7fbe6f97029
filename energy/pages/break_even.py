"""The page of `energy pays`: a sentence and two charts for each model, self-contained, without a script."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from snn_tool.energy.estimators.registry import MODELS
from snn_tool.energy.pages import curves, numbers
from snn_tool.energy.report.pays import RIVALS, PaysReport, Standing, Swept
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
            against=AGAINST,
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
    """Below which rate a layer pays at the usual fan-out, by each rival."""
    found = [
        (AGAINST[curve.rival, curve.precision], dict(curve.points)[4])
        for curve in report.curves
        if curve.model == model and curve.across == "timesteps"
    ]
    parts = [f"{_below(rate)} against {rival}" for rival, rate in found]
    return (
        f"A layer of binary neurons with T = 4, each spike of which reaches {report.usual_fan_out} synapses, "
        f"pays {'; '.join(parts)}."
    )


def _below(rate: float | None) -> str:
    if rate is None:
        return "at no rate, not even in silence,"
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
    ratios = [s.ratio for s in standings if (s.rival, s.precision) == rival]
    return f"{sum(ratio > 1 for ratio in ratios)} of {len(ratios)} models"
