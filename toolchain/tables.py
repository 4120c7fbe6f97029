"""Text for a terminal: foreign text made harmless, and tables of 80 columns that never cut a number.

Foreign text is whatever the tool did not write itself: names of files, keys, layers and plug-ins, what
libraries and child processes say. It may hold escape sequences that steer a terminal, marks that turn the
reading direction around, line breaks, or rich's markup. A leaf: every room may print.
"""

import io
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

TERMINAL_WIDTH = 80
LONGEST_CELL, LONGEST_TITLE = 200, 400
NARROWEST = 8
"""Columns that a text keeps when its table is too wide."""
UNPRINTABLE = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode categories: control characters, invisible formatting as of bidi, lone surrogates, separators."""
_BOUNDLESS = 1_000_000


def printable(foreign: object, length: int = 0, keep: str = "") -> str:
    r"""A text as one may print it: whatever steers a terminal stands as its escape, e.g. `\x1b`, `\u202e`.

    Bytes of a file name that are no UTF-8 stand as `\xff`. It is for people: what is to be read back, as
    JSON is, keeps the text as it was.

    Args:
        foreign: a text, or something that becomes one, as a path does.
        length: longer ones are cut in the middle; 0 for no limit.
        keep: characters that stay as they are, e.g. a newline.
    """
    text = str(foreign)
    if length and len(text) > length:
        head, tail = (length - 3 + 1) // 2, (length - 3) // 2
        text = f"{text[:head]} … {text[len(text) - tail :]}"
    if text.isascii() and text.isprintable():
        return text
    return "".join(one if one in keep else _escape(one) for one in text)


def _escape(character: str) -> str:
    if unicodedata.category(character) not in UNPRINTABLE:
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # Python's sign for a byte that does not decode
        return f"\\x{code - 0xDC00:02x}"
    return repr(character).strip("'\"")


def printable_in_page(value: Any) -> Any:
    """`printable` for jinja's `finalize`: texts alone; autoescape does the rest, markup stays."""
    return printable(value, keep="\n") if type(value) is str else value


class TextTable(Table):
    """A table of the house style: no frame, numbers to the right, every cell taken literally.

    If it is too wide, sentences wrap (columns whose `no_wrap` is taken off), then headings, then names are
    folded. Numbers never are: rather it stays too wide.
    """

    def add_row(self, *cells: Any, **options: Any) -> None:
        """Add texts; each is made printable and bounded in length."""
        super().add_row(*(Text(printable(cell, LONGEST_CELL)) for cell in cells), **options)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Fit the columns to the console, then render."""
        width = self.fit(options.max_width)
        yield from super().__rich_console__(console, options.update(max_width=max(options.max_width, width)))

    def fit(self, width: int) -> int:
        """Choose the columns' widths for a total of `width`; returns the total, larger if need be."""
        for column in self.columns:
            column.width = None
        console = Console(file=io.StringIO(), width=_BOUNDLESS)
        total = Measurement.get(console, console.options, self).maximum
        widths = [_widest((column.header, *column.cells)) for column in self.columns]
        excess = total - width
        for shrink in (_wrap_sentences, _wrap_headings, _fold_names):
            excess -= shrink(self.columns, widths, excess)
        for column, chosen in zip(self.columns, widths, strict=True):
            column.width = chosen
        return width + excess if excess > 0 else width


def _wrap_headings(columns: list[Column], widths: list[int], excess: int) -> int:
    """Narrow columns of numbers to the words of their headings, where that gives most first."""
    least = {
        index: max(_widest(column.cells), _widest(str(column.header).split()))
        for index, column in enumerate(columns)
        if column.justify == "right"
    }
    saved = 0
    for index in sorted(least, key=lambda index: least[index] - widths[index]):
        if saved < excess:
            saved += widths[index] - least[index]
            widths[index] = least[index]
    return saved


def _wrap_sentences(columns: list[Column], widths: list[int], excess: int) -> int:
    """Narrow the columns that hold sentences, at most to their longest word."""
    texts = [i for i, one in enumerate(columns) if one.justify != "right" and not one.no_wrap]
    least = {i: max(NARROWEST, _widest(_words(columns[i]))) for i in texts}
    return _narrow(widths, least, excess)


def _fold_names(columns: list[Column], widths: list[int], excess: int) -> int:
    """Narrow every column of text, and let it fold where there is no place to wrap."""
    least = {i: NARROWEST for i, one in enumerate(columns) if one.justify != "right"}
    if excess > 0:
        for index in least:
            columns[index].no_wrap = False
    return _narrow(widths, least, excess)


def _narrow(widths: list[int], least: Mapping[int, int], excess: int) -> int:
    """Take from the widest first; returns how much was taken, in all at most `excess`."""
    saved = 0
    while saved < excess and (open_ones := [index for index in least if widths[index] > least[index]]):
        widths[max(open_ones, key=lambda index: widths[index])] -= 1
        saved += 1
    return saved


def _words(column: Column) -> list[str]:
    return [word for cell in column.cells for word in str(cell).split()]


def _widest(texts: Iterable[Any]) -> int:
    return max((cell_len(str(text)) for text in texts), default=0)


def plain_table(title: str, text: tuple[str, ...], numbers: tuple[str, ...], gap: int = 1) -> TextTable:
    """An empty table: columns of names, then of numbers; `gap` + 1 spaces between."""
    table = TextTable(
        title=Text(f"\n{printable(title, LONGEST_TITLE)}", style="table.title"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, gap, 0, 0),
        pad_edge=False,
    )
    for heading in text:
        table.add_column(Text(printable(heading, LONGEST_CELL)), overflow="fold", no_wrap=True)
    for heading in numbers:
        table.add_column(Text(printable(heading, LONGEST_CELL)), overflow="fold", justify="right")
    return table


def rendered(*parts: TextTable | str, width: int = TERMINAL_WIDTH) -> str:
    """Tables and lines as text of 80 columns without colours; lines are wrapped between words."""
    console = Console(file=io.StringIO(), width=_BOUNDLESS, highlight=False, color_system=None)
    for part in parts:
        if isinstance(part, str):
            console.print(Text(printable(part, keep="\n")), width=width)
        else:
            console.print(part, width=part.fit(width))
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().rstrip().split("\n"))


class TableText(str):
    """A table that has been rendered: a text for `print`, and taken literally by a console of rich."""

    __slots__ = ()

    def __rich__(self) -> Text:
        """The text without markup."""
        return Text(self)
