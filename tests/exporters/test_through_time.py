"""Networks whose input and state go through time: engine, NIR interpreter and Lava against a plain loop."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nir
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from snn_tool.errors import BackendUnavailableError, UnsupportedLayerError
from snn_tool.exporters.contract.backends import open_backend
from snn_tool.exporters.contract.targets import DEFAULT
from snn_tool.exporters.lava.installation import provision_lava
from snn_tool.exporters.lava.netx import write_netx
from snn_tool.exporters.lava.simulation import run_on_lava
from snn_tool.exporters.loihi.bundle import export_bundle, read_bundle
from snn_tool.exporters.nir.file import write_nir
from snn_tool.exporters.nir.graph import to_nir
from snn_tool.exporters.nir.interpreter import run_program
from snn_tool.exporters.nir.network import integer_network
from snn_tool.exporters.nir.parse import parse_graph
from snn_tool.exporters.nir.program import Program, refuse_time
from snn_tool.exporters.nir_foreign.importing import import_graph
from snn_tool.exporters.nir_foreign.module import NirModule
from snn_tool.exporters.onnx.backend import values_of
from snn_tool.exporters.onnx.graph import value_text
from snn_tool.exporters.onnx.integer import integer_model
from snn_tool.exporters.onnx.run import trace_file
from snn_tool.exporters.onnx.student import Form
from snn_tool.models.integer.engine import IntegerEngine
from snn_tool.models.integer.file import load_integer_network, save_integer_network
from snn_tool.models.integer.network import (
    InputGrid,
    IntegerNetwork,
    IntegerPopulation,
    IntegerSynapse,
)
from snn_tool.models.integer.quantize_real import quantize_real
from snn_tool.models.topology import IMAGE, Population, Synapse
from torch.nn import functional

HALF = 1 << 23
SPIKES = InputGrid("spikes", 0, 1, 0, True)
REALS = InputGrid("real", -127, 127, -6, True)


def synapse(rng: Any, name: str, source: str, given: int, made: int, **wiring: Any) -> IntegerSynapse:
    """Random mantissas, and a bias where the wiring says so."""
    wiring = {"kernel": 1, "bias": False, **wiring}
    held = Synapse(name, source, given, made, **wiring)
    mantissa = rng.integers(-90, 110, (made, given, held.kernel, held.kernel)).astype(np.int8)
    bias = rng.integers(-40, 60, made).astype(np.int32) * held.bias
    return IntegerSynapse(held, mantissa, int(rng.integers(0, 4)), bias.astype(np.int32))


def network(kind: str, grid: InputGrid | None = SPIKES, timesteps: int = 7, seed: int = 9) -> IntegerNetwork:
    """A chain of two populations and a read-out on [2, 4, 4] or [5, 1, 1], with what `kind` names.

    There are loops from `a` and `b` to themselves, a skip from `a` to the read-out, which makes a relay, and
    a late connection from `a` to `b`, which lies deeper.
    """
    rng = np.random.default_rng(seed)
    given, size, kernel = (2, 4, 3) if "conv" in kind else (5, 1, 1)
    recurrent = "recurrent" in kind
    synapses = [
        synapse(rng, "in_a", IMAGE, given, 4, kernel=kernel, bias=True),
        synapse(rng, "a_b", "a", 4, 3, kernel=kernel, bias=True),
        synapse(rng, "b_out", "b", 3, 2, bias=True),
        synapse(rng, "a_out", "a", 4, 2),
    ]
    if recurrent:
        synapses += [
            synapse(rng, "a_a", "a", 4, 4, kernel=kernel, delay=1),
            synapse(rng, "a_b_late", "a", 4, 3, delay=1),
            synapse(rng, "b_b", "b", 3, 3, delay=1),
        ]
    lasting = 1100 if "cuba" in kind else 4096
    inputs = {"a": ("in_a",), "b": ("a_b",), "out": ("b_out", "a_out")}
    if recurrent:
        inputs |= {"a": ("in_a", "a_a"), "b": ("a_b", "a_b_late", "b_b")}
    populations = (
        IntegerPopulation(Population("a", inputs["a"], 4), 900, -8, 300, lasting),
        IntegerPopulation(Population("b", inputs["b"], 3), 700, -8, 4000, lasting),
        IntegerPopulation(Population("out", inputs["out"], 2), 0, -8, 64),
    )
    scalars = {"neuron": "lif", "levels": 1, "signed": False, "decay": 0, "input_step": 1, "input_offset": 0}
    return IntegerNetwork(
        synapses=tuple(synapses),
        populations=populations,
        timesteps=timesteps,
        adds_image=False,
        image_size=(size, size),
        grid=grid,
        **scalars,
    )


def inputs_for(made: IntegerNetwork, count: int = 3) -> NDArray[np.int16]:
    """Random integers of the network's range."""
    low, high = made.input_range
    shape = (made.topology.image_channels, *(made.image_size or (1, 1)))
    frames = (made.timesteps, *shape) if made.over_time else shape
    drawn = np.random.default_rng(8).integers(low, high + 1, (count, *frames))
    return drawn.astype(np.int16)


def trunc(values: NDArray[np.int64], kept: int) -> NDArray[np.int64]:
    """Times kept / 4096, rounded toward zero."""
    return np.asarray(np.sign(values) * ((np.abs(values) * kept) >> 12))


def expected(made: IntegerNetwork, given: NDArray[np.int16]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Spikes and membranes [T, N, C, H, W] by Lava's equations, one step and one population after another."""
    steps = made.timesteps
    frames = given.swapaxes(0, 1) if made.over_time else np.repeat(given[None], steps, 0)
    sizes = made.topology.sizes(*given.shape[-2:])
    shape = {p.wiring.name: (len(given), p.wiring.channels, *sizes[p.wiring.name]) for p in made.populations}
    u = {name: np.zeros(s, np.int64) for name, s in shape.items()}
    v = {name: np.zeros(s, np.int64) for name, s in shape.items()}
    spikes = {name: np.zeros((steps, *s), np.int64) for name, s in shape.items()}
    membranes = {name: np.zeros((steps, *s), np.int64) for name, s in shape.items()}
    for t in range(steps):
        for population in made.populations:
            name = population.wiring.name
            total = np.zeros(shape[name], np.int64)
            bias = np.zeros(population.wiring.channels, np.int64)
            for held in (made.by_name[one] for one in population.wiring.inputs):
                wiring, late = held.wiring, t - held.wiring.delay
                z = (
                    frames[t]
                    if wiring.source == IMAGE
                    else spikes[wiring.source][late]
                    if late >= 0
                    else None
                )
                bias += held.bias
                if z is None:
                    continue
                weight = torch.from_numpy(held.mantissa.astype(np.float64)) * 2**held.exponent
                values = torch.from_numpy(z.astype(np.float64))
                sums = functional.conv2d(values, weight, None, wiring.stride, wiring.padding).numpy()
                total += (sums.astype(np.int64) + HALF) % (2 * HALF) - HALF
            u[name] = trunc(u[name], 4096 - population.current_decay) + (total << 6)
            u[name] = np.where(u[name] > HALF, u[name] - 2 * HALF, u[name])
            u[name] = np.where(u[name] <= -HALF, u[name] + 2 * HALF, u[name])
            moved = trunc(v[name], 4096 - made.decay_of(population)) + u[name] + (bias[:, None, None] << 6)
            v[name] = np.clip(moved, -HALF + 1, HALF - 1)
            if population.threshold:
                spikes[name][t] = v[name] > population.threshold << 6
                v[name] = np.where(spikes[name][t], 0, v[name])
            membranes[name][t] = v[name]
    return spikes, membranes


KINDS = ("vector", "conv", "vector cuba", "vector recurrent", "conv recurrent", "conv cuba recurrent")


def held_against(trace: Any, spikes: Mapping[str, Any], membranes: Mapping[str, Any]) -> None:
    for name in spikes:
        np.testing.assert_array_equal(trace.membranes[name], membranes[name], err_msg=name)
        np.testing.assert_array_equal(trace.spikes[name], spikes[name], err_msg=name)
    np.testing.assert_array_equal(trace.readout, membranes[list(membranes)[-1]][-1])


def program_of(made: IntegerNetwork) -> Program:
    assert made.image_size
    return parse_graph(to_nir(made, *made.image_size), "network.nir")


@pytest.mark.parametrize("grid", [SPIKES, REALS, None], ids=["spikes", "reals", "one image"])
@pytest.mark.parametrize("kind", KINDS)
def test_engine_and_interpreter_of_the_file_do_what_the_equations_say(
    kind: str, grid: InputGrid | None
) -> None:
    made = network(kind, grid)
    given = inputs_for(made)
    spikes, membranes = expected(made, given)
    assert all(0 < spikes[name].mean() < 1 for name in ("a", "b"))
    names = [p.wiring.name for p in made.populations]
    held_against(IntegerEngine(made).run(given, names), spikes, membranes)
    program = program_of(made)
    held_against(run_program(program, given.astype(np.int64)), spikes, membranes)
    # What the file says, as a network again, is the same network.
    held_against(IntegerEngine(integer_network(program)).run(given, names), spikes, membranes)


@pytest.mark.parametrize("grid", [SPIKES, REALS, None], ids=["spikes", "reals", "one image"])
@pytest.mark.parametrize("kind", KINDS)
def test_onnxruntime_does_what_the_equations_say(kind: str, grid: InputGrid | None) -> None:
    """A file of one timestep, as the backend makes it of network.nir, and one of all timesteps."""
    made = network(kind, grid)
    given = inputs_for(made)
    spikes, membranes = expected(made, given)
    held = SimpleNamespace(program=program_of(made), network=SimpleNamespace(path=Path("network.nir")))
    trace = open_backend("onnx").trace(held, given, [], DEFAULT)  # type: ignore[arg-type]
    held_against(trace, spikes, membranes)
    file, whole = integer_model(made, Form(7), {}), Form(7)
    values = values_of(given, made)
    held_against(trace_file(file, Path("a"), made.topology, whole, 7, values), spikes, membranes)


def test_what_an_onnx_file_of_one_timestep_keeps() -> None:
    made = network("vector cuba recurrent", REALS)
    model = integer_model(made, Form(1, stateful=True), {})
    assert [value_text(one) for one in model.graph.input] == [
        "inputs float32 [batch, 5]",
        "state.a int32 [batch, 4, 1, 1]",
        "state.a.current int64 [batch, 4, 1, 1]",
        "state.a.spikes int32 [batch, 4, 1, 1]",
        "state.b int32 [batch, 3, 1, 1]",
        "state.b.current int64 [batch, 3, 1, 1]",
        "state.b.spikes int32 [batch, 3, 1, 1]",
        "state.out int32 [batch, 2, 1, 1]",
    ]
    assert value_text(integer_model(made, Form(7), {}).graph.input[0]) == "inputs float32 [7, batch, 5]"


def several_constants(grid: InputGrid) -> IntegerNetwork:
    """CubaLIF neurons of three pairs of time constants, fed back, and LIF neurons of two."""
    rng = np.random.default_rng(4)

    def full(count: int, *values: float) -> list[Any]:
        return [np.full(count, value) for value in values]

    nodes = {
        "in": nir.Input(np.array([5])),
        "a": nir.Affine(rng.normal(size=(6, 5)), rng.normal(size=6) / 2),
        "n": nir.CubaLIF(np.array([3.0, 1, 3, 1, 3, 2]), *full(6, 2.5, 1.5, 0, 1), w_in=np.full(6, 2.0)),
        "w": nir.Linear(rng.normal(size=(6, 6))),
        "b": nir.Affine(rng.normal(size=(4, 6)), rng.normal(size=4) / 2),
        "m": nir.LIF(np.array([2.0, 3, 2, 3]), *full(4, 2, 0, 1)),
        "out": nir.Output(np.array([4])),
    }
    edges = ["in a", "a n", "n w", "w n", "n b", "b m", "m out"]
    graph = nir.NIRGraph(nodes, [tuple(edge.split()) for edge in edges], type_check=False)
    module = NirModule(graph, "a.nir", 1.0)
    found = import_graph(module.graph, module, 7, images=False)
    assert {node: len(placed) for node, placed in found.populations.items()} == {"n": 3, "m": 2}
    return quantize_real(found.network, 7, 1, grid)


def test_neurons_of_several_time_constants_in_engine_interpreter_and_onnxruntime() -> None:
    made = several_constants(SPIKES)
    given = inputs_for(made)
    spikes, membranes = expected(made, given)
    firing = [spikes[p.wiring.name].mean() for p in made.populations if "bias" not in p.wiring.name]
    assert all(0 < rate < 1 for rate in firing[:-1])
    names = [p.wiring.name for p in made.populations]
    held_against(IntegerEngine(made).run(given, names), spikes, membranes)
    program = program_of(made)
    held_against(run_program(program, given.astype(np.int64)), spikes, membranes)
    held = SimpleNamespace(program=program, network=SimpleNamespace(path=Path("network.nir")))
    held_against(open_backend("onnx").trace(held, given, [], DEFAULT), spikes, membranes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ("vector", "image: changes with time"),
        ("conv cuba", "a: has a synaptic current that lasts"),
        ("vector recurrent", "a_a: is recurrent"),
    ],
)
def test_what_a_target_does_not_hold_is_one_line_of_node_reason_and_remedy(
    kind: str, named: str, tmp_path: Path
) -> None:
    made = program_of(network(kind))
    held = SimpleNamespace(program=made)
    found: list[str] = []
    with pytest.raises(UnsupportedLayerError) as refused:
        write_netx(tmp_path / "a.net", made)
    found.append(str(refused.value))
    with pytest.raises(UnsupportedLayerError) as refused:
        refuse_time(made, "SANA-FE")
    found.append(str(refused.value))
    with pytest.raises(UnsupportedLayerError) as refused:
        open_backend("snntorch").versions(held, DEFAULT)  # type: ignore[arg-type]
    readout = "out: a read-out that leaks: the host would have to keep its register; use the backends nir"
    assert str(refused.value).startswith(readout if kind == "vector" else named)
    for text in found:
        assert text.startswith(f"{named}") and "\n" not in text
        assert "does not write for" in text and "the targets loihi, c and onnx" in text
    assert not list(tmp_path.iterdir())


def test_a_saturated_synaptic_current_wraps_once_as_lava_wraps_it() -> None:
    made = network("conv cuba recurrent", REALS, 40)
    loud = replace(made.by_name["in_a"], exponent=6)
    made = replace(made, synapses=(loud, *made.synapses[1:]))
    given = inputs_for(made)
    spikes, membranes = expected(made, given)
    held_against(IntegerEngine(made).run(given, ["a", "b", "out"]), spikes, membranes)
    held = SimpleNamespace(program=program_of(made), network=SimpleNamespace(path=Path("network.nir")))
    trace = open_backend("onnx").trace(held, given, [], DEFAULT)  # type: ignore[arg-type]
    held_against(trace, spikes, membranes)


@pytest.mark.parametrize("kind", ["vector", "conv cuba recurrent"])
def test_a_file_keeps_it(kind: str, tmp_path: Path) -> None:
    made = network(kind)
    save_integer_network(tmp_path / "a.int.safetensors", made, {})
    found, _ = load_integer_network(tmp_path / "a.int.safetensors")
    assert found.grid == made.grid and found.topology == made.topology
    assert [p.current_decay for p in found.populations] == [p.current_decay for p in made.populations]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["vector", "conv cuba recurrent", "vector recurrent", "several constants"])
def test_lava_computes_the_same_and_nothing_of_one_input_reaches_the_next(kind: str, tmp_path: Path) -> None:
    """Three inputs follow each other without a gap, the second and the third one silent."""
    try:
        environment = provision_lava(print)
    except BackendUnavailableError as error:
        pytest.skip(str(error))
    grid = SPIKES if "conv" in kind else REALS
    made = several_constants(grid) if kind == "several constants" else network(kind, grid)
    given = inputs_for(made)
    given[1:] = 0
    spikes, membranes = expected(made, given)
    trace = run_program(program_of(made), given.astype(np.int64))
    write_nir(tmp_path / "network.nir", to_nir(made, *(made.image_size or ())))
    bundle = export_bundle(
        tmp_path / "network.nir", tmp_path / "bundle", given, trace, student_sha256="0" * 64
    )
    again = read_bundle(bundle.folder)
    np.testing.assert_array_equal(again.golden.tiles, given)
    statements = again.statements()
    assert not statements.contradictions
    held_against(run_on_lava(bundle.folder, given, environment), spikes, membranes)
