"""Memory, Loihi and data movement on networks small enough to be counted by hand.

two layers: image [3, 3, 3] -> head (1x1, no bias) -> cell (9 neurons) -> tail (3x3) -> read-out (27), T = 2.
Two spikes, one read by 9 and one by 4 positions of 3 channels: 39 deliveries. The head: 27 connections, 54 in
two steps. The tail with real inputs: 3 (2 + 3 + 2)^2 = 147 MACs, 243 padded.

a shortcut: head feeds a and b, a feeds b and (one relay later) the read-out, all 1x1, image [3, 2, 2], T = 2;
a and b fire at one pixel in both steps.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from snn_tool.energy.counts.activity import count_network
from snn_tool.energy.counts.counts import ImageActivity
from snn_tool.energy.estimators import loihi1, loihi2
from snn_tool.energy.estimators.arrays import (
    BESIDE,
    CORES,
    PER_LAYER,
    REGISTERS,
    SHARED,
    access_pj,
    size_pj,
    tier,
)
from snn_tool.energy.estimators.data_movement import mac_pj
from snn_tool.energy.estimators.estimate import AnnLoad, Reading
from snn_tool.energy.estimators.prices import packaged_pricing
from snn_tool.energy.estimators.registry import MODELS
from snn_tool.energy.report.columns import activation_bits, twin_load
from snn_tool.errors import UnsupportedLayerError
from snn_tool.exporters.loihi.chips import LOIHI_1, LOIHI_2
from snn_tool.models.integer.engine import quantize_image
from snn_tool.models.integer.network import IntegerNetwork, IntegerPopulation, IntegerSynapse
from snn_tool.models.topology import IMAGE, Population, Synapse

PRICING = packaged_pricing()
FP32, INT8 = PRICING.at("fp32"), PRICING.at("int8")


def network(
    synapses: list[tuple[Synapse, int]], populations: list[tuple[Population, int]], neuron: str
) -> IntegerNetwork:
    """Every kernel reads its first input channel with one weight."""

    def integer(wiring: Synapse, weight: int) -> IntegerSynapse:
        values = np.zeros((wiring.out_channels, wiring.in_channels, wiring.kernel, wiring.kernel), np.int8)
        values[:, 0] = weight
        return IntegerSynapse(wiring, values, 0, np.zeros(wiring.out_channels, np.int32))

    lif = neuron == "lif"
    return IntegerNetwork(
        synapses=tuple(integer(*pair) for pair in synapses),
        populations=tuple(IntegerPopulation(wiring, threshold, 0) for wiring, threshold in populations),
        neuron=neuron,
        timesteps=2 if lif else 1,
        levels=1 if lif else 4,
        signed=not lif,
        decay=64 if lif else 0,
        input_step=1,
    )


def two_layers(neuron: str = "lif") -> IntegerNetwork:
    head = Synapse("head", IMAGE, 3, 1, kernel=1, bias=False)
    tail = Synapse("tail", "cell", 1, 3, kernel=3)
    cell = Population("cell", ("head",), 1)
    threshold = 15 if neuron == "lif" else 4
    return network(
        [(head, 1), (tail, 1)], [(cell, threshold), (Population("readout", ("tail",), 3), 0)], neuron
    )


def active(neuron: str = "lif") -> ImageActivity:
    """lif: 10, then 19, above 15: one spike in two steps. graded: 10 / 4 rounds to 3, -10 / 4 to -3."""
    image = np.zeros((3, 3, 3), np.int16)
    image[0, 1, 1] = 10
    image[0, 0, 0] = 10 if neuron == "lif" else -10
    return count_network(two_layers(neuron), [image]).images[0]


def shortcut(lowering: str = "fanout") -> ImageActivity:
    def of(name: str, source: str, channels: int) -> Synapse:
        return Synapse(name, source, 3 if source == IMAGE else 1, channels, kernel=1)

    weights = {of("head", IMAGE, 1): 1, of("ab", "a", 1): 2, of("ao", "a", 3): 1, of("bo", "b", 3): 1}
    populations = [
        (Population("a", ("head",), 1), 4),
        (Population("b", ("head", "ab"), 1), 4),
        (Population("readout", ("ao", "bo"), 3), 0),
    ]
    image = np.zeros((3, 2, 2), np.int16)
    image[0, 1, 1] = 10
    return count_network(network([*weights.items()], populations, "lif"), [image], lowering=lowering).images[
        0
    ]


def readings(model: str, load: AnnLoad | ImageActivity, precision: str = "int8") -> dict[str, Reading]:
    estimate = MODELS[model].estimate(load, PRICING.at(precision))
    return {reading.name: reading for reading in estimate.readings}


def only(model: str, load: AnnLoad | ImageActivity, precision: str = "int8") -> Reading:
    (reading,) = [reading for reading in readings(model, load, precision).values() if reading.deployed]
    return reading


# --- memory


def test_an_access_costs_what_the_table_says_and_lies_between() -> None:
    kib = 1 << 10
    # 20 KB is half way from 8 to 32 KB, 528 KB from 32 KB to 1 MB.
    sizes = [1, 8 * kib, 20 * kib, 32 * kib, 528 * kib, 1024 * kib, 1024 * kib + 1]
    assert [size_pj(size, FP32) for size in sizes] == [10, 10, 15, 20, 60, 100, 1300]
    assert access_pj(1024, 32, FP32) == 5  # 4 KB, half of 64 bits
    assert access_pj(8193, 8, FP32) == pytest.approx((10 + 10 / 24576) / 8)
    assert access_pj(1 << 18, 32, FP32) == 50
    assert access_pj((1 << 18) + 1, 32, FP32) == 650
    assert [tier(size) for size in (8192, 8193, 1 << 20, (1 << 20) + 1)] == ["8 KB", "32 KB", "1 MB", "DRAM"]


@pytest.mark.parametrize(
    ("precision", "word", "state", "mac", "add", "leak"),
    [("fp32", 5.0, 5.0, 4.6, 0.9, 3.7), ("int8", 1.25, 5.0, 0.3, 0.1, 3.1)],
)
def test_a_spiking_network_pays_for_every_delivery_and_update(
    precision: str, word: float, state: float, mac: float, add: float, leak: float
) -> None:
    """All memories are small: 10 pJ per 64 bits; queue entries have 32 bits, 5 pJ, and addresses too."""
    for model in ("memory-no-reuse", "memory-full-reuse"):
        reading = only(model, active(), precision)
        memory = {
            "spikes: weights": 39 * word,
            "spikes: membranes": 2 * 39 * state,
            "spikes: queues": (2 + 2) * 5.0,  # two read, two written
            "spikes: addresses": 2 * 2 * 3.2 + 39 * 0.1,
            "image and streams: weights": 54 * word,
            "image and streams: membranes": 2 * 54 * state,
            "image and streams: queues": 54 * 5.0,  # 27 values at two steps
            "image and streams: addresses": 2 * 54 * 3.2 + 54 * 0.1,
            "membrane updates": 2 * 2 * (9 + 27) * state,
            "bias reads": 2 * 27 * state,
        }
        assert {item: reading.items[item] for item in memory} == pytest.approx(memory)
        arithmetic = mac * (54 + 27) + add * (39 + 54 + 18 + 2 + 27) + leak * 18
        assert reading.total_pj == pytest.approx(arithmetic + sum(memory.values()))


def test_many_cores_hold_large_layers_in_small_memories(
    make_network: Callable[..., IntegerNetwork], photograph: NDArray[np.float32]
) -> None:
    """4 x 64 x 64 membranes of 32 bits are 64 KB, which lie below 128 KB; sixteen times as many do not."""
    small = readings("memory-no-reuse", active(), "fp32")
    name = "deployed, spikes as ACs"
    assert small[f"{name}, cores of 128 KB"].items == small[name].items
    student = make_network("lif")
    image = np.tile(photograph, (1, 4, 4))
    large = readings("memory-no-reuse", count_network(student, [quantize_image(image, student)]).images[0])
    whole, spread_out = large[name], large[f"{name}, cores of 128 KB"]
    assert not spread_out.deployed and spread_out.total_pj < whole.total_pj
    # Populations of 4 channels at full resolution fill 1 MB (100 pJ), those at half resolution 512 KB.
    core = 20 + 80 * (128 - 32) / (1024 - 32)
    assert CORES.state_pj(4 * 256 * 256, INT8) == pytest.approx(core / 2)
    assert PER_LAYER.state_pj(4 * 256 * 256, INT8) == 50
    queues = "spikes: queues"
    assert spread_out.items[queues] == whole.items[queues]


@pytest.mark.parametrize(
    "size", [1, 128 << 10, (128 << 10) + 1, 1 << 20, (1 << 20) + 1, 8 << 20, (8 << 20) + 1]
)
def test_where_arrays_and_state_lie(size: int) -> None:
    """Of one array in bytes; a core costs 20 + 80 (128 - 32) / (1024 - 32) pJ, and 8 MB 100 sqrt(8)."""
    core = 20 + 80 * (128 - 32) / (1024 - 32)
    own = size_pj(size, FP32)
    assert own == 10 if size == 1 else own >= core
    shared = 100 * 8**0.5 if size <= 8 << 20 else 1300
    for memories, array, state, sums in (
        (PER_LAYER, own, own, 0),
        (CORES, min(own, core), min(own, core), 0),
        (SHARED, shared, shared, 0),
        (REGISTERS, own, 0, 0),
        (BESIDE, own, 10, 10),
    ):
        assert memories.array_pj(size, 8, FP32) == pytest.approx(array * 8 / 64)
        assert memories.state(size, FP32) == pytest.approx(state)
        assert memories.sum_pj(FP32) == sums / 2


def test_an_extrapolated_price_follows_the_square_root_of_the_size() -> None:
    """The law that gives the price of 8 MB, against the table: 4 and 32 times the size."""
    table = {key: PRICING.constants[key].value for key in ("sram-8kb", "sram-32kb", "sram-1mb", "sram-8mb")}
    assert table["sram-8mb"] / table["sram-1mb"] == pytest.approx(8**0.5)
    assert table["sram-32kb"] / table["sram-8kb"] == pytest.approx(4**0.5)
    assert table["sram-1mb"] / table["sram-32kb"] == pytest.approx(32**0.5, rel=0.12)


def test_a_graded_spike_fetches_its_weight_once_or_once_for_each_level() -> None:
    """Two values of level 3 meet 9 + 4 positions of 3 channels: 39 deliveries or 117; 2 entries or 6."""
    found = readings("memory-full-reuse", active("graded"), "fp32")
    once, often = found["deployed, events as MACs"].items, found["levels as unit spikes"].items
    assert not found["levels as unit spikes"].deployed
    for items, synops, moved in ((once, 39, 2), (often, 117, 6)):
        assert items["spikes: weights"] == pytest.approx(synops * 5)
        assert items["spikes: membranes"] == pytest.approx(2 * synops * 5)
        assert items["spikes: queues"] == pytest.approx(2 * moved * 5)
        assert items["spikes: addresses"] == pytest.approx(2 * moved * 3.2 + synops * 0.1)
    assert often["synops"] == pytest.approx(0.9 * 117)
    assert not any("unit spikes" in name for name in readings("memory-full-reuse", active(), "fp32"))


def test_a_relay_pays_for_taking_in_and_giving_out() -> None:
    reading = only("memory-no-reuse", shortcut(), "fp32")
    # a: two spikes to b (1 each), to the read-out (3 each) and into the relay (1); b: two to the read-out
    assert reading.items["spikes: weights"] == pytest.approx((2 + 6 + 6 + 2) * 5)
    assert reading.items["spikes: queues"] == pytest.approx(((2 + 2 + 2 + 2) + (2 + 2 + 2)) * 5)
    assert reading.items["membrane updates"] == pytest.approx(2 * 2 * (4 + 4 + 12 + 4) * 5)


def test_an_accumulator_moves_a_value_whenever_it_is_not_zero() -> None:
    """a_stream emits 10 at one pixel in both steps, to a, to b, and through a relay that b waits for."""
    reading = only("memory-no-reuse", shortcut("relay"), "fp32")
    image = 2 * 12  # one delivery of the head at each step
    # It and its relay put the value into queues; both hold four values, as the relay of a does.
    membranes = 2 * (4 + 4 + 12) + 2 * 4 + 2 * (4 + 4)
    assert reading.items["membrane updates"] == pytest.approx(2 * membranes * 5 + 2 * (1 + 1) * 5)
    assert reading.items["image and streams: weights"] == pytest.approx((image + 6) * 5)
    assert "image and streams: weights" not in reading.spike_driven


def test_a_dense_network_without_reuse_fetches_two_operands_per_mac() -> None:
    reading = only("memory-no-reuse", twin_load(two_layers().topology, 3, 3), "fp32")
    assert reading.items == pytest.approx(
        {
            "MACs": 4.6 * 174,
            "elementwise": 0.9 * 63,
            "weights": (27 + 147) * 5,
            # operands and results of head and tail; the activation 9 and 9; the global skip 54 and 27
            "activations": (27 + 147 + 9 + 27 + 18 + 81) * 5,
            "biases": 27 * 5,
            "accumulators": 0.0,
            "addresses": ((27 + 9 + 3) + (9 + 27 + 27) + 18 + 81) * 0.1,
        }
    )


def test_a_dense_network_with_full_reuse_moves_everything_once() -> None:
    reading = only("memory-full-reuse", twin_load(two_layers().topology, 3, 3), "fp32")
    assert reading.items == pytest.approx(
        {
            "MACs": 4.6 * 174,
            "elementwise": 0.9 * 63,
            "weights": (3 + 27) * 5,
            "activations": (27 + 9 + 9 + 27) * 5,
            "biases": 3 * 5,
            "accumulators": 0.0,
            "addresses": ((27 + 9 + 3) + (9 + 27 + 27)) * 0.1,
        }
    )


def test_the_quantised_twin_moves_and_multiplies_fewer_bits() -> None:
    """T = 2: 0, 1 or 2 spikes, so two bits; the image and the read-out keep eight."""
    assert activation_bits(two_layers()) == 2
    load = twin_load(two_layers().topology, 3, 3, bits=2)
    reading = only("memory-full-reuse", load)
    assert reading.items["activations"] == pytest.approx((27 + 27) * 1.25 + (9 + 9) * 1.25 / 4)
    narrow = 0.2 * 2 / 8 + 0.1
    assert only("exact-ops", load).items["MACs"] == pytest.approx(0.3 * 27 + narrow * 147)


@pytest.mark.parametrize(
    ("levels", "signed", "bits"), [(4, True, 4), (4, False, 3), (1, True, 2), (127, True, 8)]
)
def test_bits_of_graded_activations(levels: int, signed: bool, bits: int) -> None:
    assert activation_bits(replace(two_layers("graded"), levels=levels, signed=signed)) == bits
    assert 2**bits >= (2 * levels + 1 if signed else levels + 1) > 2 ** (bits - 1)


@pytest.mark.parametrize(("timesteps", "bits"), [(1, 1), (3, 2), (4, 3), (7, 3), (8, 4)])
def test_bits_of_spike_counts(timesteps: int, bits: int) -> None:
    assert activation_bits(replace(two_layers(), timesteps=timesteps)) == bits


def test_totals_without_layers_have_no_traffic_to_charge() -> None:
    with pytest.raises(UnsupportedLayerError, match="without its layers"):
        MODELS["memory-no-reuse"].estimate(AnnLoad(270, 174, 63), FP32)


# --- Loihi 1


def test_davies_by_hand() -> None:
    """Two cores of one tile: no hop. Every neuron of cell and read-out is active in both steps."""
    items = only("loihi1-davies", active()).items
    static = 104 * (((54 + 39) * 3.5 + 72 * 8.4) / 2 + 2 * 113)
    assert sum(v for k, v in items.items() if k.startswith("static")) == pytest.approx(static)
    assert items["spike packets"] == pytest.approx(1.7 * 2)
    assert sum(items.values()) == pytest.approx(23.6 * (54 + 39) + 81 * 72 + 1.7 * 2 + static)


def test_sanafe_by_hand() -> None:
    items = only("loihi1-sanafe", active()).items
    static = 104 * (((54 + 39) * 3.5 + 72 * 8.4) / 2 + 2 * 113)
    events = 24.0 * (54 + 39) + (51.2 + 21.6) * 72 + 69.3 * 2 + 111 * 2
    assert sum(items.values()) == pytest.approx(events + static)


def test_relays_idle_until_a_spike_arrives() -> None:
    """Four cores: a, b, read-out, relay. 16 deliveries, 8 relay updates of which two take a spike."""
    image, synops, active_updates = 2 * 24, 2 + 6 + 6 + 2, 2 * (4 + 4 + 12)
    time = ((image + synops) * 3.5 + active_updates * 8.4 + 8 * 5.3 + 2 * (8.4 - 5.3)) / 4 + 2 * 113
    davies = 23.6 * (image + synops) + 81 * active_updates + 52 * 8 + (81 - 52) * 2 + 1.7 * 8
    assert only("loihi1-davies", shortcut()).total_pj == pytest.approx(davies + 104 * time)
    sanafe = 24 * (image + synops) + 51.2 * (active_updates + 8) + 21.6 * (active_updates + 2)
    sanafe += 69.3 * (2 + 2 + 2) + 111 * 8
    assert only("loihi1-sanafe", shortcut()).total_pj == pytest.approx(sanafe + 104 * time)


def test_streams_by_hand() -> None:
    """Relayed: a_stream and its delay relay emit at one pixel in both steps, to a, to b, and to each other.

    Six cores (a_stream, its relay, a, b, the read-out, a's relay) are two tiles: every packet makes one hop.
    """
    load = shortcut("relay")
    image, synops, stream = 2 * 12, 2 + 6 + 6 + 2, 6
    active_updates = 2 * (4 + 4 + 12) + 2 * 2 * 4
    time = (image + synops + stream) * 3.5 + active_updates * 8.4 + 8 * 5.3 + 2 * 3.1
    static = 104 * (time / 6 + 2 * (113 + (465 - 113) / 31))
    davies = 23.6 * (image + synops + stream) + 81 * active_updates + 52 * 8 + 29 * 2 + 4.7 * (8 + 6)
    assert only("loihi1-davies", load).total_pj == pytest.approx(davies + static)
    sanafe = 24 * (image + synops + stream) + 51.2 * (active_updates + 8) + 21.6 * (active_updates + 2)
    sanafe += 69.3 * (6 + 4) + (111 + 3) * (8 + 6)
    assert only("loihi1-sanafe", load).total_pj == pytest.approx(sanafe + static)
    full = 0.05448 * (1 + 0.2 / 0.03)
    moved = only("data-movement", load).items["streams"]
    assert moved == pytest.approx((full + 3.0) * stream + 0.05448 * 2 * 2 * 4)


def test_a_graded_student_is_priced_on_loihi_1_as_what_could_run_there() -> None:
    """Levels 3 and -3 of at most 4, signed: two neurons for each of nine, four steps, three spikes a value.

    The head reaches both neurons of a pair, 2 x 27 connections; the read-out is no pair, 3 x 39 deliveries.
    Three cores of one tile: 18 neurons, and 27 of the read-out.
    """
    found = readings("loihi1-davies", active("graded"))
    assert {name: reading.deployed for name, reading in found.items()} == {
        "sign pairs, a step for each level": True,
        "levels as unit spikes": False,
        "one event per graded spike": False,
    }
    items = found["sign pairs, a step for each level"].items
    updates = 4 * (2 * 9 + 27)
    assert items["first layer synops"] == pytest.approx(23.6 * 2 * 27)
    assert items["synops"] == pytest.approx(23.6 * 3 * 39)
    assert items["neuron updates"] == pytest.approx(81 * updates)
    assert items["spike packets"] == pytest.approx(1.7 * 2 * 3)
    static = 104 * (((54 + 117) * 3.5 + updates * 8.4) / 2 + 4 * 113)
    assert sum(v for k, v in items.items() if k.startswith("static")) == pytest.approx(static)
    assert found["levels as unit spikes"].items["synops"] == pytest.approx(23.6 * 3 * 39)
    assert found["levels as unit spikes"].items["neuron updates"] == pytest.approx(81 * (9 + 27))
    assert found["one event per graded spike"].items["synops"] == pytest.approx(23.6 * 39)


def test_unsigned_levels_need_steps_but_no_pairs() -> None:
    load = replace(active("graded"), signed=False)
    found = only("loihi1-davies", load)
    assert found.name == "a step for each level"
    assert found.items["neuron updates"] == pytest.approx(81 * 4 * (9 + 27))
    assert found.items["first layer synops"] == pytest.approx(23.6 * 27)
    assert found.chip and not any("two neurons" in text for text in found.chip.needs)


def test_relays_of_a_signed_student_are_pairs_too() -> None:
    """The shortcut's relay holds four values: eight neurons, updated in four steps; a and b are pairs."""
    image = np.zeros((3, 2, 2), np.int16)
    image[0, 1, 1] = 10
    wirings = [
        (Synapse(name, IMAGE if name == "head" else name[0], 3 if name == "head" else 1, out, kernel=1), w)
        for name, out, w in (("head", 1, 1), ("ab", 1, 2), ("ao", 3, 1), ("bo", 3, 1))
    ]
    populations = [
        (Population("a", ("head",), 1), 4),
        (Population("b", ("head", "ab"), 1), 4),
        (Population("readout", ("ao", "bo"), 3), 0),
    ]
    load = count_network(network(wirings, populations, "graded"), [image]).images[0]
    (paired, *_) = loihi1.codings(load)
    counts = loihi1.traffic(load, paired)
    # a: round(10 / 4) = 3, b: round(16 / 4) = 4; a is read by the pair b, by the read-out, and by its relay.
    assert counts.image_synops == 2 * 12 + 2 * 12
    assert counts.synops == 2 * 3 + 3 * 3 + 3 * 4 + 3
    assert counts.active == 4 * (2 * 4 + 2 * 4 + 12)
    assert counts.idle == 4 * 2 * 4
    assert loihi1.cores(load, pairs=True) == loihi1.cores(load) == 4


@pytest.mark.parametrize("model", ["loihi1-davies", "loihi1-sanafe"])
def test_what_loihi_1_cannot_run_says_so(model: str) -> None:
    runs = {name: found.chip.lacks for name, found in readings(model, active("graded")).items() if found.chip}
    assert runs["sign pairs, a step for each level"] == ()
    assert all("spike" in runs[name][0] for name in ("levels as unit spikes", "one event per graded spike"))
    (relayed,) = readings(model, shortcut("relay")).values()
    assert relayed.chip and "24 bits" in relayed.chip.lacks[0]
    assert relayed.chip and "binary spikes or biases" in relayed.chip.needs[0]


def test_more_chips_than_any_system_has_are_said() -> None:
    """769 chips of 128 cores of 1,024 neurons are one more than Pohoiki Springs'."""
    load = active()
    for chips, lacks in ((768, 0), (769, 1)):
        cell = replace(load.populations[0], neurons=chips * 128 * 1024 - 1024)
        use = only("loihi1-davies", replace(load, populations=(cell, load.populations[1]))).chip
        assert use and (use.chips, len(use.lacks)) == (chips, lacks)


def test_chips_power_and_time_by_hand() -> None:
    """Two cores of one chip: 54 + 39 operations of 3.5 ns, 72 updates of 8.4 ns, two barriers of 113 ns."""
    use = only("loihi1-davies", active()).chip
    assert use
    assert (use.chip, use.cores, use.chips, use.static_mw, use.steps) == ("Loihi 1", 2, 1, 104, 2)
    time = ((54 + 39) * 3.5 + 72 * 8.4) / 2 + 2 * 113
    assert use.time_ns == pytest.approx(time)
    assert use.static_pj == pytest.approx(104 * time)


def test_cores_chips_tiles_and_hops(
    make_network: Callable[..., IntegerNetwork], photograph: NDArray[np.float32]
) -> None:
    """64 x 64 pixels: every population of four channels fills 16 cores; several chips of 128."""
    student = make_network("lif")
    load = count_network(student, [quantize_image(photograph, student)]).images[0]
    neurons = {p.name: p.neurons for p in load.populations}
    expected = sum(-(-n // 1024) for n in neurons.values())
    expected += sum(r.stages * -(-(r.neurons // r.stages) // 1024) for r in load.relays)
    assert loihi1.cores(load) == expected > 128
    (coding,) = loihi1.codings(load)
    counts = loihi1.traffic(load, coding)
    reading = only("loihi1-davies", load)
    assert reading.items["spike packets"] == pytest.approx((1.7 + 3.0) * counts.packets)
    chips = -(-expected // 128)
    assert chips > 1
    assert reading.chip and reading.chip.chips == chips
    assert reading.items["static power, barriers"] == pytest.approx(104 * chips * 4 * 465)
    spikes = (counts.synops * 3.5 + counts.woken * 3.1) / expected
    assert reading.items["static power, spikes"] == pytest.approx(104 * chips * spikes)


# --- Loihi 2


def test_loihi_2_by_hand() -> None:
    """Two cores, so that every packet makes one hop; all energies are the fitted ones."""
    reading = only("loihi2", active())
    use = reading.chip
    assert use
    assert (use.chip, use.cores, use.chips, use.static_mw) == ("Loihi 2", 2, 1, 232.078)
    time = ((54 + 39) * 0.66 + 72 * 4.0) / 2 + 2 * 10_000
    assert use.time_ns == pytest.approx(time)
    events = 19.15 * (54 + 39) + 65.71 * 72 + (1.379 + 2.434) * 2
    assert reading.total_pj == pytest.approx(events + 232.078 * time)


def test_loihi_2_charges_a_graded_spike_once() -> None:
    found = readings("loihi2", active("graded"))
    assert {name: reading.deployed for name, reading in found.items()} == {
        "one event per graded spike": True,
        "levels as unit spikes": False,
    }
    event, level = found["one event per graded spike"], found["levels as unit spikes"]
    assert event.items["synops"] == pytest.approx(19.15 * 39)
    assert level.items["synops"] == pytest.approx(19.15 * 3 * 39)
    assert event.items["neuron updates"] == pytest.approx(65.71 * 36)
    assert event.chip and event.chip.lacks == () and "microcode" in event.chip.needs[0]
    (binary,) = readings("loihi2", active()).values()
    assert binary.chip and not any("microcode" in text for text in binary.chip.needs)


def test_relays_on_loihi_2_idle_until_a_spike_arrives() -> None:
    """Four cores: a, b, read-out, relay. 16 deliveries, 8 relay updates of which two take a spike."""
    image, synops, active_updates = 2 * 24, 2 + 6 + 6 + 2, 2 * (4 + 4 + 12)
    time = ((image + synops) * 0.66 + (active_updates + 8) * 4.0) / 4 + 2 * 10_000
    events = 19.15 * (image + synops) + 65.71 * active_updates + 42.18 * 8 + (65.71 - 42.18) * 2
    total = events + (1.379 + 2.434) * 8 + 232.078 * time
    assert only("loihi2", shortcut()).total_pj == pytest.approx(total)


@pytest.mark.parametrize(
    ("neurons", "cores", "chips"),
    [(8192, 2, 1), (8193, 3, 1), (8192 * 127, 128, 1), (8192 * 127 + 1, 129, 2)],
)
def test_loihi_2_cores_hold_8192_neurons(neurons: int, cores: int, chips: int) -> None:
    load = active()
    cell = replace(load.populations[0], neurons=neurons)
    use = only("loihi2", replace(load, populations=(cell, load.populations[1]))).chip
    assert use and (use.cores, use.chips) == (cores, chips)


def test_the_capacities_are_those_of_the_exporter() -> None:
    """Two rooms that do not know each other count the same chips."""
    assert (LOIHI_1.neurons, LOIHI_1.synapse_bytes, LOIHI_1.cores) == (
        loihi1.NEURONS_PER_CORE,
        loihi1.WEIGHT_BYTES_PER_CORE,
        loihi1.CORES_PER_CHIP,
    )
    assert (LOIHI_2.neurons, LOIHI_2.synapse_bytes, LOIHI_2.cores) == (
        loihi2.NEURONS_PER_CORE,
        loihi1.WEIGHT_BYTES_PER_CORE,
        loihi2.CORES_PER_CHIP,
    )


def test_the_dense_rival_computes_padded_macs_at_its_utilisation() -> None:
    for model in ("loihi1-davies", "loihi1-sanafe", "loihi2"):
        for bits in (None, 2):
            reading = only(model, twin_load(two_layers().topology, 3, 3, bits))
            assert reading.total_pj == pytest.approx(1.0 / 0.25 * (27 + 243))


# --- data movement


def test_data_movement_by_hand() -> None:
    multiply = 0.05448 * 0.2 / 0.03 / 64  # one bit by one bit
    full = 0.05448 + multiply * 8 * 8
    items = only("data-movement", active()).items
    assert items == pytest.approx(
        {
            "first layer": (full + 0.25 * 8) * 54,
            "synops": (0.05448 + 3.0) * 39,
            "compares": 0.05448 * 18,
            "resets": 0.05448 * 2,
            "relay synops": 0.0,
            "relay compares": 0.0,
            "relay resets": 0.0,
            "streams": 0.0,
        }
    )
    rival = only("data-movement", twin_load(two_layers().topology, 3, 3, bits=2)).items
    narrow = 0.05448 + multiply * 2 * 8
    assert rival["MACs"] == pytest.approx(full * 27 + narrow * 147)
    assert rival["activations moved"] == pytest.approx(0.25 * (8 * 27 + 2 * 147))


def test_graded_events_move_once_and_multiply_or_as_often_as_their_level() -> None:
    """Two values of level 3 meet 9 + 4 positions of 3 channels; no reset."""
    found = readings("data-movement", active("graded"))
    assert {name: reading.deployed for name, reading in found.items()} == {
        "one event per graded spike": True,
        "levels as unit spikes": False,
        "linear threshold ladder, one event per graded spike": False,
    }
    full = 0.05448 * (1 + 0.2 / 0.03)
    # Nine outcomes: four compares in a binary search, eight one after the other.
    compares = {name: reading.items["compares"] for name, reading in found.items()}
    assert [*compares.values()] == pytest.approx([0.05448 * 9 * n for n in (4, 4, 8)])
    assert found["one event per graded spike"].items["synops"] == pytest.approx((full + 3.0) * 39)
    assert found["levels as unit spikes"].items["synops"] == pytest.approx((0.05448 + 3.0) * 3 * 39)


@pytest.mark.parametrize("model", ["loihi1-davies", "loihi1-sanafe", "loihi2", "data-movement"])
def test_a_model_with_prices_of_its_own_uses_none_of_the_precision(model: str) -> None:
    """So that the sensitivity of a report does not list what cannot move it."""
    assert MODELS[model].constants_at(PRICING.precisions["int8"]) == tuple(sorted(MODELS[model].constants))


@pytest.mark.parametrize(("weights", "cores"), [(1, 2), (1 << 17, 2), ((1 << 17) + 1, 3), (3 << 17, 4)])
def test_a_core_holds_128_kib_of_weights(weights: int, cores: int) -> None:
    """Read-out and cell have a core each; the weights of the read-out fill more."""
    load = active()
    layers = tuple(
        replace(layer, weights=weights) if layer.synapse == "tail" else layer for layer in load.layers
    )
    assert loihi1.cores(replace(load, layers=layers)) == cores


@pytest.mark.parametrize(("timesteps", "published", "within"), [(5, 0.057, 0.001), (2, 0.104, 0.007)])
def test_the_reconstruction_meets_the_published_threshold(
    timesteps: int, published: float, within: float
) -> None:
    """4-bit weights, many sources: sr T (E_ACC + 3.0) = E_MAC(b, 4) + 0.25 b, b = ceil(log2(T + 1))."""
    bits = timesteps.bit_length()
    rate = (mac_pj(bits, INT8, weight_bits=4) + 0.25 * bits) / (timesteps * (0.05448 + 3.0))
    assert rate == pytest.approx(published, abs=within)
