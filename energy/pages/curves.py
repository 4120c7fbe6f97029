"""Where the lines and marks of the break-even charts lie: two panels for each model, in an SVG's own units.

Across: synapses that a spike reaches, or timesteps, each of which reads and writes every membrane once more.
Upright: spikes per neuron and timestep. Below a line spikes cost less than the dense rival. All panels have
the same axes, so that models can be compared by eye.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from snn_tool.energy.pages.numbers import number
from snn_tool.energy.report.equality import RIVALS
from snn_tool.energy.report.hidden_layer import BINARY
from snn_tool.energy.report.pays import USUAL, Bound, Curve, PaysReport, Swept
from snn_tool.energy.report.robustness import PER_STEP
from snn_tool.energy.report.standings import StudentPoint

WIDTH, HEIGHT = 440, 340
LEFT, RIGHT, TOP, BOTTOM = 46, 344, 14, 292
"""Edges of the plot; labels of lines stand to the right of it."""

LINE_HEIGHT = 14
NEAR = 16
"""Students of one kind that lie closer than this share a label."""

STYLES = {rival: style for rival, style in zip(RIVALS, ("equal", "int8", "fp32"), strict=True)}
NAMES = {RIVALS[0]: "same integers", RIVALS[1]: "int8 twin", RIVALS[2]: "fp32 twin"}


@dataclass(frozen=True, slots=True)
class Scale:
    """A logarithmic axis: `low` lies at `start`, `high` at `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Position of a value, rounded to tenths."""
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def holds(self, value: float) -> bool:
        """Whether it lies on the axis."""
        return self.low <= value <= self.high


UP = Scale(1e-4, 10, BOTTOM, TOP)
MEASURED = "measured"
"""Style of the dot of a network that somebody measured on a chip."""

SWEPT: tuple[Swept, ...] = ("fan_out", "timesteps")
UP_TICKS = ((10, "10"), (1, "1"), (0.1, "0.1"), (0.01, "0.01"), (1e-3, "10⁻³"), (1e-4, "10⁻⁴"))
ACROSS: dict[Swept, Scale] = {
    "fan_out": Scale(8, 5000, LEFT, RIGHT),
    "timesteps": Scale(0.9, 70, LEFT, RIGHT),
}
TICKS: dict[Swept, tuple[int, ...]] = {
    "fan_out": (10, 30, 100, 300, 1000, 3000),
    "timesteps": (1, 2, 4, 8, 16, 32, 64),
}
TITLES = {
    "fan_out": "synapses that a spike reaches",
    "timesteps": "timesteps: accesses to each membrane",
}


@dataclass(frozen=True, slots=True)
class Label:
    """A word at a place, moved up or down until no other stands in its line."""

    y: float
    text: str
    style: str


@dataclass(frozen=True, slots=True)
class Line:
    """A polyline: its points as SVG writes them, and its style."""

    points: str
    style: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a student would cost what a rival does; `style` names the rival."""

    y: float
    style: str


@dataclass(frozen=True, slots=True)
class Dot:
    """A student.

    Attributes:
        x, y: where it lies.
        style: `student` or `measured`.
        label: its name, or that of the first of a group; empty for the others.
        marks: its own break-even by rival; of labelled students alone.
        reach: upright extent of the line through dot and marks.
        silent: it costs more than the first rival even in silence, so that the line leaves the chart.
    """

    x: float
    y: float
    style: str
    label: str
    marks: tuple[Mark, ...]
    reach: tuple[float, float]
    silent: bool


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart.

    Attributes:
        title: of the axis across.
        across: position and text of its ticks.
        up: likewise, upright.
        certain: height of a rate of 1.
        bands: published ranges, as polygons' points.
        lines: break-even, and published bounds.
        labels: to the right of the plot.
        diamonds: published bounds at one T.
        dots: students.
    """

    title: str
    across: tuple[tuple[float, str], ...]
    up: tuple[tuple[float, str], ...]
    certain: float
    bands: tuple[str, ...]
    lines: tuple[Line, ...]
    labels: tuple[Label, ...]
    diamonds: tuple[tuple[float, float], ...]
    dots: tuple[Dot, ...]


def panel(report: PaysReport, model: str, across: Swept) -> Panel:
    """One of a model's two charts.

    Args:
        report: the data.
        model: name of it.
        across: what is swept.
    """
    chosen = [curve for curve in report.curves if curve.model == model and curve.across == across]
    shown = _shown(chosen, across)
    known = report.bounds if across == "timesteps" else ()
    lines = [(line, label) for curve, title in shown for line, label in _curve(curve, title)]
    lines += [pair for bound in known for pair in _bound_line(bound)]
    labels = [label for _, label in lines] + [label for bound in known for label in _bound_label(bound)]
    scale = ACROSS[across]
    return Panel(
        title=TITLES[across],
        across=tuple((scale.at(value), f"{value}") for value in TICKS[across]),
        up=tuple((UP.at(value), text) for value, text in UP_TICKS),
        certain=UP.at(1),
        bands=tuple(_band(bound) for bound in known if bound.low != bound.high),
        lines=tuple(line for line, _ in lines),
        labels=spaced(labels),
        diamonds=tuple((scale.at(b.timesteps), UP.at(b.low)) for b in known if b.timesteps),
        dots=dots(report.students, model, across) + dots(report.measured, model, across, MEASURED),
    )


def _shown(curves: Sequence[Curve], across: Swept) -> list[tuple[Curve, str]]:
    """What one panel shows, with its labels.

    Where memories decide, the first rival by every reading of them; else against fan-out every kind by the
    first rival. The usual kind by the other rivals, always.
    """
    first = (curves[0].rival, curves[0].precision)
    usual = [c for c in curves if c.neurons in (USUAL.name, BINARY)]
    others = [
        (c, NAMES[c.rival, c.precision]) for c in usual if (c.rival, c.precision) != first and not c.memory
    ]
    of_first = [curve for curve in curves if (curve.rival, curve.precision) == first]
    if any(curve.memory for curve in of_first):
        return [(c, short(c.memory)) for c in of_first if c in usual] + others
    if across == "timesteps":
        return [(c, NAMES[c.rival, c.precision]) for c in of_first] + others
    return [(c, c.neurons.removeprefix(f"{BINARY}, ")) for c in of_first] + others


def short(memory: str) -> str:
    """A reading of memories in as few words as fit beside a chart."""
    return memory.removeprefix("state in ").removesuffix(" the neuron") or "memory per layer"


def style(curve: Curve) -> str:
    """Class of a curve: its rival, and its kind."""
    kind = BINARY if curve.neurons.startswith(BINARY) else "graded"
    steps = curve.neurons.rpartition("= ")[2] if curve.across == "fan_out" and kind == BINARY else "4"
    return f"{STYLES[curve.rival, curve.precision]} {kind} t{steps}{' memory' * bool(curve.memory)}"


def _curve(curve: Curve, title: str) -> Iterable[tuple[Line, Label]]:
    """Its visible pieces; the last one carries the label."""
    scale, name = ACROSS[curve.across], style(curve)
    visible = groupby(curve.points, key=lambda point: point[1] is not None and UP.holds(point[1]))
    pieces = [[(scale.at(x), UP.at(y)) for x, y in piece if y] for held, piece in visible if held]
    for index, piece in enumerate(pieces):
        last = index == len(pieces) - 1
        text = " ".join(f"{x},{y}" for x, y in piece)
        yield Line(text, name), Label(piece[-1][1], title if last else "", name)


def _bound_line(bound: Bound) -> Iterable[tuple[Line, Label]]:
    """A bound that is one number for every T."""
    if bound.low == bound.high and not bound.timesteps:
        points = _over_time(bound, bound.low)
        yield Line(_text(points), "published"), Label(points[-1][1], _author(bound), "published")


def _bound_label(bound: Bound) -> Iterable[Label]:
    """Of a band in the middle of its right edge, of a diamond at its height."""
    if bound.timesteps:
        yield Label(UP.at(bound.low), f"{_author(bound)} ◆", "published")
    elif bound.low != bound.high:
        low, high = (_over_time(bound, value)[-1][1] for value in (bound.low, bound.high))
        yield Label((low + high) / 2, _author(bound), "published")


def _band(bound: Bound) -> str:
    return _text([*_over_time(bound, bound.high), *reversed(_over_time(bound, bound.low))])


def _over_time(bound: Bound, value: float) -> list[tuple[float, float]]:
    """A bound on spikes of a whole image falls with T; one on a step does not."""
    scale = ACROSS["timesteps"]
    ends = (1, 64)
    return [(scale.at(t), UP.at(value if bound.quantity == PER_STEP else value / t)) for t in ends]


def _text(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in points)


def _author(bound: Bound) -> str:
    return bound.source.split()[0].rstrip(",")


def spaced(labels: Iterable[Label]) -> tuple[Label, ...]:
    """Labels from the top down, each at least a line below the one before, and none below the plot."""
    ordered = sorted((label for label in labels if label.text), key=lambda label: label.y)
    placed: list[Label] = []
    for label in ordered:
        least = placed[-1].y + LINE_HEIGHT if placed else TOP
        placed.append(replace(label, y=round(max(label.y, least), 1)))
    excess = max(0.0, placed[-1].y - BOTTOM) if placed else 0.0
    lowest = float(BOTTOM)
    for index in range(len(placed) - 1, -1, -1):
        if excess and placed[index].y > lowest:
            placed[index] = replace(placed[index], y=lowest)
        lowest = placed[index].y - LINE_HEIGHT
    return tuple(placed)


def dots(
    students: Sequence[StudentPoint], model: str, across: Swept, kind: str = "student"
) -> tuple[Dot, ...]:
    """Every student; those of one kind that lie close together share the first one's label."""
    groups: list[list[StudentPoint]] = []
    for student in students:
        near = (g for g in groups if g[0].neurons == student.neurons and _close(g[0], student, across))
        group = next(near, None)
        if group is None:
            groups.append([student])
        else:
            group.append(student)
    return tuple(
        _dot(student, model, across, len(group) if student is group[0] else 0, kind)
        for group in groups
        for student in group
    )


def _place(student: StudentPoint, across: Swept) -> tuple[float, float]:
    value = student.fan_out if across == "fan_out" else student.timesteps
    scale = ACROSS[across]
    return scale.at(min(max(value, scale.low), scale.high)), UP.at(min(max(student.rate, UP.low), UP.high))


def _close(one: StudentPoint, other: StudentPoint, across: Swept) -> bool:
    return math.dist(_place(one, across), _place(other, across)) < NEAR


def _dot(student: StudentPoint, model: str, across: Swept, shared: int, kind: str) -> Dot:
    """`shared` is the size of the group that it gives its name to, 0 for its other members."""
    x, y = _place(student, across)
    of_model = [s for s in student.standings if s.model == model and not s.memory]
    if not shared or not of_model:
        return Dot(x, y, kind, "", (), (y, y), False)
    marks = tuple(
        Mark(UP.at(s.rate), STYLES[s.rival, s.precision]) for s in of_model if s.rate and UP.holds(s.rate)
    )
    silent = of_model[0].rate is None
    heights = [y, *(mark.y for mark in marks), *([BOTTOM] if silent else [])]
    label = student.name + (f" and {shared - 1} more" if shared > 1 else "")
    return Dot(x, y, kind, label, marks, (min(heights), max(heights)), silent)


def rate_text(rate: float | None) -> str:
    """A break-even rate in words."""
    if rate is None:
        return "never"
    return "always" if rate >= 1 else number(rate)
