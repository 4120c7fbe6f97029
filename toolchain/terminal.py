"""What a command says, and to whom: results on stdout, everything else on stderr."""

import json
import logging
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

LOGGER = "snn_tool"
STEP_LINE = re.compile(r"(?P<name>[^:]+): step (?P<step>\d+) of (?P<total>\d+)")
_Item = TypeVar("_Item")


class Track(Protocol):
    """Iterates over items and shows how far it is, as `Terminal.track` does."""

    def __call__(self, items: Sequence[_Item], label: str) -> Iterable[_Item]:
        """The items, one by one."""
        ...


@dataclass(frozen=True, slots=True)
class Terminal:
    """The global options of one invocation.

    Attributes:
        as_json: the result is one JSON document on stdout instead of text.
        quiet: no progress bars and no notes.
    """

    as_json: bool = False
    quiet: bool = False

    def note(self, text: str) -> None:
        """A line about what goes on, on stderr."""
        if not self.quiet:
            Console(stderr=True, highlight=False, soft_wrap=True).print(text, markup=False)

    def track(self, items: Sequence[_Item], label: str) -> Iterator[_Item]:
        """Go through `items` under a bar on stderr with a rate and the time left."""
        with self._bar(label) as bar:
            task = bar.add_task("", total=len(items), rate="")
            for item in items:
                yield item
                _advance(bar, task, bar.tasks[0].completed + 1)

    @contextmanager
    def steps(self) -> Iterator[Callable[[str], None]]:
        """Yield a log: lines like `lava: step 3 of 12, 1.5 s` move a bar on stderr, others are printed."""
        with self._bar("") as bar:

            def log(line: str) -> None:
                if found := STEP_LINE.match(line):
                    if not bar.tasks:
                        bar.add_task("", rate="")
                    bar.update(bar.tasks[0].id, total=int(found["total"]), description=found["name"])
                    _advance(bar, bar.tasks[0].id, int(found["step"]))
                else:
                    bar.console.print(line, markup=False)

            yield log

    def _bar(self, label: str) -> Progress:
        columns = (
            TextColumn(label or "{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        return Progress(*columns, console=Console(stderr=True, quiet=self.quiet))

    def result(self, text: str, document: Mapping[str, Any]) -> None:
        """The command's outcome: `text` for people, or `document` under --json."""
        if self.as_json:
            sys.stdout.write(json.dumps(document, allow_nan=False, default=str) + "\n")
        elif text:
            sys.stdout.write(text.rstrip("\n") + "\n")


def _advance(bar: Progress, task: TaskID, completed: float) -> None:
    speed = bar.tasks[0].speed
    bar.update(task, completed=completed, rate=f"{speed:.2f}/s" if speed else "")


def configure_logging(verbosity: int) -> None:
    """Warnings, or everything the tool logs, on stderr."""
    level = logging.DEBUG if verbosity > 0 else logging.ERROR if verbosity < 0 else logging.WARNING
    handler = RichHandler(console=Console(stderr=True), show_time=False, show_path=False)
    logger = logging.getLogger(LOGGER)
    logger.handlers[:] = [handler]
    logger.setLevel(level)


def terminal_of(context: typer.Context) -> Terminal:
    """The terminal that the global options made."""
    terminal = context.find_root().obj
    assert isinstance(terminal, Terminal)
    return terminal
