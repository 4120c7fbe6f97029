"""Every model on a two-layer network small enough to be counted by hand.

image [3, 3, 3] -> head (1x1, 3 to 1, no bias) -> cell (9 neurons) -> tail (3x3, 1 to 3) -> read-out (27)

Two pixels are active, the centre (read by all 9 positions of a padded 3x3 kernel) and a corner (read by 4).
"""

import numpy as np
import pytest
from snn_tool.energy.counts.activity import count_network
from snn_tool.energy.counts.counts import ImageActivity
from snn_tool.energy.counts.fan_out import network_macs
from snn_tool.energy.estimators.estimate import AnnLoad, Reading
from snn_tool.energy.estimators.exact_ops import estimate as exact_ops
from snn_tool.energy.estimators.paper import estimate as paper
from snn_tool.energy.estimators.prices import packaged_pricing
from snn_tool.energy.estimators.registry import MODELS
from snn_tool.energy.report.columns import twin_load
from snn_tool.models.integer.network import IntegerNetwork, IntegerPopulation, IntegerSynapse
from snn_tool.models.topology import IMAGE, Population, Synapse

PRICING = packaged_pricing()
FP32, INT8 = PRICING.at("fp32"), PRICING.at("int8")


def two_layers(neuron: str) -> IntegerNetwork:
    head = Synapse("head", IMAGE, 3, 1, kernel=1, bias=False)
    tail = Synapse("tail", "cell", 1, 3, kernel=3)
    lif = neuron == "lif"
    return IntegerNetwork(
        synapses=(
            IntegerSynapse(head, np.array([1, 0, 0], np.int8).reshape(1, 3, 1, 1), 0, np.zeros(1, np.int32)),
            IntegerSynapse(tail, np.ones((3, 1, 3, 3), np.int8), 0, np.array([1, 2, 3], np.int32)),
        ),
        populations=(
            IntegerPopulation(Population("cell", ("head",), 1), 15 if lif else 4, 0),
            IntegerPopulation(Population("readout", ("tail",), 3), 0, 0),
        ),
        neuron=neuron,
        timesteps=2 if lif else 1,
        levels=1 if lif else 4,
        signed=not lif,
        decay=64 if lif else 0,
        input_step=1,
    )


def active(neuron: str) -> ImageActivity:
    """lif: 10, then 19, above 15: one spike in two steps. graded: 10 / 4 rounds to 3, -10 / 4 to -3."""
    image = np.zeros((3, 3, 3), np.int16)
    image[0, 1, 1] = 10
    image[0, 0, 0] = 10 if neuron == "lif" else -10
    return count_network(two_layers(neuron), [image]).images[0]


def by_name(readings: tuple[Reading, ...]) -> dict[str, Reading]:
    return {reading.name: reading for reading in readings}


def test_paper_charges_the_ann_its_padded_macs() -> None:
    (reading,) = paper(AnnLoad(270, 174, 63), FP32).readings
    assert reading.total_pj == pytest.approx(4.6 * (27 + 243))


def test_paper_charges_the_first_layer_once_and_the_rate_times_macs() -> None:
    (reading,) = paper(active("lif"), FP32).readings
    assert reading.items == pytest.approx({"head": 4.6 * 27, "tail": 0.9 * (2 / 9) * 243})
    assert reading.total_pj == pytest.approx(172.8)


def test_paper_takes_the_mean_level_of_graded_spikes_as_their_rate() -> None:
    headline, events = paper(active("graded"), FP32).readings
    assert headline.deployed and headline.name == "mean level as a rate"
    assert headline.items["tail"] == pytest.approx(0.9 * (6 / 9) * 243)
    assert not events.deployed and events.name == "one event per graded spike"
    assert events.items == pytest.approx({"head": 4.6 * 27, "tail": 4.6 * (2 / 9) * 243})


def test_paper_at_int8_replaces_both_prices() -> None:
    (reading,) = paper(active("lif"), INT8).readings
    assert reading.total_pj == pytest.approx(0.3 * 27 + 0.1 * (2 / 9) * 243)


def test_twin_of_two_layers() -> None:
    topology = two_layers("lif").topology
    head, tail = network_macs(topology, 3, 3)
    assert (head.padded_macs, head.exact_macs) == (27, 27)
    assert (tail.padded_macs, tail.exact_macs) == (243, 3 * (2 + 3 + 2) ** 2)
    assert twin_load(topology, 3, 3).elementwise_ops == 27 + 9 + 27


def test_exact_ops_of_the_ann() -> None:
    (reading,) = exact_ops(AnnLoad(270, 174, 63), FP32).readings
    assert reading.total_pj == pytest.approx(4.6 * 174 + 0.9 * 63)


def test_exact_ops_of_lif_item_by_item() -> None:
    readings = by_name(exact_ops(active("lif"), FP32).readings)
    deployed = readings["deployed, spikes as ACs"]
    assert deployed.deployed
    assert deployed.items == pytest.approx(
        {
            "first layer MACs": 4.6 * 27 * 2,
            "synops": 0.9 * 3 * (9 + 4),
            "bias adds": 0.9 * 2 * 27,
            "leak multiplies": 3.7 * 2 * 9,
            "threshold compares": 0.9 * 2 * 9,
            "resets": 0.9 * 2,
            "read-out scale": 4.6 * 27,
            "global skip": 0.9 * 27,
            "relay synops": 0.0,
            "relay neurons": 0.0,
            "relay resets": 0.0,
        }
    )
    assert deployed.once == {"read-out scale", "global skip"}
    assert deployed.spike_driven == {"synops", "resets", "relay synops", "relay resets"}
    cached = readings["first layer cached, spikes as ACs"]
    assert not cached.deployed
    assert cached.items["first layer MACs"] == pytest.approx(4.6 * 27 + 0.9 * 2 * 9)


def test_exact_ops_charges_a_32_bit_leak_at_int8() -> None:
    readings = by_name(exact_ops(active("lif"), INT8).readings)
    items = readings["deployed, spikes as ACs"].items
    assert items["leak multiplies"] == pytest.approx(3.1 * 18)
    assert items["synops"] == pytest.approx(0.1 * 39)


def test_exact_ops_reads_graded_spikes_in_two_ways() -> None:
    readings = by_name(exact_ops(active("graded"), FP32).readings)
    assert readings["deployed, levels as ACs"].items["synops"] == pytest.approx(0.9 * 3 * (9 * 3 + 4 * 3))
    assert readings["deployed, events as MACs"].items["synops"] == pytest.approx(4.6 * 3 * (9 + 4))
    for name in ("deployed, levels as ACs", "deployed, events as MACs"):
        items = readings[name].items
        # Nine outcomes, -4 to 4: a binary search takes four compares, and a ladder tries eight thresholds.
        assert items["threshold compares"] == pytest.approx(0.9 * 9 * 4)
        assert items["resets"] == items["leak multiplies"] == 0
        ladder = readings[name.replace("deployed", "linear threshold ladder")]
        assert not ladder.deployed
        assert ladder.items == pytest.approx({**items, "threshold compares": 0.9 * 9 * 8})
    assert not any("ladder" in name for name in by_name(exact_ops(active("lif"), FP32).readings))
    assert not any("cached" in name for name in readings)


def test_every_registered_model_takes_both_loads_and_has_a_deployed_reading() -> None:
    dense = twin_load(two_layers("lif").topology, 3, 3, bits=2)
    for model in MODELS.values():
        for load in (dense, active("lif"), active("graded")):
            for precision in PRICING.precisions.values():
                if model.takes(precision):
                    readings = model.estimate(load, PRICING.at(precision.name)).readings
                    assert any(reading.deployed for reading in readings)
                    assert all(reading.total_pj > 0 for reading in readings)
                    for reading in readings:
                        assert reading.spike_driven | reading.once <= reading.items.keys()
