"""`finetune`: its view computes what the integers do, it learns, a resumed run ends as a whole one."""

import json
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch
from snn_tool.cli.app import run
from snn_tool.deploy.classify import integer_outputs
from snn_tool.deploy.finetune import _Run
from snn_tool.exporters.nir_foreign.importing import import_graph
from snn_tool.exporters.nir_foreign.module import load_nir_module
from snn_tool.models.integer.engine import IntegerEngine
from snn_tool.models.integer.network import InputGrid
from snn_tool.models.integer.training_real import RoundedNetwork

FEATURES, HIDDEN, CLASSES, T, N = 8, 10, 3, 4, 300


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A network with one outlying weight, beside which 8 bits leave little of the others, and inputs."""
    rng = np.random.default_rng(2)
    first, last = rng.normal(size=(HIDDEN, FEATURES)) * 0.4, rng.normal(size=(CLASSES, HIDDEN))
    first[0, 0] = 30.0
    ones = np.ones(HIDDEN)
    nodes = {
        "in": nir.Input(np.array([FEATURES])),
        "first": nir.Affine(first, rng.normal(size=HIDDEN) * 0.1),
        "lif": nir.LIF(ones * 2, ones * 2, ones * 0, ones * 0.7),
        "last": nir.Affine(last, rng.normal(size=CLASSES) * 0.1),
        "out": nir.Output(np.array([CLASSES])),
    }
    names = list(nodes)
    nir.write(tmp_path / "a.nir", nir.NIRGraph(nodes, list(zip(names, names[1:], strict=False))))
    inputs = rng.normal(size=(N, FEATURES))
    np.savez(tmp_path / "x.npz", inputs=inputs, labels=inputs[:, :CLASSES].argmax(axis=1))
    return tmp_path


@pytest.mark.parametrize("over_time", [False, True])
def test_the_view_computes_what_the_integers_do(folder: Path, over_time: bool) -> None:
    module = load_nir_module(folder / "a.nir", 1.0)
    grid = InputGrid("real", -127, 127, -5, over_time)
    view = RoundedNetwork(import_graph(module.graph, module, T, images=False).network, T, grid)
    shape = (5, T, FEATURES, 1, 1) if over_time else (5, FEATURES, 1, 1)
    inputs = np.random.default_rng(0).integers(-127, 128, shape).astype(np.int16)
    outputs = view(torch.from_numpy(inputs.astype(np.float32)))
    expected = integer_outputs(IntegerEngine(view.integers()), inputs)
    np.testing.assert_allclose(outputs.detach().flatten(1).numpy(), expected, atol=0.02)
    outputs.sum().backward()
    assert all(one.grad is not None and one.grad.abs().sum() > 0 for one in view.parameters())


@pytest.mark.slow
def test_it_learns_and_goes_on_where_it_stopped(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(out: str, *more: str) -> dict[str, Any]:
        capsys.readouterr()
        words = ["--json", "-q", "finetune", str(folder / "a.nir"), "--inputs", str(folder / "x.npz")]
        words += ["--dt", "1", "--timesteps", str(T), "--steps", "40", "--rate", "0.03"]
        assert run([*words, "--out", str(folder / f"{out}.int.safetensors"), *more]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return {key: value for key, value in found.items() if key != "path"}

    whole = told("whole")
    assert whole["tuned"] > whole["rounded"] and whole["best_step"] > 0 and whole["held_out"] == N // 10
    step = _Run._step
    stopped = RuntimeError("as if the machine had gone")

    def until(self: _Run, at: int) -> None:
        if at == 30:
            raise stopped
        step(self, at)

    monkeypatch.setattr(_Run, "_step", until)
    with pytest.raises(RuntimeError, match="as if"):
        told("again")
    monkeypatch.setattr(_Run, "_step", step)
    assert told("again", "--resume") == whole
    first, second = ((folder / f"{name}.int.safetensors").read_bytes() for name in ("whole", "again"))
    assert first == second and not list(folder.glob("*.finetune.safetensors"))


def test_bad_input_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(words: str, *command: object) -> None:
        capsys.readouterr()
        assert run(["-q", "finetune", str(folder / "a.nir"), "--dt", "1", *map(str, command)]) == 1
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1 and words in lines[0], lines

    refused("needs --inputs FILE")
    np.save(folder / "x.npy", np.zeros((30, FEATURES)))
    refused("needs labels", "--inputs", folder / "x.npy")
    refused("no checkpoint of finetune", "--inputs", folder / "x.npz", "--resume")
