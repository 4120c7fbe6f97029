"""What the audit counts is what the export lays out: every delivery, relay and presentation of the image."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from snn_tool.deploy.lowering_costs import LoweringCost, LoweringRefused, count_lowerings
from snn_tool.energy.counts.activity import count_network
from snn_tool.energy.estimators.estimate import COLUMNS
from snn_tool.energy.estimators.excluded import REASONS, excluded_terms
from snn_tool.energy.estimators.registry import MODELS
from snn_tool.errors import TargetLimitError
from snn_tool.exporters.loihi.chips import expanded_synapses
from snn_tool.exporters.loihi.deployment import Deployment
from snn_tool.exporters.loihi.plan import build_plan
from snn_tool.exporters.loihi.specs import ConvSpec, Plan
from snn_tool.exporters.nir.graph import to_nir
from snn_tool.exporters.nir.interpreter import current, run_program
from snn_tool.exporters.nir.parse import parse_graph
from snn_tool.exporters.nir.program import Program
from snn_tool.models.integer.engine import IntegerEngine, quantize_image
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.streams import LOWERINGS
from snn_tool.texts.deploy import lowering_text
from torch.nn import functional

Make = Callable[..., IntegerNetwork]
Values = NDArray[np.int64]
BODIES = ("unet", "flat", "chain")
KINDS = [(n, b, lowering) for n in ("lif", "graded") for b in BODIES for lowering in LOWERINGS]
HEIGHT, WIDTH = 12, 16


def program_of(network: IntegerNetwork) -> Program:
    """Through NIR, as a deployment goes."""
    return parse_graph(to_nir(network, HEIGHT, WIDTH), "student.nir")


def plan_of(network: IntegerNetwork, lowering: str = "fanout") -> Plan:
    return build_plan(program_of(network), lowering)


def stream_sums(network: IntegerNetwork, plan: Plan, image: NDArray[np.int16]) -> dict[str, Values]:
    """What each accumulator of a plan emits [T, C, H, W], by the NIR interpreter's currents."""
    program = program_of(network)
    emitted = {"image": image.astype(np.int64)[None], **run_program(program, image.astype(np.int64)).spikes}
    sums = {}
    for name in plan.accumulators:
        stream = next(p.inputs for p in program.populations if f"{p.name}_stream" == name)
        convs = [program.conv[synapse] for synapse in stream]
        parts = [np.stack([current(conv, z) for z in emitted[conv.source]]) for conv in convs]
        sums[name] = sum(parts[1:], start=parts[0]) + np.zeros((plan.timesteps, 1, 1, 1), np.int64)
    return sums


def deliveries(conv: ConvSpec, spikes: NDArray[np.int64]) -> int:
    """Accumulates that spikes [T, C, H, W] cause in one convolution of the plan: a convolution of ones."""
    out_channels, _, _, group = conv.weight.shape
    ones = torch.ones((out_channels, group, *conv.weight.shape[1:3]), dtype=torch.float64)
    source = torch.from_numpy(spikes).double()
    reached = functional.conv2d(
        source, ones, None, conv.stride, conv.padding, conv.dilation, groups=conv.groups
    )
    return int(reached.sum())


@pytest.mark.slow
@pytest.mark.parametrize(("neuron", "body", "lowering"), KINDS)
def test_the_deployed_graph_is_what_is_counted(
    make_network: Make, photograph: NDArray[np.float32], neuron: str, body: str, lowering: str
) -> None:
    network = make_network(neuron, body)
    image = quantize_image(photograph[:, :HEIGHT, :WIDTH], network)
    counted = count_network(network, [image], lowering=lowering).images[0]
    plan = plan_of(network, lowering)
    trace = IntegerEngine(network).run(image[None], [p.name for p in network.topology.spiking])
    # A relay holds the spikes of the population that it serves; a source shows the image, which has none.
    spikes = {name: np.abs(z[:, 0].astype(np.int64)) for name, z in trace.spikes.items()}
    fired = {
        neuron.name: spikes[neuron.name.split("_relay")[0]]
        for neuron in plan.neurons
        if neuron is not plan.readout and "_stream" not in neuron.name
    }
    sources = {source.name for source in plan.sources}
    held = stream_sums(network, plan, image)
    relays = {n.name for n in plan.neurons if n.is_relay and n.name.split("_relay")[0] not in held}
    of_image = [conv for conv in plan.convs if conv.source in sources]
    of_relays = [conv for conv in plan.convs if conv.target in relays]
    of_accumulators = [conv for conv in plan.convs if conv.source.split("_relay")[0] in held]
    others = [c for c in plan.convs if c not in of_image and c not in of_relays and c not in of_accumulators]
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
    assert {p.name: p.neurons for p in counted.populations} == {
        neuron.name: sizes[neuron.name] for neuron in plan.neurons if not neuron.is_relay
    }
    assert [a.name for a in counted.accumulators] == list(plan.accumulators)
    assert bool(counted.accumulators) == (lowering == "relay" and body != "chain")
    assert bool(relays) == (lowering == "fanout" and body != "chain"), "only what has skips has to wait"
    for accumulator in counted.accumulators:
        copies = [c for c in of_accumulators if c.source.split("_relay")[0] == accumulator.name]
        nonzero = (held[accumulator.name] != 0).astype(np.int64)
        assert accumulator.events == nonzero.sum() > 0
        assert accumulator.synops_events == sum(deliveries(conv, nonzero) for conv in copies)
        chain = [size for name, size in sizes.items() if name.split("_relay")[0] == accumulator.name]
        assert accumulator.updates == plan.timesteps * sum(chain)
        assert (accumulator.neurons, accumulator.stages) == (chain[0], len(chain) - 1)


@pytest.mark.slow
@pytest.mark.parametrize(("neuron", "body", "lowering"), KINDS)
def test_an_export_prints_what_the_audit_counts(
    make_network: Make, photograph: NDArray[np.float32], neuron: str, body: str, lowering: str
) -> None:
    """Two tiles: the export's costs, from the plan, are means of the audit's, from the integer network."""
    network = make_network(neuron, body)
    crops = np.stack([photograph[:, :HEIGHT, :WIDTH], photograph[:, 30 : 30 + HEIGHT, 40 : 40 + WIDTH]])
    tiles = quantize_image(crops, network)
    trace = IntegerEngine(network).run(tiles, [p.wiring.name for p in network.populations])
    costs = {cost.lowering: cost for cost in count_lowerings(Deployment(program_of(network)), tiles, trace)}
    cost, plan = costs[lowering], plan_of(network, lowering)
    assert isinstance(cost, LoweringCost)
    images = count_network(network, list(tiles), lowering=lowering).images
    for total, by_level in ((cost.synops_levels, True), (cost.synops_events, False)):
        deployed = sum(i.synops_levels if by_level else i.synops_events for i in images)
        relays = sum(r.synops_levels if by_level else r.synops_events for i in images for r in i.relays)
        copies = sum(a.synops_events for i in images for a in i.accumulators)
        assert 2 * total == deployed + relays + copies
    assert cost.image_macs == images[0].macs_uncached
    assert (cost.depth, cost.steps) == (plan.depth, plan.steps)
    assert cost.expanded_synapses == sum(expanded_synapses(conv) for conv in plan.convs)
    assert cost.shared_synapses == sum(conv.weight.size for conv in plan.convs)
    counted = images[0]
    assert cost.delay_relays == sum(r.neurons for r in counted.relays) + sum(
        a.neurons * a.stages for a in counted.accumulators
    )
    assert cost.accumulators == sum(a.neurons for a in counted.accumulators)
    assert cost.neurons == cost.delay_relays + cost.accumulators + sum(p.neurons for p in counted.populations)


def test_a_lowering_that_does_not_fit_is_said_and_not_counted(
    make_network: Make, photograph: NDArray[np.float32]
) -> None:
    network = make_network("graded", "flat")
    program = program_of(network)
    head, *others = program.convs
    wide = replace(head, weight=head.weight << 12, mantissa_exponent=head.mantissa_exponent + 12)
    program = replace(program, convs=(wide, *others))
    tiles = quantize_image(photograph[None, :, :HEIGHT, :WIDTH], network)
    fanout, relay = count_lowerings(Deployment(program), tiles, run_program(program, tiles.astype(np.int64)))
    assert isinstance(fanout, LoweringCost) and fanout.synops_events > 0
    assert isinstance(relay, LoweringRefused)
    assert lowering_text(relay, "fanout").startswith("lowering relay: not possible, the streams do not fit")
    assert "(exported)" in lowering_text(fanout, "fanout")


def test_what_cannot_be_deployed_is_not_counted(make_network: Make, photograph: NDArray[np.float32]) -> None:
    """The export refuses the same network, by bounds of its own; by fan-out both take it."""
    network = make_network("graded", "flat")
    head, *others = network.synapses
    network = replace(network, synapses=(replace(head, exponent=head.exponent + 12), *others))
    image = quantize_image(photograph[:, :HEIGHT, :WIDTH], network)
    with pytest.raises(TargetLimitError, match="block1_in_stream.*--lowering relay cannot be deployed"):
        count_network(network, [image], lowering="relay")
    with pytest.raises(TargetLimitError, match="block1_in_stream"):
        plan_of(network, "relay")
    assert count_network(network, [image]).images[0].synops_events > 0
    assert plan_of(network).accumulators == ()


def test_what_is_left_out_is_listed_with_its_direction(make_network: Make) -> None:
    terms = excluded_terms({name: model.excluded for name, model in MODELS.items()})
    listed = {left_out.term: left_out for left_out in terms}
    assert listed.keys() == REASONS.keys()
    for left_out in terms:
        assert any(column in left_out.favours for column in (*COLUMNS, "neither")), left_out.term
        assert left_out.reason
        assert left_out.models == tuple(n for n, m in MODELS.items() if left_out.term in m.excluded)
    # What a model charges it does not exclude.
    memory = listed["memory traffic of weights and activations"].models
    assert not {"memory-no-reuse", "memory-full-reuse"} & set(memory)
    static = listed["static power over the time of an inference"].models
    assert not {"loihi1-davies", "loihi1-sanafe", "loihi2"} & set(static) and "exact-ops" in static
    plan = plan_of(make_network("graded"))
    # A single image takes one step per hop more than the T that are charged.
    assert plan.steps == plan.timesteps + 10
    assert listed["neuron updates while an image fills and leaves the chip"].favours == "student"
    # The host sends the image to depths 1, 3, 7 and 9, at every timestep; a dense network reads it once.
    assert [source.offset for source in plan.sources] == [0, 2, 6, 8]
    assert listed["reading the image and writing the result"].favours == "student"
    assert listed["costlier scalar operations of teacher, twin and qann"].favours == "teacher, twin and qann"
