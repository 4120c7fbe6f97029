"""Estimated energies by model and precision, and their ratios.

Every joule in here is an estimate: a count of operations times a published price of one operation.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from snn_tool.energy.report_networks import Spread
from snn_tool.energy.verdict import Split


@dataclass(frozen=True, slots=True)
class ReadingEnergy:
    """One reading of a model.

    Attributes:
        deployed: it describes what runs on the target, so it may be a headline; others are comparisons.
        energy_pj: estimated energy per image in picojoules.
        items_pj: means of its items, picojoules per image.
        spike_driven: the items that are proportional to the number of spikes.
        once: the items that are paid once per image, whatever T.
    """

    name: str
    deployed: bool
    energy_pj: Spread
    items_pj: Mapping[str, float]
    spike_driven: tuple[str, ...]
    once: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """One column by one model at one precision; the headline is the dearest deployed reading."""

    column: str
    model: str
    precision: str
    headline: ReadingEnergy
    alternatives: tuple[ReadingEnergy, ...]


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One energy model, as far as a reader needs to know it.

    Attributes:
        name: as cells call it.
        title: what it charges, in a line.
        source: publication that it follows, and how closely.
        precisions: names of those it was evaluated at.
        columns: networks that have cells in it.
        constants: keys of the constants it uses at any of these precisions.
    """

    name: str
    title: str
    source: str
    precisions: tuple[str, ...]
    columns: tuple[str, ...]
    constants: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RatioRow:
    """How many times less energy the student is estimated to need, by one model at one precision.

    Attributes:
        model: `model/precision`.
        split: ratios of mean energies, headline readings.
        ratio: mean energy of the reference over the student's; None where the reference has no cell.
        least, most: the same for single images.
        by_reading: mean reference energy over the student's, for each of the student's readings; empty where
            the reference has no cell.
    """

    model: str
    split: Split
    ratio: float | None
    least: float | None
    most: float | None
    by_reading: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Range:
    """The headline: the least and the most that any model at any precision says."""

    least: float
    most: float
