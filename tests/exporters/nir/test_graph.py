"""What stands in the graph: standard nodes, exact values, shapes that plain NIR accepts."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nir
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from snn_tool.errors import ExportError
from snn_tool.exporters.nir.graph import to_nir
from snn_tool.exporters.nir.ladder import ladder_graph
from snn_tool.exporters.nir.program import GradedNode
from snn_tool.models.integer.network import IntegerNetwork

MakeNetwork = Callable[..., IntegerNetwork]
KINDS = [(n, b) for n in ("lif", "graded") for b in ("unet", "flat", "chain")]


@pytest.mark.slow
@pytest.mark.parametrize(("neuron", "body"), KINDS)
def test_plain_nir_reads_and_type_checks_the_file(
    make_network: MakeNetwork, tmp_path: Path, neuron: str, body: str
) -> None:
    network = make_network(neuron, body)
    nir.write(tmp_path / "student.nir", to_nir(network, 8, 12))
    graph = nir.read(tmp_path / "student.nir")
    assert graph.check_types()
    neuron_type = nir.LIF if neuron == "lif" else nir.NIRGraph
    for population in network.populations[:-1]:
        assert type(graph.nodes[population.wiring.name]) is neuron_type
    assert type(graph.nodes["readout"]) is nir.I
    convs = {name for name, node in graph.nodes.items() if isinstance(node, nir.Conv2d)}
    assert convs == {s.wiring.name for s in network.synapses}


@pytest.mark.parametrize(("neuron", "body"), KINDS)
def test_weights_and_biases_lie_on_the_grid(make_network: MakeNetwork, neuron: str, body: str) -> None:
    network = make_network(neuron, body)
    graph = to_nir(network, 8, 8)
    lsb = {name: p.lsb_exponent for p in network.populations for name in p.wiring.inputs}
    for synapse in network.synapses:
        node = graph.nodes[synapse.wiring.name]
        unit = 2.0 ** lsb[synapse.wiring.name]
        assert node.weight.dtype == node.bias.dtype == np.float32
        np.testing.assert_array_equal(node.weight / unit, synapse.mantissa.astype(int) << synapse.exponent)
        np.testing.assert_array_equal(node.bias / unit, synapse.bias)
        assert synapse.bias.any() or not synapse.wiring.bias


def test_lif_parameters_by_the_equations(make_network: MakeNetwork) -> None:
    """v' = v + dt / tau (r x - v) must be v (1 - decay / 4096) + x; thresholds, half a 64th higher."""
    network = make_network("lif")
    graph = to_nir(network, 8, 12)
    for population in network.populations[:-1]:
        node = graph.nodes[population.wiring.name]
        scale = population.wiring.downscale
        assert node.tau.shape == (population.wiring.channels, 8 // scale, 12 // scale)
        np.testing.assert_allclose(1e-4 / node.tau, network.decay / 4096, rtol=1e-12)
        np.testing.assert_allclose(node.r * 1e-4 / node.tau, 1, rtol=1e-12)
        in_64ths = node.v_threshold / 2.0**population.lsb_exponent * 64
        assert (in_64ths == population.threshold * 64 + 0.5).all()
        assert not node.v_reset.any() and not node.v_leak.any()


def test_neurons_without_leak_are_if_nodes(make_network: MakeNetwork) -> None:
    graph = to_nir(replace(make_network("lif"), decay=0), 8, 8)
    assert type(graph.nodes["enc_in"]) is nir.IF
    np.testing.assert_allclose(graph.nodes["enc_in"].r, 1e4)


def test_the_pixel_shuffle_is_an_announced_extension(make_network: MakeNetwork) -> None:
    graph = to_nir(make_network("graded", "unet"), 8, 12)
    assert "pixel_shuffle" in graph.metadata["snn_tool"]["extensions"]
    assert graph.nodes["up_unshuffled"].output_type["output"].tolist() == [16, 4, 6]
    assert graph.nodes["up_shuffled"].input_type["input"].tolist() == [4, 8, 12]
    assert ("up", "up_unshuffled") in graph.edges
    assert not any(source == "up" and target != "up_unshuffled" for source, target in graph.edges)
    assert ("up_shuffled", "tail_in") in graph.edges


def test_a_flat_body_has_no_extension(make_network: MakeNetwork) -> None:
    graph = to_nir(make_network("graded", "flat"), 8, 12)
    assert not graph.metadata["snn_tool"]["extensions"]
    assert set(graph.inputs) == {"image"} and set(graph.outputs) == {"output"}


def evaluate_ladder(graph: nir.NIRGraph, value: float, strict: bool) -> float:
    """Any NIR backend's view: follow the edges, add what meets; Threshold as `>` or as `>=`."""

    def output(name: str) -> float:
        if name == "input":
            return value
        arriving = sum(output(source) for source, target in graph.edges if target == name)
        node = graph.nodes[name]
        if isinstance(node, nir.Threshold):
            limit = node.threshold.item()
            return float(arriving > limit if strict else arriving >= limit)
        return arriving * (node.scale.item() if isinstance(node, nir.Scale) else 1)

    return output("output")


@given(st.integers(-1000, 1000), st.integers(1, 300), st.integers(1, 6), st.booleans(), st.integers(-12, 3))
def test_the_ladder_rounds_like_the_graded_neuron(
    membrane: int, threshold: int, levels: int, signed: bool, lsb: int
) -> None:
    node = GradedNode("unit", ("conv",), 1, 1, 1, threshold, levels, signed)
    graph = ladder_graph(node, lsb)
    magnitude = min((2 * abs(membrane) + threshold) // (2 * threshold), levels)
    expected = magnitude if membrane >= 0 else (-magnitude if signed else 0)
    assert evaluate_ladder(graph, membrane * 2.0**lsb, strict=True) == expected
    assert evaluate_ladder(graph, membrane * 2.0**lsb, strict=False) == expected


@pytest.mark.parametrize("size", [(7, 8), (8, 9), (0, 8), (-8, 8)])
def test_sizes_that_the_network_cannot_take_are_refused(
    make_network: MakeNetwork, size: tuple[int, int]
) -> None:
    with pytest.raises(ExportError, match="multiples of 2"):
        to_nir(make_network("graded"), *size)


def test_sizes_that_no_file_should_hold_are_refused(make_network: MakeNetwork) -> None:
    with pytest.raises(ExportError, match="tile by tile"):
        to_nir(make_network("lif"), 8192, 8192)


def test_values_that_float32_cannot_hold_are_refused(make_network: MakeNetwork) -> None:
    network = make_network("lif")
    first = replace(network.synapses[0], bias=np.full_like(network.synapses[0].bias, 2**24 + 1))
    with pytest.raises(ExportError, match="head: .*not exact in float32"):
        to_nir(replace(network, synapses=(first, *network.synapses[1:])), 8, 8)


def test_names_that_would_collide_are_refused(make_network: MakeNetwork) -> None:
    network = make_network("lif", "flat")
    last = network.populations[-1]
    renamed = replace(last, wiring=replace(last.wiring, name="output"))
    with pytest.raises(ExportError, match="output: two nodes"):
        to_nir(replace(network, populations=(*network.populations[:-1], renamed)), 8, 8)


def test_readers_of_one_synapse_must_share_their_lsb(make_network: MakeNetwork) -> None:
    network = make_network("lif", "flat")
    first = replace(network.populations[0], lsb_exponent=network.populations[0].lsb_exponent + 1)
    with pytest.raises(ExportError, match="head: .*unequal LSB"):
        to_nir(replace(network, populations=(first, *network.populations[1:])), 8, 8)
