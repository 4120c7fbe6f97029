"""Texts between markers in Markdown, such as `<!-- energy:images denoise-25-relay -->68<!-- /energy -->`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from snn_tool.errors import ConfigError

from sourced.figures import Sources, figure_of

MARKED = re.compile(r"(<!-- energy:(?P<what>.*?) -->)(?P<text>.*?)(<!-- /energy -->)", re.S)
BEGIN, END = "<!-- energy:", "<!-- /energy -->"


@dataclass(frozen=True, slots=True)
class Difference:
    """A marked text that is not what its sources say."""

    line: int
    what: str
    stands: str
    expected: str


def checked(text: str, sources: Sources) -> Iterator[Difference]:
    """Every difference in a text.

    Raises:
        ConfigError: a marker asks for what there is not, or is not closed.
    """
    _check_pairs(text)
    for match in MARKED.finditer(text):
        expected = figure_of(match["what"], sources)
        if match["text"] != expected:
            line = text.count("\n", 0, match.start()) + 1
            yield Difference(line, match["what"], match["text"], expected)


def rewritten(text: str, sources: Sources) -> str:
    """The text with every marked part as its sources have it.

    Raises:
        ConfigError: as `checked`.
    """
    _check_pairs(text)
    return MARKED.sub(lambda match: f"{match[1]}{figure_of(match['what'], sources)}{match[4]}", text)


def _check_pairs(text: str) -> None:
    if text.count(BEGIN) != text.count(END) or text.count(BEGIN) != len(MARKED.findall(text)):
        raise ConfigError(
            f"{text.count(BEGIN)} markers begin and {text.count(END)} end; close each with {END}"
        )


def marked_files(root: Path) -> list[Path]:
    """README.md and every page under docs/ that holds a marker."""
    pages = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    return [page for page in pages if page.is_file() and BEGIN in page.read_text(encoding="utf-8")]
