"""One convention for results: `to_dict` gives plain values, `to_json` their text."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
import snn_tool as st
from snn_tool.auditing.nir import NirEnergyReport
from snn_tool.energy.counts.profilers import ParameterAudit
from snn_tool.exporters.sanafe.report import SanafeReport
from snn_tool.exporters.verify.report import VerificationReport
from snn_tool.results import Result


@dataclass(frozen=True, slots=True)
class Found(Result):
    value: float

    def to_dict(self) -> dict[str, Any]:
        return {"value": self.value}


@pytest.mark.parametrize(
    "kind",
    [
        *(st.Audit, st.Bundle, st.Report, st.Run, st.SpikeCount),
        *(VerificationReport, SanafeReport, NirEnergyReport, ParameterAudit),
    ],
)
def test_every_result_follows_it(kind: type) -> None:
    assert issubclass(kind, Result)
    assert kind.to_json is Result.to_json and kind.to_dict is not Result.to_dict


def test_text_and_values_agree() -> None:
    found = Found(0.5)
    assert json.loads(found.to_json()) == found.to_dict() == {"value": 0.5}
    assert not hasattr(found, "__dict__")
    with pytest.raises(ValueError, match="nan"):
        Found(float("nan")).to_json()


def test_a_verification_is_a_plain_dict() -> None:
    report = VerificationReport("0" * 64, None, ())
    assert report.to_dict()["passed"] is True and report.to_dict()["manifest_sha256"] == "0" * 64
    assert json.loads(report.to_json())["results"] == []
