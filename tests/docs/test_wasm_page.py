"""The commands of docs/guides/wasm.md print what the page shows, and its program runs in node."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from snn_tool.cli.app import run
from snn_tool.exporters.wasm.compiler import REMEDY, find_wasm_compiler

TEXT = (Path(__file__).parents[2] / "docs" / "guides" / "wasm.md").read_text(encoding="utf-8")
EXPORT, PLAYGROUND = re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL)
(PROGRAM,) = re.findall(r"```js\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.slow
@pytest.mark.skipif(find_wasm_compiler() is None, reason=REMEDY)
@pytest.mark.skipif(shutil.which("node") is None, reason="no node on PATH")
def test_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for block in (EXPORT, PLAYGROUND):
        command, *shown = block.removeprefix("$ snn-tool ").splitlines()
        assert run(["-q", *shlex.split(command)]) == 0
        printed = capsys.readouterr().out
        for line in shown:
            assert re.search(re.escape(line).replace("…", ".*?"), printed), f"{line}\n{printed}"
    (tmp_path / "web" / "program.mjs").write_text(PROGRAM)
    ran = subprocess.run(
        ["node", tmp_path / "web" / "program.mjs"], capture_output=True, text=True, check=True
    )
    restored, spikes = map(int, re.findall(r"\d+", ran.stdout))
    assert restored == 3 * 32 * 24 and spikes > 0
