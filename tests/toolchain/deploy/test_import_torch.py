"""`import package.module:factory` and `from_torch`: torch's own outputs beside the graph's and the "
"integers'."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import snn_tool as st
import torch
from safetensors.torch import save_file
from snn_tool.cli.app import run
from torch import nn

CODE = """
import snntorch
from torch import nn

def leaky(reset, late):
    return snntorch.Leaky(beta=0.75, threshold=0.4, init_hidden=True, reset_mechanism=reset, reset_delay=late)

def hard():
    return nn.Sequential(nn.Linear(6, 9), leaky("zero", False), nn.Linear(9, 3))

def soft():
    return nn.Sequential(nn.Linear(6, 9), leaky("subtract", True), nn.Linear(9, 3))

class Loop(nn.Module):
    def forward(self, x):
        return hard()(x)

def odd():
    return Loop()
"""
N, T = 10, 6


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Code and inputs with labels in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mine_of_import.py").write_text(CODE, encoding="utf-8")
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "x.npz", inputs=rng.random((N, 6)), labels=rng.integers(0, 3, N))
    return tmp_path


@pytest.mark.slow
def test_a_factory_is_run_by_its_library_and_becomes_integers(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(*words: object) -> dict[str, Any]:
        capsys.readouterr()
        assert run(["--json", "-q", *map(str, words)]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    import mine_of_import

    torch.manual_seed(3)
    save_file(mine_of_import.hard().state_dict(), "w.safetensors")
    data = ("--inputs", "x.npz", "--timesteps", T)
    made = told("import", "mine_of_import:hard", "--weights", "w.safetensors", *data)
    assert made["expected"]["float"]["differing"] == 0 and made["expected"]["float"]["values"] == N * 3
    assert made["classes"]["recorded"] == made["classes"]["original"]
    assert (folder / "hard.nir").is_file() and (folder / "hard.int.safetensors").is_file()
    scored = told(
        "evaluate", "--student", "hard.int.safetensors", "--original", "hard.nir", "--inputs", "x.npz"
    )
    assert scored["integers"] == made["classes"]["integers"]
    soft = told("import", "mine_of_import:soft", "--out", "soft.int.safetensors", *data)
    assert soft["expected"]["float"]["differing"] == 0
    assert "n1: reset subtract-late, as the module says" in soft["notes"][0]
    hardened = told(
        "import", "mine_of_import:soft", "--reset", "zero", "--out", "zero.int.safetensors", *data
    )
    assert hardened["expected"]["float"]["differing"] > 0
    assert "n1: reset subtract-late, as the module says; --reset said otherwise" in hardened["notes"][0]


def test_what_cannot_be_imported_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(words: str, *command: str) -> None:
        capsys.readouterr()
        assert run(["-q", "import", *command]) == 1
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1 and words in lines[0], lines

    refused("is imported with --inputs FILE", "mine_of_import:hard")
    refused("has no 'none' that can be called", "mine_of_import:none", "--inputs", "x.npz")
    refused("Loop is no nn.Sequential", "mine_of_import:odd", "--inputs", "x.npz")
    np.save(folder / "y.npy", np.zeros((2, 7)))
    refused("0 (Linear)", "mine_of_import:hard", "--inputs", "y.npy")
    assert not list(folder.glob("*.nir"))


def test_from_torch_takes_arrays(folder: Path) -> None:
    import mine_of_import

    torch.manual_seed(0)
    network: nn.Module = mine_of_import.hard().train()
    data = np.load("x.npz")
    made = st.from_torch(network, torch.from_numpy(data["inputs"]), timesteps=T, labels=data["labels"])
    assert network.training and made.nir.is_file() and made.classes
    assert made.classes.scores["recorded"].confusion.sum() == N
    assert made.found.expected and made.found.expected[0].differing == 0
    assert made.to_dict()["timesteps"] == T and "accuracy" in repr(made)
