"""Each command ends with the one to type next: on stderr, not under --json, not with -q."""

from pathlib import Path

import numpy as np
import pytest
from snn_tool.cli.app import run
from snn_tool.images.files import write_image
from snn_tool.terminal import Terminal


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "my photos"
    folder.mkdir()
    for name in ("a", "b"):
        write_image(folder / f"{name}.png", np.full((24, 24, 3), 90, np.uint8))
    return folder


def test_words_are_quoted_as_a_shell_takes_them(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().then("quantize", Path("my runs/student"), "--data", "DIR", why="its integers")
    assert capsys.readouterr().err == "next: snn-tool quantize 'my runs/student' --data DIR  (its integers)\n"
    Terminal(as_json=True).then("doctor", why="x")
    Terminal(quiet=True).then("doctor", why="x")
    printed = capsys.readouterr()
    assert printed.err == printed.out == ""


@pytest.mark.parametrize(
    ("command", "following"),
    [
        (["models"], "next: snn-tool restore PHOTO.png --student "),
        (["backend", "list"], "next: snn-tool doctor"),
    ],
)
def test_a_command_ends_with_the_next(
    command: list[str], following: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command) == 0
    assert capsys.readouterr().err.splitlines()[-1].startswith(following)
    for silent in ("-q", "--json"):
        assert run([silent, *command]) == 0
        assert "next:" not in capsys.readouterr().err


def test_degrade_has_a_usual_place_and_says_the_task_to_pairs(
    photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["degrade", "--images", str(photographs), "--task", "derain"]) == 0
    made = photographs.with_name("my photos-degraded")
    assert sorted(path.name for path in (made / "degraded").glob("*.png")) == ["a.png", "b.png"]
    assert f"next: snn-tool distill --pairs '{made}'" in capsys.readouterr().err
