"""The example of docs/guides/import.md prints what the page shows, and its integers verify."""

import re
import shlex
from pathlib import Path

import pytest
from snn_tool.cli.app import run

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "import.md"


@pytest.mark.slow
def test_the_example_prints_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = PAGE.read_text(encoding="utf-8")
    code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0]
    shown = re.findall(r"```text\n(.*?)```", text, re.DOTALL)
    commands = re.findall(r"^    snn-tool (.*)$", text, re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["import", "export", "verify"]
    monkeypatch.chdir(tmp_path)
    exec(compile(code, PAGE.name, "exec"), {"__name__": "example"})
    printed = []
    for command in commands:
        capsys.readouterr()
        assert run(["-q", *shlex.split(command)]) == 0
        printed.append(capsys.readouterr().out)
    assert [printed[0], printed[2]] == shown
