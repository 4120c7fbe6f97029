"""Readings of memories on two layers that are counted by hand: one assumption on both sides of a ratio."""

from dataclasses import replace

import numpy as np
import pytest
from snn_tool.energy.report.audit import audit
from snn_tool.energy.report.columns import Teacher
from snn_tool.energy.report.document import EnergyReport
from snn_tool.energy.report.pricing import like
from snn_tool.models.integer.network import IntegerNetwork, IntegerPopulation, IntegerSynapse
from snn_tool.models.topology import IMAGE, Population, Synapse
from torch import nn


def two_layers() -> IntegerNetwork:
    """T = 2: image [3, 3, 3] -> head 1x1 -> cell (9 neurons) -> tail 3x3 -> read-out (27)."""
    head = Synapse("head", IMAGE, 3, 1, kernel=1, bias=False)
    tail = Synapse("tail", "cell", 1, 3, kernel=3)
    first = np.array([1, 0, 0], np.int8).reshape(1, 3, 1, 1)
    return IntegerNetwork(
        synapses=(
            IntegerSynapse(head, first, 0, np.zeros(1, np.int32)),
            IntegerSynapse(tail, np.ones((3, 1, 3, 3), np.int8), 0, np.zeros(3, np.int32)),
        ),
        populations=(
            IntegerPopulation(Population("cell", ("head",), 1), 15, 0),
            IntegerPopulation(Population("readout", ("tail",), 3), 0, 0),
        ),
        neuron="lif",
        timesteps=2,
        levels=1,
        signed=False,
        decay=64,
        input_step=1,
    )


@pytest.fixture(scope="module")
def report() -> EnergyReport:
    """One image fires the centre (9 readers per channel) and a corner (4) once each, the other nothing."""
    busy = np.zeros((3, 3, 3), np.int16)
    busy[0, 1, 1] = busy[0, 0, 0] = 10  # 10, then 10 (1 - 64 / 4096) + 10 = 19 > 15
    teacher = Teacher("pointwise", nn.Conv2d(3, 3, 1))  # 9 MACs and 3 bias adds per pixel
    names = ["busy", "quiet"]
    return audit(two_layers(), [busy, np.zeros_like(busy)], teacher=teacher, image_names=names)


READINGS = {
    "": (10.0, 10.0, 0.0),
    ", cores of 128 KB": (10.0, 10.0, 0.0),
    ", SRAM of 8 MB": (100 * 8**0.5, 100 * 8**0.5, 0.0),
    ", state in registers": (10.0, 0.0, 0.0),
    ", state in SRAM beside the neuron": (10.0, 10.0, 10.0),
}
"""By the end of a reading's name: 64 bits of weights, activations and biases; of a membrane; of a MAC's sum.
All arrays are small, so that a memory of its own costs 10 pJ, and so does a core's."""


@pytest.mark.slow
@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize(
    ("precision", "bits", "mac", "ac", "leak"), [("fp32", 32, 4.6, 0.9, 3.7), ("int8", 8, 0.3, 0.1, 3.1)]
)
def test_both_sides_are_read_alike_by_hand(
    report: EnergyReport, reading: str, precision: str, bits: int, mac: float, ac: float, leak: float
) -> None:
    array, state, sums = (price / 64 for price in READINGS[reading])
    word, wide, membrane, total = array * bits, array * 32, state * 32, sums * 32
    # T = 2: 54 products on the image and none else; 2 x 27 biases; every membrane read and written twice.
    always = 54 * word + 2 * 54 * membrane + 54 * 5 + 2 * 54 * 3.2 + 54 * 0.1 + 54 * wide
    always += 2 * 2 * (9 + 27) * membrane + mac * (54 + 27) + ac * (54 + 18 + 27) + leak * 18
    # One of two images has two spikes that 39 connections deliver, through queues of 32 bits, and two resets.
    spikes = 39 * word + 2 * 39 * membrane + 4 * 5 + 2 * 2 * 3.2 + 39 * 0.1 + ac * (39 + 2)
    student = always + spikes / 2
    teacher, twin = mac * 81 + ac * 27, mac * 174 + ac * 63
    # The image, 81 products of 9 kernels and 3 biases; head, tail, activation and global skip of the twin.
    no_reuse = {
        "teacher": teacher + (81 + 81 + 27) * word + 27 * wide + (27 + 27 + 9) * 0.1 + 2 * 81 * total,
        "twin": twin
        + (2 * 174 + 9 + 27 + 9 + 9 + 54 + 27) * word
        + 27 * wide
        + (39 + 63 + 18 + 81) * 0.1
        + 2 * 174 * total,
    }
    full_reuse = {
        "teacher": teacher + (27 + 9 + 27) * word + 3 * wide + (27 + 27 + 9) * 0.1,
        "twin": twin + (27 + 9 + 3 + 9 + 27 + 27) * word + 3 * wide + (39 + 63) * 0.1,
    }
    if precision == "int8":
        # Two bits of the cell: read by 147 products or once, written by the head and by the ReLU.
        quarter, qann = word / 4, 0.3 * 27 + (0.2 / 4 + 0.1) * 147 + 0.1 * 63
        no_reuse["qann"] = (
            qann
            + (27 + 174 + 27 + 9 + 54 + 27) * word
            + (147 + 9 + 9) * quarter
            + 27 * wide
            + (39 + 63 + 18 + 81) * 0.1
            + 2 * 174 * total
        )
        full_reuse["qann"] = qann + (27 + 30 + 27) * word + 18 * quarter + 3 * wide + (39 + 63) * 0.1
    for model, rivals in (("memory-no-reuse", no_reuse), ("memory-full-reuse", full_reuse)):
        row = next(row for row in report.ratios if row.model == f"{model}/{precision}")
        found = row.by_reading[f"deployed, spikes as ACs{reading}"]
        for name, energy in rivals.items():
            assert found[name] == pytest.approx(energy / student), (model, name)
        assert bool(reading) or row.ratio == found["teacher"]


def test_a_ratio_by_reading_is_there_for_every_rival(report: EnergyReport) -> None:
    """A rival that has no reading of the same memories is left out; one without memories has its headline."""
    cells = {(cell.column, cell.row): cell for cell in report.cells}
    for row in report.ratios:
        student = cells["student", row.model]
        readings = (student.headline, *student.alternatives)
        assert list(row.by_reading) == [reading.name for reading in readings]
        for reading in readings:
            rivals = {column for column, name in cells if name == row.model and column != "student"}
            assert row.by_reading[reading.name].keys() == rivals
            for column, ratio in row.by_reading[reading.name].items():
                cell = cells[column, row.model]
                (rival,) = [r for r in (cell.headline, *cell.alternatives) if r.memory == reading.memory]
                assert ratio == pytest.approx(rival.energy_pj.mean / reading.energy_pj.mean)
    # The price of the 8 MB moves no headline, so that there is nothing to show of what it decides.
    assert "sram-8mb" in report.constants
    assert "sram-8mb" not in {one.constant for one in report.sensitivity}
    student = cells["student", "memory-no-reuse/fp32"]
    other = replace(student.headline, memory="a memory that no rival has")
    assert like(cells["twin", "memory-no-reuse/fp32"], other) is None
