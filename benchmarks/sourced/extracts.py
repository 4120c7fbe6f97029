"""What of an energy.json the documentation's figures need: small enough to stand beside it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from snn_tool.errors import ArtifactError, ConfigError

DIGITS = 6
"""Significant digits that are kept; texts show three."""


class Side(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One network by one model: its headline, and the picojoules per image of every reading.

    Attributes:
        headline: name of the reading that ratios use.
        readings: mean picojoules by name of the reading.
        memories: name of the reading by what it assumes of memories, where the model charges them.
        chip: what a model of a chip says beside the energy of the headline; None elsewhere.
    """

    headline: str
    readings: dict[str, float]
    memories: dict[str, str] = {}
    chip: dict[str, Any] | None = None


class Network(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A column of the report; quality is that on the report's crops."""

    title: str
    parameters: int
    psnr_db: float | None
    ssim: float | None


class Extract(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One report.

    Attributes:
        command: that made the report, as one may type it.
        tool_version, schema: of the report.
        student_sha256: of the student that was audited.
        images, crop: how many, and the side of their centre crops in pixels, 0 for whole ones.
        neuron, timesteps, levels, lowering: of the student.
        spikes_per_neuron: nonzero ones per image, mean over the images.
        networks: by column.
        rows: `model/precision`, then column.
    """

    command: str
    tool_version: str
    schema: int
    student_sha256: str
    images: int
    crop: int
    neuron: str
    timesteps: int
    levels: int
    lowering: str
    spikes_per_neuron: float
    networks: dict[str, Network]
    rows: dict[str, dict[str, Side]]

    def side(self, row: str, column: str) -> Side:
        """A network by a model.

        Raises:
            ConfigError: there is no such row or column.
        """
        for kind, name, known in (("row", row, self.rows), ("column", column, self.rows.get(row, {}))):
            if name not in known:
                raise ConfigError(f"no {kind} {name!r}; there are {', '.join(known)}")
        return self.rows[row][column]

    def energy_pj(self, row: str, column: str, memory: str = "") -> float:
        """Picojoules per image, of the headline or of what assumes `memory`."""
        side = self.side(row, column)
        if memory and memory not in side.memories:
            raise ConfigError(f"{row}: no reading of {memory!r}; there are {', '.join(side.memories)}")
        return side.readings[side.memories[memory] if memory else side.headline]

    def ratio(self, row: str, rival: str, memory: str = "") -> float:
        """Energy of a rival over the student's; above 1 the student needs less."""
        return self.energy_pj(row, rival, memory) / self.energy_pj(row, "student", memory)

    def rows_with(self, rival: str) -> list[str]:
        """Rows in which the rival has a cell."""
        return [row for row, sides in self.rows.items() if rival in sides]


def extract(report: Mapping[str, Any], command: str) -> Extract:
    """The needed part of an energy.json.

    Args:
        report: the document.
        command: that made it.

    Raises:
        ArtifactError: a key is missing.
    """
    try:
        rows: dict[str, dict[str, Side]] = {}
        for cell in report["cells"]:
            rows.setdefault(f"{cell['model']}/{cell['precision']}", {})[cell["column"]] = _side(cell)
        return Extract(
            command=command,
            student_sha256=report["hashes"]["student"],
            images=len(report["images"]),
            spikes_per_neuron=_mean([image["spikes_per_neuron"] for image in report["images"]]),
            networks={column["name"]: _network(column) for column in report["columns"]},
            rows=rows,
            **{
                key: report[key]
                for key in ("tool_version", "schema", "crop", "neuron", "timesteps", "levels", "lowering")
            },
        )
    except KeyError as error:
        raise ArtifactError(f"the report has no {error}; make it with 'snn-tool energy report'") from error


def _side(cell: Mapping[str, Any]) -> Side:
    dearest = sorted(cell["alternatives"], key=lambda reading: -reading["energy_pj"]["mean"])
    readings = [cell["headline"], *dearest]
    memories: dict[str, str] = {}
    for reading in readings:  # of several with one memory the dearest is meant
        if memory := reading.get("memory"):
            memories.setdefault(memory, reading["name"])
    return Side(
        headline=cell["headline"]["name"],
        readings={reading["name"]: rounded(reading["energy_pj"]["mean"]) for reading in readings},
        memories=memories,
        chip=cell["headline"].get("chip"),
    )


def _network(column: Mapping[str, Any]) -> Network:
    quality = column["quality"] or {}
    return Network(column["title"], column["parameters"], quality.get("psnr_db"), quality.get("ssim"))


def rounded(value: float) -> float:
    """With as many digits as an extract keeps."""
    return float(f"{value:.{DIGITS}g}")


def _mean(values: list[float]) -> float:
    return rounded(sum(values) / len(values))


def written(found: Extract) -> str:
    """The extract as the text of its file."""
    return json.dumps(msgspec.to_builtins(found), indent=1, ensure_ascii=False) + "\n"


def read_extracts(folder: Path) -> dict[str, Extract]:
    """Every extract of a folder by its name: that of the file without `energy-` and its suffix.

    Raises:
        ArtifactError: a file is damaged.
    """
    found = {}
    for path in sorted(folder.glob("energy-*.json")):
        try:
            found[path.stem.removeprefix("energy-")] = msgspec.json.decode(path.read_bytes(), type=Extract)
        except msgspec.DecodeError as error:
            raise ArtifactError(f"{path}: {error}; make it again with benchmarks/statements.py") from error
    return found
