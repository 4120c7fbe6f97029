"""The distillation benchmark, run for real on crops of shipped photographs; its figures by other means."""

import csv
import importlib
import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file
from snn_tool.cli.app import run as snn_tool
from snn_tool.degradations.crops import read_photograph
from snn_tool.errors import ConfigError, Interrupted
from snn_tool.files.artifacts import sha256_file
from snn_tool.images.files import read_image
from snn_tool.models.teachers.registry import load_teacher, save_teacher
from snn_tool.training.run_folder import RunFolder, read_checkpoint
from snn_tool.training.runs import TaskOptions, train_teacher
from snn_tool.training.settings import load_settings

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
PROGRAM = BENCHMARKS / "hkd.py"
STEPS, EVERY, SEEDS = 12, 4, (0, 1)
SMALL = (
    "--seeds",
    "2",
    "--steps",
    str(STEPS),
    "--batch",
    "2",
    "--patch",
    "16",
    "--validate-every",
    str(EVERY),
)
NARROW = "student.width:4,training.device:cpu,training.precision:fp32"
VARIANTS = ("none", "hints", "output", "both", "late")
LATE = "late=loss.hint_feature:spikes,loss.hint_sites:tail_in+mid_in,loss.hints:0.5,loss.hint_decay_from:0.8"


def module(name: str) -> ModuleType:
    """One of the benchmark's files, which import each other by bare names."""
    if str(BENCHMARKS) not in sys.path:
        sys.path.insert(0, str(BENCHMARKS))
    return importlib.import_module(name)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen crops, so that two are held out for validation: 10 %, rounded."""
    folder = tmp_path_factory.mktemp("photographs")
    for index, name in enumerate(("chelsea.png", "rocket.jpg", "coffee.png", "astronaut.png")):
        picture = read_photograph("skimage.data", name)
        for half, (top, left) in enumerate(((0, 0), (100, 200), (180, 60), (40, 120))):
            crop = np.ascontiguousarray(picture[top : top + 48, left : left + 64])
            Image.fromarray(crop).save(folder / f"{index}{half}.png")
    return folder


@pytest.fixture(scope="module")
def teacher(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher of 40 steps, which learns what students of 12 steps cannot yet know."""
    sizes = {"batch": 2, "patch": 16, "max_steps": 40, "validate_every": 20, "device": "cpu"}
    folder = RunFolder(tmp_path_factory.mktemp("teacher"), False, True, quiet=True)
    settings = load_settings(None, {"training": sizes})
    return train_teacher("unet", {"width": 8}, TaskOptions(images, "denoise", "25"), settings, folder).path


def run_program(*options: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, PROGRAM, *map(str, options)]
    return subprocess.run(command, text=True, capture_output=True, timeout=300)


def options_of(images: Path, teacher: Path, out: Path) -> list[str | Path]:
    return ["--data", images, "--teacher", teacher, "--out", out, *SMALL, "--set", NARROW]


@pytest.fixture(scope="module")
def interrupted(images: Path, teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output folder in which one run was stopped by a signal after its sixth step."""
    out = tmp_path_factory.mktemp("hkd")
    runs, job = module("distillation.runs"), job_of(images, teacher, out, "both", 1)

    class Stopping(runs.StepCost):  # type: ignore[misc, name-defined]
        def on_train_batch_end(self, *arguments: object) -> None:
            super().on_train_batch_end(*arguments)
            if self.steps == 6:
                os.kill(os.getpid(), signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "StepCost", Stopping)
        with pytest.raises(Interrupted, match="at step 6"):
            runs.train(job)
    return out


def job_of(images: Path, teacher: Path, out: Path, variant: str, seed: int) -> Any:
    hkd, plan, variants = module("hkd"), module("distillation.plan"), module("distillation.variants")
    arguments = hkd.arguments_of([str(text) for text in options_of(images, teacher, out)])
    options = TaskOptions(images, "denoise", None, split_seed=0)
    jobs = plan.jobs_of(arguments, variants.variants([], []), teacher, options)
    return next(job for job in jobs if (job.variant, job.seed) == (variant, seed))


@pytest.fixture(scope="module")
def finished(images: Path, teacher: Path, interrupted: Path) -> tuple[Path, list[str | Path], str, str]:
    """All runs done: the folder, the options, and what was said."""
    options = [*options_of(images, teacher, interrupted), "--variant", LATE, "--test", f"crops={images}"]
    ran = run_program(*options, "--jobs", "2")
    assert ran.returncode == 0, ran.stderr
    return interrupted, options, ran.stdout, ran.stderr


@pytest.fixture(scope="module")
def document(finished: tuple[Path, list[str | Path], str, str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((finished[0] / "hkd.json").read_text())
    return found


def final_db(folder: Path, variant: str, seed: int) -> float:
    """The last line of a run's log."""
    with (folder / "runs" / f"{variant}-{seed}" / "metrics.csv").open(newline="") as stream:
        last = list(csv.DictReader(stream))[-1]
    assert int(last["step"]) == STEPS
    return float(last["val_psnr_db"])


@pytest.mark.slow
def test_means_and_differences_are_those_of_the_logs(
    finished: tuple[Path, list[str | Path], str, str], document: dict[str, Any]
) -> None:
    """For two seeds by hand: standard deviation |a - b| / sqrt 2, standard error |d1 - d2| / 2, and the
    interval is 12.706 (t of one degree of freedom, 97.5 %) times that."""
    folder = finished[0]
    assert [variant["name"] for variant in document["variants"]] == list(VARIANTS)
    none = [final_db(folder, "none", seed) for seed in SEEDS]
    for variant in document["variants"]:
        first, second = (final_db(folder, variant["name"], seed) for seed in SEEDS)
        final = variant["summary"]["final_psnr_db"]
        assert final["mean"] == pytest.approx((first + second) / 2)
        assert final["standard_deviation"] == pytest.approx(abs(first - second) / math.sqrt(2))
        found, gains = variant["summary"]["difference"], (first - none[0], second - none[1])
        if variant["name"] == "none":
            assert found is None
            continue
        assert found["mean"] == pytest.approx(sum(gains) / 2, abs=1e-9)
        error = abs(gains[0] - gains[1]) / 2
        assert found["standard_error"] == pytest.approx(error, abs=1e-9)
        resolved = abs(sum(gains) / 2) > 12.706 * error
        better = "helps" if sum(gains) > 0 else "hurts"
        assert found["verdict"] == (better if resolved else "no difference resolved")


@pytest.mark.slow
def test_the_teacher_is_measured_on_the_crops_of_all_seeds(
    images: Path, teacher: Path, document: dict[str, Any]
) -> None:
    """Of sixteen images two are held out, found again by the split's definition; PSNR from the pixels."""
    held = np.random.default_rng([0, 0x5B117]).permutation(16)[:2]
    paths = [sorted(images.iterdir())[index] for index in sorted(held.tolist())]
    network, described = load_teacher(teacher)
    psnr_db = []
    for path in paths:
        from snn_tool.degradations.pairs import degrade
        from snn_tool.degradations.tasks import degradation_from_options, image_rng

        noise = degradation_from_options("denoise", "25")
        degraded, clean = degrade(read_image(path)[None], noise, image_rng(0, path.name))
        with torch.no_grad():
            restored = network(torch.from_numpy(degraded).permute(0, 3, 1, 2)).clamp(0, 1)
        error = np.mean((restored.permute(0, 2, 3, 1).numpy() - clean) ** 2)
        psnr_db.append(10 * math.log10(1 / error))
    found = document["teacher"]
    assert found["crops"] == 2
    assert found["psnr_db"] == pytest.approx(np.mean(psnr_db), abs=1e-3)
    assert found["sha256"] == sha256_file(teacher)
    assert found["held_out"] is True
    assert document["data"]["validation"] == described["training"]["data"]["validation"]
    none = document["variants"][0]["summary"]["final_psnr_db"]["mean"]
    assert found["lead_db"] == pytest.approx(found["psnr_db"] - none)
    assert found["strong_enough"] is (found["lead_db"] >= 1)


@pytest.mark.slow
def test_only_what_a_variant_names_differs(finished: tuple[Path, list[str | Path], str, str]) -> None:
    """Each run's own account: the weights, and a teacher only where a term needs one."""
    runs = finished[0] / "runs"
    asked = {v: json.loads((runs / f"{v}-1" / "settings.json").read_text()) for v in VARIANTS}
    weights = {v: (a["loss"]["output"], a["loss"]["hints"]) for v, a in asked.items()}
    assert weights == {
        "none": (0, 0), "hints": (0, 0.005), "output": (0.5, 0), "both": (0.5, 0.005), "late": (0.5, 0.5)
    }  # fmt: skip
    assert [v for v, a in asked.items() if a["teacher"] == "none"] == ["none"]
    assert len({json.dumps([a["training"], a["data"], a["student"]]) for a in asked.values()}) == 1
    assert [pair["student"] for pair in asked["late"]["hints"]] == ["tail_in", "mid_in"]
    assert asked["late"]["loss"]["hint_feature"] == "spikes"


@pytest.mark.slow
def test_an_interrupted_run_goes_on_to_the_same_weights(
    images: Path, teacher: Path, finished: tuple[Path, list[str | Path], str, str], tmp_path: Path
) -> None:
    job = replace(job_of(images, teacher, tmp_path, "both", 1), folder=tmp_path / "whole")
    module("distillation.runs").train(job)
    resumed = finished[0] / "runs" / "both-1"
    whole, cut = (load_file(folder / "student.safetensors") for folder in (job.folder, resumed))
    for name, tensor in whole.items():
        np.testing.assert_array_equal(cut[name], tensor, err_msg=name)
    for folder in (job.folder, resumed):
        cost = json.loads((folder / "cost.json").read_text())
        assert cost["steps"] == STEPS and cost["cpu_s"] > 0, folder


@pytest.mark.slow
def test_a_stop_ends_the_runs_that_are_running_and_starts_no_other(
    images: Path, teacher: Path, tmp_path: Path
) -> None:
    """Runs too long to end by themselves; after the stop each has a checkpoint, and the others no folder."""
    options = [*options_of(images, teacher, tmp_path), "--steps", "100000", "--jobs", "2"]
    process = subprocess.Popen(
        [sys.executable, PROGRAM, *map(str, options)], text=True, stderr=subprocess.PIPE
    )
    runs = tmp_path / "runs"
    waited = [runs / name / "checkpoints" / "last.ckpt" for name in ("none-0", "hints-0")]
    deadline = time.monotonic() + 120
    while not all(path.exists() for path in waited):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130, said
    assert said.splitlines()[-1] == "interrupted; the same command goes on"
    assert sorted(path.name for path in runs.iterdir()) == ["hints-0", "none-0"]
    for name in ("none-0", "hints-0"):
        done = read_checkpoint(runs / name / "checkpoints" / "last.ckpt")["global_step"]
        assert json.loads((runs / name / "cost.json").read_text())["steps"] == done > 0


@pytest.mark.slow
def test_finished_runs_are_not_trained_again(finished: tuple[Path, list[str | Path], str, str]) -> None:
    folder, options, stdout, _ = finished
    kept = [p for p in folder.rglob("*") if p.is_file() and p.parent != folder]
    before = {path: path.stat().st_mtime_ns for path in kept}
    report = (folder / "hkd.json").read_bytes()
    again = run_program(*options, "--jobs", "2")
    assert (again.returncode, again.stdout) == (0, stdout)
    assert {path: path.stat().st_mtime_ns for path in kept} == before
    assert (folder / "hkd.json").read_bytes() == report


@pytest.mark.slow
def test_other_settings_in_the_same_folder_are_refused(
    finished: tuple[Path, list[str | Path], str, str],
) -> None:
    ran = run_program(*finished[1], "--set", "loss.fft:0.5")
    assert ran.returncode == 1
    assert "started with loss" in ran.stderr and ran.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_run_is_what_the_command_line_does(
    images: Path, teacher: Path, finished: tuple[Path, list[str | Path], str, str], tmp_path: Path
) -> None:
    sizes = f"--max-steps {STEPS} --batch 2 --patch 16 --validate-every {EVERY} --width 4 --device cpu"
    one = f"{sizes} --precision fp32 --seed 1 --split-seed 0 --loss-output 0".split()
    out = tmp_path / "run"
    assert (
        snn_tool(["-q", "distill", "--data", str(images), "--teacher", str(teacher), "--out", str(out), *one])
        == 0
    )
    mine, theirs = (path / "metrics.csv" for path in (out, finished[0] / "runs" / "hints-1"))
    assert mine.read_bytes() == theirs.read_bytes()


@pytest.mark.slow
def test_the_report_says_it_for_people(
    finished: tuple[Path, list[str | Path], str, str], document: dict[str, Any]
) -> None:
    folder, _, stdout, _ = finished
    page = (folder / "hkd.md").read_text()
    assert stdout.strip() in page
    for variant in document["variants"]:
        assert f"{variant['summary']['final_psnr_db']['mean']:.3f} ± " in page
        scores = [run["tests"]["crops"] for run in variant["runs"]]
        assert variant["summary"]["tests"]["crops"]["mean"] == pytest.approx(sum(scores) / 2)
    assert str(folder) not in page + json.dumps(document)
    with Image.open(folder / "hkd.png") as picture:
        assert picture.size == (1500, 600)
    assert "difference to none" in (folder / "hkd.md").read_text()


@pytest.mark.slow
def test_a_teacher_worse_than_the_student_is_said_loudly(images: Path, teacher: Path, tmp_path: Path) -> None:
    """A shift of 0.12 in all colours adds 0.0144 to the mean squared error: below 18.4 dB, whatever else."""
    network, described = load_teacher(teacher)
    with torch.no_grad():
        network.get_parameter("synapses.tail.bias").add_(0.12)
    poor, out = tmp_path / "teacher.safetensors", tmp_path / "out"
    save_teacher(poor, network, described["architecture"], described["options"], described["training"])
    ran = run_program(*options_of(images, poor, out), "--only", "output")
    assert ran.returncode == 0, ran.stderr
    found = json.loads((out / "hkd.json").read_text())
    assert [variant["name"] for variant in found["variants"]] == ["none", "output"]
    assert found["teacher"]["lead_db"] < 0 and not found["teacher"]["strong_enough"]
    assert "WARNING: the teacher is WORSE than the student" in ran.stderr
    assert "**WARNING: the teacher is WORSE than the student" in (out / "hkd.md").read_text()


def test_steps_to_a_goal_on_straight_lines() -> None:
    steps_to_reach = module("distillation.statistics").steps_to_reach
    curve = ([100, 200, 300, 400], [20.0, 24.0, 23.0, 26.0])
    assert steps_to_reach(*curve, 22.0) == 150
    assert steps_to_reach(*curve, 25.0) == pytest.approx(300 + 200 / 3)
    assert steps_to_reach(*curve, 19.0) == 100
    assert steps_to_reach(*curve, 26.5) is None


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [
        ([0.10, 0.12, 0.11], "helps"),
        ([-0.10, -0.12, -0.11], "hurts"),
        ([0.10, 0.30, 0.02], "no difference resolved"),
        ([0.5], "no difference resolved"),
    ],
)
def test_verdicts_by_hand(gains: list[float], verdict: str) -> None:
    """Three seeds have t = 4.303 (97.5 %, two degrees of freedom). 0.10, 0.12, 0.11: mean 0.11, deviation
    0.01, error 0.0058, half width 0.0248. 0.10, 0.30, 0.02: mean 0.14, deviation 0.144, half width 0.358."""
    reference = [20.0 + seed for seed in range(len(gains))]
    found = module("distillation.statistics").paired(
        [r + g for r, g in zip(reference, gains, strict=True)], reference
    )
    assert found.verdict == verdict
    if len(gains) == 3:
        mean = sum(gains) / 3
        error = math.sqrt(sum((g - mean) ** 2 for g in gains) / 2 / 3)
        assert found.half_width == pytest.approx(4.302653 * error, rel=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("both=loss.hints:1", "the name is taken"),
        ("x=training.max_steps:9", "training.max_steps must be the same in all variants"),
        ("x=losses.hints:1", "'losses.hints:1' is not TABLE.KEY:VALUE"),
        ("x", "use NAME=TABLE.KEY:VALUE"),
        ("../x=loss.hints:1", "use NAME=TABLE.KEY:VALUE"),
    ],
)
def test_variants_that_cannot_be(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        module("distillation.variants").variants([text], [])


def test_the_documented_report_is_what_its_figures_give() -> None:
    """docs/results/hkd.md ends with the page of hkd.json, under a heading of its own."""
    docs = BENCHMARKS.parent / "docs" / "results"
    document = json.loads((docs / "hkd.json").read_text())
    known = ("title", "sha256", "parameters", "psnr_db", "degraded_psnr_db", "crops", "held_out")
    teacher = module("distillation.teacher").TeacherFigures(
        **{key: document["teacher"][key] for key in known}
    )
    none_db = document["variants"][0]["summary"]["final_psnr_db"]["mean"]
    made = module("distillation.report").page(
        document, module("distillation.teacher").lead_text(teacher, none_db)
    )
    shown = (docs / "hkd.md").read_text()
    assert shown.partition("## Report\n")[2] == made.partition("\n")[2]
