"""The recipes of the shipped students as commands: what is trained, from which weights, in which folder."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from snn_tool.degradations.options import HowOptions
from snn_tool.degradations.tasks import degradation_from_options
from snn_tool.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Stage:
    """One `distill` of a recipe.

    Attributes:
        options: of the command, those of a `finish` over the first run's.
        from_integers: it starts from the quantised student of the run before, not from the float one.
    """

    options: dict[str, Any]
    from_integers: bool


def stages(name: str, recipe: Mapping[str, Any]) -> dict[str, Stage]:
    """Each `distill` by its run folder, first to last."""
    found = {name: Stage(recipe["distill"], False)}
    for number, finish in enumerate(recipe.get("finish", []), 1):
        options = recipe["distill"] | finish
        from_integers = options.pop("from-integers", False)
        found[f"{name}-finished" + (f"-{number}" if number > 1 else "")] = Stage(options, from_integers)
    return found


def last_run(name: str, recipe: dict[str, Any]) -> str:
    """The run folder of the student that is kept: the last one's."""
    return [*stages(name, recipe)][-1]


def commands(name: str, recipe: dict[str, Any]) -> list[str]:
    """The commands that make a student, as its card shows them."""
    return [shown_command(*step.arguments) for step in steps(name, recipe, Path(), "IMAGES")]


@dataclass(frozen=True, slots=True)
class Step:
    """One command: a fit in a run folder, which can be resumed, or a quantisation."""

    makes: Path
    arguments: list[object]

    @property
    def is_fit(self) -> bool:
        """Whether it trains."""
        return self.arguments[0] != "quantize"


def steps(name: str, recipe: dict[str, Any], folder: Path, data: object) -> Iterator[Step]:
    """What is to be run, in this order; the last one makes the integer student."""
    taught: list[object] = []
    if "teacher" in recipe:
        taught = ["--teacher", teacher_file(name, folder)]
        yield _fit("train", teacher_file(name, folder), recipe["teacher"], data)
    before: object = recipe.get("start")
    for run, stage in stages(name, recipe).items():
        if isinstance(before, Path) and stage.from_integers:
            yield (quantisation := _quantisation(before, data))
            before = quantisation.makes
        start = ["--init", before, *taught] if before else []
        before = makes = folder / run / "student.safetensors"
        yield _fit("distill", makes, stage.options, data, *start)
    yield _quantisation(makes, data)


def _fit(command: str, makes: Path, options: dict[str, Any], data: object, *start: object) -> Step:
    return Step(makes, [command, "--data", data, *_options(options), *start, "--out", makes.parent])


def _quantisation(student: Path, data: object) -> Step:
    return Step(student.with_name("student.int.safetensors"), ["quantize", student, "--data", data])


def teacher_file(name: str, runs: Path) -> Path:
    """The teacher of a student whose recipe trains one."""
    return runs / f"{name}-teacher" / "teacher.safetensors"


def _options(values: dict[str, Any]) -> list[str]:
    return [text for key, value in values.items() for text in (f"--{key}", str(value))]


def shown_command(*arguments: object) -> str:
    """A command line of snn-tool as a person would type it."""
    return " ".join(["snn-tool", *map(str, arguments)])


def check_recipe(name: str, recipe: Mapping[str, Any], training: Mapping[str, Any], teacher: str) -> None:
    """Refuse a recipe that says otherwise than the network's own account of its training.

    Args:
        name: of the student.
        recipe: its table in the recipes.
        training: of the student's sidecar.
        teacher: SHA-256 of the last run's teacher, or `none`.

    Raises:
        ConfigError: an option of `distill` had another value, or the teacher was another one.
    """
    last = [*stages(name, recipe).values()][-1].options
    given = {key.replace("-", "_"): value for key, value in last.items()}
    strength = given.pop("strength", given.pop("sigma", None))
    how = HowOptions(
        **{field.name: given.pop(field.name) for field in fields(HowOptions) if field.name in given}
    )
    asked = degradation_from_options(given.pop("task", "denoise"), strength, how).describe()
    was = {**training["training"], **training["student"], "task": training["task"]}
    was |= {f"loss_{key}": value for key, value in training["loss"].items()} | {
        "teacher": training["teacher"]
    }
    for key, value in {**given, "task": json.loads(json.dumps(asked)), "teacher": teacher}.items():
        if (trained := was.get(key, "its default")) != value:
            raise ConfigError(f"{name}: trained with {key} = {trained}, but its recipe says {value}")
