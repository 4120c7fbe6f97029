"""Where an export goes, and the report of a verification, unless it is said."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from snn_tool.cli.app import run
from snn_tool.deploy.options import usual_out
from snn_tool.models.integer.file import save_integer_network
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.networks.shipped import student_path

NOISE = {"noise": {"task": "denoise", "sigma": [25.0, 25.0]}}


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("run/student.int.safetensors", "loihi", "run/student-loihi"),
        ("run/student.int.safetensors", "onnx", "run/student.onnx"),
        ("teacher.safetensors", "onnx", "teacher.onnx"),
        ("a/net.v2.nir", "netx", "a/net.v2-netx"),
    ],
)
def test_an_export_goes_beside_its_source(source: str, target: str, expected: str) -> None:
    assert usual_out(Path(source), target) == Path(expected)


def test_a_student_that_comes_along_is_exported_to_the_working_folder() -> None:
    assert usual_out(student_path("denoise-25"), "nir") == Path("denoise-25-nir")


@pytest.mark.slow
def test_export_and_verify_without_and_with_out(
    make_network: Callable[..., IntegerNetwork], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_integer_network(tmp_path / "s.int.safetensors", make_network("lif"), NOISE)
    options = ("--target", "loihi", "--size", "16", "--tiles", "1", "--no-verify")
    assert run(["-q", "export", str(tmp_path / "s.int.safetensors"), *options]) == 0
    bundle, report = tmp_path / "s-loihi", tmp_path / "report.json"
    assert run(["-q", "verify", str(bundle), "--backend", "nir", "--out", str(report)]) == 0
    assert not (bundle / "verification.json").exists()
    assert json.loads(report.read_text())["passed"] is True
    report.write_text('{"mine": 1}')
    capsys.readouterr()
    assert run(["-q", "verify", str(bundle), "--backend", "nir", "--out", str(report)]) == 1
    assert str(report) in capsys.readouterr().err and json.loads(report.read_text()) == {"mine": 1}
