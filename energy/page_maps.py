"""Firing maps as pictures in the page: inline PNGs whose bytes depend on the report alone."""

import base64
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from snn_tool.energy.report.firing import block_sums, png
from snn_tool.energy.report_spikes import FiringMap
from snn_tool.energy.report.types import EnergyReport

RAMP = ((247, 249, 251), (86, 160, 200), (8, 44, 92))
"""The least, half-way, and the peak: lightness falls all the way, so that grey print keeps the order."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One map to show: its own least is white and its own peak is darkest, whatever the others do.

    Attributes:
        uri: PNG, one pixel for each block.
        rate, least, peak: spikes per neuron and timestep, of the population and of its extreme blocks.
    """

    population: str
    uri: str
    rate: float
    least: float
    peak: float


def pictures(report: EnergyReport) -> tuple[Picture, ...]:
    """All maps of a report."""
    return tuple(_picture(shown, report.timesteps) for shown in report.firing.maps)


def input_uri(report: EnergyReport) -> str:
    """What the network was given."""
    return f"data:image/png;base64,{report.firing.input_png}"


def rates(shown: FiringMap, timesteps: int) -> NDArray[np.float64]:
    """Nonzero spikes per neuron and timestep of each block, float64 [rows, columns]."""
    spikes = np.array([[int(value) for value in row.split()] for row in shown.spikes], dtype=np.int64)
    neurons = block_sums(np.ones((shown.height, shown.width), np.int64), shown.block) * shown.channels
    found: NDArray[np.float64] = spikes / (neurons * timesteps)
    return found


def _picture(shown: FiringMap, timesteps: int) -> Picture:
    values = rates(shown, timesteps)
    least, peak = float(values.min()), float(values.max())
    coloured = png(ramp((values - least) / (peak - least or 1.0)))
    uri = "data:image/png;base64," + base64.b64encode(coloured).decode("ascii")
    return Picture(shown.population, uri, shown.rate, least, peak)


def ramp(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Colours uint8 [..., 3] of values in [0, 1], linear between the three of `RAMP`."""
    stops = np.linspace(0, 1, len(RAMP))
    channels = [np.interp(values, stops, [colour[i] for colour in RAMP]) for i in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
