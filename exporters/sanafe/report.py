"""A cross-check on SANA-FE's Loihi: what was exact, and what the chip would spend."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from snn_tool.errors import ArtifactError
from snn_tool.exporters.contract.traces import EXACT, BackendResult
from snn_tool.exporters.sanafe.simulation import ChipActivity, ChipEnergy, Joules
from snn_tool.files.artifacts import read_json, write_json
from snn_tool.files.documents import Count, convert
from snn_tool.results import Result

EXCLUDED = (
    "static power and synchronisation of the chip: too low",
    "the layers on the image, which arrive as biases, and all traffic with a host: too low",
    "shared kernels: synapses are priced as SANA-FE's loihi_conv_synapse, but no core's memory is checked",
    "placement: populations fill core after core in turn; a better order has fewer packets and hops",
)
KIND, SCHEMA = "sanafe-check", 1
HEAD = ("kind", "schema", "tool_version", "passed")
REMEDY = "run `snn-tool energy sanafe` again"


@dataclass(frozen=True, slots=True)
class TileCheck:
    """One golden tile on the chip and in the integer engine: what was counted, and joules."""

    activity: ChipActivity
    exact_synops: Count
    exact_spikes: Count
    idle_access_j: Joules

    @property
    def counts_agree(self) -> bool:
        """SANA-FE processed every synop and sent every spike of the integer engine, and no other."""
        activity = self.activity
        return (activity.synaptic_events, activity.neurons_fired) == (self.exact_synops, self.exact_spikes)


@dataclass(frozen=True, slots=True)
class SanafeReport(Result):
    """What sanafe.json holds."""

    result: BackendResult
    tiles: tuple[TileCheck, ...]
    height: Count
    width: Count
    timesteps: Count
    steps: Count
    neurons: Count
    synapses: Count
    cores: Count
    image_macs: Count
    constants_j: Mapping[str, Joules]
    architecture: str
    architecture_sha256: str
    versions: Mapping[str, str]
    student_sha256: str
    bundle_sha256: str
    excluded: tuple[str, ...] = EXCLUDED

    @property
    def passed(self) -> bool:
        """Every integer, synop and spike is the engine's."""
        return self.result.status == EXACT and all(tile.counts_agree for tile in self.tiles)

    @property
    def mean_energy_j(self) -> ChipEnergy:
        """Joules per tile, the mean over the tiles."""
        energies = [asdict(tile.activity.energy_j) for tile in self.tiles]
        return ChipEnergy(**{part: sum(e[part] for e in energies) / len(energies) for part in energies[0]})

    @property
    def mean_idle_access_j(self) -> float:
        """The part of it that images in a row would share."""
        return sum(tile.idle_access_j for tile in self.tiles) / len(self.tiles)

    def to_dict(self) -> dict[str, Any]:
        """The file's body."""
        return {"passed": self.passed, **asdict(self)}


def write_sanafe(path: Path, report: SanafeReport) -> None:
    """Write a report, whole or not at all."""
    write_json(path, KIND, SCHEMA, report.to_dict())


def read_sanafe(path: Path) -> SanafeReport:
    """Read a report.

    Raises:
        ArtifactError: missing, of another kind or schema, incomplete, a number is negative, not finite or
            absurd, or the file is not in agreement with itself.
    """
    document = read_json(path, KIND, SCHEMA)
    passed = document.get("passed")
    body = {key: value for key, value in document.items() if key not in HEAD}
    try:
        report = convert(body, SanafeReport, str(path), remedy=REMEDY)
    except AssertionError as error:
        raise ArtifactError(f"{path}: `result` claims more than its counts show; {REMEDY}") from error
    if not report.tiles or report.passed is not passed:
        raise ArtifactError(f"{path}: `passed` does not follow from the rest; {REMEDY}")
    return report
