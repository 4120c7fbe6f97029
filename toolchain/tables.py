"""Tables as text that fits a terminal of 80 columns."""

import io

from rich import box
from rich.console import Console
from rich.table import Table

TERMINAL_WIDTH = 80


def rendered(*parts: Table | str) -> str:
    """Tables and lines as text of 80 columns without colours."""
    console = Console(file=io.StringIO(), width=TERMINAL_WIDTH, highlight=False, color_system=None)
    for part in parts:
        console.print(part, markup=False)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().rstrip().split("\n"))


def plain_table(title: str, text: tuple[str, ...], numbers: tuple[str, ...], gap: int) -> Table:
    """A table of the house style: no frame, `numbers` to the right, `gap` + 1 spaces between columns."""
    table = Table(
        title=f"\n{title}", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, gap, 0, 0), pad_edge=False
    )
    for heading in text:
        table.add_column(heading, no_wrap=True)
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    return table
