"""The file of mapped rivals: every nest once, and for each network which nests it computes."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta
from snn_tool.errors import ArtifactError
from snn_tool.exporters.zigzag.mapping import Accelerator, Amount, Mapped, Objective
from snn_tool.files.artifacts import read_json, write_json
from snn_tool.files.documents import Count, Fraction, Name, Positive, Sha256, Text, convert
from snn_tool.models.loop_nest import LoopNest
from snn_tool.models.topology import Side
from snn_tool.results import Result

KIND, SCHEMA = "mapped-rival", 1
HEAD = ("kind", "schema", "tool_version", "totals")
REMEDY = "run `snn-tool energy map` again"
TOLERANCE = 1e-9
"""Between an energy and the sum of its parts: they are added in another order."""

EXCLUDED = (
    "everything that is no product (bias, activation, normalisation, softmax, sums): too low",
    "control, instructions, wires between memories, static power of the accelerator and of DRAM: too low",
    "sums are 16 bits wide where the integers have 24: too low",
    "each layer reads and writes its activations in DRAM, as no layers are fused: too high; "
    "the reading without DRAM is the other end",
    "zeros are multiplied like other values, and no activation is compressed: too high",
    "activations of fewer than 8 bits are moved and multiplied as 8: too high for `qann`",
)

Index = Annotated[int, Meta(ge=0, le=1 << 16)]


@dataclass(frozen=True, slots=True)
class MappedNest:
    """A nest with its best mapping."""

    nest: LoopNest
    mapped: Mapped


@dataclass(frozen=True, slots=True)
class MappedLayer:
    """One operation of a network.

    Attributes:
        name: of the layer or module.
        nests: numbers of those that it computes, one after another.
    """

    name: Name
    nests: tuple[Index, ...]


@dataclass(frozen=True, slots=True)
class Unmapped:
    """Products that have no mapping, and why."""

    name: Name
    macs: Count
    reason: Text


@dataclass(frozen=True, slots=True)
class MappedNetwork:
    """One dense network.

    Attributes:
        column: as reports call it: `teacher`, `twin`, `qann`, ..
        title: what it is.
        layers: with products.
        unmapped: products without a mapping.
        elementwise_ops: scalar operations, which are not mapped.
    """

    column: Name
    title: Text
    layers: tuple[MappedLayer, ...]
    unmapped: tuple[Unmapped, ...]
    elementwise_ops: Count


@dataclass(frozen=True, slots=True)
class Totals:
    """A network by all of its mapped layers.

    Attributes:
        macs: mapped, padded ones included; `unmapped_macs` are the others.
        energy_pj: by the description's energies.
        dram_pj: the part of it that DRAM takes.
        cycles: one layer after the other.
        utilisation: MACs over cycles and multipliers.
    """

    macs: Count
    unmapped_macs: Count
    energy_pj: Amount
    dram_pj: Amount
    cycles: Count
    utilisation: Fraction


@dataclass(frozen=True, slots=True)
class MappingReport(Result):
    """What mapping.json holds.

    Attributes:
        accelerator: with sizes and energies.
        source: where its description is from.
        clock_mhz: by which cycles become time; a choice of the user's.
        objective, loops: of the search.
        height, width: of the image.
        nests: each mapped once.
        networks: in the order of the columns.
        hashes: SHA-256 of the files of `student`, `teacher` and `cnn`, where there are files.
        versions: of ZigZag and of its Python.
    """

    accelerator: Accelerator
    source: Text
    clock_mhz: Positive
    objective: Objective
    loops: Index
    height: Side
    width: Side
    nests: tuple[MappedNest, ...]
    networks: tuple[MappedNetwork, ...]
    hashes: Mapping[Name, Sha256]
    versions: Mapping[Name, Name]
    excluded: tuple[Text, ...] = EXCLUDED

    def totals(self, network: MappedNetwork) -> Totals:
        """All layers of a network together."""
        found = [self.nests[number] for layer in network.layers for number in layer.nests]
        macs = sum(each.nest.macs for each in found)
        cycles = sum(each.mapped.cycles for each in found)
        return Totals(
            macs=macs,
            unmapped_macs=sum(each.macs for each in network.unmapped),
            energy_pj=math.fsum(each.mapped.energy_pj for each in found),
            dram_pj=self.memory_pj(network)[self.accelerator.memories[-1].name],
            cycles=cycles,
            utilisation=macs / (cycles * self.accelerator.units) if cycles else 0.0,
        )

    def memory_pj(self, network: MappedNetwork) -> dict[str, float]:
        """Picojoules of a network's accesses, by memory."""
        count = Counter(number for layer in network.layers for number in layer.nests)
        return {
            memory.name: math.fsum(
                times * _access_pj(self.nests[number].mapped, memory.name, memory.read_pj, memory.write_pj)
                for number, times in count.items()
            )
            for memory in self.accelerator.memories
        }

    def bits_moved(self, network: MappedNetwork, memory: str) -> float:
        """Bits that a network's layers read and write in a memory."""
        word = next(each.word_bits for each in self.accelerator.memories if each.name == memory)
        found = [self.nests[number].mapped for layer in network.layers for number in layer.nests]
        return word * math.fsum(_access_pj(mapped, memory, 1.0, 1.0) for mapped in found)

    def to_dict(self) -> dict[str, Any]:
        """The file's body."""
        totals = {network.column: asdict(self.totals(network)) for network in self.networks}
        return {"totals": totals, **asdict(self)}


def _access_pj(mapped: Mapped, memory: str, read_pj: float, write_pj: float) -> float:
    accesses = mapped.accesses.get(memory)
    return accesses.reads * read_pj + accesses.writes * write_pj if accesses else 0.0


def write_mapping(path: Path, report: MappingReport) -> None:
    """Write a report, whole or not at all."""
    write_json(path, KIND, SCHEMA, report.to_dict())


def read_mapping(path: Path) -> MappingReport:
    """Read a report.

    Raises:
        ArtifactError: missing, of another kind or schema, incomplete, a number is negative, not finite or
            absurd, or the file is not in agreement with itself.
    """
    document = read_json(path, KIND, SCHEMA)
    body = {key: value for key, value in document.items() if key not in HEAD}
    report = convert(body, MappingReport, str(path), remedy=REMEDY)
    if fault := _contradiction(report) or _other_totals(report, document.get("totals")):
        raise ArtifactError(f"{path}: {fault}; {REMEDY}")
    return report


def _contradiction(report: MappingReport) -> str:
    """What does not follow from the rest, or empty."""
    accelerator, columns = report.accelerator, [network.column for network in report.networks]
    names = [memory.name for memory in accelerator.memories]
    if "student" not in report.hashes:
        return "`hashes` does not name the student"
    if not columns or not names or len(set(columns)) < len(columns) or len(set(names)) < len(names):
        return "no network or no memory, or one of them twice"
    if any(
        number >= len(report.nests) for n in report.networks for layer in n.layers for number in layer.nests
    ):
        return "a layer names a nest that is not there"
    for number, each in enumerate(report.nests):
        if each.mapped.macs != each.nest.macs:
            return f"nests[{number}] has {each.nest.macs} MACs and not {each.mapped.macs}"
        if set(each.mapped.accesses) - set(names):
            return f"nests[{number}] uses a memory that the accelerator does not have"
        parts = math.fsum(
            _access_pj(each.mapped, memory.name, memory.read_pj, memory.write_pj)
            for memory in accelerator.memories
        )
        whole = parts + accelerator.mac_pj * each.nest.macs
        if not math.isclose(whole, each.mapped.energy_pj, rel_tol=TOLERANCE):
            return f"nests[{number}].mapped.energy_pj is not the sum of its multiplications and accesses"
        if each.mapped.cycles * accelerator.units < each.nest.macs:
            return f"nests[{number}] takes fewer cycles than its MACs need"
    return ""


def _other_totals(report: MappingReport, stated: object) -> str:
    derived = {network.column: asdict(report.totals(network)) for network in report.networks}
    return "" if stated == derived else "`totals` does not follow from the rest"
