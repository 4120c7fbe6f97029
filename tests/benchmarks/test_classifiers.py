"""The classifiers' benchmarks: counts by three counters, and small versions of the two tasks through time."""

import importlib
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import a benchmark by name."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))

    def made(name: str) -> ModuleType:
        return importlib.import_module(name)

    return made


def test_a_loop_over_spikes_counts_by_hand(program: Any) -> None:
    """5x5, padding 1, stride 2, 3x3: a corner meets one tap of both axes, the centre as many; 4 channels."""
    conv, spikes = torch.nn.Conv2d(2, 4, 3, stride=2, padding=1), torch.zeros(1, 2, 5, 5)
    by_hand = program("classifiers").by_hand
    spikes[0, 1, 0, 0] = 1  # outputs stand at 0, 2, 4: row 0 is seen by the output at 0 alone
    assert by_hand(conv, spikes) == 1 * 1 * 4
    spikes[0, 0, 1, 2] = 1  # row 1 is seen by 0 and 2, column 2 by 2 alone
    assert by_hand(conv, spikes) == 4 + 2 * 1 * 4
    assert by_hand(torch.nn.Linear(50, 7), spikes.flatten(1)) == 2 * 7


@pytest.mark.slow
@pytest.mark.parametrize(
    "title", ["snntorch, reset by subtraction", "snntorch, reset to zero", "spikingjelly", "norse"]
)
def test_three_counters_agree_on_each_library(program: Any, title: str) -> None:
    for library in (title.partition(",")[0], "spikingjelly"):
        if find_spec(library) is None:
            pytest.skip(f"pip install {library}")
    classifiers = program("classifiers")
    torch.manual_seed(0)
    network = classifiers.NETWORKS[title]().eval()
    images = np.random.default_rng(0).random((2, 1, 8, 8), dtype=np.float32) * 3
    found = classifiers.counted(network, images)
    assert found["loop"] > 1000 and set(found.values()) == {found["loop"]}


def test_a_pixel_sends_an_event_for_each_threshold_that_its_logarithm_passes(program: Any) -> None:
    moving = program("moving_digits")
    dark, bright = 0.0, 1.0  # logarithms 0.1 and 1: 2.303 apart, seven thresholds of 0.3
    intensity = np.full((4, 1, 2), dark)
    intensity[1:3, 0, 1] = bright
    found = moving.events(intensity)
    count = int(np.log(1 / moving.DARK) / moving.THRESHOLD)
    assert count == 7 and len(found["t"]) == 2 * count
    assert set(found["x"]) == {1} and set(found["y"]) == {0}
    assert found["p"].tolist() == [1] * count + [0] * count
    assert found["t"][:count].tolist() == [n * 1000 // 8 for n in range(1, 8)]
    assert found["t"][count:].tolist() == [2000 + n * 1000 // 8 for n in range(1, 8)]


def test_a_digit_moves_along_its_course(program: Any) -> None:
    """The centre of mass of what the sensor sees follows the digit's centre."""
    moving = program("moving_digits")
    course = moving.Course.drawn(np.random.default_rng(3))
    picture = np.zeros((8, 8))
    picture[3:5, 3:5] = 1
    seen = moving.looks(picture, course)
    assert seen.shape == (moving.LOOKS + 1, 16, 16) and seen.max() <= 1
    mass = seen.sum(axis=(1, 2))
    grid = np.arange(16) - 7.5
    x, y = (seen.sum(axis=1) @ grid / mass, seen.sum(axis=2) @ grid / mass)
    np.testing.assert_allclose(x, course.x, atol=0.15)
    np.testing.assert_allclose(y, course.y, atol=0.15)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["events", "rows"])
def test_a_small_version_is_exact(
    program: Any, task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if task == "events" and find_spec("snntorch") is None:
        pytest.skip("pip install snntorch")
    if task == "events":
        program("moving_digits").write_recordings(tmp_path / "recordings", limit=24)
    words = [task, "--recordings", str(tmp_path / "recordings"), "--out", str(tmp_path), "--steps", "3"]
    words += ["--tune", "2", "--count", "2", "--limit", "24", "--backend", "nir"]
    monkeypatch.setattr(sys, "argv", ["through_time.py", *words])
    program("through_time").main()
    found = json.loads((tmp_path / task / "results.json").read_text())
    assert found["backends"]["nir"]["differing"] == 0 and found["backends"]["nir"]["samples"] == 24
    assert found["backends"]["nir"]["accuracy"] == found["backends"]["integer"]["accuracy"]
    assert {"recorded", "original", "integers"} <= found.keys()
    assert found["recorded"] == found["original"], "the graph is the network"
    assert found["mean_of_a_sample"]["synops_events"] > 0
