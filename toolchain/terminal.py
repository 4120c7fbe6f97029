"""What a command says, and to whom: results on stdout, everything else on stderr."""

import json
import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import typer
from rich.console import Console
from rich.logging import RichHandler

LOGGER = "snn_tool"


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

    def result(self, text: str, document: Mapping[str, Any]) -> None:
        """The command's outcome: `text` for people, or `document` under --json."""
        if self.as_json:
            sys.stdout.write(json.dumps(document, allow_nan=False, default=str) + "\n")
        elif text:
            sys.stdout.write(text.rstrip("\n") + "\n")


def configure_logging(verbosity: int) -> None:
    """Warnings, or everything the tool logs, on stderr."""
    level = logging.DEBUG if verbosity > 0 else logging.ERROR if verbosity < 0 else logging.WARNING
    handler = RichHandler(console=Console(stderr=True), show_time=False, show_path=False)
    logger = logging.getLogger(LOGGER)
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False


def terminal_of(context: typer.Context) -> Terminal:
    """The terminal that the global options made."""
    terminal = context.find_root().obj
    assert isinstance(terminal, Terminal)
    return terminal
