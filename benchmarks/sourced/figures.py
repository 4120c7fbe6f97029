"""What a marker may ask for: figures for a sentence, and tables, each from extracts alone.

The first word of a marker names one of `FIGURES`, or of `pays.PAYS_FIGURES`; the others are its arguments,
blanks in quotes; `key=value` names one. Extracts are called by their names, such as `denoise-25-relay`.
"""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from snn_tool.energy.pages import numbers
from snn_tool.energy.report.pays import PaysReport
from snn_tool.errors import ConfigError

from sourced.extracts import Extract, read_extracts
from sourced.pays import PAYS_FIGURES, read_pays

Extracts = Mapping[str, Extract]
PAYS = "pays.json"
NAMES = {
    "teacher": "teacher",
    "cnn": "int8 CNN",
    "twin": "ANN twin",
    "qann": "same integers",
    "student": "student",
}
"""Columns as tables head them; others are called as the report does."""


def _one(extracts: Extracts, name: str) -> Extract:
    if name not in extracts:
        raise ConfigError(f"no extract {name!r}; there are {', '.join(extracts)}")
    return extracts[name]


def ratio(extracts: Extracts, name: str, row: str, rival: str, memory: str = "") -> str:
    """A rival's energy over the student's, by the headlines or by readings of one memory."""
    return numbers.number(_one(extracts, name).ratio(row, rival, memory))


def inverse(extracts: Extracts, name: str, row: str, rival: str, memory: str = "") -> str:
    """The student's energy over a rival's."""
    return numbers.number(1 / _one(extracts, name).ratio(row, rival, memory))


def over(extracts: Extracts, name: str, row: str, above: str, below: str, memory: str = "") -> str:
    """One column's energy over another's."""
    found = _one(extracts, name)
    return numbers.number(found.energy_pj(row, above, memory) / found.energy_pj(row, below, memory))


def energy(extracts: Extracts, name: str, row: str, column: str, memory: str = "") -> str:
    """Energy per image with its unit."""
    return numbers.energy(_one(extracts, name).energy_pj(row, column, memory))


def saves(extracts: Extracts, name: str, rival: str) -> str:
    """In how many of how many rows the student needs less."""
    found = _one(extracts, name)
    rows = found.rows_with(rival)
    return f"{sum(found.ratio(row, rival) > 1 for row in rows)} of {len(rows)}"


def where(extracts: Extracts, name: str, rival: str) -> str:
    """The rows in which the student needs less, or `none`."""
    found = _one(extracts, name)
    return ", ".join(f"`{row}`" for row in found.rows_with(rival) if found.ratio(row, rival) > 1) or "none"


def span(extracts: Extracts, name: str, rival: str) -> str:
    """Least and most of a rival over the student, over all rows."""
    found = _one(extracts, name)
    ratios = [found.ratio(row, rival) for row in found.rows_with(rival)]
    return f"{numbers.number(min(ratios))} to {numbers.number(max(ratios))}"


def spikes(extracts: Extracts, name: str) -> str:
    """Nonzero spikes per neuron and image."""
    return numbers.number(_one(extracts, name).spikes_per_neuron)


def images(extracts: Extracts, name: str) -> str:
    """How many."""
    return f"{_one(extracts, name).images}"


def psnr(extracts: Extracts, name: str, column: str) -> str:
    """Decibels on the report's crops, or a dash where it was not measured."""
    network = _one(extracts, name).networks.get(column)
    return "–" if network is None or network.psnr_db is None else f"{network.psnr_db:.2f}"


def command(extracts: Extracts, name: str) -> str:
    """The command that made the report."""
    return f"`{_one(extracts, name).command}`"


def chip(extracts: Extracts, name: str, row: str, key: str) -> str:
    """What a chip's model says beside the student's energy."""
    said = _one(extracts, name).side(row, "student").chip or {}
    if key not in said:
        raise ConfigError(f"{row}: nothing is said of {key!r}; only of {', '.join(said) or 'nothing'}")
    value = said[key]
    if isinstance(value, list):
        return "; ".join(map(str, value)) or "nothing"
    return numbers.number(value) if isinstance(value, int | float) else str(value)


def students(extracts: Extracts, rivals: str, names: str) -> str:
    """A table: a row for each model and precision, for each rival a column for each of several extracts.

    Args:
        extracts: all of them.
        rivals: columns of the report, separated by commas.
        names: of extracts, likewise.
    """
    chosen = {name: _one(extracts, name) for name in names.split(",")}
    asked = [(rival, name) for rival in rivals.split(",") for name in chosen]
    heads = [f"{NAMES.get(rival, rival)} / `{name}`" for rival, name in asked]
    cells = {
        row: [_cell(chosen[name], row, rival) for rival, name in asked]
        for row in dict.fromkeys(row for found in chosen.values() for row in found.rows)
    }
    return _table(["model", *heads], [[f"`{row}`", *of_row] for row, of_row in cells.items()])


def rivals(extracts: Extracts, name: str, columns: str = "teacher,twin,qann") -> str:
    """A table of one extract: a row for each model and precision, a column for each rival."""
    found, asked = _one(extracts, name), columns.split(",")
    heads = [f"{NAMES.get(rival, rival)} / student" for rival in asked]
    rows = [[f"`{row}`", *(_cell(found, row, rival) for rival in asked)] for row in found.rows]
    return _table(["model", *heads], rows)


def memories(extracts: Extracts, name: str, row: str, columns: str = "teacher,twin,qann") -> str:
    """A table of one model: a row for each reading of memories, a column for each rival."""
    found, asked = _one(extracts, name), columns.split(",")
    heads = [f"{NAMES.get(rival, rival)} / student" for rival in asked]
    known = found.side(row, "student").memories
    rows = [[memory, *(_marked(found.ratio(row, rival, memory)) for rival in asked)] for memory in known]
    return _table([f"`{row}`", *heads], rows)


def _cell(found: Extract, row: str, rival: str) -> str:
    """Bold where the student needs less; a dash where the rival has no cell."""
    return _marked(found.ratio(row, rival)) if rival in found.rows.get(row, {}) else "–"


def _marked(value: float) -> str:
    text = numbers.number(value)
    return f"**{text}**" if value > 1 else text


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


Figure = Callable[..., str]
FIGURES: Mapping[str, Figure] = {
    figure.__name__: figure
    for figure in (
        ratio,
        inverse,
        over,
        energy,
        saves,
        where,
        span,
        spikes,
        images,
        psnr,
        command,
        chip,
        students,
        rivals,
        memories,
    )
}
"""By the first word of a marker."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What figures come from: extracts by name, and the data of the break-even charts, if it is there."""

    extracts: Extracts
    pays: PaysReport | None = None

    @classmethod
    def of(cls, folder: Path) -> "Sources":
        """The files of docs/data.

        Raises:
            ArtifactError: one is damaged.
        """
        pays = folder / PAYS
        return cls(read_extracts(folder), read_pays(pays) if pays.exists() else None)


def figure_of(marker: str, sources: Sources) -> str:
    """The text that a marker asks for.

    Raises:
        ConfigError: it names no figure, too few or too many arguments, or data that is not there.
    """
    try:
        name, *words = shlex.split(marker)
    except ValueError as error:
        raise ConfigError(f"{marker!r} cannot be read ({error}); name one of {', '.join(FIGURES)}") from error
    places = [word for word in words if "=" not in word]
    named = dict(word.split("=", 1) for word in words if "=" in word)
    try:
        if name in FIGURES:
            return FIGURES[name](sources.extracts, *places, **named)
        if name in PAYS_FIGURES and sources.pays is None:
            raise ConfigError(f"{name} needs docs/data/{PAYS}; 'statements.py --charts' files it")
        if name in PAYS_FIGURES:
            return PAYS_FIGURES[name](sources.pays, *places, **named)
    except TypeError as error:
        raise ConfigError(f"{marker!r}: {error}") from error
    raise ConfigError(f"no figure {name!r}; there are {', '.join((*FIGURES, *PAYS_FIGURES))}")
