"""The number of threads: what is chosen of given times, that a trial leaves no trace, and what is kept."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from snn_tool.degradations.crops import write_demo_folders
from snn_tool.errors import ConfigError
from snn_tool.networks.open import open_student
from snn_tool.networks.running import RestoringStudent
from snn_tool.networks.shipped import shipped_for
from snn_tool.training import fit as training
from snn_tool.training import threads
from snn_tool.training.run_folder import RunFolder
from snn_tool.training.runs import TaskOptions, distill_student, load_training_data
from snn_tool.training.settings import load_settings
from snn_tool.training.threads import Trial, available, counts_to_try, running_on, trial
from torch import nn


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ({1: 1.0, 2: 0.6}, 2),
        ({1: 1.0, 2: 0.97}, 1),  # not worth a core
        ({1: 0.3, 2: 0.9}, 1),
        ({1: 1.0, 2: 0.6, 4: 0.5, 8: 0.49}, 4),
        ({1: 1.0, 2: 1.2, 4: 0.5}, 4),
    ],
)
def test_more_threads_must_be_worth_their_cores(seconds: dict[int, float], chosen: int) -> None:
    assert Trial(seconds, 1.0).threads == chosen


def test_the_line_says_what_was_chosen_and_that_the_machine_is_shared() -> None:
    alone, shared = Trial({1: 0.044, 2: 0.035}, 1.0), Trial({1: 0.05, 2: 0.136}, 2.3)
    assert alone.text() == "threads: 2 of 2; a step takes 44 ms on 1, 35 ms on 2"
    assert shared.shared and not alone.shared
    assert shared.text().startswith(
        "threads: 1 of 2; a step takes 50 ms on 1, 136 ms on 2; other work shares"
    )
    assert "up to 2.3 times" in shared.text()


def test_counts_are_powers_of_two_and_all() -> None:
    assert [counts_to_try(most) for most in (1, 2, 3, 6, 8)] == [
        (1,),
        (1, 2),
        (1, 2, 3),
        (1, 2, 4, 6),
        (1, 2, 4, 8),
    ]
    assert available() >= 1


def test_a_trial_takes_turns_and_gives_the_threads_back() -> None:
    seen: list[int] = []
    with running_on(3):
        found = trial(lambda: seen.append(torch.get_num_threads()), (1, 2), rounds=2)
        assert torch.get_num_threads() == 3
    assert seen == [1, 2] * 3 and set(found.seconds) == {1, 2}


def test_a_waiting_step_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clocks of our own: every step takes 3 s, of which the thread works 1 s."""
    ticks = {"wall": 0.0, "own": 0.0}

    def step() -> None:
        ticks["wall"] += 3
        ticks["own"] += 1

    monkeypatch.setattr(threads.time, "perf_counter", lambda: ticks["wall"])
    monkeypatch.setattr(threads.time, "thread_time", lambda: ticks["own"])
    found = trial(step, (1, 2))
    assert found.seconds == {1: 3.0, 2: 3.0} and found.waiting == 3.0 and found.shared


def test_trying_out_leaves_weights_and_random_numbers_alone() -> None:
    torch.manual_seed(7)
    module = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Dropout())
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    stream = torch.random.get_rng_state()
    optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
    threads.try_out(module, lambda: module(torch.ones(4, 3) * torch.rand(4, 1)).sum(), optimizer)
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), stream)
    assert all(parameter.grad is None for parameter in module.parameters())


@pytest.mark.parametrize("given", [0, -1, 5000, "many", "2.5"])
def test_no_number_of_threads_is_one_line(given: int | str) -> None:
    with pytest.raises(ConfigError, match="training.threads = .* use auto or a whole number from 1 to 1024"):
        load_settings(None, {"training": {"threads": given}})


@pytest.mark.slow
def test_auto_is_recorded_kept_at_resume_and_changes_no_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A trial that finds 1 thread best gives what --threads 1 gives; a resume does not try again."""
    images, _ = write_demo_folders(tmp_path)
    used: list[int] = []
    monkeypatch.setattr(logging.getLogger("snn_tool"), "propagate", True)
    monkeypatch.setattr(threads, "counts_to_try", lambda most: (1,))
    run_steps = training._run

    def watched(*given: object) -> None:
        used.append(torch.get_num_threads())
        run_steps(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "_run", watched)

    def run(name: str, chosen: int | str | None, steps: int = 3, resume: bool = False) -> Path:
        small = {"batch": 1, "patch": 16, "max_steps": steps, "validate_every": 2, "device": "cpu"}
        settings = load_settings(None, {"student": {"width": 4}, "training": {**small, "threads": chosen}})
        folder = RunFolder(tmp_path / name, resume, not resume, quiet=True)
        return distill_student(None, (), TaskOptions(images, "denoise", "25"), settings, folder).path

    with running_on(2):
        fixed = run("fixed", 1)
        with caplog.at_level(logging.INFO, logger="snn_tool"):
            tried = run("tried", "auto")
        assert (
            sum(record.getMessage().startswith("threads: 1 of 1; a step") for record in caplog.records) == 1
        )
        assert tried.read_bytes() == fixed.read_bytes()
        assert tried.with_suffix(".json").read_bytes() == fixed.with_suffix(".json").read_bytes()
        recorded = json.loads((tmp_path / "tried/settings.json").read_text())
        assert recorded["chosen"] == {"threads": 1}
        assert torch.get_num_threads() == 2, "training gave the threads back"
    assert used == [1, 1]
    tried_again = RunFolder(tmp_path / "tried", True, False, quiet=True)
    for asked, expected in ((None, 1), ("auto", 1), (2, 2), (None, 2)):
        settings = load_settings(None, {"training": {"threads": asked}}).training
        assert training._threads(settings, "cpu", tried_again, None, None) == expected  # type: ignore[arg-type]


@pytest.mark.slow
def test_what_is_the_same_at_any_number_of_threads(tmp_path: Path) -> None:
    """Batches and what integers compute, to the bit; floats, in another order, to 1e-3 after 3 steps."""
    images, _ = write_demo_folders(tmp_path)
    options = TaskOptions(images, "denoise", "25")
    shipped = RestoringStudent.of(open_student(shipped_for("denoise").path))
    degraded = np.random.default_rng(0).random((40, 56, 3), np.float32)
    restored, weights, drawn = [], [], []
    for count in (1, 2):
        small = {"batch": 2, "patch": 32, "max_steps": 3, "validate_every": 3, "device": "cpu", "qat": 0.0}
        settings = load_settings(None, {"student": {"width": 8}, "training": {**small, "threads": count}})
        folder = RunFolder(tmp_path / str(count), False, False, quiet=True)
        weights.append(load_file(distill_student(None, (), options, settings, folder).path))
        with running_on(count):
            restored.append(shipped.restore_8_bits(degraded, 512))
            drawn.append(training.first_batch(load_training_data(options, settings), settings.training))
    assert np.array_equal(*restored)
    assert all(map(torch.equal, *drawn))
    for name, tensor in weights[0].items():
        np.testing.assert_allclose(weights[1][name], tensor, atol=1e-3, err_msg=name)
