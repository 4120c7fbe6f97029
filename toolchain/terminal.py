"""What a command says, and to whom: results on stdout, everything else on stderr.

All text for people leaves the package here. It passes `printable`, is never read as markup or as a format,
and is written in whatever encoding a stream has. JSON leaves as it is: its escapes are exact.
"""

import codecs
import contextlib
import json
import logging
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TextIO, TypeVar

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text
from snn_tool.errors import ArtifactError
from snn_tool.ranks import is_first
from snn_tool.tables import printable

LOGGER = "snn_tool"
LONGEST_LINE, LONGEST_LABEL = 8000, 60
NO_READER = 141
"""The exit code of a tool that SIGPIPE ends, as a shell reports it: 128 + 13."""
STEP_LINE = re.compile(r"(?P<name>[^:]+): step (?P<step>\d+) of (?P<total>\d+)")
BLANKS = re.compile(r"[ \t\r\n]+")
SUBSTITUTE = "snn_tool.substitute"
PLAINER = {"–": "-", "─": "-", "×": "x", "µ": "u", "±": "~", "·": ".", "…": "."}
"""Signs of our own texts in ASCII, as wide as they are, for streams that have no other."""
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
            _notes().print(Text(printable(text, keep="\n")), soft_wrap=True)

    def then(self, *words: object, why: str) -> None:
        """The command to type next, on stderr; not under --json.

        Args:
            words: after `snn-tool`; those in capitals stand for the user's own.
            why: what it is for.
        """
        if not self.as_json:
            self.note(f"next: snn-tool {shlex.join(map(str, words))}  ({why})")

    def track(self, items: Sequence[_Item], label: str) -> Iterator[_Item]:
        """Go through `items` under a bar on stderr with a rate and the time left."""
        with progress("{task.completed:.0f}/{task.total:.0f}", quiet=self.quiet) as bar:
            task = bar.add_task(printable(label, LONGEST_LABEL), total=len(items), rate="")
            for item in items:
                yield item
                _advance(bar, task, bar.tasks[0].completed + 1)

    @contextmanager
    def steps(self) -> Iterator[Callable[[str], None]]:
        """Yield a log: lines like `lava: step 3 of 12, 1.5 s` move a bar on stderr, others are printed."""
        with progress("{task.completed:.0f}/{task.total:.0f}", quiet=self.quiet) as bar:

            def log(line: str) -> None:
                if found := STEP_LINE.match(line):
                    if not bar.tasks:
                        bar.add_task("", rate="")
                    name = printable(found["name"], LONGEST_LABEL)
                    bar.update(bar.tasks[0].id, total=int(found["total"]), description=name)
                    _advance(bar, bar.tasks[0].id, int(found["step"]))
                else:
                    bar.console.print(Text(printable(line, LONGEST_LINE)))

            yield log

    def result(self, text: str, document: Mapping[str, Any]) -> None:
        r"""The command's outcome: `text` for people, or `document` under --json.

        Names of files that are no UTF-8 stand in JSON as Python's lone surrogates, e.g. `\udcff` for the
        byte FF: `os.fsencode` gives the name back.
        """
        if not is_first():
            return  # of several processes one speaks
        if self.as_json:
            _write(json.dumps(document, allow_nan=False, default=str) + "\n")
        elif text:
            _write(printable(text.rstrip("\n"), keep="\n") + "\n")


def progress(counter: str, *fields: str, quiet: bool, refresh_per_second: float = 10) -> Progress:
    """A bar on stderr with the task's description, a counter, a rate, the time left, and further fields.

    Args:
        counter: of the task, a format of ours, e.g. `{task.completed}/{task.total} steps`.
        fields: names of the task's fields shown at the end.
        quiet: show nothing.
        refresh_per_second: how often it is drawn.
    """
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn(counter, markup=False),
        TextColumn("{task.fields[rate]}", markup=False),
        TimeRemainingColumn(),
        *(TextColumn(f"{{task.fields[{name}]}}", markup=False) for name in fields),
        console=_notes(quiet),
        refresh_per_second=refresh_per_second,
    )


def _advance(bar: Progress, task: TaskID, completed: float) -> None:
    speed = bar.tasks[0].speed
    bar.update(task, completed=completed, rate=f"{speed:.2f}/s" if speed else "")


class _Console(Console):
    """A console whose reader may go away at any time."""

    def on_broken_pipe(self) -> None:
        """Go on in silence, or end the command if it was its output."""
        _silence(sys.stderr if self.stderr else sys.stdout)
        if not self.stderr:
            raise SystemExit(NO_READER)


def _notes(quiet: bool = False) -> Console:
    return _Console(stderr=True, quiet=quiet, highlight=False)


def output_console() -> Console:
    """A console on stdout, for results in colour; texts must be `printable` and of type `Text`."""
    return _Console(highlight=False)


def say(line: str) -> None:
    """One line on stderr, whatever the text is: an error, or that the command was interrupted."""
    text = printable(BLANKS.sub(" ", line).strip(), LONGEST_LINE)
    try:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    except BrokenPipeError:
        _silence(sys.stderr)


def _write(text: str) -> None:
    """Write to stdout.

    Raises:
        SystemExit: nobody reads it any more, as behind `head`; the command ends without a word.
        ArtifactError: it is a file on a full disk.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError as error:
        _silence(sys.stdout)
        raise SystemExit(NO_READER) from error
    except OSError as error:
        _silence(sys.stdout)
        raise ArtifactError(f"standard output: cannot be written ({error.strerror})") from error


def _silence(stream: TextIO) -> None:
    """Let a stream lead nowhere, so that what it still holds does not fail again when Python ends."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def prepare_streams() -> None:
    """Give the process streams that take any text, and open the ones that it was started without.

    A stream that is closed would give its number to the next file, and a child process would print into it.
    """
    codecs.register_error(SUBSTITUTE, _substitute)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(nowhere, True)
            setattr(sys, name, os.fdopen(nowhere, mode))
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors=SUBSTITUTE)


def _substitute(error: UnicodeError) -> tuple[str, int]:
    """Our own signs in ASCII, everything else as an escape."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    plainer = (PLAINER.get(one) or one.encode("ascii", "backslashreplace").decode() for one in missing)
    return "".join(plainer), error.end


class _OneLine(logging.Formatter):
    """A record's message on one line, and the traceback of its exception, if it has one, below."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as printable text."""
        text = printable(record.getMessage(), LONGEST_LINE)
        if record.exc_info:
            text += "\n" + printable(self.formatException(record.exc_info), keep="\n")
        return text


def configure_logging(verbosity: int) -> None:
    """Notes and warnings, or everything that the tool logs, on stderr."""
    level = logging.DEBUG if verbosity > 0 else logging.ERROR if verbosity < 0 else logging.INFO
    handler = RichHandler(console=_Console(stderr=True), show_time=False, show_path=False)
    handler.setFormatter(_OneLine())
    logger = logging.getLogger(LOGGER)
    logger.handlers[:] = [handler]
    logger.setLevel(level)


def terminal_of(context: typer.Context) -> Terminal:
    """The terminal that the global options made."""
    terminal = context.find_root().obj
    assert isinstance(terminal, Terminal)
    return terminal
