"""How spikes are charged: what each way counts, what it costs, and what readings are called after it."""

import pytest
from snn_tool.energy.counts.counts import PopulationCount, RelayCount
from snn_tool.energy.estimators.charges import SpikeCharge
from snn_tool.energy.estimators.prices import packaged_pricing

SPIKES = PopulationCount("a", 4, 3, 7, 0, 0, 0, 0, 0, 0, 0)
RELAYED = [RelayCount("a", 1, 4, 4, 7, 3, 0), RelayCount("b", 1, 4, 4, 20, 10, 0)]


@pytest.mark.parametrize(
    ("charge", "spikes", "synops", "price", "name", "moved"),
    [
        (SpikeCharge.LEVELS, 7, 27, 0.9, "levels as ACs", "levels as unit spikes"),
        (SpikeCharge.EVENTS, 3, 13, 4.6, "events as MACs", "one event per graded spike"),
    ],
)
def test_a_way_to_charge_spikes(
    charge: SpikeCharge, spikes: int, synops: int, price: float, name: str, moved: str
) -> None:
    """At fp32 an accumulate costs 0.9 pJ and a multiply-accumulate 3.7 + 0.9 pJ (Horowitz)."""
    assert charge.spikes(SPIKES) == spikes
    assert charge.synops(RELAYED) == synops
    assert charge.synop_pj(packaged_pricing().at("fp32")) == pytest.approx(price)
    assert (charge.value, charge.moved) == (name, moved)
