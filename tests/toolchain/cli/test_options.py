"""Options made of dataclasses: each default stands once, `--help` shows it, flags and config file agree."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import pytest
import typer
from snn_tool.cli.app import app, run
from snn_tool.cli.options import Given, Group, command, group_of, options_of
from snn_tool.errors import ConfigError
from snn_tool.flags import Flag
from snn_tool.models.config import LossWeights, StudentConfig, default_config
from snn_tool.training.settings import RunSettings, TrainingSettings, load_settings
from typer.testing import CliRunner


def commands(group: typer.Typer = app, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command of the program: its words and its function."""
    for found in group.registered_commands:
        yield (*path, str(found.name)), found.callback
    for inner in group.registered_groups:
        assert inner.typer_instance
        yield from commands(inner.typer_instance, (*path, str(inner.name)))


COMMANDS = dict(commands())
OF_DATACLASSES = {words: f for words, f in COMMANDS.items() if hasattr(f, "__wrapped__")}


def groups(function: Any) -> list[Group]:
    """The dataclasses of a command."""
    hints = get_type_hints(function.__wrapped__, include_extras=True)
    return [group for hint in hints.values() if (group := group_of(hint))]


def help_of(function: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """What `--help` says, without line breaks."""
    monkeypatch.setenv("COLUMNS", "4000")
    single = typer.Typer()
    single.command()(function)
    return CliRunner().invoke(single, ["--help"]).output


@pytest.mark.slow
def test_no_help_imports_torch_or_numpy() -> None:
    lines = [[*words, "--help"] for words in COMMANDS]
    code = (
        "import sys; from snn_tool.cli.app import run; "
        f"codes = {{run(line) for line in {lines}}}; "
        "heavy = {'torch', 'numpy', 'lightning', 'onnx', 'nir', 'PIL'} & set(sys.modules); "
        "sys.stderr.write(repr((codes, sorted(heavy))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(lines) > 15
    assert done.stderr == "({0}, [])"


OPTIONS = {
    words: [
        (group.of, option)
        for group in groups(function)
        for option in group.options
        if isinstance(option.default, int | float | str) and not isinstance(option.default, bool)
    ]
    for words, function in OF_DATACLASSES.items()
}
"""Of every command, the options with a default that is a number or a text, and their dataclasses."""


@pytest.mark.parametrize("words", [words for words, found in OPTIONS.items() if found], ids=" ".join)
def test_a_default_stands_once(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Other defaults in the dataclasses are others in `--help`, and no command has one of its own."""
    expected = []
    for index, (cls, option) in enumerate(OPTIONS[words]):
        field = next(field for field in fields(cls) if field.name == option.name)
        other = f"another{index}" if isinstance(field.default, str) else 4321 + index
        monkeypatch.setattr(field, "default", other)
        expected.append(f"[default: {option.flag.shown or other}]")
    text = help_of(command(COMMANDS[words].__wrapped__), monkeypatch)
    assert [said for said in expected if said not in text] == []


def test_all_commands_with_options_are_made_so() -> None:
    """Those without options have nothing to derive."""
    assert set(COMMANDS) - set(OF_DATACLASSES) == {("doctor",), ("backend", "list")}
    assert sum(map(len, OPTIONS.values())) > 50


def test_what_is_not_given_is_left_to_the_config_file() -> None:
    """`distill` and `train` hand over what was typed, and every key of it can stand in the file instead."""
    tables = {field.name: field.type for field in fields(RunSettings)}
    assert tables == {"training": TrainingSettings, "loss": LossWeights, "student": StudentConfig}
    for words in (("train",), ("distill",)):
        hints = get_type_hints(COMMANDS[words].__wrapped__, include_extras=True)
        given = {name: group for name, hint in hints.items() if (group := group_of(hint)) and group.given}
        assert {name: group.of for name, group in given.items()}.items() <= tables.items()


FLAGS = [
    pytest.param(table, option, id=f"{table}.{option.name}")
    for table, cls in (("training", TrainingSettings), ("loss", LossWeights), ("student", StudentConfig))
    for option in options_of(cls)
]


@pytest.mark.parametrize(("table", "option"), FLAGS)
def test_a_flag_and_a_key_of_the_file_do_the_same(table: str, option: Any, tmp_path: Path) -> None:
    others: dict[str, Any] = {
        "optimizer": "adamw",
        "device": "cuda",
        "precision": "bf16",
        "neuron": "lif",
        "body": "flat",
        "channels": 1,
        "balance": "sqrt",
        "threads": 2,
        "passes": 2,
    }
    value: Any = others.get(option.name, not option.default)
    if option.name not in others and not isinstance(option.default, str | bool):
        value = option.default / 2 if isinstance(option.default, float) else option.default + 8
    beside = {"neuron": "lif"} if option.name == "timesteps" else {}
    lines = [f"[{table}]"]
    for key, each in {**beside, option.name: value}.items():
        text = f'"{each}"' if isinstance(each, str) else str(each).lower()
        lines.append(f"{key} = {text}")
    path = tmp_path / "settings.toml"
    path.write_text("\n".join(lines))
    by_flag = load_settings(None, {table: {**beside, option.name: value}})
    assert by_flag == load_settings(path, {})
    assert getattr(getattr(by_flag, table), option.name) == value


@pytest.mark.parametrize("body", ["unet", "flat", "chain"])
@pytest.mark.parametrize("neuron", ["graded", "lif"])
def test_the_defaults_of_a_body_are_those_that_help_shows(body: str, neuron: str) -> None:
    shown = {option.name: option.shown for option in options_of(StudentConfig)}
    config = default_config(neuron, body)
    assert f"{config.width} ({body})" in shown["width"]
    assert neuron == "graded" or str(config.timesteps) == shown["timesteps"]


def test_an_unknown_neuron_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"student\.neuron"):
        default_config("rate")


@dataclass(frozen=True, slots=True)
class Cake:
    """What is baked."""

    layers: Annotated[int, Flag("How many.", least=1)]
    nuts: Annotated[tuple[str, ...], Flag("Which.", ("--nut",))] = ()
    icing: Annotated[bool, Flag("Icing.", ("--icing/--plain",))] = True
    oven_c: Annotated[float, Flag("Degrees.", ("--oven", "-o"))] = 180.0
    secret: int = 7


def baked(arguments: list[str]) -> tuple[int, list[Any]]:
    """The exit code of a small program, and what its commands were given."""
    taken: list[Any] = []
    program = typer.Typer()

    @program.command()
    @command
    def bake(cake: Cake, plate: Annotated[str, Flag("Where.")] = "white") -> None:
        taken.extend((cake, plate))

    @program.command()
    @command
    def change(cake: Annotated[dict[str, Any], Given(Cake, without=("icing",))]) -> None:
        taken.append(cake)

    return CliRunner().invoke(program, arguments).exit_code, taken


def test_a_command_gets_its_dataclass() -> None:
    assert baked(["bake", "--layers", "2"]) == (0, [Cake(2), "white"])
    words = ["--layers", "3", "--nut", "hazel", "--nut", "wal", "--plain", "-o", "200", "--plate", "blue"]
    assert baked(["bake", *words]) == (0, [Cake(3, ("hazel", "wal"), False, 200.0), "blue"])


def test_only_what_is_given_is_handed_over() -> None:
    assert baked(["change"]) == (0, [{}])
    assert baked(["change", "--oven", "90", "--nut", "wal"]) == (0, [{"oven_c": 90.0, "nuts": ("wal",)}])


@pytest.mark.parametrize(
    "arguments", [["bake"], ["bake", "--layers", "0"], ["change", "--plain"], ["bake", "--secret", "1"]]
)
def test_faults_of_usage(arguments: list[str]) -> None:
    assert baked(arguments) == (2, [])


def test_two_options_of_one_name_are_refused() -> None:
    def bake(cake: Cake, again: Annotated[dict[str, Any], Given(Cake)]) -> None:
        raise AssertionError(cake, again)

    with pytest.raises(ValueError, match="duplicate parameter name: 'layers'"):
        command(bake)


def test_help_shows_defaults_that_stand_in_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    """Rich takes `[default: ..]` for one of its own tags and drops it, unless it is escaped."""
    assert run(["distill", "--help"]) == 0
    assert "[default: 4000]" in " ".join(capsys.readouterr().out.split())


def test_a_required_field_has_no_default() -> None:
    layers = next(options_of(Cake))
    assert (layers.default, layers.shown) == (MISSING, "")
