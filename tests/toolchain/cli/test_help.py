"""`--help` on a terminal of 80 columns: grouped, no column of one word, no word for a switch's value."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from snn_tool.cli.app import app, run
from snn_tool.cli.options import options_of, value_name
from snn_tool.cli.refusals import REASONS
from snn_tool.models.config import LossWeights, StudentConfig
from snn_tool.training.settings import TrainingSettings
from typer.testing import CliRunner

WIDTH, NARROWEST = 80, 20


def tree(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The program, its groups and its commands, as typer runs them."""
    yield words, group
    for name, command in getattr(group, "commands", {}).items():
        yield from tree(command, (*words, name))


PROGRAM = dict(tree(typer.main.get_command(app)))


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("COLUMNS", str(WIDTH))

    def lines(words: tuple[str, ...]) -> list[str]:
        return CliRunner().invoke(app, [*words, "--help"]).output.splitlines()

    return lines


@pytest.mark.parametrize("words", PROGRAM, ids="-".join)
def test_every_line_fits_and_every_help_has_room(words: tuple[str, ...], shown: Any) -> None:
    lines = shown(words)
    assert len(lines) > 5 and max(map(len, lines)) <= WIDTH
    text = "\n".join(lines)
    assert "…" not in text and "<bool>" not in text
    for line in lines:
        if found := re.match(r"│ [* ]*(--?\w.*?)  +(?=[^ ].*│$)", line):
            last = re.split(r" {2,}", line.rstrip("│ "))[-1]
            assert WIDTH - 2 - line.index(last) >= NARROWEST, (words, found[1])


def test_groups_stand_once_beside_the_fields(shown: Any) -> None:
    lines = shown(("distill",))
    titles = [re.sub("[╭╮─]", "", line).strip() for line in lines if line.startswith("╭")]
    assert titles == ["Options", "Output", "Images", "Teacher", "Student", "Loss", "Training"]
    for title, kind in (("Student", StudentConfig), ("Loss", LossWeights), ("Training", TrainingSettings)):
        start = next(index for index, line in enumerate(lines) if f" {title} " in line and "╭" in line)
        end = next(index for index in range(start, len(lines)) if lines[index].startswith("╰"))
        named = {word for line in lines[start:end] for word in re.findall(r"--[\w-]+", line)}
        assert {option.names[0].split("/")[0] for option in options_of(kind)} <= named


def test_a_value_has_a_short_name() -> None:
    kinds = (bool, int, float, str, str | None, tuple[int, int], list[str])
    assert [value_name(kind) for kind in kinds] == ["", "N", "X", "TEXT", "TEXT", "N N", "TEXT"]


def test_an_option_that_is_not_there_has_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["restore", "photo.png", "--sigma", "25"]) == 2
    error = capsys.readouterr().err
    assert "the student removes what it was trained for" in error and error.count("\n") == 1
    assert run(["restore", "photo.png", "--nosuch"]) == 2
    assert "trained for" not in capsys.readouterr().err


def test_reasons_are_for_options_that_a_command_has_not() -> None:
    commands = {words[-1]: command for words, command in PROGRAM.items() if words}
    for name, option in REASONS:
        assert option not in {word for one in commands[name].params for word in one.opts}, (name, option)
