"""Every task from photographs to a verified bundle and an energy report, at tiny sizes."""

import json
from pathlib import Path

import numpy as np
import pytest
from snn_tool.cli.app import run
from snn_tool.degradations.crops import TEST, read_photograph
from snn_tool.degradations.tasks import TASKS, degradation_from_options
from snn_tool.files.artifacts import read_json
from snn_tool.images.files import read_image, write_image

TINY = ["--width", "4", "--batch", "2", "--patch", "16", "--max-steps", "2", "--device", "cpu"]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four windows of 32 x 40 pixels."""
    folder = tmp_path_factory.mktemp("photographs")
    for index, (package, name) in enumerate(TEST * 2):
        window = read_photograph(package, name)[index * 40 : index * 40 + 32, 100:140]
        write_image(folder / f"{index}.png", np.ascontiguousarray(window))
    return folder


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    """What a command says in JSON; it must succeed."""
    capsys.readouterr()
    assert run(["-q", "--json", *arguments]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("task", list(TASKS))
def test_a_student_knows_its_task_up_to_the_energy_report(
    task: str, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    described = json.loads(json.dumps(degradation_from_options(task).describe()))
    data, out = str(photographs), str(tmp_path)
    teacher = ["--option", "width=4", *TINY[2:]]
    assert run(["-q", "train", "--data", data, "--task", task, "--out", f"{out}/t", *teacher]) == 0
    assert read_json(tmp_path / "t/teacher.json", "teacher", 1)["training"]["task"] == described
    guide = ["--teacher", f"{out}/t/teacher.safetensors"]
    assert run(["-q", "distill", "--data", data, "--task", task, "--out", f"{out}/s", *guide, *TINY]) == 0
    assert run(["-q", "quantize", f"{out}/s/student.safetensors", "--data", data]) == 0
    student = f"{out}/s/student.int.safetensors"
    scores = document(capsys, "evaluate", "--student", student, "--data", data)
    assert scores["task"] == described
    assert ("psnr_y_db" in scores["mean"]) == ("luma" in scores["protocol"]) == (task == "derain")  # type: ignore[operator]
    bundle = ["--target", "loihi", "--out", f"{out}/b", "--size", "16", "--tiles", "1", "--no-verify"]
    assert run(["-q", "export", student, *bundle]) == 0
    checked = document(capsys, "verify", f"{out}/b", "--backend", "nir", "--images", data, "--tiles", "1")
    assert checked["photographs"]["degradation"] == described  # type: ignore[index]
    energy = ["--student", student, "--images", data, "--out", f"{out}/e", "--no-sweep"]
    assert run(["-q", "energy", "report", *energy]) == 0
    assert json.loads((tmp_path / "e/energy.json").read_text())["degradation"] == described
    assert run(["-q", "restore", data, "--student", student, "--out", f"{out}/r"]) == 0
    assert read_image(tmp_path / "r/0.png").shape == (32, 40, 3)


@pytest.mark.slow
def test_pairs_that_degrade_wrote_go_all_the_way(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The scores on recorded pairs are those on the same rain drawn anew, but for the copies' 8 bits."""
    out, pairs = str(tmp_path), ["--pairs", str(tmp_path / "pairs")]
    rain = ["--task", "derain", "--strength", "0.8"]
    degraded = document(
        capsys, "degrade", "--images", str(photographs), "--out", f"{out}/pairs", *rain, "--seed", "5"
    )
    assert len(degraded["images"]) == 4  # type: ignore[arg-type]
    assert read_image(tmp_path / "pairs/contact-sheet.png").shape == (516, 4 * 260 - 4, 3)
    assert run(["-q", "distill", *pairs, "--task", "derain", "--out", f"{out}/s", *TINY]) == 0
    assert run(["-q", "quantize", f"{out}/s/student.safetensors", *pairs]) == 0
    student = ["--student", f"{out}/s/student.int.safetensors"]
    recorded = document(capsys, "evaluate", *student, *pairs)
    assert recorded["task"] == {"task": "derain", "images": "pairs"}
    assert "recorded pairs" in recorded["protocol"]  # type: ignore[operator]
    anew = document(capsys, "evaluate", *student, "--data", str(photographs), *rain, "--seed", "5")
    assert recorded["mean"]["degraded_psnr_y_db"] == anew["mean"]["degraded_psnr_y_db"]  # type: ignore[index]
    assert run(["-q", "energy", "report", *student, *pairs, "--out", f"{out}/e", "--no-sweep"]) == 0
    report = json.loads((tmp_path / "e/energy.json").read_text())
    assert report["degradation"] == recorded["task"]
    assert {"0.png", "degraded/0.png"} <= set(report["hashes"])
