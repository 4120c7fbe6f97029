"""docs/guides/energy-map.md shows what the recorded mapping prints."""

from pathlib import Path

from snn_tool.exporters.zigzag.report import read_mapping
from snn_tool.texts.mapping import mapping_text

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "docs" / "guides" / "energy-map.md"


def test_the_example_is_what_the_recorded_mapping_prints() -> None:
    text = mapping_text(read_mapping(REPOSITORY / "tests" / "data" / "mapping.json"))
    lines = [line.rstrip() for line in text.rstrip().splitlines()]
    shown = PAGE.read_text(encoding="utf-8").split("```text\n")[1].split("\n```")[0]
    assert shown.splitlines() == lines
