"""Two processes under torchrun against one at the same global batch, and the average of the weights."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file
from snn_tool.degradations.crops import read_photograph
from snn_tool.errors import Interrupted
from snn_tool.training.callbacks import Checkpoints, GracefulInterrupt
from snn_tool.training.run_folder import RunFolder, read_checkpoint
from snn_tool.training.runs import TaskOptions, distill_student
from snn_tool.training.settings import load_settings

pytestmark = pytest.mark.slow

STEPS = 12
FIXED = ("--width", "4", "--batch", "4", "--patch", "16", "--validate-every", "4", "--device", "cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photographs")
    for index, name in enumerate(("chelsea.png", "rocket.jpg", "coffee.png")):
        image = read_photograph("skimage.data", name)
        for half, crop in enumerate((image[:64, :96], image[100:164, 200:264])):
            Image.fromarray(np.ascontiguousarray(crop)).save(path / f"{index}{half}.png")
    return path


def distill(folder: Path, out: Path, processes: int, *more: str) -> subprocess.CompletedProcess[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    arguments = ["-q", "distill", "--data", str(folder), "--out", str(out), "--max-steps", str(STEPS)]
    return subprocess.run(
        [sys.executable, *launcher, "-m", "snn_tool", *arguments, *FIXED, "--precision", "fp32", *more],
        text=True,
        capture_output=True,
        timeout=300,
        check=False,
    )


def test_two_processes_take_the_steps_of_one(folder: Path, tmp_path: Path) -> None:
    """Both see the same global batches, so that nothing but the order of sums may tell them apart."""
    runs = {n: distill(folder, tmp_path / str(n), n) for n in (1, 2)}
    for run in runs.values():
        assert run.returncode == 0, run.stderr
        assert run.stdout.count("student.safetensors") == 1, "one process speaks for all"
    one, two = (load_file(tmp_path / f"{n}/student.safetensors") for n in (1, 2))
    start = load_file(untrained(folder, tmp_path / "start"))
    moved = max(float(np.abs(one[name] - start[name]).max()) for name in one)
    apart = max(float(np.abs(one[name] - two[name]).max()) for name in one)
    assert moved > 1e-3
    assert apart < 0.02 * moved, (apart, moved)
    logs = [(tmp_path / f"{n}/metrics.csv").read_text().splitlines() for n in (1, 2)]
    for ours, theirs in zip(*(log[1:] for log in logs), strict=True):
        assert np.allclose(values(ours), values(theirs), rtol=1e-3, equal_nan=True), (ours, theirs)


def untrained(folder: Path, out: Path) -> Path:
    """The weights before the first step, as far as a rate of nearly zero leaves them."""
    overrides = {
        "student": {"width": 4},
        "training": {"max_steps": 1, "batch": 4, "patch": 16, "lr": 1e-12, "device": "cpu"},
    }
    options = TaskOptions(folder, "denoise", "25")
    settings = load_settings(None, overrides)
    return distill_student(None, (), options, settings, RunFolder(out, False, False, quiet=True)).path


def values(line: str) -> list[float]:
    return [float(value or "nan") for value in line.split(",")]


def test_a_batch_that_cannot_be_shared_is_one_line(folder: Path, tmp_path: Path) -> None:
    run = distill(folder, tmp_path / "run", 2, "--batch", "3")
    assert run.returncode != 0
    assert "training.batch = 3 cannot be shared equally by 2 processes; use a multiple" in run.stderr
    assert not (tmp_path / "run/student.safetensors").exists()


def averaged(folder: Path, out: Path, ema: float, resume: bool = False) -> Path:
    """A run of `STEPS` steps that keeps an average."""
    overrides = {
        "student": {"width": 4},
        "training": {
            "max_steps": STEPS,
            "batch": 2,
            "patch": 16,
            "validate_every": 1,
            "device": "cpu",
            "precision": "fp32",
            "ema": ema,
        },
    }
    options = TaskOptions(folder, "denoise", "25")
    run = RunFolder(out, resume, not resume, quiet=True)
    return distill_student(None, (), options, load_settings(None, overrides), run).path


def test_the_average_is_the_recurrence_over_all_steps(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every step's weights are recorded; the recurrence is then run over them with numpy in float64."""
    recorded: list[dict[str, np.ndarray]] = []
    averages: list[dict[str, np.ndarray]] = []
    save = Checkpoints.save

    def recording(self: Checkpoints, trainer: object, name: str) -> None:
        save(self, trainer, name)  # type: ignore[arg-type]
        if name == "last.ckpt":
            checkpoint = read_checkpoint(self.folder / name)
            recorded.append({k: v.double().numpy() for k, v in checkpoint["current_model_state"].items()})
            averages.append({k: v.double().numpy() for k, v in checkpoint["state_dict"].items()})

    monkeypatch.setattr(Checkpoints, "save", recording)
    averaged(folder, tmp_path / "run", ema=0.7)
    assert len(recorded) == STEPS
    for name, first in recorded[0].items():
        expected = first
        for taken, step in enumerate(recorded[1:], start=1):
            decay = min(0.7, (1 + taken) / (10 + taken))
            expected = decay * expected + (1 - decay) * step[name]
        np.testing.assert_allclose(averages[-1][name], expected, rtol=1e-4, atol=1e-6)
        assert name.startswith("network.")
    assert any(np.abs(averages[-1][n] - recorded[-1][n]).max() > 1e-6 for n in averages[-1])


def test_an_averaged_run_resumes_exactly(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = averaged(folder, tmp_path / "whole", ema=0.9)
    begin = GracefulInterrupt.on_train_batch_start

    def stop_at_7(self: GracefulInterrupt, trainer: object, *more: object) -> None:
        if trainer.global_step == 7:  # type: ignore[attr-defined]
            signal.raise_signal(signal.SIGTERM)
        begin(self, trainer, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(GracefulInterrupt, "on_train_batch_start", stop_at_7)
    with pytest.raises(Interrupted, match="terminated at step 7"):
        averaged(folder, tmp_path / "cut", ema=0.9)
    monkeypatch.setattr(GracefulInterrupt, "on_train_batch_start", begin)
    resumed = averaged(folder, tmp_path / "cut", ema=0.9, resume=True)
    for name, tensor in load_file(whole).items():
        np.testing.assert_array_equal(load_file(resumed)[name], tensor, err_msg=name)
