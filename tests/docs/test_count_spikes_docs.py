"""The examples of docs/guides/count-spikes.md print what the page says."""

import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "count-spikes.md"
EXAMPLE = re.compile(r"^## (\w+)\n\n```python\n(.*?)```\n\n```text\n(.*?)```\n", re.MULTILINE | re.DOTALL)
EXAMPLES = {name: (code, shown) for name, code, shown in EXAMPLE.findall(PAGE.read_text(encoding="utf-8"))}


def lines(text: str) -> list[str]:
    """Without blank lines and trailing blanks, which rich pads its tables with."""
    return [line.rstrip() for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("library", ["norse", "snntorch", "spikingjelly"])
def test_an_example_prints_what_the_page_shows(library: str) -> None:
    code, shown = EXAMPLES[library]
    printed = StringIO()
    with redirect_stdout(printed):
        exec(compile(code, f"{PAGE.name}: {library}", "exec"), {"__name__": "example"})
    assert lines(printed.getvalue()) == lines(shown)
    assert len(lines(shown)) > 5
