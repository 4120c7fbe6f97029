import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snn_tool.energy.estimators.prices import packaged_pricing
from snn_tool.energy.report.types import split, verdict
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


@pytest.mark.parametrize(("ratio", "outcome"), [(0.4, "fails"), (0.5, "holds"), (0.6, "holds")])
def test_a_claim_and_a_ratio_may_be_below_one(ratio: float, outcome: str) -> None:
    """Spikes that cost twice as much."""
    assert verdict(0.5, {"a": ratio}).outcome == outcome


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


def test_the_quantised_twin_divides_the_spikes_factor() -> None:
    parts = split(40.0, 10.0, 5.0, 2.5)
    assert (parts.twin_over_qann, parts.qann_over_student) == (4.0, 0.5)
    assert parts.twin_over_qann * parts.qann_over_student == parts.twin_over_student


def test_precisions_price_macs_and_accumulates() -> None:
    pricing = packaged_pricing()
    at = {name: pricing.at(name) for name in pricing.precisions}
    prices = {name: (round(p.mac_pj, 6), p.ac_pj, p.leak_pj) for name, p in at.items()}
    assert prices == {
        "fp32": (4.6, 0.9, 3.7),
        "fp16": (1.5, 0.4, 1.1),
        "int8": (0.3, 0.1, 3.1),
        "int8-narrow": (0.23, 0.03, 0.2),
    }
    # Four of eight bits: half the multiplier.
    assert at["int8"].narrow_mac_pj(4) == pytest.approx(0.1 + 0.1)
    assert at["int8"].narrow_mac_pj(None) == at["int8"].mac_pj


def test_every_constant_has_its_provenance() -> None:
    table = packaged_pricing().constants
    for key, constant in table.items():
        assert constant.value > 0 and len(constant.source) > 20, key
        if constant.grade == "assumed":
            assert constant.source.startswith(("assumption:", "derived from")), key
        else:
            assert re.search(r"20(14|18|20|26)|SANA-FE|Edge TPU|2409", constant.source), key
    assert {key for key, c in table.items() if c.scope == "all-in"} == {"edge-mac"}
    for precision in packaged_pricing().precisions.values():
        assert set(precision.constants) <= set(table)
