"""Runs on shipped photographs, small enough for seconds: exact resume, Ctrl-C, kill, and what is refused."""

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from PIL import Image
from safetensors.numpy import load_file
from snn_tool.degradations.crops import read_photograph
from snn_tool.errors import ArtifactError, ConfigError, DataError, Interrupted, SnnToolError
from snn_tool.files.ownership import LEDGER
from snn_tool.training import fit as training
from snn_tool.training.module import mean_psnr_db
from snn_tool.training.run_folder import RunFolder, read_checkpoint
from snn_tool.training.runs import (
    TaskOptions,
    TrainedNetwork,
    distill_student,
    load_training_data,
    train_teacher,
)
from snn_tool.training.settings import load_settings
from torchmetrics.functional.image import peak_signal_noise_ratio

pytestmark = pytest.mark.slow

SMALL = {"student": {"width": 4}, "training": {"batch": 2, "patch": 16, "validate_every": 4, "device": "cpu"}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six crops of shipped photographs."""
    path = tmp_path_factory.mktemp("photographs")
    for index, name in enumerate(("chelsea.png", "rocket.jpg", "coffee.png")):
        image = read_photograph("skimage.data", name)
        for half, crop in enumerate((image[:64, :96], image[100:164, 200:264])):
            Image.fromarray(np.ascontiguousarray(crop)).save(path / f"{index}{half}.png")
    return path


def distill(
    folder: Path, out: Path, steps: int, resume: bool = False, teacher: Path | None = None, **loss: Any
) -> TrainedNetwork:
    overrides = {**SMALL, "training": {**SMALL["training"], "max_steps": steps}, "loss": loss}
    settings = load_settings(None, overrides)
    options = TaskOptions(folder, "denoise", "25")
    return distill_student(teacher, (), options, settings, RunFolder(out, resume, not resume, quiet=True))


def test_the_same_seed_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    first, second = (distill(folder, tmp_path / name, 8) for name in ("a", "b"))
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.path.with_suffix(".json").read_bytes() == second.path.with_suffix(".json").read_bytes()
    assert (tmp_path / "a/metrics.csv").read_bytes() == (tmp_path / "b/metrics.csv").read_bytes()


def test_a_teacher_guides_and_every_term_is_logged(folder: Path, tmp_path: Path) -> None:
    settings = load_settings(None, {**SMALL, "training": {**SMALL["training"], "max_steps": 8}})
    options = TaskOptions(folder, "denoise", "25")
    teacher = train_teacher(
        "unet", {"width": 4}, options, settings, RunFolder(tmp_path / "t", False, False, True)
    )
    student = distill(folder, tmp_path / "s", 8, teacher=teacher.path)
    with (tmp_path / "s/metrics.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["step"] for row in rows] == ["4", "8"]
    for column in ("val_psnr_db", "loss", "loss_l1", "loss_fft", "loss_output", "loss_hints"):
        assert all(float(row[column]) > 0 for row in rows), column
    assert student.training["hints"][0] == {"student": "up_in", "teacher": "up_in"}
    alone = distill(folder, tmp_path / "alone", 8)
    assert alone.path.read_bytes() != student.path.read_bytes()


def test_mse_alone_is_the_loss(folder: Path, tmp_path: Path) -> None:
    """Without its weight it is neither computed nor logged."""
    rows = {}
    for name, loss in {"mse": {"l1": 0, "fft": 0, "mse": 1}, "l1": {}}.items():
        distill(folder, tmp_path / name, 4, **loss)
        with (tmp_path / name / "metrics.csv").open(newline="") as stream:
            (rows[name],) = csv.DictReader(stream)
    assert rows["l1"]["loss_mse"] == "" and float(rows["mse"]["loss_mse"]) > 0
    assert rows["mse"]["loss"] == rows["mse"]["loss_mse"] and rows["mse"]["loss_fft"] == ""
    absolute, squared = (float(rows["mse"][f"loss_{term}"]) for term in ("l1", "mse"))
    assert absolute**2 < squared < absolute  # a mean of squares exceeds the squared mean; errors are below 1


def test_hints_choose_any_population_of_student_and_teacher(folder: Path, tmp_path: Path) -> None:
    """Names of both sides in the order given, though the teacher shows only two by itself."""
    settings = load_settings(None, {**SMALL, "training": {**SMALL["training"], "max_steps": 4}})
    options = TaskOptions(folder, "denoise", "25")
    run = RunFolder(tmp_path / "t", False, False, True)
    teacher = train_teacher("unet", {"width": 4}, options, settings, run).path
    chosen = {"hint_sites": ["dec_in", "mid_mid"], "hint_targets": ["dec_mid", "mid_in"]}
    plain = distill(folder, tmp_path / "plain", 4, teacher=teacher, **chosen)
    assert plain.training["hints"] == [
        {"student": "dec_in", "teacher": "dec_mid"},
        {"student": "mid_mid", "teacher": "mid_in"},
    ]
    other = {"hint_feature": "spikes", "hint_adapter": "none"}
    spikes = distill(folder, tmp_path / "spikes", 4, teacher=teacher, **chosen, **other)
    assert plain.path.read_bytes() != spikes.path.read_bytes()
    with pytest.raises(ConfigError, match="started with loss"):
        distill(folder, tmp_path / "spikes", 4, resume=True, teacher=teacher, **chosen)
    with pytest.raises(ConfigError, match="no population 'dec_out'; use some of enc_in"):
        distill(folder, tmp_path / "x", 4, teacher=teacher, hint_sites=["dec_out", "mid_in"])


def test_validation_psnr_is_the_formula_and_torchmetrics_bits() -> None:
    """Mean over images of -10 log10(MSE): in float64 as far as float32 goes; no bit of metrics.csv moves."""
    rng = np.random.default_rng(0)
    for count, sigma in [(1, 0.002), (4, 0.1), (3, 0.4)]:
        clean = rng.random((count, 3, 48, 40), dtype=np.float32)
        restored = np.clip(clean + rng.normal(0, sigma, clean.shape), 0, 1).astype(np.float32)
        squares = np.mean((restored.astype(np.float64) - clean) ** 2, axis=(1, 2, 3))
        pair = torch.from_numpy(restored), torch.from_numpy(clean)
        found = mean_psnr_db(*pair)
        assert float(found) == pytest.approx(float(np.mean(-10 * np.log10(squares))), rel=1e-6)
        record = peak_signal_noise_ratio(*pair, 1.0, reduction="elementwise_mean", dim=(1, 2, 3))
        assert float(found) == float(record)
    assert float(mean_psnr_db(torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8))) == 0  # everywhere 1 off
    assert float(mean_psnr_db(torch.ones(1, 3, 8, 8), torch.ones(1, 3, 8, 8))) == float("inf")


def test_the_split_stays_when_its_own_seed_does(folder: Path, tmp_path: Path) -> None:
    """The validation images and their noise are those of seed 0; weights and patches are of seed 1."""
    both = [
        load_settings(None, {**SMALL, "training": {**SMALL["training"], "seed": seed}}) for seed in (0, 1)
    ]
    options = TaskOptions(folder, "denoise", "25")
    first = load_training_data(options, both[0])
    kept = load_training_data(replace(options, split_seed=0), both[1])
    assert kept.validation.digests == first.validation.digests
    for ours, theirs in zip(kept.crops, first.crops, strict=True):
        assert bool((ours[0] == theirs[0]).all())
    moved = load_training_data(options, both[1])
    assert moved.validation.digests != first.validation.digests


COMMAND = """
import sys
from snn_tool.cli.app import run
sys.exit(run(sys.argv[1:]))
"""


def start(folder: Path, out: Path, steps: int, *more: str) -> subprocess.Popen[str]:
    arguments = ["-q", "distill", "--data", str(folder), "--out", str(out), "--max-steps", str(steps), *more]
    fixed = ["--width", "4", "--batch", "2", "--patch", "16", "--validate-every", "4", "--device", "cpu"]
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments, *fixed],
        text=True,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)


STEPS = 400


@pytest.fixture(scope="module")
def whole(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run of as many steps as those that are stopped."""
    return distill(folder, tmp_path_factory.mktemp("whole") / "run", STEPS).path


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (signal.SIGINT, "interrupted"),
        (signal.SIGTERM, "terminated"),
        (signal.SIGHUP, "hung up"),
        (signal.SIGKILL, ""),
    ],
)
def test_a_stopped_run_resumes_to_the_same_weights(
    folder: Path, tmp_path: Path, whole: Path, number: signal.Signals, word: str
) -> None:
    """Uninterrupted, and stopped at whatever step the signal meets; both end with the same bytes."""
    steps = STEPS
    process = start(folder, tmp_path / "cut", steps)
    wait_for(tmp_path / "cut/checkpoints/last.ckpt", process)
    os.kill(process.pid, number)
    _, stderr = process.communicate(timeout=120)
    if word:
        assert process.returncode == 128 + number, stderr
        assert stderr.startswith(f"{word} at step ") and stderr.endswith("with --resume goes on\n")
        assert stderr.count("\n") == 1
        assert not list((tmp_path / "cut").rglob("*.part"))
    assert not (tmp_path / "cut/student.safetensors").exists(), "the run had already ended"
    resumed = distill(folder, tmp_path / "cut", steps, resume=True)
    for name, tensor in load_file(whole).items():
        np.testing.assert_array_equal(load_file(resumed.path)[name], tensor, err_msg=name)
    whole_log, cut_log = ((run / "metrics.csv").read_bytes() for run in (whole.parent, tmp_path / "cut"))
    assert whole_log == cut_log


class StopAt(Callback):
    """A Ctrl-C before one step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Ask as the terminal does, once the step is counted."""
        if trainer.global_step == self.step:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("step", [4, 6, 7])
def test_a_line_after_a_resume_averages_the_steps_before_the_interruption_too(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Validated every 4 steps: stopped at a validation, between two, and one step before the next."""
    distill(folder, tmp_path / "whole", 8)
    own = training._callbacks
    with monkeypatch.context() as patch:
        patch.setattr(training, "_callbacks", lambda *given: [*own(*given), StopAt(step)])
        with pytest.raises(Interrupted, match=f"interrupted at step {step};"):
            distill(folder, tmp_path / "cut", 8)
    distill(folder, tmp_path / "cut", 8, resume=True)
    whole_log, cut_log = ((tmp_path / run / "metrics.csv").read_bytes() for run in ("whole", "cut"))
    assert whole_log == cut_log and whole_log.count(b"\n") == 3
    whole_picture, cut_picture = ((tmp_path / run / "curves.svg").read_bytes() for run in ("whole", "cut"))
    assert whole_picture == cut_picture


@pytest.mark.parametrize("stopped", [3, 6])
def test_a_run_whose_patches_grow_resumes_and_has_a_column_for_each_folder(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped: int
) -> None:
    """Two folders of crops, 16 pixels for 4 steps and 24 for 4; stopped in either stage, the same bytes."""
    images = tmp_path / "images"
    for name in ("one", "two"):
        (images / name).mkdir(parents=True)
    for index, path in enumerate(sorted(folder.iterdir()) * 5):
        (images / ("one", "two")[index % 2] / f"{index}.png").symlink_to(path)
    options = TaskOptions(images, "denoise", "25", split_seed=1)
    grown = {**SMALL["training"], "max_steps": 8, "patch": "16:4,24:4", "batch": 4, "balance": "sqrt"}
    settings = load_settings(None, {**SMALL, "training": grown})

    def run(name: str, resume: bool = False) -> Path:
        chosen = RunFolder(tmp_path / name, resume, not resume, quiet=True)
        return distill_student(None, (), options, settings, chosen).path

    whole, own = run("whole"), training._callbacks
    with monkeypatch.context() as patch:
        patch.setattr(training, "_callbacks", lambda *given: [*own(*given), StopAt(stopped)])
        with pytest.raises(Interrupted):
            run("cut")
    assert run("cut", resume=True).read_bytes() == whole.read_bytes()
    logs = [(tmp_path / name / "metrics.csv").read_text() for name in ("whole", "cut")]
    assert logs[0] == logs[1]
    data = load_training_data(options, settings).crops
    counts = [data.folders.count(name) for name in ("one", "two")]
    assert sum(counts) == len(data) and all(counts), "the split of this seed leaves one folder out"
    for row in csv.DictReader(logs[0].splitlines()):
        figures = [float(row[f"val_psnr_db/{name}"]) for name in ("one", "two")]
        assert float(row["val_psnr_db"]) == pytest.approx(np.average(figures, weights=counts), abs=1e-3)


def test_a_resume_with_other_options_names_the_difference(folder: Path, tmp_path: Path) -> None:
    distill(folder, tmp_path / "run", 4)
    with pytest.raises(ConfigError, match="started with loss"):
        distill(folder, tmp_path / "run", 4, resume=True, fft=0.5)


def test_a_damaged_checkpoint_is_named(folder: Path, tmp_path: Path) -> None:
    distill(folder, tmp_path / "run", 4)
    checkpoint = tmp_path / "run/checkpoints/last.ckpt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(ArtifactError, match="last.ckpt: not a readable checkpoint"):
        distill(folder, tmp_path / "run", 4, resume=True)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda held: {**held, "x": Fraction(1, 3)}, "it holds pickled objects, or is no torch file"),
        (lambda held: [held], "it lacks what a training run keeps"),
        (lambda held: {**held, "global_step": "4"}, "it lacks what a training run keeps"),
        (lambda held: {**held, "state_dict": {"a": 1}}, "it lacks what a training run keeps"),
        (lambda held: {**held, "callbacks": {"Checkpoints": {}}}, "it lacks what a training run keeps"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], reason: str
) -> None:
    """torch's page of advice on how to trust a file is not passed on."""
    path = tmp_path / "last.ckpt"
    held: dict[str, Any] = {"state_dict": {"a": torch.ones(2)}, "global_step": 3}
    held["callbacks"] = {"Checkpoints": {"best_psnr_db": 20.5}}
    torch.save(held, path)
    assert read_checkpoint(path)["global_step"] == 3
    torch.save(change(held), path)
    with pytest.raises(ArtifactError) as refused:
        read_checkpoint(path)
    said = f"{path}: not a readable checkpoint ({reason}); remove it and start anew with --overwrite"
    assert str(refused.value) == said


def test_a_full_disk_keeps_the_last_checkpoint(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What torch's writer raises there; the run resumes from the checkpoint before."""
    whole = distill(folder, tmp_path / "whole", 12)
    saved: list[int] = []
    save = lightning.Trainer.save_checkpoint

    def full_after_two(trainer: lightning.Trainer, path: Path) -> None:
        saved.append(trainer.global_step)
        if trainer.global_step > 4:
            Path(path).write_bytes(b"half")
            raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0\nmore")
        save(trainer, path)

    with monkeypatch.context() as patch:
        patch.setattr(lightning.Trainer, "save_checkpoint", full_after_two)
        with pytest.raises(
            ArtifactError, match=r"ckpt: cannot be written \(.*pos 64 vs 0\); free some space$"
        ):
            distill(folder, tmp_path / "run", 12)
    assert saved[-1] == 8
    assert sorted(p.name for p in (tmp_path / "run/checkpoints").glob("[!.]*")) == ["best.ckpt", "last.ckpt"]
    assert [p.name for p in (tmp_path / "run/checkpoints").glob(".*")] == [LEDGER]
    resumed = distill(folder, tmp_path / "run", 12, resume=True)
    assert resumed.path.read_bytes() == whole.path.read_bytes()


def test_an_existing_run_is_not_overwritten_by_accident(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/keep.txt").write_text("mine")
    settings = load_settings(None, SMALL)
    with pytest.raises(
        ConfigError, match="exists and is not empty; choose another --out or pass --overwrite"
    ):
        distill_student(
            None,
            (),
            TaskOptions(folder, "denoise", "25"),
            settings,
            RunFolder(tmp_path / "run", False, False),
        )
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["keep.txt"]


def test_a_diverging_run_stops_and_says_so(folder: Path, tmp_path: Path) -> None:
    settings = load_settings(
        None, {**SMALL, "training": {**SMALL["training"], "max_steps": 200, "lr": 1e30, "clip": 1e30}}
    )
    with pytest.raises(SnnToolError, match="the loss is (nan|inf) at step .*smaller --lr"):
        distill_student(
            None,
            (),
            TaskOptions(folder, "denoise", "25"),
            settings,
            RunFolder(tmp_path / "r", False, False, True),
        )


def test_images_smaller_than_the_patch_are_an_error_only_if_none_remains(tmp_path: Path) -> None:
    for index in range(3):
        Image.fromarray(np.full((8, 8, 3), index, np.uint8)).save(tmp_path / f"{index}.png")
    with pytest.raises(DataError, match="no image of at least 16x16 pixels"):
        distill(tmp_path, tmp_path / "out", 4)
    assert not (tmp_path / "out").exists()
