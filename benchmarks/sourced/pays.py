"""Figures of docs/data/pays.json, the data of `snn-tool energy pays`: sentences, tables, charts."""

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
from snn_tool.energy.estimators.registry import MODELS
from snn_tool.energy.pages import numbers
from snn_tool.energy.pages.break_even import AGAINST, answers, chart, rows, sentence
from snn_tool.energy.pages.curves import SWEPT, rate_text
from snn_tool.energy.report.pays import KIND, SCHEMA, USUAL, PaysReport
from snn_tool.energy.report.standings import StudentPoint
from snn_tool.errors import ArtifactError, ConfigError
from snn_tool.files.artifacts import read_json


def read_pays(path: Path) -> PaysReport:
    """The document that `energy pays` writes beside its page.

    Raises:
        ArtifactError: missing, or damaged.
    """
    document = read_json(path, KIND, SCHEMA)
    try:
        return msgspec.convert(document, PaysReport)
    except msgspec.ValidationError as error:
        raise ArtifactError(f"{path}: {error}; make it again with 'snn-tool energy pays'") from error


def _model(report: PaysReport, model: str) -> str:
    if model not in report.models:
        raise ConfigError(f"no model {model!r}; there are {', '.join(report.models)}")
    return model


def _student(report: PaysReport, name: str) -> StudentPoint:
    found = {student.name: student for student in report.students + report.measured}
    if name not in found:
        raise ConfigError(f"no student {name!r}; there are {', '.join(found)}")
    return found[name]


def layer(report: PaysReport, model: str) -> str:
    """Below which rate a layer pays by a model."""
    return sentence(report, _model(report, model))


def rate(
    report: PaysReport, model: str, rival: str, precision: str, timesteps: str = "4", memory: str = ""
) -> str:
    """Break-even of a layer of binary neurons at the usual fan-out, spikes per neuron and step."""
    for curve in report.curves:
        by = (curve.model, curve.rival, curve.precision, curve.memory, curve.across)
        if by == (model, rival, precision, memory, "timesteps"):
            points = {str(steps): found for steps, found in curve.points}
            if timesteps in points:
                return rate_text(points[timesteps])
    raise ConfigError(f"no curve of {model} against {rival} at {precision} with {memory!r}, T = {timesteps}")


def rates_table(report: PaysReport) -> str:
    """Break-even of a layer of binary neurons with the usual T and fan-out, by every model and rival."""
    found = {
        (c.model, c.memory, c.rival, c.precision): dict(c.points)[USUAL.timesteps]
        for c in report.curves
        if c.across == "timesteps"
    }
    table = []
    for model, memory in rows(report):
        keys = [(model, memory, *rival) for rival in AGAINST]
        cells = [rate_text(found[key]) if key in found else "–" for key in keys]
        table.append([f"`{model}`" + (f", {memory}" if memory else ""), *cells])
    return _table(["model", *(f"against {words}" for words in AGAINST.values())], table)


def sections(report: PaysReport) -> str:
    """For each model a heading, what it charges, its sentence and its charts."""
    parts = (
        f"\n### {model}\n\n{_capital(MODELS[model].title)}. {layer(report, model)}\n{pictures(report, model)}"
        for model in report.models
    )
    return "".join(parts)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def of_student(report: PaysReport, name: str, key: str) -> str:
    """A student's `rate`, `fan_out` or `mean_level`."""
    student = _student(report, name)
    found = {"rate": student.rate, "fan_out": student.fan_out, "mean_level": student.mean_level}
    if key not in found:
        raise ConfigError(f"a student has no {key!r}; it has {', '.join(found)}")
    return numbers.number(found[key])


def saves(report: PaysReport, name: str, rival: str, precision: str) -> str:
    """By how many models a student saves against a rival, as deployed."""
    ratios = [
        s.ratio
        for s in _student(report, name).standings
        if (s.rival, s.precision, s.memory) == (rival, precision, "")
    ]
    return f"{sum(ratio > 1 for ratio in ratios)} of {len(ratios)}"


def answer(report: PaysReport, name: str) -> str:
    """By how many models spikes save for a student, against each rival."""
    return answers(report)[report.students.index(_student(report, name))]


def pictures(report: PaysReport, model: str) -> str:
    """A model's two charts."""
    files = (chart_file(_model(report, model), across) for across in SWEPT)
    texts = (f"`{model}` against fan-out", f"`{model}` against timesteps")
    shown = (f"![{text}](pays/{file})" for text, file in zip(texts, files, strict=True))
    return "\n" + "\n".join(shown) + "\n"


def students_table(report: PaysReport) -> str:
    """What stands on the charts: synapses per spike, spike rate, mean level."""
    heads = ["network", "spikes", "images", "synapses per spike", "spikes per neuron and step", "mean level"]
    rows = [
        [f"`{s.name}`", s.neurons, f"{s.images}", *map(numbers.number, (s.fan_out, s.rate, s.mean_level))]
        for s in report.students + report.measured
    ]
    return _table(heads, rows)


def standings_table(report: PaysReport, name: str) -> str:
    """A student by every model: rival over student, and the rate at which both would cost the same."""
    student = _student(report, name)
    table = []
    for model, memory in rows(report):
        of_row = [s for s in student.standings if (s.model, s.memory) == (model, memory)]
        found = {(s.rival, s.precision): s for s in of_row}
        cells = [found.get(rival) for rival in AGAINST]
        texts = ["–" if c is None else _standing(c.ratio, c.rate) for c in cells]
        table.append([f"`{model}`" + (f", {memory}" if memory else ""), *texts])
    return _table(["model", *(f"against {words}" for words in AGAINST.values())], table)


def _standing(ratio: float, rate: float | None) -> str:
    text = numbers.number(ratio)
    return f"{f'**{text}**' if ratio > 1 else text} ({rate_text(rate)})"


def bounds_table(report: PaysReport) -> str:
    """The published bounds."""
    rows = [
        [b.source, b.quantity, f"{b.low:g}" if b.low == b.high else f"{b.low:g} to {b.high:g}", b.assumptions]
        for b in report.bounds
    ]
    return _table(["source", "quantity", "bound", "their assumptions"], rows)


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def chart_file(model: str, across: str) -> str:
    """Name of a chart's file."""
    return f"{model}-{across.replace('_', '-')}.svg"


def charts(report: PaysReport) -> dict[str, str]:
    """Every chart by the name of its file."""
    return {
        chart_file(model, across): chart(report, model, across) for model in report.models for across in SWEPT
    }


PAYS_FIGURES: Mapping[str, Callable[..., str]] = {
    "pays-layer": layer,
    "pays-rate": rate,
    "pays-rates": rates_table,
    "pays-sections": sections,
    "pays-student": of_student,
    "pays-saves": saves,
    "pays-answer": answer,
    "pays-charts": pictures,
    "pays-students": students_table,
    "pays-standings": standings_table,
    "pays-bounds": bounds_table,
}
"""By the first word of a marker."""
