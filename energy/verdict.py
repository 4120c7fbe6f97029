"""Whether a claimed energy advantage survives every model, no model, or only some."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from snn_tool.errors import ConfigError

Outcome = Literal["holds", "fails", "depends"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A claim and the models on each side of it.

    Attributes:
        claim: how many times less energy is claimed.
        outcome: `holds` if every model reaches the claim, `fails` if none does, else `depends`.
        supporting: models whose ratio is at least the claim, in the order given.
        refuting: the others.
    """

    claim: float
    outcome: Outcome
    supporting: tuple[str, ...]
    refuting: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """A ratio as the product of what a smaller network saves and what spikes save.

        teacher / student = (teacher / twin) (twin / student)
        twin / student = (twin / qann) (qann / student)

    Attributes:
        teacher_over_twin: the smaller network's share; None without a teacher.
        twin_over_student: the spikes' share, between networks of one shape.
        teacher_over_student: the product; None without a teacher.
        twin_over_qann: what fewer bits of the activations save without spikes; None where the quantised twin
            has no cell.
        qann_over_student: what spikes save between networks of one shape and one number of levels; likewise.
    """

    teacher_over_twin: float | None
    twin_over_student: float
    teacher_over_student: float | None
    twin_over_qann: float | None = None
    qann_over_student: float | None = None


def split(teacher_pj: float | None, twin_pj: float, student_pj: float, qann_pj: float | None = None) -> Split:
    """The factors from energies in picojoules, each above zero."""
    return Split(
        teacher_pj / twin_pj if teacher_pj is not None else None,
        twin_pj / student_pj,
        teacher_pj / student_pj if teacher_pj is not None else None,
        twin_pj / qann_pj if qann_pj is not None else None,
        qann_pj / student_pj if qann_pj is not None else None,
    )


def verdict(claim: float, ratios: Mapping[str, float]) -> Verdict:
    """Compare a claimed ratio with what each model estimates.

    Args:
        claim: claimed factor, finite and above 0; 50 stands for "one fiftieth of the energy".
        ratios: reference energy over student energy by model, at least one, each finite and above 0.

    Raises:
        ConfigError: the claim or a ratio is not a positive number, or there is no ratio.
    """
    check_claim(claim)
    if not ratios:
        raise ConfigError("no energy ratio to judge the claim by; name at least one model")
    for name, ratio in ratios.items():
        if not (math.isfinite(ratio) and ratio > 0):
            raise ConfigError(f"the ratio of model {name} is {ratio!r}; it must be a finite number above 0")
    supporting = tuple(name for name, ratio in ratios.items() if ratio >= claim)
    refuting = tuple(name for name, ratio in ratios.items() if ratio < claim)
    outcome: Outcome = "depends" if supporting and refuting else "holds" if supporting else "fails"
    return Verdict(claim, outcome, supporting, refuting)


def check_claim(claim: float) -> None:
    """Refuse what cannot be claimed.

    Raises:
        ConfigError: the claim is not a positive number.
    """
    if not (math.isfinite(claim) and claim > 0):
        raise ConfigError(f"claim = {claim!r} is not allowed; use a finite factor above 0, such as 50")
