"""`snn-tool energy pays`: the files, students of one's own, and what is refused in one line."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from snn_tool.cli.app import run
from snn_tool.energy.report.pays import KIND
from snn_tool.files.artifacts import sha256_file
from snn_tool.models.integer.file import save_integer_network
from snn_tool.models.integer.network import IntegerNetwork

Make = Callable[..., IntegerNetwork]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory, photograph: NDArray[np.float32]) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    pixels = (np.clip(photograph, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    Image.fromarray(np.ascontiguousarray(pixels[:24, :32])).save(folder / "0.png")
    return folder


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory, make_network: Make) -> Path:
    path = tmp_path_factory.mktemp("students") / "mine.int.safetensors"
    save_integer_network(path, make_network("lif"), {"noise": {"task": "denoise", "sigma": [25.0, 25.0]}})
    return path


@pytest.mark.slow
def test_students_of_ones_own_stand_on_the_charts(student: Path, photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "pays.html"
    asked = ["-q", "energy", "pays", "--student", str(student), "--images", str(photographs)]
    assert run([*asked, "--crop", "16", "--out", str(out)]) == 0
    found = json.loads(out.with_suffix(".json").read_text())
    assert (found["kind"], found["schema"], found["crop"]) == (KIND, 1, 16)
    (point,) = found["students"]
    assert (point["name"], point["neurons"], point["images"]) == (student.name, "binary, T = 4", 1)
    assert found["hashes"] == {student.name: sha256_file(student)}
    assert out.read_text().count('<svg class="curves"') == 2 * len(found["models"])
    assert student.name in out.read_text()
    first = out.read_bytes()
    assert run([*asked, "--crop", "16", "--out", str(out)]) == 1, "it is there already"
    assert run([*asked, "--crop", "16", "--out", str(out), "--overwrite"]) == 0
    assert out.read_bytes() == first


@pytest.mark.slow
def test_without_a_student_there_are_the_curves_alone(tmp_path: Path) -> None:
    out = tmp_path / "pays.html"
    assert run(["-q", "energy", "pays", "--neurons", "4096", "--out", str(out)]) == 0
    found = json.loads(out.with_suffix(".json").read_text())
    assert found["students"] == [] and found["neurons"] == 4096 and found["curves"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--student", "denoise-25"), "give --images DIR"),
        (("--images", "."), "give --student"),
        (("--student", "no-such", "--images", "."), "no student 'no-such' comes with snn-tool"),
        (("--lowering", "sideways"), "sideways"),
        (("--profile", "none.toml"), "none.toml"),
    ],
)
def test_bad_input_is_told_in_one_line(
    options: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["energy", "pays", *options, "--out", str(tmp_path / "pays.html")]) == 1
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_the_page_is_html(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["energy", "pays", "--out", str(tmp_path / "pays.json")]) == 1
    assert ".html" in capsys.readouterr().err
