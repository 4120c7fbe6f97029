"""The distillation study: a tiny one, run on crops of shipped photographs, and its figures by other means."""

import csv
import importlib
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from filelock import FileLock, Timeout
from PIL import Image
from safetensors.numpy import load_file
from snn_tool.cli.app import run as snn_tool
from snn_tool.degradations.crops import read_photograph
from snn_tool.errors import ConfigError
from snn_tool.files.artifacts import sha256_file
from snn_tool.networks.open import open_teacher
from snn_tool.training.run_folder import RunFolder
from snn_tool.training.runs import TaskOptions, train_teacher
from snn_tool.training.settings import load_settings

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
DOCS = BENCHMARKS.parent / "docs" / "results"
PLAN = """
[task]
name = "denoise"
strength = "25"
split_seed = 0
[training]
batch = 2
patch = 16
precision = "fp32"
device = "cpu"
[loss]
output = 0.0
hints = 0.0
fft = 0.02
hint_decay_from = 0.5
[teachers]
ann = "TEACHER"
x8 = "x8:TEACHER"
[neurons.graded]
steps = 4
validate_every = 2
student = { neuron = "graded", width = 4 }
[variants.none]
loss = {}
[variants.both]
teacher = "ann"
loss = { output = 0.5, hints = 0.005 }
[variants.x8]
teacher = "x8"
loss = { output = 0.5 }
[screening]
seeds = [0]
half = "a"
[confirmation]
seeds = [10, 11]
half = "b"
best = 1
tie_db = 0.005
[verdict]
smallest_effect_db = 0.05
confidence = 0.95
[rehearsed]
graded = 0.01
hints = { graded = 0.002 }
ann = 0.003
x8 = 0.02
"""


def module(name: str) -> ModuleType:
    """One of the benchmark's files, which import each other by bare names."""
    if str(BENCHMARKS) not in sys.path:
        sys.path.insert(0, str(BENCHMARKS))
    return importlib.import_module(name)


@pytest.fixture(scope="module", autouse=True)
def no_pictures() -> Iterator[None]:
    """Curves are drawn in tests of their own; drawing takes a third of so short a run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("snn_tool.training.fit.write_curves", lambda log: log)
        yield


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty-four crops, so that two are held out for validation, one in each half."""
    folder = tmp_path_factory.mktemp("photographs")
    for index, name in enumerate(("chelsea.png", "rocket.jpg", "coffee.png", "astronaut.png")):
        picture = read_photograph("skimage.data", name)
        for part in range(6):
            crop = picture[20 * part : 20 * part + 32, 30 * part : 30 * part + 40]
            Image.fromarray(np.ascontiguousarray(crop)).save(folder / f"{index}{part}.png")
    return folder


@pytest.fixture(scope="module")
def plan_file(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small plan, with a teacher of 10 steps."""
    folder = tmp_path_factory.mktemp("plan")
    sizes = {"batch": 2, "patch": 16, "max_steps": 10, "validate_every": 10, "device": "cpu"}
    settings, run = load_settings(None, {"training": sizes}), RunFolder(folder / "T", False, True, quiet=True)
    teacher = train_teacher("unet", {"width": 4}, TaskOptions(images, "denoise", "25"), settings, run).path
    path = folder / "plan.toml"
    path.write_text(PLAN.replace("TEACHER", str(teacher)))
    return path


def hkd(plan: Path, folder: Path, *options: object) -> int:
    page = folder / "page.md"
    if not page.exists():
        page.write_text("before\n\n<!-- results -->\n<!-- /results -->\n\nafter\n")
    given = ("--plan", plan, "--page", page, *options)
    code: int = module("hkd").main([str(option) for option in given])
    return code


@pytest.fixture(scope="module")
def finished(images: Path, plan_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the whole small study was run, one of its runs after a stop at its third step."""
    folder = tmp_path_factory.mktemp("hkd")
    runs, stopped = module("distillation.runs"), module("distillation.plan").Key("graded", "x8", 0)

    class Stopping(runs.Curve):  # type: ignore[misc, name-defined]
        def on_train_batch_end(self, *arguments: object) -> None:
            super().on_train_batch_end(*arguments)
            if arguments[0].global_step == 3:  # type: ignore[attr-defined]
                os.kill(os.getpid(), signal.SIGTERM)

    out = ("--data", images, "--out", folder / "runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "Curve", Stopping)
        assert hkd(plan_file, folder, *out, "--only", str(stopped)) == 130
    assert (folder / "runs" / "graded" / "x8" / "0" / "checkpoints" / "last.ckpt").exists()
    assert hkd(plan_file, folder, *out, "--test", f"crops={images}") == 1  # no confirmation yet
    assert hkd(plan_file, folder, *out) == 0
    return folder


def rows_of(folder: Path) -> dict[str, Any]:
    read_rows = module("distillation.rows").read_rows
    return {str(key): row for key, row in read_rows(folder / "hkd-runs.jsonl").items()}


@pytest.mark.slow
def test_rows_say_what_the_logs_and_the_files_say(finished: Path, images: Path) -> None:
    """Both halves together are the log's validation PSNR, for there is one crop in each."""
    rows = rows_of(finished)
    assert len([row for row in rows.values() if row.seed == 0]) == 3
    for row in rows.values():
        folder = finished / "runs" / row.neuron / row.variant / str(row.seed)
        with (folder / "metrics.csv").open(newline="") as stream:
            log = {int(line["step"]): float(line["val_psnr_db"]) for line in csv.DictReader(stream)}
        assert [point.step for point in row.curve] == list(log)
        assert [(point.a + point.b) / 2 for point in row.curve] == pytest.approx(list(log.values()), abs=1e-3)
        assert row.student_sha256 == sha256_file(folder / "student.safetensors")
        assert (row.teacher_sha256 is None) == row.variant.startswith("none")
        assert row.cpu_s > 0 and all(
            one.cpu_s <= two.cpu_s for one, two in zip(row.curve, row.curve[1:], strict=False)
        )
        assert (row.last.teacher_cpu_s > 0) == (row.teacher_sha256 is not None)
        assert row.teacher_left_out in (None, True)


@pytest.mark.slow
def test_what_goes_on_is_chosen_by_half_a_and_confirmed_with_fresh_seeds(
    finished: Path, plan_file: Path
) -> None:
    plan = module("distillation.plan").Plan.read(plan_file)
    rows = rows_of(finished)
    study = module("distillation.study").Study.of(plan, {row.key: row for row in rows.values()})
    taught = {variant: rows[f"graded/{variant}/0"].last.a for variant in ("both", "x8")}
    (best,) = study.best("graded")
    if abs(taught["both"] - taught["x8"]) > 0.005:
        assert best == max(taught, key=lambda variant: taught[variant])
    (found,) = study.confirmation("graded")
    gains = [rows[f"graded/{best}/{s}"].last.b - rows[f"graded/none/{s}"].last.b for s in (10, 11)]
    assert found.variant == best and found.found.mean == pytest.approx(sum(gains) / 2)
    assert found.found.standard_error == pytest.approx(abs(gains[0] - gains[1]) / 2)
    # as long as its time lets, in whole validations of two steps
    costs = {v: sum(rows[f"graded/{v}/{s}"].cpu_s for s in (10, 11)) for v in ("none", best)}
    steps = max(1, int(4 * costs[best] / costs["none"] / 2)) * 2
    assert rows["graded/none-long/10"].steps == rows["graded/none-long/10"].last.step == steps
    assert not study.missing()


@pytest.mark.slow
def test_a_stopped_run_goes_on_to_the_same_weights_and_reads_the_same_bits(
    finished: Path, images: Path, plan_file: Path, tmp_path: Path
) -> None:
    """Without a cache and without a stop: equal weights, and equal PSNR at every validation."""
    assert hkd(plan_file, tmp_path, "--data", images, "--out", tmp_path / "runs", "--only", "graded/x8/0",
               "--no-cache") == 0  # fmt: skip
    folders = [base / "runs" / "graded" / "x8" / "0" / "student.safetensors" for base in (finished, tmp_path)]
    cut, whole = map(load_file, folders)
    for name, tensor in whole.items():
        np.testing.assert_array_equal(cut[name], tensor, err_msg=name)
    curves = [rows_of(base)["graded/x8/0"].curve for base in (finished, tmp_path)]
    assert [(p.step, p.a, p.b) for p in curves[0]] == [(p.step, p.a, p.b) for p in curves[1]]
    assert not (tmp_path / "runs" / "answers").exists() and (finished / "runs" / "answers").exists()


@pytest.mark.slow
def test_none_is_what_the_command_line_does(finished: Path, images: Path, tmp_path: Path) -> None:
    """The same log as `snn-tool distill` without a teacher: a cache changes nothing of the patches."""
    sizes = "--max-steps 4 --batch 2 --patch 16 --validate-every 2 --width 4 --device cpu --precision fp32"
    asked = ["-q", "distill", "--data", str(images), "--out", str(tmp_path / "run"), *sizes.split()]
    loss = "--seed 10 --split-seed 0 --loss-output 0 --loss-hints 0".split()
    assert snn_tool([*asked, *loss]) == 0
    ours = finished / "runs" / "graded" / "none" / "10"
    mine, theirs = (folder / "metrics.csv" for folder in (tmp_path / "run", ours))
    assert mine.read_bytes() == theirs.read_bytes()


@pytest.mark.slow
def test_the_report_the_test_set_and_the_merge(
    finished: Path, images: Path, plan_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for path in sorted(images.iterdir())[:2]:
        (few / path.name).write_bytes(path.read_bytes())
    assert hkd(plan_file, finished, "--out", finished / "runs", "--test", f"crops={few}") == 0
    scored = [row for row in rows_of(finished).values() if row.tests]
    assert {row.seed for row in scored} == {10, 11} and len(scored) == 4
    assert hkd(plan_file, finished, "--report") == 0
    page = (finished / "page.md").read_text()
    assert page.startswith("before\n") and page.endswith("after\n")
    for row in scored:
        assert f"`{row.variant}`" in page
    assert "crops, dB" in page and "### graded, confirmation" in page and "At equal processor time" in page
    assert (finished / "hkd-curves.svg").exists() and str(finished) not in page
    assert hkd(plan_file, tmp_path, "--merge", finished / "hkd-runs.jsonl") == 0
    assert (tmp_path / "hkd-runs.jsonl").read_bytes() == (finished / "hkd-runs.jsonl").read_bytes()
    assert hkd(plan_file, tmp_path, "--list") == 0
    assert "graded screening: 3 of 3 runs." in capsys.readouterr().out


@pytest.mark.slow
def test_a_part_of_the_study_is_reported_without_a_comparison(
    finished: Path, plan_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (finished / "hkd-runs.jsonl").read_text().splitlines()
    kept = [line for line in lines if json.loads(line)["seed"] == 0 and json.loads(line)["variant"] != "x8"]
    (tmp_path / "hkd-runs.jsonl").write_text("\n".join(kept) + "\n")
    assert hkd(plan_file, tmp_path, "--report") == 0
    page = (tmp_path / "page.md").read_text()
    assert "graded screening: 2 of 3 runs; " in page and "|" not in page
    assert hkd(plan_file, tmp_path, "--list") == 0
    # 4 steps of 0.01 + 0.02 s
    assert "graded/x8/0                  graded screening           0.0 min" in capsys.readouterr().out
    changed = kept[0].replace('"settings_sha256":"', '"settings_sha256":"f')[:-1] + "}"
    (tmp_path / "hkd-runs.jsonl").write_text(changed + "\n")
    assert hkd(plan_file, tmp_path, "--list") == 1


def test_rows_of_one_run_that_differ_are_refused(tmp_path: Path) -> None:
    rows = module("distillation.rows")
    row = made_row(rows, "none", 0, 30.0)
    path = tmp_path / "rows.jsonl"
    rows.add_rows(path, [row, made_row(rows, "both", 0, 30.1)])
    rows.add_rows(path, [msgspec.structs.replace(row, tests={"CBSD68": 30.5})])
    assert [r.tests for r in rows.read_rows(path).values()] == [{}, {"CBSD68": 30.5}]
    with pytest.raises(ConfigError, match="has another run graded/none/0"):
        rows.add_rows(path, [made_row(rows, "none", 0, 30.2)])


def test_processes_that_share_a_folder_train_different_runs_and_wait_for_each_other(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another process holds `x8` of seed 0 and its teacher's answers: `again` of that seed comes last.

    Then the other's run is waited for; its process was killed, and it is taken over.
    """
    program, rows, plans = module("hkd"), module("distillation.rows"), module("distillation.plan")
    path = tmp_path / "plan.toml"
    again = '[variants.again]\nteacher = "x8"\nloss = { output = 0.9 }\n[screening]'
    path.write_text(PLAN.replace("[screening]", again))
    plan, place = plans.Plan.read(path), module("distillation.runs").Place(images, tmp_path / "runs", None)
    held = FileLock(f"{place.folder(plans.Key('graded', 'x8', 0))}.lock")
    place.folder(plans.Key("graded", "x8", 0)).parent.mkdir(parents=True)
    held.acquire()
    trained: list[str] = []

    def trained_at_once(key: Any, plan: Any, place: Any, steps: int | None) -> Any:
        place.folder(key).parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{place.folder(key)}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return None
        lock.release()
        trained.append(str(key))
        made = made_row(rows, key.variant, key.seed, 30.0 + 0.01 * (key.variant == "both"))
        return msgspec.structs.replace(
            made, settings_sha256=plan.settings_hash(key, steps), steps=steps or 4, teacher_sha256=None
        )

    def waited(key: Any, place: Any) -> None:
        assert str(key) == "graded/x8/0" and len(trained) == 3
        held.release()

    monkeypatch.setattr(program, "train", trained_at_once)
    monkeypatch.setattr(program, "wait_for", waited)
    assert hkd(path, tmp_path, "--data", images, "--out", tmp_path / "runs") == 0
    assert trained[:4] == ["graded/none/0", "graded/both/0", "graded/again/0", "graded/x8/0"]
    assert len(trained) == 4 + 4 + 2, "then the confirmation and the longer runs"
    assert "waiting for graded/x8/0, which another process trains" in capsys.readouterr().err
    left = [plans.Key("graded", variant, 0) for variant in ("again", "both")]
    wanted = [module("distillation.study").Wanted(key, "block") for key in left]
    busy = [plans.Key("graded", "x8", 0)]
    assert program.next_run(plan, wanted, busy).key == left[1], "hints are not kept, so nothing is shared"
    assert program.next_run(plan, wanted, []).key == left[0] == program.next_run(plan, wanted[:1], busy).key


def made_row(rows: ModuleType, variant: str, seed: int, psnr_db: float) -> Any:
    digest = "0" * 64
    point = rows.Point(10000, 1000.0, 100.0, 1.0, psnr_db, psnr_db)
    return rows.Row(
        neuron="graded", variant=variant, seed=seed, steps=10000, settings_sha256=digest, teacher_sha256=None,
        teacher_db=None, teacher_left_out=None, training_sha256=digest, validation_sha256=digest,
        student_sha256=digest, processor="none", versions={}, curve=(point,),
    )  # fmt: skip


class Doubling(torch.nn.Module):
    """Counts its calls."""

    feature_channels: dict[str, int] = {}
    feature_scales: dict[str, int] = {}
    calls = 0

    def forward_features(self, image: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        self.calls += 1
        return image / 3, {}


def test_answers_are_read_bit_for_bit_and_what_a_kill_left_is_cut_off(tmp_path: Path) -> None:
    cache = module("distillation.cache")
    opened = open_teacher("unet", untrained=True)
    network = Doubling()
    object.__setattr__(opened, "network", network)
    object.__setattr__(opened, "provenance", msgspec_like(opened.provenance))
    images = [torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]

    def ask(count: int) -> list[torch.Tensor]:
        teacher = cache.CachedTeacher(opened, tmp_path, False)
        answers = [teacher.forward_features(image)[0] for image in images[:count]]
        teacher.close()
        return answers

    first = ask(2)
    for answer, image in zip(first, images, strict=False):
        assert torch.equal(answer, (image / 3).half().float())
    (index,) = tmp_path.glob("*.index")
    index.write_bytes(index.read_bytes()[:-3])  # the second entry is not whole
    again = ask(3)
    assert network.calls == 4  # two, then the second again and the third
    assert torch.equal(again[0], first[0]) and torch.equal(again[1], first[1])
    assert torch.equal(ask(3)[2], again[2]) and network.calls == 4


def msgspec_like(provenance: Any) -> Any:
    """The same provenance with a hash, as a trained teacher has one."""
    from dataclasses import replace

    return replace(provenance, sha256="ab" * 32)


def test_goals_on_straight_lines() -> None:
    first_reach = module("distillation.statistics").first_reach
    curve = ([100, 200, 300, 400], [20.0, 24.0, 23.0, 26.0])
    assert first_reach(*curve, 22.0) == 150
    assert first_reach(*curve, 25.0) == pytest.approx(300 + 200 / 3)
    assert first_reach(*curve, 19.0) == 100
    assert first_reach(*curve, 26.5) is None


def test_holm_by_hand() -> None:
    """Of 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1 = 0.04, 0.06, 0.06, 0.04, none below the one before."""
    found = module("distillation.statistics").holm({"a": 0.04, "b": 0.01, "c": 0.03, "d": 0.02})
    assert found == pytest.approx({"b": 0.04, "d": 0.06, "c": 0.06, "a": 0.06})


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [
        ([0.10, 0.12, 0.11, 0.10, 0.12], "helps"),
        ([-0.10, -0.12, -0.11, -0.10, -0.12], "hurts"),
        ([0.01, -0.01, 0.00, 0.02, -0.02], "no difference"),
        ([0.02, 0.03, 0.025, 0.02, 0.03], "no difference"),
        ([0.035, 0.055, 0.045, 0.04, 0.05], "small"),
        ([0.10, 0.30, -0.02, 0.2, -0.1], "not resolved"),
    ],
)
def test_verdicts_by_hand(gains: list[float], verdict: str) -> None:
    """Five seeds: t = 2.776 for 95 % and 2.132 for 90 %. The fifth: mean 0.045, standard error 0.00354, so
    that 0.045 + 0.0075 is above 0.05 and p is far below 0.05."""
    statistics = module("distillation.statistics")
    ours = {seed: 20.0 + seed + gain for seed, gain in enumerate(gains)}
    found = statistics.paired(ours, {seed: 20.0 + seed for seed in range(len(gains))})
    mean = sum(gains) / 5
    error = (sum((gain - mean) ** 2 for gain in gains) / 4 / 5) ** 0.5
    assert found.half_width(0.95) == pytest.approx(2.776445 * error, rel=1e-5)
    assert found.half_width(0.9) == pytest.approx(2.131847 * error, rel=1e-5)
    assert statistics.verdict(found, found.p, 0.05) == verdict


def test_the_plan_is_the_registered_one(tmp_path: Path) -> None:
    """What docs/results/hkd.md registers: seeds, steps, halves, the smallest effect."""
    plan = module("distillation.plan").Plan.read(BENCHMARKS / "hkd.toml")
    page = (DOCS / "hkd.md").read_text()
    for variant in plan.variants:
        assert f"| `{variant}` |" in page
    assert plan.phase("screening").seeds == (0, 1, 2) and plan.phase("screening").half == "a"
    assert plan.phase("confirmation").seeds == (10, 11, 12, 13, 14) and plan.phase("confirmation").half == "b"
    assert plan.smallest_effect_db == 0.05 and plan.document["confirmation"]["best"] == 2
    assert [plan.document["neurons"][n]["steps"] for n in plan.neurons] == [10000, 6000]
    key = module("distillation.plan").Key("graded", "paper", 0)
    loss = plan.settings(key).loss
    assert (loss.hints, loss.output, loss.fft, loss.hint_decay_from) == (0.12, 0, 0.1, 1)
    with pytest.raises(ConfigError, match="seed 0 is in both phases"):
        both = (BENCHMARKS / "hkd.toml").read_text().replace("[10, 11, 12, 13, 14]", "[0, 11]")
        (path := tmp_path / "plan.toml").write_text(both)
        module("distillation.plan").Plan.read(path)


def test_the_documented_results_are_what_the_rows_give() -> None:
    """Also of rows that are not whole, or not there."""
    plan = module("distillation.plan").Plan.read(BENCHMARKS / "hkd.toml")
    rows = module("distillation.rows").read_rows(DOCS / "hkd-runs.jsonl")
    study = module("distillation.study").Study.of(plan, rows)
    report, page = module("distillation.report"), (DOCS / "hkd.md").read_text()
    tests = sorted({name for row in rows.values() for name in row.tests})
    assert report.placed(page, report.section(study, tests)) == page


def test_the_earlier_study_is_reported_by_its_figures() -> None:
    """Each line of its table is that of hkd.json."""
    page = (DOCS / "hkd.md").read_text()
    for variant in json.loads((DOCS / "hkd.json").read_text())["variants"]:
        final = variant["summary"]["final_psnr_db"]
        (line,) = [line for line in page.splitlines() if line.startswith(f"| {variant['name']} ")]
        assert f"| {final['mean']:.3f} ± {final['standard_deviation']:.3f} |" in line
        if difference := variant["summary"]["difference"]:
            assert f"| {difference['mean']:+.3f} ± {difference['standard_error']:.3f} " in line
