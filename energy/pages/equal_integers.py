"""The first table of both pages: student against its own integers on a dense array, then against the rest."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from snn_tool.energy.pages import numbers
from snn_tool.energy.report.document import EnergyReport, RatioRow, SpikeBalance, model_of
from snn_tool.energy.report.split import Split

TITLE = "Equal integers first: what is divided by the student's energy"
SPIKES_MARK = "●"
"""Beside a row in which spikes save energy."""


class SplitOf(Protocol):
    """A row of the grid with its factors."""

    @property
    def model(self) -> str:
        """`model/precision`."""

    @property
    def split(self) -> Split:
        """Its factors."""


class Balanced(Protocol):
    """What is said of spikes, and of what: a report, or as much of one as was read from its file."""

    @property
    def timesteps(self) -> int:
        """T of the student."""

    @property
    def spikes(self) -> SpikeBalance:
        """Where they pay."""

    @property
    def ratios(self) -> Sequence[SplitOf]:
        """The rows."""


@dataclass(frozen=True, slots=True)
class EqualRow:
    """One model at one precision; every number as text.

    Attributes:
        row: `model/precision`.
        saves: the quantised twin needs more energy than the student.
        spikes: quantised twin over student.
        cnn: int8 CNN of the student's quality over student.
        smaller, bits: the other two factors of `teacher`: teacher over twin, and twin over quantised twin.
        teacher: teacher over student.
        note: why `bits` is exactly 1; empty where it is not.
    """

    row: str
    saves: bool
    spikes: str
    cnn: str
    smaller: str
    bits: str
    teacher: str
    note: str

    @property
    def mark(self) -> str:
        """Whether spikes save, without colour."""
        return SPIKES_MARK if self.saves else ""


def equal_rows(report: EnergyReport) -> tuple[EqualRow, ...]:
    """A row for each of the grid, in its order."""
    return tuple(_row(row) for row in report.ratios)


def _row(row: RatioRow) -> EqualRow:
    split = row.split
    return EqualRow(
        row=row.model,
        saves=split.qann_over_student > 1,
        spikes=numbers.factor(split.qann_over_student),
        cnn=numbers.factor(split.cnn_over_student),
        smaller=numbers.factor(split.teacher_over_twin),
        bits=numbers.factor(split.twin_over_qann),
        teacher=numbers.factor(split.teacher_over_student),
        note=split.note,
    )


def notes(report: EnergyReport) -> tuple[str, ...]:
    """A sentence for each reason why fewer bits are worth exactly 1, with the rows where it holds."""
    rows: dict[str, list[str]] = {}
    for row in report.ratios:
        if row.split.note:
            rows.setdefault(row.split.note, []).append(row.model)
    known = [row.model for row in report.ratios]
    return tuple(
        f"Fewer bits are worth exactly 1 in {', '.join(grouped(named, known))}: {note}."
        for note, named in rows.items()
    )


def grouped(rows: list[str], known: list[str]) -> list[str]:
    """Models of which all rows are among `rows`, by their name alone; other rows in full."""
    split = {model_of(name) for name in known if name not in rows}
    return list(dict.fromkeys(name if model_of(name) in split else model_of(name) for name in rows))


def pays(report: Balanced) -> str:
    """In how many estimates spikes save energy at equal integers, and in which."""
    balance = report.spikes
    said = f"At equal integers spikes save energy in {len(balance.saving)} of {balance.cells} estimates"
    if not balance.saving:
        return f"{said}."
    return f"{said}: {', '.join(grouped(list(balance.saving), [row.model for row in report.ratios]))}."


def why(report: Balanced) -> str:
    """What decides it: what one spike costs, how many are delivered, and what membranes cost."""
    balance = report.spikes
    steps = f"T = {report.timesteps} steps deliver" if report.timesteps > 1 else "T = 1 step delivers"
    kind = (
        "A binary spike costs an addition where the dense array multiplies and adds"
        if balance.binary
        else "A graded spike costs a small multiplication and addition, as a dense MAC does"
    )
    return (
        f"{kind}; {steps} {numbers.number(balance.deliveries_per_mac)} spikes for each dense MAC "
        f"({_fan_out(balance)}), and the image costs {numbers.factor(balance.image_macs)} the MACs of a "
        f"first layer computed once.{_membranes(balance)}"
    )


def _fan_out(balance: SpikeBalance) -> str:
    if balance.fan_out == 1:
        return "each synapse is delivered once"
    return f"the fan-out of shortcuts multiplies them by {numbers.number(balance.fan_out)}"


def _membranes(balance: SpikeBalance) -> str:
    if balance.membranes_least is None or balance.membranes_most is None:
        return ""
    return (
        f" Where memory is charged, reading and writing membranes takes "
        f"{numbers.percent(balance.membranes_least)} to {numbers.percent(balance.membranes_most)} of the "
        "student's energy; a dense array writes each result once."
    )
