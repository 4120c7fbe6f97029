"""Figures of docs/data/pays.json, the data of `snn-tool energy pays`: sentences, tables, charts."""

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
from snn_tool.energy.pages import numbers
from snn_tool.energy.pages.break_even import AGAINST, answers, chart, sentence
from snn_tool.energy.pages.curves import SWEPT, rate_text
from snn_tool.energy.report.pays import KIND, SCHEMA, PaysReport, StudentPoint
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
    found = {student.name: student for student in report.students}
    if name not in found:
        raise ConfigError(f"no student {name!r}; there are {', '.join(found)}")
    return found[name]


def layer(report: PaysReport, model: str) -> str:
    """Below which rate a layer pays by a model."""
    return sentence(report, _model(report, model))


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
    heads = ["student", "spikes", "images", "synapses per spike", "spikes per neuron and step", "mean level"]
    rows = [
        [f"`{s.name}`", s.neurons, f"{s.images}", *map(numbers.number, (s.fan_out, s.rate, s.mean_level))]
        for s in report.students
    ]
    return _table(heads, rows)


def standings_table(report: PaysReport, name: str) -> str:
    """A student by every model: rival over student, and the rate at which both would cost the same."""
    student = _student(report, name)
    rows = []
    for model in report.models:
        found = {(s.rival, s.precision): s for s in student.standings if s.model == model}
        cells = [found.get(rival) for rival in AGAINST]
        rows.append([f"`{model}`", *("–" if c is None else _standing(c.ratio, c.rate) for c in cells)])
    return _table(["model", *(f"against {words}" for words in AGAINST.values())], rows)


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
    "pays-answer": answer,
    "pays-charts": pictures,
    "pays-students": students_table,
    "pays-standings": standings_table,
    "pays-bounds": bounds_table,
}
"""By the first word of a marker."""
