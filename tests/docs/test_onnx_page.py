"""The commands and programs of docs/guides/onnx.md run and print what the page shows."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from snn_tool.cli.app import run
from snn_tool.deploy.onnx_networks import restored_pixels
from snn_tool.models.integer.engine import IntegerEngine
from snn_tool.models.integer.file import save_integer_network
from snn_tool.models.integer.network import IntegerNetwork

TEXT = (Path(__file__).parents[2] / "docs" / "guides" / "onnx.md").read_text(encoding="utf-8")
WHOLE, STEP = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
(CONSOLE,) = re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL)
(PRINTED,) = re.findall(r"```text\n(.*?)```", TEXT, re.DOTALL)


def executed(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(code, "docs/guides/onnx.md", "exec"), names)
    return names


@pytest.mark.slow
def test_the_example_prints_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command, shown = CONSOLE.removeprefix("$ snn-tool ").split("\n", 1)
    monkeypatch.chdir(tmp_path)
    assert run(["-q", *shlex.split(command)]) == 0
    printed = capsys.readouterr().out
    assert re.fullmatch(re.escape(shown).replace("…", r"[\w.+]+"), printed), printed
    executed(WHOLE)
    assert capsys.readouterr().out == PRINTED


def test_the_loop_over_timesteps_gives_the_engines_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_network: Callable[..., IntegerNetwork]
) -> None:
    network = make_network("lif")
    noise = {"noise": {"task": "denoise", "sigma": [25.0, 25.0]}}
    save_integer_network(tmp_path / "lif.int.safetensors", network, noise)
    monkeypatch.chdir(tmp_path)
    options = ["--target", "onnx", "--stateful", "--size", "16", "--out", "step.onnx"]
    assert run(["-q", "export", "lif.int.safetensors", *options]) == 0
    names = executed(STEP)
    np.testing.assert_array_equal(names["restored"], restored_pixels(IntegerEngine(network), names["image"]))
