"""A report with mapped rivals: a section of its own, and readings of the dense columns of chip models."""

from dataclasses import replace

from snn_tool.energy.report.document import Cell, EnergyReport, ReadingEnergy
from snn_tool.energy.report.mapped import MappedColumn, MappedRival, MappedRow
from snn_tool.energy.report.networks import Spread
from snn_tool.errors import ConfigError

CHIPS = "loihi"
"""How the models of a chip begin, whose dense side is an accelerator."""

OWN = {"teacher", "cnn"}
"""Columns that do not follow from the student."""

MAPPED, AT_UTILISATION = "int8 mapped by ZigZag", "int8 at the mapped utilisation"


def with_mapping(report: EnergyReport, rival: MappedRival) -> EnergyReport:
    """The report with the mapped rivals as a section, and as readings of the dense columns of chip models.

    Args:
        report: complete but for this.
        rival: whose columns the report has as well.

    Raises:
        ConfigError: the mapping is of another teacher or CNN than the report's.
    """
    _check_networks(report, rival)
    utilisation = report.constants["edge-utilisation"].value
    mapped = {column.name: column for column in rival.columns}
    students = {cell.row: cell for cell in report.cells if cell.column == "student"}
    cells, rows = [], []
    for cell in report.cells:
        if cell.column not in mapped or not cell.model.startswith(CHIPS):
            cells.append(cell)
            continue
        row = _row(report, cell, students[cell.row], mapped[cell.column], utilisation)
        rows.append(row)
        added = (_reading(cell, MAPPED, row.image_pj), _reading(cell, AT_UTILISATION, row.peak_pj))
        cells.append(replace(cell, alternatives=(*cell.alternatives, *added)))
    shown = replace(rival, rows=tuple(rows), assumed_utilisation=utilisation)
    return replace(report, cells=tuple(cells), mapping=shown)


def _check_networks(report: EnergyReport, rival: MappedRival) -> None:
    """The twins follow from the student; teacher and CNN are networks of their own."""
    titles = {column.name: column.title for column in report.columns}
    mapped = {column.name: column.title for column in rival.columns}
    for name in OWN & titles.keys() & mapped.keys():
        same = rival.hashes.get(name) == report.hashes.get(name)
        if not same or (name not in rival.hashes and mapped[name] != titles[name]):
            raise ConfigError(
                f"--mapping: made with another {name} ({mapped[name]}) than the report's ({titles[name]}); "
                f"run 'snn-tool energy map' with this --{name}"
            )


def _row(
    report: EnergyReport, cell: Cell, student: Cell, column: MappedColumn, utilisation: float
) -> MappedRow:
    macs = next(each.padded_macs.mean for each in report.columns if each.name == column.name)
    scale = macs / (column.macs + column.unmapped_macs)
    assumed, base = cell.headline.energy_pj.mean, student.headline.energy_pj.mean
    values = (
        column.energy_pj * scale,
        column.at_45_nm_pj * scale,
        (column.energy_pj - column.dram_pj) * scale,
        assumed * utilisation / column.utilisation,
        assumed,
    )
    return MappedRow(column.name, cell.row, *values, *(value / base for value in values))


def _reading(cell: Cell, name: str, mean_pj: float) -> ReadingEnergy:
    """In proportion to the headline's images: both follow the MACs."""
    spread, factor = cell.headline.energy_pj, mean_pj / cell.headline.energy_pj.mean
    scaled = Spread(
        mean_pj, spread.std * factor, spread.least * factor, spread.most * factor, spread.worst_image
    )
    return ReadingEnergy(name, False, scaled, {name: mean_pj}, (), (), None)
