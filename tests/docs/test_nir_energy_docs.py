"""The example of docs/guides/energy-nir.md prints what it says; the models left out are all the others."""

import re
import shlex
from pathlib import Path

import pytest
from snn_tool.cli.app import run
from snn_tool.energy.estimators.registry import MODELS
from snn_tool.energy.torch_counter.result import LEFT_OUT

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "energy-nir.md"
EXAMPLE = re.compile(r"```python\n(.*?)```.*?\n    snn-tool (.*?)\n\n```text\n(.*?)```", re.DOTALL)


def lines(text: str) -> list[str]:
    """Without blank lines and trailing blanks, which rich pads its tables with."""
    return [line.rstrip() for line in text.splitlines() if line.strip()]


@pytest.mark.slow
def test_the_example_prints_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = EXAMPLE.search(PAGE.read_text(encoding="utf-8"))
    assert found is not None
    code, command, shown = found.groups()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    exec(compile(code, PAGE.name, "exec"), {"__name__": "example"})
    capsys.readouterr()
    assert run(["-q", *shlex.split(command)]) == 0
    assert lines(capsys.readouterr().out) == lines(shown)
    assert (tmp_path / "report" / "energy.json").is_file()


def test_every_model_is_priced_or_said_to_be_left_out() -> None:
    assert set(LEFT_OUT) | {"exact-ops"} == set(MODELS)
    assert "exact-ops" not in LEFT_OUT
