"""The NIR file and its interpreter against the integer engine, bit for bit, everywhere."""

import ast
import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from snn_tool.errors import DataError
from snn_tool.exporters.nir.file import read_program, write_nir
from snn_tool.exporters.nir.graph import to_nir
from snn_tool.exporters.nir.interpreter import ProgramTrace, current, run_program, signed_24_bit
from snn_tool.exporters.nir.parse import parse_graph
from snn_tool.exporters.nir.program import ConvNode, GradedNode, LifNode, Program, ReadoutNode
from snn_tool.models.integer.engine import IntegerEngine, quantize_image
from snn_tool.models.integer.network import IntegerNetwork, IntegerPopulation, IntegerSynapse

MakeNetwork = Callable[..., IntegerNetwork]
Image = NDArray[np.float32]
KINDS = [(n, b) for n in ("lif", "graded", "unsigned") for b in ("unet", "flat", "chain")]
HEIGHT, WIDTH = 16, 24


def network_of(make_network: MakeNetwork, kind: str, body: str, seed: int = 0) -> IntegerNetwork:
    network = make_network("lif" if kind == "lif" else "graded", body, seed=seed)
    return replace(network, signed=False) if kind == "unsigned" else network


def run_file(network: IntegerNetwork, image: NDArray[np.int16], path: Path) -> ProgramTrace:
    write_nir(path, to_nir(network, *image.shape[-2:]))
    return run_program(read_program(path), image)


def assert_equal_runs(network: IntegerNetwork, image: NDArray[np.int16], trace: ProgramTrace) -> None:
    names = [p.wiring.name for p in network.populations]
    expected = IntegerEngine(network).run(image, names)
    assert set(trace.spikes) == set(trace.membranes) == set(names)
    for name in names:
        np.testing.assert_array_equal(trace.spikes[name], expected.spikes[name], err_msg=name)
        np.testing.assert_array_equal(trace.membranes[name], expected.membranes[name], err_msg=name)
    np.testing.assert_array_equal(trace.readout, expected.readout)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "body"), KINDS)
def test_photographs_give_equal_bits(
    make_network: MakeNetwork, photograph: Image, tmp_path: Path, kind: str, body: str
) -> None:
    """Three crops of 16 x 24 pixels and three sets of weights; silent layers would prove nothing."""
    for seed in range(3):
        network = network_of(make_network, kind, body, seed)
        top = 16 * seed
        image = quantize_image(photograph[None, :, top : top + HEIGHT, 8 : 8 + WIDTH], network)
        trace = run_file(network, image, tmp_path / "student.nir")
        assert_equal_runs(network, image, trace)
        assert all(np.abs(trace.spikes[p.wiring.name]).mean() > 0.005 for p in network.populations[:-1])


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "body"), KINDS)
def test_inputs_at_the_ends_of_their_range_give_equal_bits(
    make_network: MakeNetwork, tmp_path: Path, kind: str, body: str
) -> None:
    network = network_of(make_network, kind, body)
    low, high = network.input_range
    noise = np.random.default_rng(1).choice([low, high], (3, 3, 8, 12))
    images = np.concatenate([noise, np.full((1, 3, 8, 12), low), np.full((1, 3, 8, 12), high)]).astype(
        np.int16
    )
    assert_equal_runs(network, images, run_file(network, images, tmp_path / "student.nir"))


@pytest.mark.slow
@pytest.mark.parametrize(("neuron", "body"), [("graded", "unet"), ("lif", "flat")])
def test_grey_gives_equal_bits(
    make_network: MakeNetwork, photograph: Image, tmp_path: Path, neuron: str, body: str
) -> None:
    network = make_network(neuron, body, channels=1)
    image = quantize_image(photograph[None, :1, :HEIGHT, :WIDTH], network)
    trace = run_file(network, image, tmp_path / "student.nir")
    assert_equal_runs(network, image, trace)
    assert trace.readout.shape == (1, 1, HEIGHT, WIDTH)
    assert all(np.abs(trace.spikes[p.wiring.name]).mean() > 0.005 for p in network.populations[:-1])


def violent(network: IntegerNetwork, seed: int) -> IntegerNetwork:
    """Mantissas, shifts, biases, thresholds and decay that quantisation would never choose."""
    rng = np.random.default_rng(seed)
    exponent = int(rng.integers(5, 16))

    def synapse(old: IntegerSynapse) -> IntegerSynapse:
        mantissa = rng.integers(-128, 128, old.mantissa.shape).astype(np.int8)
        bias = rng.integers(-(2**20), 2**20, old.bias.shape).astype(np.int32)
        return replace(old, mantissa=mantissa, exponent=exponent, bias=bias * old.wiring.bias)

    def population(old: IntegerPopulation) -> IntegerPopulation:
        return replace(old, threshold=int(rng.integers(1, 2**17)) if old.threshold else 0)

    return replace(
        network,
        synapses=tuple(synapse(s) for s in network.synapses),
        populations=tuple(population(p) for p in network.populations),
        decay=int(rng.choice([0, 1, 64, 4095])) if network.neuron == "lif" else 0,
        levels=int(rng.integers(1, 30)) if network.neuron == "graded" else 1,
    )


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "body"), KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_wrapping_and_saturating_networks_give_equal_bits(
    make_network: MakeNetwork, tmp_path: Path, kind: str, body: str, seed: int
) -> None:
    network = violent(network_of(make_network, kind, body), seed)
    low, high = network.input_range
    image = np.random.default_rng(seed).integers(low, high + 1, (1, 3, 8, 12)).astype(np.int16)
    trace = run_file(network, image, tmp_path / "student.nir")
    assert_equal_runs(network, image, trace)
    program = read_program(tmp_path / "student.nir")
    head = program.conv["head"]
    raw = replace(head, weight=head.weight >> head.mantissa_exponent)
    unwrapped = current(raw, image[0].astype(np.int64)) << head.mantissa_exponent
    assert np.abs(unwrapped).max() > 2**23, "nothing wrapped"
    assert max(np.abs(m).max() for m in trace.membranes.values()) == 2**23 - 1, "nothing saturated"


@pytest.mark.parametrize(("kind", "body"), KINDS)
def test_one_weight_off_by_one_is_detected(
    make_network: MakeNetwork, photograph: Image, kind: str, body: str
) -> None:
    """The interpreter must follow the file: a change of the file's last convolution changes the read-out."""
    network = network_of(make_network, kind, body)
    image = quantize_image(photograph[None, :, :HEIGHT, :WIDTH], network)
    program = parse_graph(to_nir(network, HEIGHT, WIDTH), "student.nir")
    weight = program.conv["tail"].weight.copy()
    weight[0, 0, 1, 1] += 1
    faulty = tuple(replace(c, weight=weight) if c.name == "tail" else c for c in program.convs)
    trace = run_program(replace(program, convs=faulty), image)
    with pytest.raises(AssertionError):
        assert_equal_runs(network, image, trace)


def test_the_residual_scale_survives_exactly(make_network: MakeNetwork) -> None:
    for kind in ("lif", "graded"):
        network = make_network(kind)
        assert parse_graph(to_nir(network, 8, 8), "x").residual_scale == network.residual_scale


def single_neuron(population: LifNode | GradedNode, bias: int, timesteps: int, weight: int = 1) -> Program:
    """A 1 x 1 image whose red channel drives one neuron, which drives three read-outs with weight 5."""
    head = ConvNode("head", "image", np.zeros((1, 3, 1, 1), np.int64), np.array([bias]), 1, 0, 1, 1, 0)
    head.weight[0, 0] = weight
    tail = ConvNode("tail", "unit", np.full((3, 1, 1, 1), 5), np.array([0, 1, -1]), 1, 0, 1, 1, 0)
    readout = ReadoutNode("readout", ("tail",), 3, 1, 1)
    return Program((head, tail), (population, readout), timesteps, 1e-4, -200, 200, 1, 1, 1, 2.0**-6)


def test_a_lif_neuron_by_hand() -> None:
    """Current 60, bias 1, decay 1024 / 4096, threshold 100 (6400 in 64ths).

    v = 61 * 64 = 3904; then 2928 + 3904 = 6832 fires and is reset; then 3904 and again 6832.
    The read-out adds 5 * 64 in the two steps with a spike, and its bias * 64 in all four.
    """
    program = single_neuron(LifNode("unit", ("head",), 1, 1, 1, 100, 1024), 1, 4)
    trace = run_program(program, np.array([60, 0, 0]).reshape(3, 1, 1))
    assert trace.membranes["unit"].ravel().tolist() == [3904, 0, 3904, 0]
    assert trace.spikes["unit"].ravel().tolist() == [0, 1, 0, 1]
    assert trace.readout.ravel().tolist() == [640, 640 + 256, 640 - 256]
    assert trace.readout.shape == (3, 1, 1)
    assert trace.spikes["unit"].shape == (4, 1, 1, 1)


def test_negative_membranes_decay_toward_zero() -> None:
    """v = -64; then -64 * 4095 / 4096 = -63.98, which is -63, - 64 = -127; then -126.97, -126 - 64 = -190."""
    program = single_neuron(LifNode("unit", ("head",), 1, 1, 1, 100, 1), 0, 3)
    trace = run_program(program, np.array([-1, 0, 0]).reshape(3, 1, 1))
    assert trace.membranes["unit"].ravel().tolist() == [-64, -127, -190]


@given(st.integers(-200, 200), st.integers(1, 50), st.integers(1, 7), st.booleans(), st.integers(-30, 30))
def test_graded_levels_round_half_away_from_zero(
    value: int, threshold: int, levels: int, signed: bool, bias: int
) -> None:
    program = single_neuron(GradedNode("unit", ("head",), 1, 1, 1, threshold, levels, signed), bias, 1)
    trace = run_program(program, np.array([value, 0, 0]).reshape(3, 1, 1))
    membrane = value + bias
    level = min((2 * abs(membrane) + threshold) // (2 * threshold), levels)
    expected = level if membrane >= 0 else (-level if signed else 0)
    assert trace.spikes["unit"].item() == expected
    assert trace.membranes["unit"].item() == membrane


@given(st.integers(-(2**40), 2**40))
def test_24_bit_values_wrap_like_a_register(value: int) -> None:
    assert signed_24_bit(np.array(value)).item() == (value + 2**23) % 2**24 - 2**23


def test_strided_dilated_kernels_by_formula() -> None:
    """Each output as a sum over taps; 5 x 7 pixels, kernel 3 x 3, stride 2, dilation 2, padding 2."""
    rng = np.random.default_rng(0)
    conv = ConvNode("c", "image", rng.integers(-9, 9, (2, 3, 3, 3)), np.zeros(2, np.int64), 2, 2, 2, 1, 0)
    frame = rng.integers(-9, 9, (3, 5, 7))
    result = current(conv, frame)
    assert result.shape == (2, 3, 4)
    for channel, row, column in np.ndindex(2, 3, 4):
        total = 0
        for source, y, x in np.ndindex(3, 3, 3):
            i, j = 2 * row - 2 + 2 * y, 2 * column - 2 + 2 * x
            if 0 <= i < 5 and 0 <= j < 7:
                total += conv.weight[channel, source, y, x] * frame[source, i, j]
        assert result[channel, row, column] == total


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.zeros((3, 2, 1), np.int64), "takes [N, 3, 1, 1]"),
        (np.zeros((0, 3, 1, 1), np.int64), "takes [N, 3, 1, 1]"),
        (np.zeros((3, 1, 1)), "float64"),
        (np.full((3, 1, 1), 201), "leave the input range -200..200"),
    ],
)
def test_unusable_images_are_refused(image: NDArray[np.int64], said: str) -> None:
    program = single_neuron(LifNode("unit", ("head",), 1, 1, 1, 100, 1), 0, 1)
    with pytest.raises(DataError) as raised:
        run_program(program, image)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    "module",
    ["program", "interpreter", "file", "parse", "ladder", "metadata", "reading", "hdf5", "hdf5_program"],
)
def test_the_reading_side_names_no_integer_network(module: str) -> None:
    """`test_architecture` proves the same for everything that is imported in turn."""
    spec = importlib.util.find_spec(f"snn_tool.exporters.nir.{module}")
    assert spec is not None and spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    named = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    named |= {alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
    models = {name for name in named if name and name.startswith("snn_tool.models")}
    assert models <= {"snn_tool.models.streams"}
    assert "torch" not in named
