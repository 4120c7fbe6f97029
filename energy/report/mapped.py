"""Dense rivals mapped onto a described accelerator, in place of an assumed utilisation of a vendor's peak."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MappedColumn:
    """One dense network on the accelerator, for one image of the mapped size.

    Attributes:
        name, title: as in the report's columns.
        macs: mapped, padded ones included; `unmapped_macs` have no mapping and no energy here.
        elementwise_ops: scalar operations, for which nothing is charged.
        energy_pj: by the energies of the accelerator's description.
        dram_pj: the part of it that DRAM takes, with every layer's activations.
        at_45_nm_pj: the same accesses by the 45 nm constants of the other models.
        cycles, time_ms: one layer after the other; time by the report's clock.
        utilisation: MACs over cycles and multipliers.
    """

    name: str
    title: str
    macs: int
    unmapped_macs: int
    elementwise_ops: int
    energy_pj: float
    dram_pj: float
    at_45_nm_pj: float
    cycles: int
    time_ms: float
    utilisation: float


@dataclass(frozen=True, slots=True)
class MappedRow:
    """One dense network of the report beside the student, by one model of a chip.

    Attributes:
        column: the network.
        model: `model/precision` of the student's chip.
        image_pj: the mapping's energy at the report's images, in proportion to MACs.
        image_45_nm_pj: likewise by the 45 nm constants.
        image_on_chip_pj: likewise by the description, without DRAM.
        peak_pj: the vendor's peak over the utilisation found.
        assumed_pj: the same over the assumed utilisation, as the model's headline has it.
        over_student, over_student_45_nm, over_student_on_chip, peak_over_student, assumed_over_student: each
            of the five over the student's headline.
    """

    column: str
    model: str
    image_pj: float
    image_45_nm_pj: float
    image_on_chip_pj: float
    peak_pj: float
    assumed_pj: float
    over_student: float
    over_student_45_nm: float
    over_student_on_chip: float
    peak_over_student: float
    assumed_over_student: float


@dataclass(frozen=True, slots=True)
class MappedRival:
    """The mapping as a report shows it.

    Attributes:
        tool, versions: that mapped; versions of it and of its Python.
        accelerator, source: name, and where its description is from.
        units: multipliers.
        clock_mhz: by which cycles became time.
        height, width: of the mapped image.
        objective: what each layer's mapping makes least.
        hashes: SHA-256 of the files of the mapped networks, by column; an untrained teacher has none.
        columns: the networks on the accelerator.
        rows: the same beside the student; empty until the report is known.
        assumed_utilisation: that of the models of chips.
        excluded: costs that the figures leave out.
    """

    tool: str
    versions: Mapping[str, str]
    accelerator: str
    source: str
    units: int
    clock_mhz: float
    height: int
    width: int
    objective: str
    hashes: Mapping[str, str]
    columns: tuple[MappedColumn, ...]
    excluded: tuple[str, ...]
    rows: tuple[MappedRow, ...] = ()
    assumed_utilisation: float | None = None
