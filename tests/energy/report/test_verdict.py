import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snn_tool.energy.estimators.prices import packaged_pricing
from snn_tool.energy.report.document import verdict
from snn_tool.energy.report.split import ANY_WIDTH, AS_WIDE, FLOATS, split, why_one
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


@given(positive, positive, positive, positive)
def test_the_three_factors_multiply_to_the_ratio(
    teacher: float, twin: float, qann: float, student: float
) -> None:
    parts = split(teacher, twin, qann, student)
    assert parts.teacher_over_twin is not None and parts.teacher_over_student is not None
    product = parts.teacher_over_twin * parts.twin_over_qann * parts.qann_over_student
    assert product == pytest.approx(parts.teacher_over_student)
    assert parts.twin_over_student == pytest.approx(parts.twin_over_qann * parts.qann_over_student)


def test_without_a_teacher_bits_and_spikes_remain() -> None:
    parts = split(None, 10.0, 2.5, 5.0)
    assert (parts.teacher_over_twin, parts.teacher_over_student, parts.cnn_over_student) == (None, None, None)
    assert (parts.twin_over_qann, parts.qann_over_student, parts.twin_over_student) == (4.0, 0.5, 2.0)


def test_a_cnn_of_equal_quality_stands_beside_the_product() -> None:
    parts = split(40.0, 10.0, 2.5, 5.0, cnn_pj=7.5)
    assert parts.cnn_over_student == 1.5
    assert split(40.0, 10.0, 2.5, 5.0, cnn_pj=75.0).teacher_over_student == parts.teacher_over_student


@pytest.mark.parametrize(
    ("precision", "bits", "qann_pj", "note"),
    [
        ("fp32", 3, 10.0, FLOATS),
        ("int8", 8, 10.0, AS_WIDE),
        ("int8", 3, 10.0, ANY_WIDTH),
        ("int8", 3, 4.0, ""),
    ],
)
def test_a_factor_of_one_has_its_reason(precision: str, bits: int, qann_pj: float, note: str) -> None:
    assert why_one(packaged_pricing().precisions[precision], bits, 10.0, qann_pj) == note


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
            assert re.search(r"20(14|18|20|26)|SANA-FE|Edge TPU|2409|lava-dl|loihi1-", constant.source), key
    assert {key for key, c in table.items() if c.scope == "all-in"} == {"edge-mac"}
    for precision in packaged_pricing().precisions.values():
        assert set(precision.constants) <= set(table)
