"""`import --expect`, silent networks and images used: what the file cannot tell, said and compared."""

import json
import os
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import snntorch
import torch
from numpy.typing import NDArray
from PIL import Image
from snn_tool.cli.app import run
from snn_tool.degradations.crops import ImagesUsed, draw_counted
from snn_tool.degradations.tasks import degradation_from_options
from snntorch.export_nir import export_to_nir
from torch import nn

SIDE, STEPS, IMAGES, CLASSES = 8, 6, 4, 5


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for index in range(IMAGES):
        pixels = rng.integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return folder


def leaky(shape: tuple[int, ...], reset: str, threshold: float) -> nn.Module:
    made: nn.Module = snntorch.Leaky(
        beta=torch.full(shape, 0.9),
        threshold=torch.full(shape, threshold),
        reset_mechanism=reset,
        reset_delay=False,
        init_hidden=True,
    )
    return made


def classifier(path: Path, reset: str) -> nn.Module:
    torch.manual_seed(4)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        leaky((4, SIDE, SIDE), reset, 0.4),
        nn.Flatten(),
        nn.Linear(4 * SIDE * SIDE, CLASSES),
        leaky((CLASSES,), reset, 0.3),
    )
    nir.write(path, export_to_nir(network, torch.rand(1, 3, SIDE, SIDE), ignore_dims=[0]))
    return network


def recorded(network: nn.Module, folder: Path) -> NDArray[np.float32]:
    """What the library itself gives: spikes [T, N, classes]."""
    for part in network:
        if isinstance(part, snntorch.SpikingNeuron):
            part.reset_mem()
    shown = np.stack([np.asarray(Image.open(path)) for path in sorted(folder.iterdir())])
    batch = torch.from_numpy(shown.transpose(0, 3, 1, 2).astype(np.float32) / 255)
    with torch.no_grad():
        return np.stack([network(batch).numpy() for _ in range(STEPS)])


def imported(capsys: pytest.CaptureFixture[str], tmp_path: Path, *options: Any) -> dict[str, Any]:
    capsys.readouterr()
    out = tmp_path / "a.int.safetensors"
    command = [
        "--json",
        "-q",
        "import",
        tmp_path / "a.nir",
        "--out",
        out,
        "--overwrite",
        "--timesteps",
        STEPS,
    ]
    assert run([str(word) for word in (*command, *options)]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


@pytest.mark.slow
@pytest.mark.parametrize("form", ["spikes", "counts", "counts per step", "outputs", "outputs per step"])
def test_a_hard_reset_is_in_the_file_and_a_soft_one_is_not(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    for reset in ("zero", "subtract"):
        spikes = recorded(classifier(tmp_path / "a.nir", reset), images)
        assert 0 < spikes.mean() < 1
        values = {
            "spikes": spikes.astype(bool),
            "counts": spikes.sum(axis=0).astype(np.int64),
            "counts per step": spikes.astype(np.int8),
            "outputs": spikes.mean(axis=0),
            "outputs per step": spikes,
        }[form]
        np.savez(tmp_path / "out.npz", **{form.split()[0]: values})
        found = imported(capsys, tmp_path, "--images", images, "--expect", tmp_path / "out.npz")
        of_file = found["expected"]["float"]
        assert (of_file["values"], of_file["images"]) == (IMAGES * CLASSES, IMAGES)
        if reset == "zero":
            assert (of_file["differing"], of_file["same_class"]) == (0, IMAGES)
        else:
            assert of_file["differing"] > 0 and of_file["largest"] >= 1 / STEPS - 1e-6
        assert found["notes"] == [] and found["same_class"] is not None


def test_recorded_inputs_stand_for_images_of_any_channels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two channels, as event cameras have; a 1x1 convolution, so that counts are computed by hand."""
    weight = np.array([[[[0.5]], [[0.25]]]])
    nodes = {
        "input": nir.Input(np.array([2, 2, 2])),
        "a": nir.Conv2d((2, 2), weight, 1, 0, 1, 1, np.zeros(1)),
        "n": nir.IF(np.full((1, 2, 2), 1e4), np.full((1, 2, 2), 0.65), np.zeros((1, 2, 2))),
        "output": nir.Output(np.array([1, 2, 2])),
    }
    edges = [("input", "a"), ("a", "n"), ("n", "output")]
    nir.write(tmp_path / "a.nir", nir.NIRGraph(nodes, edges))
    inputs = np.zeros((3, 2, 2, 2))
    inputs[:, 0] = np.array([1.0, 0.8, 0.4])[:, None, None]
    # Currents of 0.5, 0.4, 0.2 above 0.65: in 6 steps each second, each second, every fourth.
    counts = np.broadcast_to(np.array([3, 3, 1])[:, None, None, None], (3, 1, 2, 2))
    np.savez(tmp_path / "out.npz", inputs=inputs, counts=counts)
    found = imported(capsys, tmp_path, "--expect", tmp_path / "out.npz")
    assert found["expected"]["float"]["differing"] == 0 and found["images_used"]["used"] == 3


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "holds nothing; give one of outputs, counts, spikes"),
    "other": ({"logits": np.zeros((IMAGES, CLASSES))}, "holds logits; give one of"),
    "two": ({"outputs": np.zeros(1), "counts": np.zeros(1)}, "give one of outputs, counts, spikes"),
    "nan": ({"outputs": np.full((IMAGES, CLASSES), np.nan)}, "'outputs' holds NaN or infinity"),
    "classes": (
        {"outputs": np.zeros((IMAGES, 4))},
        "'outputs' has the shape [4, 4], not [4, ...] or [6, 4, ...]",
    ),
    "images": ({"counts": np.zeros((3, CLASSES))}, "'counts' has the shape [3, 5]"),
    "steps": ({"spikes": np.zeros((IMAGES, CLASSES))}, "'spikes' has the shape [4, 5], not [6, 4, ...]"),
    "scalar": ({"outputs": np.float64(1)}, "'outputs' has the shape []"),
    "inputs": ({"outputs": np.zeros((1, CLASSES)), "inputs": np.zeros((1, 3, 4, 4))}, "not [N, 3, 8, 8]"),
    "range": (
        {"outputs": np.zeros((1, CLASSES)), "inputs": np.full((1, 3, SIDE, SIDE), 255.0)},
        "'inputs' lies between 255 and 255",
    ),
    "objects": ({"outputs": np.array([None, 1])}, "record it again"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_arrays_of_no_use_are_one_line(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    arrays, message = FAULTS[fault]
    classifier(tmp_path / "a.nir", "zero")
    np.savez(tmp_path / "out.npz", **arrays)
    command = [
        "-q",
        "import",
        "a.nir",
        "--images",
        "images",
        "--expect",
        "out.npz",
        "--timesteps",
        str(STEPS),
    ]
    paths = [str(tmp_path / word) if (tmp_path / word).exists() else word for word in command]
    assert run([*paths, "--out", str(tmp_path / "a.int.safetensors")]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and message in lines[0], lines
    assert not (tmp_path / "a.int.safetensors").exists()


def test_neither_images_nor_inputs_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    classifier(tmp_path / "a.nir", "zero")
    command = ["-q", "import", str(tmp_path / "a.nir"), "--out", str(tmp_path / "a.int.safetensors")]
    assert run(command) == 1 and "--images DIR, --inputs FILE, or --expect" in capsys.readouterr().err
    np.savez(tmp_path / "out.npz", outputs=np.zeros((1, CLASSES)))
    assert run([*command, "--expect", str(tmp_path / "out.npz")]) == 1
    assert "has no 'inputs'" in capsys.readouterr().err
    assert run([*command, "--expect", str(tmp_path / "none.npz")]) == 1
    assert "none.npz: no such file; record it again" in capsys.readouterr().err


def in_steps(path: Path, kind: str) -> float:
    """A network whose time is not in the seconds of the default `--dt`, and the step that it is in."""
    rng, ones = np.random.default_rng(0), np.ones((4, SIDE, SIDE))
    fires, dt_s = {
        "sinabs IF": (nir.IF(ones, ones, 0 * ones), 1.0),
        "sinabs LIF": (nir.LIF(20 * ones, ones, 0 * ones, 0.02 * ones, 0 * ones), 1.0),
        "snntorch in ms": (nir.LIF(0.02 * ones, 20 * ones, 0 * ones, ones, 0 * ones), 1e-3),
        "norse": (nir.LIF(0.01 * ones, ones, 0 * ones, 0.4 * ones, 0 * ones), 1e-3),
    }[kind]
    weight = np.abs(rng.normal(0, 0.5, (4, 3, 3, 3))).astype(np.float32)
    made = {"a": nir.Conv2d((SIDE, SIDE), weight, 1, 1, 1, 1, np.zeros(4)), "n": fires}
    ends = nir.Input(np.array([3, SIDE, SIDE])), nir.Output(np.array([4, SIDE, SIDE]))
    edges = [("input", "a"), ("a", "n"), ("n", "output")]
    nir.write(path, nir.NIRGraph({"input": ends[0], **made, "output": ends[1]}, edges))
    return dt_s


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sinabs IF", "sinabs LIF", "snntorch in ms", "norse"])
def test_nothing_fires_and_the_step_that_fits_is_named(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    dt_s, low = in_steps(tmp_path / "a.nir", kind), 1e-6
    found = imported(capsys, tmp_path, "--images", images, "--dt", low, "--limit", 3)
    assert found["fitting_dt_s"] == pytest.approx(dt_s)
    (warning,) = found["warnings"]
    assert warning.startswith("warning: nothing fires") and f"with --dt {dt_s:g} some do" in warning
    assert found["images_used"] == {"used": 3, "found": IMAGES, "why": "--limit 3"}
    right = imported(capsys, tmp_path, "--images", images, "--dt", dt_s)
    assert right["warnings"] == [] and right["fitting_dt_s"] is None
    assert right["images_used"] == {"used": IMAGES, "found": IMAGES, "why": ""}
    report = ["energy", "report", "--nir", str(tmp_path / "a.nir"), "--images", str(images)]
    assert run(["--json", "-q", *report, "--dt", str(low), "--limit", "2"]) == 0
    priced = json.loads(capsys.readouterr().out)
    assert priced["fitting_dt_s"] == pytest.approx(dt_s) and "nothing fires" in priced["warnings"][0]
    assert priced["images_used"] == {"used": 2, "found": IMAGES, "why": "--limit 2"}
    assert run(["-q", *report, "--dt", str(dt_s)]) == 0
    shown = capsys.readouterr().out
    assert f"{IMAGES} of {IMAGES} images used" in shown and "nothing fires" not in shown


def test_a_real_cnn_of_events_is_imported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """NIR's paper's own: two channels, time in steps, pools in front of padded convolutions."""
    folder = os.environ.get("SNN_TOOL_DATA")
    if not folder:
        pytest.skip("SNN_TOOL_DATA names no folder with nir/cnn_sinabs.nir")
    (tmp_path / "a.nir").write_bytes((Path(folder) / "nir" / "cnn_sinabs.nir").read_bytes())
    inputs = (np.random.default_rng(0).random((2, 2, 34, 34)) < 0.2).astype(np.float32)
    np.savez(tmp_path / "out.npz", inputs=inputs, outputs=np.zeros((2, 10)))
    found = imported(capsys, tmp_path, "--expect", tmp_path / "out.npz", "--dt", 1)
    assert len(found["populations"]) == 5 and found["warnings"] == []
    silent = imported(capsys, tmp_path, "--expect", tmp_path / "out.npz")
    assert silent["fitting_dt_s"] == 1.0


def test_tiles_say_of_how_many_images_they_are(images: Path) -> None:
    Image.new("RGB", (4, 4)).save(images / "small.png")
    noise = degradation_from_options("denoise", "0")
    tiles, used = draw_counted(images, 2, (SIDE, SIDE), noise, 0)
    assert len(tiles) == 2 and (used.used, used.found) == (2, IMAGES + 1) and "2 tiles" in used.why
    _, used = draw_counted(images, 20, (SIDE, SIDE), noise, 0)
    assert (used.used, used.found) == (IMAGES, IMAGES + 1) and "at least 8x8" in used.why
    (images / "small.png").unlink()
    assert draw_counted(images, 20, (SIDE, SIDE), noise, 0)[1] == ImagesUsed(IMAGES, IMAGES)
