import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snn_tool.energy.constants import HOROWITZ, PRECISIONS
from snn_tool.energy.verdict import split, verdict
from snn_tool.errors import ConfigError

positive = st.floats(1e-3, 1e9)


def test_all_models_reach_the_claim() -> None:
    judged = verdict(50, {"a": 50.0, "b": 51.0})
    assert (judged.outcome, judged.supporting, judged.refuting) == ("holds", ("a", "b"), ())


def test_no_model_reaches_the_claim() -> None:
    judged = verdict(50, {"a": 49.9, "b": 0.5})
    assert (judged.outcome, judged.supporting, judged.refuting) == ("fails", (), ("a", "b"))


def test_models_that_disagree_are_named_on_their_sides() -> None:
    judged = verdict(50, {"a": 387.0, "b": 12.0, "c": 64.0})
    assert (judged.outcome, judged.supporting, judged.refuting) == ("depends", ("a", "c"), ("b",))


@pytest.mark.parametrize("claim", [0.0, -50.0, math.nan, math.inf])
def test_a_claim_must_be_a_positive_number(claim: float) -> None:
    with pytest.raises(ConfigError, match="claim"):
        verdict(claim, {"a": 1.0})


@pytest.mark.parametrize("ratio", [0.0, -1.0, math.nan, math.inf])
def test_a_ratio_must_be_a_positive_number(ratio: float) -> None:
    with pytest.raises(ConfigError, match="model a"):
        verdict(50, {"b": 1.0, "a": ratio})


def test_no_ratio_is_no_verdict() -> None:
    with pytest.raises(ConfigError, match="at least one model"):
        verdict(50, {})


@given(positive, positive, positive)
def test_the_two_factors_multiply_to_the_ratio(teacher: float, twin: float, student: float) -> None:
    parts = split(teacher, twin, student)
    assert parts.teacher_over_twin is not None and parts.teacher_over_student is not None
    assert parts.teacher_over_student == pytest.approx(parts.teacher_over_twin * parts.twin_over_student)


def test_without_a_teacher_only_the_spikes_factor_remains() -> None:
    parts = split(None, 10.0, 5.0)
    assert (parts.teacher_over_twin, parts.twin_over_student, parts.teacher_over_student) == (None, 2.0, None)


def test_precisions_price_macs_and_accumulates() -> None:
    prices = {name: (p.mac_pj, p.ac_pj, p.leak_pj) for name, p in PRECISIONS.items()}
    assert prices == {"fp32": (4.6, 0.9, 3.7), "int8": (0.3, 0.1, 3.1), "int8-narrow": (0.23, 0.03, 0.2)}


def test_every_constant_has_its_provenance() -> None:
    for constant in HOROWITZ.values():
        assert "ISSCC 2014" in constant.source
        assert (constant.process_nm, constant.voltage_v, constant.scope) == (45, 0.9, "per-op")
        assert constant.value_pj > 0
    for precision in PRECISIONS.values():
        assert set(precision.constants) <= set(HOROWITZ)
