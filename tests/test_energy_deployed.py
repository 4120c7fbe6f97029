"""What the audit counts is what the export lays out: every delivery, relay and presentation of the image."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from snn_tool.energy.activity import count_network
from snn_tool.energy.excluded import EXCLUDED
from snn_tool.energy.report_types import COLUMNS
from snn_tool.exporters.loihi_plan import ConvSpec, Plan, build_plan
from snn_tool.exporters.loihi_resources import expanded_synapses
from snn_tool.exporters.nir_graph import to_nir
from snn_tool.exporters.nir_parse import parse_graph
from snn_tool.models.integer import IntegerNetwork
from snn_tool.models.integer_run import IntegerEngine, quantize_image
from torch.nn import functional

Make = Callable[..., IntegerNetwork]
KINDS = [(neuron, body) for neuron in ("lif", "graded") for body in ("unet", "flat", "chain")]
HEIGHT, WIDTH = 12, 16


def plan_of(network: IntegerNetwork) -> Plan:
    """Through NIR, as a deployment goes."""
    return build_plan(parse_graph(to_nir(network, HEIGHT, WIDTH), "student.nir"))


def deliveries(conv: ConvSpec, spikes: NDArray[np.int64]) -> int:
    """Accumulates that spikes [T, C, H, W] cause in one convolution of the plan: a convolution of ones."""
    out_channels, _, _, group = conv.weight.shape
    ones = torch.ones((out_channels, group, *conv.weight.shape[1:3]), dtype=torch.float64)
    source = torch.from_numpy(spikes).double()
    reached = functional.conv2d(
        source, ones, None, conv.stride, conv.padding, conv.dilation, groups=conv.groups
    )
    return int(reached.sum())


@pytest.mark.parametrize(("neuron", "body"), KINDS)
def test_the_deployed_graph_is_what_is_counted(
    make_network: Make, photograph: NDArray[np.float32], neuron: str, body: str
) -> None:
    network = make_network(neuron, body)
    image = quantize_image(photograph[:, :HEIGHT, :WIDTH], network)
    counted = count_network(network, [image]).images[0]
    plan = plan_of(network)
    trace = IntegerEngine(network).run(image[None], [p.name for p in network.topology.spiking])
    # A relay holds the spikes of the population that it serves; a source shows the image, which has none.
    spikes = {name: np.abs(z[:, 0].astype(np.int64)) for name, z in trace.spikes.items()}
    fired = {
        neuron.name: spikes[neuron.name.split("_relay")[0]]
        for neuron in plan.neurons
        if neuron is not plan.readout
    }
    sources = {source.name for source in plan.sources}
    relays = {n.name for n in plan.neurons if n.is_relay}
    of_image = [conv for conv in plan.convs if conv.source in sources]
    of_relays = [conv for conv in plan.convs if conv.target in relays]
    others = [conv for conv in plan.convs if conv not in of_image and conv not in of_relays]
    assert counted.macs_uncached == plan.timesteps * sum(expanded_synapses(conv) for conv in of_image) > 0
    assert counted.synops_levels == sum(deliveries(conv, fired[conv.source]) for conv in others) > 0
    assert counted.synops_events == sum(
        deliveries(conv, (fired[conv.source] != 0).astype(np.int64)) for conv in others
    )
    assert sum(r.synops_levels for r in counted.relays) == sum(
        deliveries(conv, fired[conv.source]) for conv in of_relays
    )
    sizes = {neuron.name: int(np.prod(neuron.shape)) for neuron in plan.neurons}
    assert sum(relay.neurons for relay in counted.relays) == sum(sizes[name] for name in relays)
    assert bool(relays) is (body != "chain"), "only what has skips has to wait"
    assert {p.name: p.neurons for p in counted.populations} == {
        name: size for name, size in sizes.items() if name not in relays
    }


def test_what_is_left_out_is_listed_with_its_direction(make_network: Make) -> None:
    listed = {left_out.term: left_out for left_out in EXCLUDED}
    assert len(listed) == len(EXCLUDED)
    for left_out in EXCLUDED:
        assert any(column in left_out.favours for column in COLUMNS), left_out.term
        assert left_out.reason
    plan = plan_of(make_network("graded"))
    # A single image takes one step per hop more than the T that are charged.
    assert plan.steps == plan.timesteps + 10
    assert listed["neuron updates while an image fills and leaves the chip"].favours == "student"
    # The host sends the image to depths 1, 3, 7 and 9, at every timestep; a dense network reads it once.
    assert [source.offset for source in plan.sources] == [0, 2, 6, 8]
    assert listed["reading the image and writing the result"].favours == "student"
    assert listed["costlier scalar operations of teacher and twin"].favours == "teacher and twin"
