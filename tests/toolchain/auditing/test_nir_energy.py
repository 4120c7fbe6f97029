"""`energy nir`: counts equal sums by brute force, prices equal formulas, bad input is one line."""

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from snn_tool.auditing.nir import present
from snn_tool.cli.app import run
from snn_tool.exporters.nir.file import write_nir
from snn_tool.exporters.nir.graph import to_nir
from snn_tool.images.files import LUMA, read_image

T, SIDE = 5, 4
RNG = np.random.default_rng(7)
KERNELS, DENSE = RNG.normal(size=(2, 3, 3, 3)), RNG.normal(size=(3, 2 * SIDE * SIDE))


def write_network(path: Path, channels: int = 3, last: Any = None) -> Path:
    """Conv2d -> IF -> Flatten -> Linear -> LIF on [channels, 4, 4], for dt = 1 s."""
    full, outputs = np.ones((2, SIDE, SIDE)), np.ones(3)
    nodes = {
        "image": nir.Input(np.array([channels, SIDE, SIDE])),
        "conv": nir.Conv2d((SIDE, SIDE), KERNELS[:, :channels], 1, 1, 1, 1, np.zeros(2)),
        "if": nir.IF(full, full * 0.5, full * 0),
        "flat": nir.Flatten({"input": np.array([2, SIDE, SIDE])}, 0, -1),
        "dense": nir.Linear(DENSE),
        "lif": last or nir.LIF(outputs * 2, outputs * 2, outputs * 0, outputs),
        "out": nir.Output(np.array([3])),
    }
    names = list(nodes)
    nir.write(path, nir.NIRGraph(nodes, list(zip(names, names[1:], strict=False)), type_check=False))
    return path


def by_brute_force(image: NDArray[np.float64]) -> dict[str, int]:
    """Loops over steps, neurons and taps."""
    found = dict.fromkeys(("synops_levels", "exact_macs", "neuron_updates", "hidden", "last"), 0)
    v, u = np.zeros((2, SIDE, SIDE)), np.zeros(3)
    for _ in range(T):
        spikes = np.zeros_like(v)
        for o, y, x in product(range(2), range(SIDE), range(SIDE)):
            for c, i, j in product(range(3), range(3), range(3)):
                if 0 <= y + i - 1 < SIDE and 0 <= x + j - 1 < SIDE:
                    v[o, y, x] += KERNELS[o, c, i, j] * image[c, y + i - 1, x + j - 1]
                    found["exact_macs"] += 1
            if v[o, y, x] > 0.5:
                spikes[o, y, x], v[o, y, x] = 1, 0
        for n, z in product(range(3), np.flatnonzero(spikes)):
            u[n] += DENSE[n, z]
            found["synops_levels"] += 1
        fired = u > 1
        # v + 1/2 (2 x - v) is v / 2 + x: the half of what is left is taken before the next step's input.
        u = np.where(fired, 0, u) / 2
        found["hidden"] += int(spikes.sum())
        found["last"] += int(fired.sum())
        found["neuron_updates"] += v.size + u.size
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = tmp_path / "images"
    images.mkdir()
    for index, (height, width) in enumerate([(4, 4), (7, 9), (10, 4)]):
        pixels = RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(images / f"{index}.png")
    return images


def arguments(folder: Path, file: Path) -> list[str]:
    return ["energy", "nir", str(file), "--images", str(folder), "--timesteps", str(T), "--dt", "1"]


def older(folder: Path, file: Path) -> list[str]:
    """The same under the name that it had first."""
    return ["energy", "report", "--nir", *arguments(folder, file)[2:]]


def test_counts_and_prices_equal_sums_by_hand(folder: Path, tmp_path: Path) -> None:
    file = write_network(tmp_path / "net.nir")
    assert run(["-q", *arguments(folder, file), "--out", str(tmp_path / "out")]) == 0
    document = json.loads((tmp_path / "out" / "energy.json").read_text(encoding="utf-8"))
    prices, rates = [], []
    for index, image in enumerate(document["images"]):
        pixels = read_image(folder / f"{index}.png") / 255
        top, left = (pixels.shape[0] - SIDE) // 2, (pixels.shape[1] - SIDE) // 2
        expected = by_brute_force(pixels[top : top + SIDE, left : left + SIDE].transpose(2, 0, 1))
        hidden, last = expected.pop("hidden"), expected.pop("last")
        totals = image["totals"]
        assert {name: totals[name] for name in expected} == expected
        assert totals["spikes"] == hidden + last and min(hidden, last) > 0
        rates.append((hidden + last) / (35 * T))
        macs, synops = expected["exact_macs"], expected["synops_levels"]
        # Horowitz at fp32: 4.6 and 0.9 pJ; 35 compares a step, one reset per spike, 3 leaks of 3.7 pJ a step.
        prices.append((4.6 * macs + 0.9 * synops, 0.9 * (35 * T + hidden + last) + 3.7 * 3 * T))
    assert len(prices) == 3
    energy = document["energy_pj"]
    assert energy["arithmetic"]["fp32"]["mean"] == pytest.approx(np.mean([a for a, _ in prices]), rel=1e-12)
    exact = [a + b for a, b in prices]
    assert energy["exact-ops"]["fp32"]["mean"] == pytest.approx(np.mean(exact), rel=1e-12)
    assert energy["exact-ops"]["fp32"]["stdev"] == pytest.approx(np.std(exact, ddof=1), rel=1e-9)
    assert energy["exact-ops"]["fp32"]["max"] == pytest.approx(max(exact), rel=1e-12)
    assert document["firing_rate"]["mean"] == pytest.approx(np.mean(rates), rel=1e-12)
    weights, state = 2 * 27 + 3 * 32, 35
    assert document["bytes"]["fp32"] == {"weights": 4 * weights, "state": 4 * state}
    assert document["bytes"]["int8"] == {"weights": weights, "state": 4 * state}
    assert document["kind"] == "nir-energy"


@pytest.mark.slow
def test_the_terminal_shows_every_layer_and_a_rerun_is_identical(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = arguments(folder, write_network(tmp_path / "net.nir"))
    assert run(["-q", *command, "--out", str(tmp_path / "a")]) == 0
    shown = capsys.readouterr().out
    assert all(f" {name} " in shown for name in ("conv", "if", "dense", "lif", "total", "exact-ops"))
    assert run(["-q", *command, "--out", str(tmp_path / "b")]) == 0
    first, second = ((tmp_path / name / "energy.json").read_bytes() for name in "ab")
    assert first == second
    assert run(["-q", *command, "--out", str(tmp_path / "b")]) == 1  # exists, without --overwrite


@pytest.mark.slow
def test_the_older_name_does_the_same(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_network(tmp_path / "net.nir")
    shown, files = [], []
    for name, command in (("new", arguments(folder, file)), ("old", older(folder, file))):
        for form in ([], ["--json"]):
            out = tmp_path / f"{name}{len(form)}"
            capsys.readouterr()
            assert run(["-q", *form, *command, "--limit", "1", "--out", str(out)]) == 0
            shown.append(capsys.readouterr().out.replace(str(out), "OUT"))
            files.append((out / "energy.json").read_bytes())
    assert shown[:2] == shown[2:]
    assert len(set(files)) == 1


def test_grey_and_centre(tmp_path: Path) -> None:
    pixels = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    centre = pixels[1:4, 2:5].astype(np.float64) / 255
    np.testing.assert_array_equal(present(tmp_path / "a.png", (3, 3, 3))[0], centre.transpose(2, 0, 1))
    grey = sum(weight * centre[..., c] for c, weight in enumerate(LUMA))
    np.testing.assert_allclose(present(tmp_path / "a.png", (1, 3, 3))[0, 0], grey, rtol=1e-12)


def failure(command: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    capsys.readouterr()
    code = run(["-q", *command])
    error = capsys.readouterr().err.strip()
    assert "\n" not in error
    return code, error


@pytest.mark.slow
def test_bad_input_is_one_line(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    delay = write_network(tmp_path / "delay.nir", last=nir.Delay(np.ones(3)))
    code, error = failure(arguments(folder, delay), capsys)
    assert code == 1 and "delay.nir: lif: Delay is not supported" in error
    code, error = failure(arguments(folder, write_network(tmp_path / "two.nir", channels=2)), capsys)
    assert code == 1 and "image: takes [2, 4, 4]" in error
    file = write_network(tmp_path / "net.nir")
    code, error = failure([*older(folder, file), "--student", "denoise-25"], capsys)
    assert code == 2 and "--student does not go with --nir" in error
    code, error = failure([*older(folder, file), "--claim", "3"], capsys)
    assert code == 2 and "--claim does not go with --nir" in error
    code, error = failure([*older(folder, file), "--strict"], capsys)
    assert code == 2 and "--strict does not go with --nir" in error
    code, error = failure([*older(folder, file), "--tables"], capsys)
    assert code == 2 and "--tables does not go with --nir" in error
    code, error = failure([*older(folder, file), "--sigma", "25"], capsys)
    assert code == 2 and "--strength does not go with --nir" in error
    code, error = failure(["energy", "report", "--nir", str(file)], capsys)
    assert code == 2 and "--nir needs --images DIR" in error
    code, error = failure(["energy", "report", "--student", "denoise-25", "--dt", "0.1"], capsys)
    assert code == 2 and "--dt does not go with --student" in error
    code, error = failure(["energy", "report", "--images", str(folder)], capsys)
    assert code == 2 and "--nir" in error
    empty = tmp_path / "empty"
    empty.mkdir()
    code, error = failure(arguments(empty, file), capsys)
    assert code == 1 and "holds no images" in error
    Image.fromarray(np.zeros((3, 9, 3), dtype=np.uint8)).save(folder / "small.png")
    code, error = failure(arguments(folder, file), capsys)
    assert code == 1 and "small.png: 9x3 pixels, but the network takes 4x4" in error


def test_a_file_without_spikes_is_said_to_be_counted_as_dense(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once, in words of the tool, and not for each image."""
    nodes = {
        "image": nir.Input(np.array([3, SIDE, SIDE])),
        "conv": nir.Conv2d((SIDE, SIDE), KERNELS, 1, 1, 1, 1, np.zeros(2)),
        "out": nir.Output(np.array([2, SIDE, SIDE])),
    }
    path = tmp_path / "dense.nir"
    nir.write(path, nir.NIRGraph(nodes, [("image", "conv"), ("conv", "out")], type_check=False))
    assert run(["energy", "report", "--nir", str(path), "--images", str(folder), "--timesteps", "2"]) == 0
    err = " ".join(capsys.readouterr().err.split())  # a terminal's lines end anywhere
    assert err.count("no node emits spikes; everything is counted as multiply-accumulates") == 1
    assert "UserWarning" not in err and "DenseNetworkWarning" not in err


def test_what_is_cheap_is_looked_at_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file is damaged as well, and may take seconds until that is known."""
    (tmp_path / "net.nir").write_text("no HDF5")
    assert run(["energy", "nir", str(tmp_path / "net.nir"), "--images", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'none'}: no such file or folder")


@pytest.mark.parametrize(("neuron", "passes"), [("lif", 1), ("graded", 2)])
def test_a_file_of_this_tool_is_refused_as_what_it_is(
    make_network: Callable[..., Any],
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    neuron: str,
    passes: int,
) -> None:
    """Its integers read a grid, and the host chains its passes: what [0, 1] would give is not its energy."""
    path = tmp_path / "own.nir"
    write_nir(path, to_nir(make_network(neuron, passes=passes), 16, 16))
    for command in (["energy", "nir"], ["energy", "report", "--nir"]):
        code, error = failure([*command, str(path), "--images", str(folder)], capsys)
        whole = " ".join(error.split())
        several = " of one of 2 passes" if passes == 2 else ""
        assert code == 1 and f"made by snn-tool, and holds its integers{several}, which take" in whole
