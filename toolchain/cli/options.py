"""Typer's options made of dataclasses: a command takes them, and each field with a `Flag` is an option.

    @command
    def export(context: typer.Context, golden: GoldenOptions, ...) -> None: ...

The field's default, its schema (msgspec's `Meta`) and its `Flag` say everything that `--help` shows; nothing
is written twice. Where a config file may speak, too, a command takes what was given and no more:

    training: Annotated[dict[str, Any], Given(TrainingSettings)]
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from operator import itemgetter
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints

import typer
from msgspec import Meta
from rich.markup import escape
from snn_tool.flags import Flag
from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    from snn_tool.degradations.pairs import Pairs


@dataclass(frozen=True, slots=True)
class Given:
    """Marks a parameter that takes the fields that were given, by name; the others are left out.

    Attributes:
        of: the dataclass whose fields are options.
        only: names of those that are; empty takes all that have a `Flag`.
        without: names of those that are not.
        before: begins their help.
    """

    of: type
    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    before: str = ""


@dataclass(frozen=True, slots=True)
class Option:
    """One field of a dataclass, or one parameter of a command, as an option.

    Attributes:
        name: of the field.
        default: `MISSING` if a value must be given.
        annotation: its type and what stands beside it.
        flag: its words.
        group: of the dataclass that it is a field of.
    """

    name: str
    default: Any
    annotation: Any
    flag: Flag
    group: str = ""

    @property
    def kind(self) -> Any:
        """The type; a field that holds a number or words is typed as words."""
        kind = get_args(self.annotation)[0]
        parts = set(get_args(kind))
        if not {int, str} <= parts:
            return kind
        return str | None if NoneType in parts else str

    @property
    def several(self) -> bool:
        """Whether it can be given again and again."""
        return get_origin(self.kind) is tuple and get_args(self.kind)[-1] is Ellipsis

    @property
    def names(self) -> tuple[str, ...]:
        """Names on the command line."""
        return self.flag.names or (f"--{self.name.replace('_', '-')}",)

    @property
    def key(self) -> str:
        """The parameter of the command; like the option's first name it is there once."""
        return self.names[0].split("/")[0].lstrip("-").replace("-", "_")

    @property
    def shown(self) -> str:
        """The default in words; empty if there is none, or if it is only that nothing is asked for."""
        value = self.default
        if self.flag.shown or value is MISSING or value is None or value is False or value in ("", ()):
            return self.flag.shown
        if value is True:
            return self.key
        values = value if isinstance(value, tuple) else (value,)
        return " ".join(f"{each:g}" if isinstance(each, float) else str(each) for each in values)

    @property
    def help(self) -> str:
        """The sentence, what is allowed, and the default."""
        text = self.flag.help
        for part in get_args(self.annotation):
            if isinstance(part, Meta) and part.extra and (allowed := part.extra.get("allowed")):
                text = f"{text.rstrip('.')}: {allowed.removeprefix('one of ')}."
        return f"{text} [default: {self.shown}]" if self.shown else text

    def value(self, values: Mapping[str, Any]) -> Any:
        """What a command's parameters hold for it; None if it was not given and has no default."""
        given = values[self.key]
        return tuple(given) if self.several and given is not None else given

    def parameter(self, optional: bool = False) -> inspect.Parameter:
        """What typer reads; None stands for what was not given if it is `optional`."""
        kind, default = self.kind, self.default
        if self.several:
            kind = list[get_args(kind)[0]]  # type: ignore[misc]
        if optional or (self.several and default is not MISSING):
            kind, default = kind | None, None
        words: dict[str, Any] = {"help": escape(self.help), "show_default": False, "callback": self.flag.read}
        if self.flag.argument:
            info = typer.Argument(**words)
        else:
            group = self.flag.group or self.group or None
            words |= {"metavar": value_name(kind), "rich_help_panel": group, "min": self.flag.least}
            info = typer.Option(*self.names, **words)
        return inspect.Parameter(
            self.key,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if default is MISSING else default,
            annotation=Annotated[kind, info],
        )


VALUES = {bool: "", Path: "PATH", str: "TEXT", int: "N", float: "X"}
"""What stands in `--help` for the value of an option; a switch has none."""


def value_name(kind: Any) -> str:
    """What stands for an option's value, one word for each of its parts."""
    parts = [part for part in get_args(kind) if part is not type(None)]
    if not parts:
        return VALUES[kind]
    return " ".join(map(value_name, parts)) if get_origin(kind) is tuple else value_name(parts[0])


def options_of(cls: type) -> Iterator[Option]:
    """The fields of a dataclass that have a `Flag`."""
    hints = get_type_hints(cls, include_extras=True)
    for field in fields(cls):
        if flag := _flag_of(hints[field.name]):
            yield Option(field.name, field.default, hints[field.name], flag, getattr(cls, "GROUP", ""))


def _flag_of(annotation: Any) -> Flag | None:
    return next((part for part in get_args(annotation) if isinstance(part, Flag)), None)


@dataclass(frozen=True, slots=True)
class Group:
    """The options that become one argument of a command: the dataclass, or a dict of what was given."""

    of: type
    options: tuple[Option, ...]
    given: bool

    @property
    def parameters(self) -> list[inspect.Parameter]:
        """One for each option."""
        return [option.parameter(self.given) for option in self.options]

    def value(self, values: Mapping[str, Any]) -> Any:
        """The argument, from the values of the command's parameters."""
        found = {option.name: option.value(values) for option in self.options}
        given = {name: value for name, value in found.items() if value is not None}
        return given if self.given else self.of(**given)


def group_of(annotation: Any) -> Group | None:
    """The options that a command's parameter stands for, if its type is a dataclass or `Given` of one."""
    for part in get_args(annotation):
        if isinstance(part, Given):
            return Group(part.of, tuple(_chosen(part)), True)
    if is_dataclass(annotation) and isinstance(annotation, type):
        return Group(annotation, tuple(options_of(annotation)), False)
    return None


def _chosen(part: Given) -> Iterator[Option]:
    for option in options_of(part.of):
        if option.name not in part.without and (not part.only or option.name in part.only):
            yield replace(option, flag=replace(option.flag, help=part.before + option.flag.help))


class _PlainHelp:
    """No word for a value stands beside a switch, be it typer's own, as `--help` is."""

    def get_params(self, ctx: Any) -> Any:
        """As typer makes them, the switches without such a word."""
        found = super().get_params(ctx)  # type: ignore[misc]
        for option in found:
            if getattr(option, "is_flag", False) or getattr(option, "count", False):
                option.metavar = ""
        return found


class Command(_PlainHelp, TyperCommand):
    """What typer makes of a command here."""


class CommandGroup(_PlainHelp, TyperGroup):
    """What typer makes of a group of commands here."""


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Make a command for typer of a function.

    Args:
        function: each parameter is a dataclass, `Given` of one, a value with a `Flag`, or typer's own.

    Raises:
        ValueError: two options have one name.
    """
    hints, parameters = get_type_hints(function, include_extras=True), []
    takers: dict[str, Callable[[Mapping[str, Any]], Any]] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if group := group_of(hints[name]):
            takers[name] = group.value
            parameters += group.parameters
        elif flag := _flag_of(hints[name]):
            default = MISSING if parameter.default is parameter.empty else parameter.default
            option = Option(name, default, hints[name], flag)
            takers[name] = option.value
            parameters.append(option.parameter())
        else:
            takers[name] = itemgetter(name)
            parameters.append(parameter.replace(annotation=hints[name], kind=parameter.KEYWORD_ONLY))

    def run(**values: Any) -> None:
        function(**{name: take(values) for name, take in takers.items()})

    run.__name__, run.__doc__, run.__module__ = function.__name__, function.__doc__, function.__module__
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__wrapped__ = function  # type: ignore[attr-defined]
    return run


def images_or_pairs(
    clean: Path | None, option: str, pairs: Path | None, degraded: Path | None
) -> tuple[Path, "Pairs | None"]:
    """The folder of clean images, and their degraded partners if they were recorded.

    Args:
        clean: value of `option`.
        option: that names the clean images, `--data` or `--images`.
        pairs: value of `--pairs`.
        degraded: value of `--degraded`.

    Raises:
        typer.BadParameter: see `check_images`.
        DataError: a folder is missing, or images have no partner.
    """
    from snn_tool.degradations.pairs import images_and_partners

    check_images(clean, option, pairs, degraded)
    return images_and_partners(clean, pairs, degraded)


def check_images(clean: Path | None, option: str, pairs: Path | None, degraded: Path | None) -> None:
    """Refuse what says nothing or two things of the images, as a fault of usage.

    Raises:
        typer.BadParameter: neither or both of `option` and `--pairs`, or `--degraded` beside `--pairs`.
    """
    if (clean is None) == (pairs is None):
        raise typer.BadParameter(f"give either {option} DIR, of clean images, or --pairs DIR")
    if degraded is not None and pairs is not None:
        raise typer.BadParameter(f"--degraded goes with {option}; --pairs holds both folders")
