"""The main job, with a twentieth of its training: everything that its page promises is there."""

import json
from pathlib import Path

import pytest
from snn_tool.cli.app import run
from snn_tool.degradations.crops import TEST, TRAINING
from snn_tool.energy.estimators.registry import MODELS
from snn_tool.errors import BackendUnavailableError
from snn_tool.exporters.lava.installation import provision_lava

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        provision_lava(print)
    except BackendUnavailableError as error:
        pytest.skip(str(error))
    out = tmp_path_factory.mktemp("demo") / "out"
    assert run(["-q", "demo", "--quick", "--out", str(out)]) == 0
    return out


def test_training_and_test_photographs_are_disjoint(demo: Path) -> None:
    names = {
        kind: {p.name for p in (demo / "photographs" / kind).glob("*.png")} for kind in ("train", "test")
    }
    assert (len(names["train"]), len(names["test"])) == (len(TRAINING), len(TEST))
    assert names["train"].isdisjoint(names["test"])


def test_every_backend_is_exact(demo: Path) -> None:
    report = json.loads((demo / "loihi/verification.json").read_text())
    assert [result["backend"] for result in report["results"]] == ["nir", "lava"]
    for result in report["results"]:
        assert (result["status"], result["mismatches"]) == ("exact", 0)
        assert result["values_compared"] > 1_000_000
    assert report["passed"] is True


def test_even_little_training_removes_noise(demo: Path) -> None:
    mean = json.loads((demo / "evaluation.json").read_text())["mean"]
    assert mean["psnr_db"] - mean["degraded_psnr_db"] > 5


def test_the_audit_has_every_network_every_model_and_a_verdict(demo: Path) -> None:
    report = json.loads((demo / "energy/energy.json").read_text())
    assert [column["name"] for column in report["columns"]] == ["teacher", "twin", "qann", "student"]
    assert all(column["quality"]["psnr_db"] > 20 for column in report["columns"])
    assert {cell["model"] for cell in report["cells"]} == set(MODELS)
    assert (report["verdict"]["claim"], report["verdict"]["outcome"]) == (50.0, "fails")


def test_the_page_stands_alone(demo: Path) -> None:
    page = (demo / "index.html").read_text()
    assert page.count('src="data:image/png;base64,') == 3 * len(TEST)
    assert 'href="energy/energy.html"' in page and (demo / "energy/energy.html").exists()
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    assert "<script" not in page and "<svg" in page
    assert page.count("exact</td>") == 2
    assert "published shape, 26.1 M parameters" in page and "has 219 k parameters" in page


def test_an_interrupted_demo_goes_on_and_a_second_one_is_refused(demo: Path) -> None:
    """All trainings are done, so that resuming repeats only what follows them, with the same bytes."""
    page, log = (demo / "index.html").read_bytes(), (demo / "student/metrics.csv").read_bytes()
    student = (demo / "student/student.safetensors").read_bytes()
    (demo / "index.html").unlink()
    assert run(["-q", "demo", "--quick", "--out", str(demo)]) == 1
    assert run(["-q", "demo", "--quick", "--out", str(demo), "--resume"]) == 0
    assert (demo / "index.html").read_bytes() == page
    assert (demo / "student/student.safetensors").read_bytes() == student
    assert (demo / "student/metrics.csv").read_bytes() == log
