"""`snn-tool energy beside`: the reports of several students side by side, from their energy.json alone."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
from snn_tool.energy.report.document import KIND, SCHEMA, SpikeBalance
from snn_tool.energy.report.split import Split
from snn_tool.errors import ConfigError
from snn_tool.files.artifacts import read_json
from snn_tool.files.documents import Name, convert

USUAL_NAME = "energy.json"


class SplitRow(msgspec.Struct, frozen=True):
    """What is read of one of `ratios`."""

    model: Name
    split: Split


class Priced(msgspec.Struct, frozen=True):
    """What is read of an `energy.json`."""

    timesteps: int
    spikes: SpikeBalance
    ratios: tuple[SplitRow, ...]


def read_reports(paths: Sequence[Path]) -> dict[str, Priced]:
    """Reports by the name of their student: of the folder of an `energy.json`, else of the file.

    Raises:
        ArtifactError: a file is missing, damaged, or of another schema.
        ConfigError: two have one name.
    """
    found: dict[str, Priced] = {}
    for path in paths:
        name = path.resolve().parent.name if path.name == USUAL_NAME else path.stem
        if name in found:
            raise ConfigError(f"{path}: a second report of the name {name}; put each in a folder of its own")
        found[name] = convert(read_json(path, KIND, SCHEMA), Priced, str(path))
    return found
