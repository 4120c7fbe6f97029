"""The commands of docs/guides/c.md print what the page shows, and its programs compile and run."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from snn_tool.cli.app import run

TEXT = (Path(__file__).parents[2] / "docs" / "guides" / "c.md").read_text(encoding="utf-8")
EXPORT, _, VERIFY = re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL)
WHOLE, ROWS, _ = re.findall(r"```c\n(.*?)```", TEXT, re.DOTALL)
ABOUT = """#include <stdio.h>
#include <string.h>
static uint8_t image[256 * 256 * 3], restored[256 * 256 * 3], row[768], out[768];
static int taken, given;
static int read_row(uint8_t *to) { memcpy(to, image + 768 * (taken % 256), 768); return taken++ < 256; }
static void write_row(const uint8_t *from) { given += !memcmp(from, restored + 768 * given, 768); }
"""


def programs() -> str:
    """Both examples in one program; it fails unless the rows are those of the whole image."""
    head, call = WHOLE.strip().rsplit("\n", 1)
    return (
        f"{head}\n{ABOUT}int main(void)\n{{\nint at;\nfor (at = 0; at < 196608; at++)\n"
        f"image[at] = (uint8_t)(at * 7 % 251);\n{call}\n{ROWS}return given != 256;\n}}\n"
    )


@pytest.mark.slow
def test_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command, *shown = EXPORT.removeprefix("$ snn-tool ").splitlines()
    assert run(["-q", *shlex.split(command), "--size", "16", "--cc", "cc -O1 -DSNN_SMALL"]) == 0
    printed = capsys.readouterr().out
    for line in shown:
        pattern = re.escape(line.replace("64", "16")).replace("…", ".*?")
        assert re.search(pattern, printed), f"{line}\n{printed}"
    for line in VERIFY.splitlines():
        assert line.startswith("$ snn-tool verify board --backend c")
    (tmp_path / "main.c").write_text(programs())
    words = ["cc", "-O2", "-DSNN_SMALL", "-I", "board", "-o", "main", "main.c", "board/snn.c"]
    subprocess.run(words, check=True)
    subprocess.run([tmp_path / "main"], check=True)
