"""Each command ends with the one to type next: on stderr, not under --json, not with -q."""

import ast
import inspect
from pathlib import Path

import numpy as np
import pytest
from snn_tool.cli import deploy as cli_deploy
from snn_tool.cli import energy as cli_energy
from snn_tool.cli import train as cli_train
from snn_tool.cli import use as cli_use
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


def test_every_command_has_a_next_one() -> None:
    """It says so itself, or a function of its file does that it calls."""
    for module in (cli_deploy, cli_energy, cli_train, cli_use):
        functions = {
            n.name: n for n in ast.parse(inspect.getsource(module)).body if isinstance(n, ast.FunctionDef)
        }
        direct = {name for name, node in functions.items() if "then" in _called(node)}
        for name, node in functions.items():
            if any("command" in ast.unparse(mark) for mark in node.decorator_list) or name == "doctor":
                assert name in direct or _called(node) & direct, (module.__name__, name)


def _called(node: ast.AST) -> set[str]:
    calls = [each.func for each in ast.walk(node) if isinstance(each, ast.Call)]
    return {call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "") for call in calls}
