"""Counts against brute force: an all-ones convolution of the spikes of a real integer run."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from snn_tool.energy.counts.activity import count_network
from snn_tool.energy.counts.counts import ImageActivity
from snn_tool.energy.counts.dense import count_macs
from snn_tool.energy.counts.fan_out import network_macs
from snn_tool.energy.counts.spike_maps import SpikeMaps, channel_sums
from snn_tool.energy.report.columns import twin_load
from snn_tool.errors import DataError
from snn_tool.models.bodies import flat, unet
from snn_tool.models.config import default_config
from snn_tool.models.integer.engine import IntegerEngine, quantize_image
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.integer.neurons import encode
from snn_tool.models.streams import hop_depths, lower, lowered_sources
from snn_tool.models.student import build_topology, build_twin
from snn_tool.models.topology import IMAGE, Synapse
from torch.nn import functional

Make = Callable[..., IntegerNetwork]
KINDS = [(neuron, body) for neuron in ("lif", "graded") for body in ("unet", "flat", "chain")]


def ones_convolution(spikes: NDArray[np.int64], wiring: Synapse) -> int:
    """Sum of all outputs of a convolution with weights 1, over every timestep: one per delivered spike."""
    shape = (wiring.out_channels, wiring.in_channels, wiring.kernel, wiring.kernel)
    weight = torch.ones(shape, dtype=torch.float64)
    source = torch.from_numpy(spikes).double()
    out = functional.conv2d(source, weight, None, wiring.stride, wiring.padding, wiring.dilation)
    return int(out.sum().item())


@pytest.mark.parametrize(("neuron", "body"), KINDS)
def test_every_delivery_equals_an_all_ones_convolution(
    make_network: Make, photograph: NDArray[np.float32], neuron: str, body: str
) -> None:
    network = make_network(neuron, body)
    image = quantize_image(photograph[:, :24, :32], network)
    activity = count_network(network, [image]).images[0]
    names = [p.name for p in network.topology.spiking]
    spikes = {
        k: v[:, 0].astype(np.int64) for k, v in IntegerEngine(network).run(image[None], names).spikes.items()
    }
    deliveries = [(p.name, name) for p in network.topology.populations for name in p.inputs]
    assert [(edge.reader, edge.synapse) for edge in activity.edges] == deliveries
    for edge in activity.edges:
        wiring = network.by_name[edge.synapse].wiring
        if edge.source == IMAGE:
            expected_macs = ones_convolution(np.ones((1, 3, 24, 32), np.int64), wiring)
            assert (edge.image_macs, edge.synops_levels, edge.synops_events) == (expected_macs, 0, 0)
            continue
        z = spikes[edge.source]
        assert edge.image_macs == 0
        assert edge.synops_levels == ones_convolution(np.abs(z), wiring) > 0
        assert edge.synops_events == ones_convolution((z != 0).astype(np.int64), wiring)
        assert type(edge.synops_levels) is int
    for population in activity.populations[:-1]:
        assert population.events == np.count_nonzero(spikes[population.name])
        assert population.levels == np.abs(spikes[population.name]).sum()


@pytest.mark.parametrize(("neuron", "body"), KINDS)
def test_neuron_counts_by_formula(
    make_network: Make, photograph: NDArray[np.float32], neuron: str, body: str
) -> None:
    network = make_network(neuron, body)
    activity = count_network(network, [quantize_image(photograph[:, :16, :32], network)]).images[0]
    for population, wiring in zip(activity.populations, network.topology.populations, strict=True):
        updates = network.timesteps * wiring.channels * (16 // wiring.downscale) * (32 // wiring.downscale)
        readout = wiring is network.topology.readout
        assert population.neurons * network.timesteps == updates
        assert population.bias_adds == updates
        assert population.leak_multiplies == (updates if neuron == "lif" and not readout else 0)
        # Fires or not; or -4 to 4, nine outcomes: 2^3 < 9 <= 2^4, and eight thresholds between them.
        searched, tried = (1, 1) if neuron == "lif" else (4, 8)
        assert population.compares == (0 if readout else updates * searched)
        assert population.ladder_compares == (0 if readout else updates * tried)
        assert population.resets == (population.events if neuron == "lif" else 0)
        assert population.membrane_adds == updates * (len(wiring.inputs) - 1)
        assert population.scales == (3 * 16 * 32 if readout else 0)
    assert activity.skip_adds == 3 * 16 * 32


def test_fan_out_delivers_the_shortcut_to_each_reader(
    make_network: Make, photograph: NDArray[np.float32]
) -> None:
    network = make_network("lif")
    activity = count_network(network, [quantize_image(photograph[:, :16, :16], network)]).images[0]
    head = [edge for edge in activity.edges if edge.synapse == "head"]
    assert [edge.reader for edge in head] == ["enc_in", "down_in", "dec_in", "tail_in"]
    assert [edge.first for edge in head] == [True, False, False, False]
    assert activity.macs_cached == 4 * head[0].image_macs
    assert activity.macs_uncached == 4 * network.timesteps * head[0].image_macs
    assert activity.cached_adds == 4 * network.timesteps * 4 * 16 * 16
    assert [edge.synapse for edge in activity.shared_edges] == [s.name for s in network.topology.synapses]


def test_relays_re_emit_every_spike_of_a_skip(make_network: Make, photograph: NDArray[np.float32]) -> None:
    network = make_network("graded")
    activity = count_network(network, [quantize_image(photograph[:, :16, :16], network)]).images[0]
    inputs = {p.name: p.inputs for p in network.topology.populations}
    depths = hop_depths(lowered_sources(lower(inputs, "fanout"), network.synapse_sources), IMAGE)
    fired = {p.name: p for p in activity.populations}
    relays = {relay.population: relay for relay in activity.relays}
    # enc_conv2 reads enc_mid and reaches as far as tail_in, which lies seven hops behind.
    assert relays["enc_mid"].stages == depths["tail_in"] - depths["enc_mid"] - 1 == 6
    for name, relay in relays.items():
        assert relay.neurons == relay.updates == relay.stages * fired[name].neurons
        assert relay.synops_levels == relay.stages * fired[name].levels
        assert relay.synops_events == relay.stages * fired[name].events
        assert relay.resets == 0


def test_a_black_image_still_costs_macs(make_network: Make) -> None:
    network = make_network("graded")
    black = np.zeros((3, 16, 16), np.int16)
    noise = np.random.default_rng(0).integers(-128, 128, (3, 16, 16)).astype(np.int16)
    dark, bright = count_network(network, [black, noise]).images
    assert dark.macs_uncached == bright.macs_uncached > 0
    assert dark.layers == bright.layers


def test_order_and_company_of_images_do_not_matter(
    make_network: Make, photograph: NDArray[np.float32]
) -> None:
    network = make_network("lif")
    sizes = [(16, 16), (24, 16), (16, 32)]
    images = [quantize_image(photograph[:, :h, :w], network) for h, w in sizes]
    forward = count_network(network, images).images
    backward = count_network(network, images[::-1]).images
    alone: tuple[ImageActivity, ...] = tuple(count_network(network, [image]).images[0] for image in images)
    assert forward == backward[::-1] == alone


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([], "none was given"),
        ([np.zeros((3, 16, 16), np.float32)], "image 1 holds float32"),
        ([np.zeros((3, 16, 16), np.int16), np.zeros((16, 16, 3), np.int16)], "image 2 has the shape"),
        ([np.zeros((3, 0, 16), np.int16)], "image 1 has the shape"),
        ([np.zeros((3, 15, 16), np.int16)], "image 1 is 15 x 16 pixels; pad its sides to multiples of 2"),
    ],
)
def test_unusable_images_are_refused(
    make_network: Make, images: list[NDArray[np.int16]], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        count_network(make_network("graded"), images)


@pytest.mark.parametrize("body", ["unet", "flat", "chain"])
@pytest.mark.parametrize("size", [(8, 8), (30, 46)])
def test_twin_macs_equal_those_counted_in_torch(body: str, size: tuple[int, int]) -> None:
    config = replace(default_config("graded", body), width=5)
    topology = build_topology(config)
    layers = network_macs(topology, *size)
    counted = count_macs(build_twin(config), (1, 3, *size))
    assert sum(layer.padded_macs for layer in layers) == counted.padded_macs
    assert sum(layer.exact_macs for layer in layers) == counted.exact_macs
    assert sum(layer.parameters for layer in layers) == counted.parameters
    # The float network also subtracts the image's offset, and averages read-out and hints over its one step.
    averaged = [p for p in topology.populations if p.name in (*topology.hints, topology.readout.name)]
    means = sum(p.channels * (size[0] // p.downscale) * (size[1] // p.downscale) for p in averaged)
    twin = twin_load(topology, *size)
    assert twin.elementwise_ops == counted.elementwise_ops - means - 3 * size[0] * size[1]


def test_twin_elementwise_ops_of_unet_by_hand() -> None:
    full, coarse, wide = 8 * 16 * 16, 16 * 8 * 8, 3 * 16 * 16
    # head, enc x2, dec x2 are biased at full size; down, mid x2 coarse; the tail has 3 channels; up none.
    biases = 5 * full + 3 * coarse + wide
    # down_in adds 1, dec_in 2, tail_in 3 at full size; up_in 1 coarse.
    sums = 6 * full + coarse
    rectified = 6 * full + 3 * coarse
    assert twin_load(unet(8), 16, 16).elementwise_ops == biases + sums + rectified + wide


def test_twin_elementwise_ops_of_flat_by_hand() -> None:
    full, wide = 8 * 16 * 16, 3 * 16 * 16
    # Nine biased layers and nine ReLUs before the tail; shortcuts of blocks 2, 3, 4 and the tail grow.
    assert twin_load(flat(8), 16, 16).elementwise_ops == (9 + (1 + 2 + 3 + 4) + 9) * full + 2 * wide


@pytest.mark.parametrize("channels", [1, 3, 4, 28, 30, 508])
@pytest.mark.parametrize("largest", [1, 16, 255])
def test_byte_sums_are_sums(channels: int, largest: int) -> None:
    """All bytes at their largest too, where a carry into the neighbouring half would show."""
    rng = np.random.default_rng(channels)
    values = rng.integers(0, largest + 1, (3, 4, 5, channels)).astype(np.uint8)
    for found in (values, np.full_like(values, largest)):
        np.testing.assert_array_equal(channel_sums(found), found.astype(np.int64).sum((0, 3))[None])


@pytest.mark.parametrize("spike_range", [(0, 1), (0, 4), (-4, 4), (-8, 8), (-127, 127), (0, 127)])
def test_maps_of_encoded_spikes(spike_range: tuple[int, int]) -> None:
    low, high = spike_range
    spikes = np.random.default_rng(0).integers(low, high + 1, (2, 1, 6, 5, 7))
    maps = SpikeMaps(low, high)
    maps.add("one", encode(torch.from_numpy(spikes - low).float(), high - low))
    np.testing.assert_array_equal(maps.levels["one"], np.abs(spikes).sum((0, 2)))
    np.testing.assert_array_equal(maps.events["one"], (spikes != 0).sum((0, 2)))


@pytest.mark.parametrize(
    ("levels", "signed", "compares"), [(8, True, 5), (8, False, 4), (4, True, 4), (3, False, 2), (1, True, 2)]
)
def test_a_binary_search_halves_the_outcomes(
    make_network: Make, photograph: NDArray[np.float32], levels: int, signed: bool, compares: int
) -> None:
    """As many compares as halvings of the outcomes leave one; tried one by one it would be all thresholds."""
    network = replace(make_network("graded"), levels=levels, signed=signed)
    population = (
        count_network(network, [quantize_image(photograph[:, :8, :8], network)]).images[0].populations[0]
    )
    outcomes, halvings = levels * (2 if signed else 1) + 1, 0
    left = outcomes
    while left > 1:
        left, halvings = -(-left // 2), halvings + 1
    assert halvings == compares
    assert population.compares == population.neurons * compares
    assert population.ladder_compares == population.neurons * (outcomes - 1)
