"""How a field of a dataclass is asked for on the command line: its help, its names, what stands for None.

The dataclass holds the default, this the words; `snn_tool.cli.options` makes typer's options of both. A
dataclass whose options have one subject says it once, by `grouped`. A file
with flags imports no package that the command line can do without until it runs, like torch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar


@dataclass(frozen=True, slots=True)
class Flag:
    """What `--help` says of a field; it stands among the field's annotations.

    Attributes:
        help: a sentence. What the field's schema allows follows it, and so does the field's default.
        names: of the option; empty makes `--max-steps` of `max_steps`.
        shown: what the default is called, where its value does not say it, e.g. None.
        argument: it has no name and is told by its place.
        least: smaller numbers are faults of usage.
        group: under which heading it stands in `--help`; empty takes the one of its dataclass.
        read: turns what was typed into the field's value, e.g. the name of a shipped student into its path.
    """

    help: str
    names: tuple[str, ...] = ()
    shown: str = ""
    argument: bool = False
    least: int | None = None
    group: str = ""
    read: Callable[[Path | None], Path | None] | None = None


_Class = TypeVar("_Class", bound=type)


def grouped(name: str) -> Callable[[_Class], _Class]:
    """Give a dataclass the heading under which its options stand, unless their `Flag` names another."""

    def mark(cls: _Class) -> _Class:
        cls.GROUP = name  # type: ignore[attr-defined]
        return cls

    return mark


IMAGES, NETWORKS, OUTPUT = "Images", "Networks", "Output"
"""Groups that several commands have."""

Overwrite = Annotated[bool, Flag("Replace what is there.", group=OUTPUT)]
"""The field `overwrite` of whatever writes files."""
