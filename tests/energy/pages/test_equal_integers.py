"""The first table: three factors and marks, and the sentences about where and why spikes pay, by hand."""

from dataclasses import replace

import numpy as np
import pytest
from snn_tool.energy.pages import equal_integers
from snn_tool.energy.pages.html import render
from snn_tool.energy.report.audit import audit
from snn_tool.energy.report.document import EnergyReport, RatioRow
from snn_tool.energy.report.split import FLOATS, split
from snn_tool.models.integer.network import IntegerNetwork, IntegerPopulation, IntegerSynapse
from snn_tool.models.topology import IMAGE, Population, Synapse


def network() -> IntegerNetwork:
    """Two layers of T = 2 steps: a 1x1 convolution whose neuron fires at 1 or more, and a 3x3 read-out."""
    head = Synapse("head", IMAGE, 3, 1, kernel=1, bias=False)
    tail = Synapse("tail", "cell", 1, 3)
    zero = [np.zeros(n, np.int32) for n in (1, 3)]
    first = np.array([2, 0, 0], np.int8).reshape(1, 3, 1, 1)
    return IntegerNetwork(
        synapses=(
            IntegerSynapse(head, first, 0, zero[0]),
            IntegerSynapse(tail, np.ones((3, 1, 3, 3), np.int8), 0, zero[1]),
        ),
        populations=(
            IntegerPopulation(Population("cell", ("head",), 1), 1, 0),
            IntegerPopulation(Population("readout", ("tail",), 3), 0, 0),
        ),
        neuron="lif",
        timesteps=2,
        levels=1,
        signed=False,
        decay=0,
        input_step=1,
    )


@pytest.fixture(scope="module")
def report() -> EnergyReport:
    """A 3x3 image whose centre alone fires, at both steps."""
    image = np.zeros((3, 3, 3), np.int16)
    image[0, 1, 1] = 1
    return audit(network(), [image])


def test_the_balance_by_hand(report: EnergyReport) -> None:
    """2 spikes reach 9 positions of 3 channels; the dense tail has 3 (2 + 3 + 2)^2 = 147 MACs."""
    balance = report.spikes
    assert balance.binary and balance.cells == len(report.ratios)
    assert balance.deliveries_per_mac == pytest.approx(2 * 27 / 147)
    assert (balance.fan_out, balance.image_macs) == (1.0, 2.0)
    saving = {row.model for row in report.ratios if row.split.qann_over_student > 1}
    assert set(balance.saving) == saving
    memory = [c for c in report.cells if c.column == "student" and c.model.startswith("memory-")]
    shares = [
        sum(v for k, v in c.headline.items_pj.items() if "membrane" in k) / c.headline.energy_pj.mean
        for c in memory
    ]
    assert (balance.membranes_least, balance.membranes_most) == pytest.approx((min(shares), max(shares)))


def test_the_sentence_says_what_decides_it(report: EnergyReport) -> None:
    why = equal_integers.why(report)
    assert why.startswith("A binary spike costs an addition where the dense array multiplies and adds; T = 2")
    assert "deliver 0.367 spikes for each dense MAC (each synapse is delivered once)" in why
    assert "the image costs 2.00× the MACs" in why and "membranes takes" in why
    graded = replace(report, timesteps=1, spikes=replace(report.spikes, binary=False, fan_out=2.5))
    assert "graded spike costs a small multiplication" in equal_integers.why(graded)
    assert "T = 1 step delivers" in equal_integers.why(graded)
    assert "the fan-out of shortcuts multiplies them by 2.50" in equal_integers.why(graded)
    silent = replace(report.spikes, membranes_least=None, membranes_most=None)
    assert "membranes" not in equal_integers.why(replace(report, spikes=silent))


def with_rows(report: EnergyReport) -> EnergyReport:
    """paper saves at both precisions, exact-ops at one of two."""
    parts = {
        "paper/fp32": split(40.0, 10.0, 10.0, 5.0, 7.5, FLOATS),
        "paper/int8": split(40.0, 10.0, 6.0, 5.0),
        "exact-ops/fp32": split(40.0, 10.0, 10.0, 20.0, None, FLOATS),
        "exact-ops/int8": split(40.0, 10.0, 6.0, 4.0),
    }
    rows = tuple(
        RatioRow(name, part, part.teacher_over_student, None, None, {}) for name, part in parts.items()
    )
    saving = tuple(row.model for row in rows if row.split.qann_over_student > 1)
    return replace(report, ratios=rows, spikes=replace(report.spikes, saving=saving, cells=len(rows)))


def test_rows_hold_the_factors_and_marks(report: EnergyReport) -> None:
    first, _, third, _ = equal_integers.equal_rows(with_rows(report))
    assert (first.spikes, first.cnn, first.smaller, first.bits, first.teacher) == (
        "2.00×",
        "1.50×",
        "4.00×",
        "1.00×",
        "8.00×",
    )
    assert (first.saves, third.saves, third.cnn, third.mark) == (True, False, "–", "")
    assert first.mark == equal_integers.SPIKES_MARK


def test_cells_in_which_spikes_save_are_counted_and_named(report: EnergyReport) -> None:
    assert equal_integers.pays(with_rows(report)) == (
        "At equal integers spikes save energy in 3 of 4 estimates: paper, exact-ops/int8."
    )
    nowhere = replace(report, spikes=replace(report.spikes, saving=(), cells=4))
    assert equal_integers.pays(nowhere) == "At equal integers spikes save energy in 0 of 4 estimates."
    assert equal_integers.notes(with_rows(report)) == (
        f"Fewer bits are worth exactly 1 in paper/fp32, exact-ops/fp32: {FLOATS}.",
    )


def test_the_page_begins_with_it(report: EnergyReport) -> None:
    page = render(report)
    assert page.index('id="equal"') < page.index('id="grid"')
    assert equal_integers.pays(report) in page
    marked = page.count('<tr class="saves">')
    assert marked == len(report.spikes.saving) > 0
