"""A plan connection by connection, against torch's convolutions and the interpreter's currents."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from snn_tool.cli.app import app
from snn_tool.deploy.golden import make_golden
from snn_tool.deploy.options import GoldenOptions
from snn_tool.errors import TargetLimitError, UnsupportedLayerError
from snn_tool.exporters.loihi.deployment import resized
from snn_tool.exporters.loihi.plan import build_plan
from snn_tool.exporters.loihi.specs import LifSpec
from snn_tool.exporters.nir.graph import to_nir
from snn_tool.exporters.nir.interpreter import current
from snn_tool.exporters.nir.parse import parse_graph
from snn_tool.exporters.nir.program import IMAGE, ConvNode, Program
from snn_tool.exporters.sanafe import layout as sanafe_layout
from snn_tool.exporters.sanafe.layout import Connections, chip_network
from snn_tool.models.integer.engine import quantize_image
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.networks.shipped import student_path
from torch.nn import functional
from typer.testing import CliRunner

MakeNetwork = Callable[..., IntegerNetwork]
Image = NDArray[np.float32]
HEIGHT, WIDTH = 8, 12


def program_of(network: IntegerNetwork, height: int = HEIGHT, width: int = WIDTH) -> Program:
    return parse_graph(to_nir(network, height, width), "student.nir")


def impulses(conv: ConvNode, shape: tuple[int, int, int], weight: torch.Tensor) -> NDArray[np.int64]:
    """What every single source neuron delivers to every target: [sources, targets], numbered as (W, H, C)."""
    width, height, channels = shape
    eye = torch.eye(width * height * channels, dtype=torch.float64)
    frames = eye.reshape(-1, width, height, channels).permute(0, 3, 2, 1)
    out = functional.conv2d(frames, weight, None, conv.stride, conv.padding, conv.dilation)
    shuffled = functional.pixel_shuffle(out, conv.upsample)
    return shuffled.permute(0, 3, 2, 1).flatten(1).numpy().astype(np.int64)


def dense(edges: Connections, shape: tuple[int, int], values: NDArray[np.int64]) -> NDArray[np.int64]:
    matrix = np.zeros(shape, dtype=np.int64)
    np.add.at(matrix, (edges.sources, edges.targets), values)
    return matrix


@pytest.mark.slow
@pytest.mark.parametrize("body", ["unet", "flat", "chain"])
def test_every_connection_is_one_tap_of_torchs_convolution(make_network: MakeNetwork, body: str) -> None:
    """Weights by unit impulses, and numbers of connections by a kernel of ones; relays copy."""
    program = program_of(make_network("lif", body))
    plan = build_plan(program)
    network = chip_network(program)
    images = {source.name for source in plan.sources}
    found = {(c.source, c.target): c for c in (*network.connections, *network.image_connections)}
    assert len(found) == len(plan.convs) and len(network.image_connections) > 0
    for spec in plan.convs:
        edges = found[spec.source, spec.target]
        assert (spec.source in images) == any(edges is other for other in network.image_connections)
        size = (int(np.prod(spec.input_shape)), int(np.prod(spec.output_shape)))
        ones = np.ones_like(edges.weights)
        if spec.groups > 1:
            np.testing.assert_array_equal(dense(edges, size, edges.weights), np.eye(size[0]))
            assert len(ones) == size[0]
            continue
        conv = program.conv[spec.synapse]
        weight = torch.from_numpy(conv.weight.astype(np.float64))
        expected = impulses(conv, spec.input_shape, weight)
        np.testing.assert_array_equal(dense(edges, size, edges.weights), expected, err_msg=spec.name)
        taps = impulses(conv, spec.input_shape, torch.ones_like(weight))
        np.testing.assert_array_equal(dense(edges, size, ones), taps, err_msg=spec.name)


def test_groups_are_the_plans_neurons_on_cores_of_their_own(make_network: MakeNetwork) -> None:
    """4 channels at 16 x 20 pixels are 1280 neurons, so two cores; 8 at half the size are 640, and one."""
    program = program_of(make_network("lif", "unet"), 16, 20)
    plan, network = build_plan(program), chip_network(program)
    used: list[int] = []
    for group, spec in zip(network.groups, plan.neurons, strict=True):
        assert isinstance(spec, LifSpec)
        assert (group.name, group.neurons) == (spec.name, spec.shape[0] * spec.shape[1] * spec.shape[2])
        assert (group.threshold, group.leak, group.depth) == (spec.vth, 4096 - spec.dv, spec.depth)
        assert group.cores == {1280: 2, 640: 1, 960: 1}[group.neurons]
        used += range(group.first_core, group.first_core + group.cores)
    assert used == list(range(network.cores))
    assert network.neurons == sum(group.neurons for group in network.groups)
    assert network.steps == plan.steps - 1


@pytest.mark.parametrize("body", ["unet", "flat"])
def test_the_image_arrives_as_biases(make_network: MakeNetwork, photograph: Image, body: str) -> None:
    """What the interpreter's convolutions of the image give, and the populations' own biases."""
    network = make_network("lif", body)
    program = program_of(network)
    tile = quantize_image(photograph[:, :HEIGHT, :WIDTH], network)
    drives = chip_network(program).drives(tile)
    for population in program.populations:
        convs = [program.conv[name] for name in population.inputs]
        of_image = [current(conv, tile.astype(np.int64)) for conv in convs if conv.source == IMAGE]
        expected = np.zeros((population.channels, population.height, population.width), dtype=np.int64)
        expected += sum(of_image) + program.bias(population)[:, None, None]
        np.testing.assert_array_equal(drives[population.name], expected.transpose(2, 1, 0).ravel())
    relays = [name for name in drives if "_relay" in name]
    assert relays and not any(drives[name].any() for name in relays)


def test_payloads_are_refused_by_name(make_network: MakeNetwork) -> None:
    program = program_of(make_network("graded", "chain"))
    graded = build_plan(program)
    with pytest.raises(UnsupportedLayerError, match=f"{graded.neurons[0].name}.*carries no payload.*fanout"):
        chip_network(program)
    program = program_of(make_network("lif", "unet"))
    relayed = build_plan(program, "relay")
    with pytest.raises(UnsupportedLayerError) as raised:
        chip_network(program, "relay")
    assert all(name in str(raised.value) for name in relayed.accumulators)
    assert "enc_mid" not in str(raised.value), "a LIF population is none of them"


def test_what_does_not_fit_one_chip_is_refused(
    make_network: MakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 64 x 64 pixels 16384 neurons at full resolution take 16 cores, 8192 at half 8, the read-out 12."""
    network = make_network("lif", "unet")
    program = program_of(network, 64, 64)
    plan = build_plan(program)
    full = sum(neuron.shape == (64, 64, 4) for neuron in plan.neurons)
    half = sum(neuron.shape == (32, 32, 8) for neuron in plan.neurons)
    assert full + half + 1 == len(plan.neurons)
    with pytest.raises(TargetLimitError, match=f"{16 * full + 8 * half + 12} cores .*has 128; the largest"):
        chip_network(program)
    small = program_of(network)
    count = chip_network(small).synapses
    monkeypatch.setattr(sanafe_layout, "MAX_CONNECTIONS", count)
    assert chip_network(small).synapses == count
    monkeypatch.setattr(sanafe_layout, "MAX_CONNECTIONS", count - 1)
    with pytest.raises(TargetLimitError, match=f"{count:,} connections exceed the {count - 1:,}.*--size"):
        chip_network(small)


def test_the_advised_tile_fits_and_the_next_larger_does_not(
    make_network: MakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sides are multiples of 2; where not even one of 2x2 fits, nothing is advised."""
    program = program_of(make_network("lif", "unet"), 16, 16)
    room = chip_network(resized(program, 10, 10)).synapses
    assert room < chip_network(resized(program, 12, 12)).synapses
    monkeypatch.setattr(sanafe_layout, "MAX_CONNECTIONS", room)
    with pytest.raises(TargetLimitError, match="largest tile that fits is 10x10: export with --size 10$"):
        chip_network(program)
    monkeypatch.setattr(sanafe_layout, "MAX_CONNECTIONS", 1)
    with pytest.raises(TargetLimitError, match="no tile of this network fits"):
        chip_network(program)
    monkeypatch.setattr(Program, "fits_any_size", property(lambda self: False))
    with pytest.raises(TargetLimitError, match="takes images of 16x16 alone"):
        chip_network(program)


@pytest.mark.slow
def test_the_size_of_the_commands_help_fits_the_shipped_student(tmp_path: Path) -> None:
    text = CliRunner().invoke(app, ["energy", "sanafe", "--help"]).output
    (side,) = re.findall(r"--size\W+(\d+)", text)
    options = GoldenOptions(tiles=1, size=int(side))
    made = make_golden(student_path("denoise-25-lif"), tmp_path, options)
    assert chip_network(made.nir.program).synapses <= sanafe_layout.MAX_CONNECTIONS
