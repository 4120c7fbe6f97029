"""C that is given one timestep at a time: every integer is the engine's and the interpreter's."""

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from snn_tool.deploy.export import export_student
from snn_tool.deploy.options import GoldenOptions
from snn_tool.deploy.verify import open_export, verify_export
from snn_tool.errors import UnsupportedLayerError
from snn_tool.exporters.c.plan import make_plan
from snn_tool.exporters.c.steps import by_steps, current_bound, make_step_plan, step_footprint
from snn_tool.exporters.c.steps_source import step_network_files
from snn_tool.exporters.nir.graph import to_nir
from snn_tool.exporters.nir.interpreter import run_program
from snn_tool.exporters.nir.parse import parse_graph
from snn_tool.exporters.nir.program import Program
from snn_tool.exporters.nir_foreign.importing import import_graph
from snn_tool.exporters.nir_foreign.module import NirModule
from snn_tool.files.artifacts import sha256_file
from snn_tool.inputs.options import InputOptions
from snn_tool.models.integer.engine import IntegerEngine
from snn_tool.models.integer.file import save_integer_network
from snn_tool.models.integer.network import (
    InputGrid,
    IntegerNetwork,
    IntegerPopulation,
    IntegerSynapse,
)
from snn_tool.models.integer.quantize_real import quantize_real
from snn_tool.models.topology import IMAGE, Population, Synapse

SPIKES, REALS = InputGrid("spikes", 0, 1, 0, True), InputGrid("real", -127, 127, -5, True)
ONE_REAL = replace(REALS, over_time=False)
SANITIZED = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
RNG = np.random.default_rng(3)
LOOP = [("in", "a"), ("a", "n"), ("n", "w"), ("w", "n"), ("n", "b"), ("b", "m"), ("m", "out")]
T = 12


def graph(shape: tuple[int, ...], edges: Any = None, **nodes: Any) -> nir.NIRGraph:
    chain = ["in", *nodes, "out"]
    named = {"in": nir.Input(np.array(shape)), **nodes, "out": nir.Output(np.array([1]))}
    return nir.NIRGraph(named, edges or list(zip(chain, chain[1:], strict=False)), type_check=False)


def affine(out: int, given: int) -> nir.Affine:
    return nir.Affine(RNG.normal(0.1, 0.5, (out, given)), RNG.normal(0.1, 0.2, out))


def conv(out: int, given: int, **options: Any) -> nir.Conv2d:
    values = {
        "stride": 1,
        "padding": 1,
        "dilation": 1,
        "groups": 1,
        "bias": RNG.normal(0.1, 0.1, out),
        **options,
    }
    return nir.Conv2d(None, RNG.normal(0.05, 0.3, (out, given, 3, 3)), **values)


def lif(tau: float = 3.0) -> nir.LIF:
    return nir.LIF(np.full(1, tau), np.full(1, tau), np.zeros(1), np.ones(1), np.zeros(1))


def cuba(n: int) -> nir.CubaLIF:
    full = [np.full(n, value) for value in (2.5, 4.0, 4.0, 0.0, 1.0, 0.0)]
    return nir.CubaLIF(*full, w_in=np.full(n, 2.5))


def pool() -> nir.SumPool2d:
    return nir.SumPool2d(np.full(2, 2), np.full(2, 2), np.zeros(2, int))


def flat() -> nir.Flatten:
    return nir.Flatten({"input": np.array([4, 4, 4])}, 0, -1)


def half() -> nir.IF:
    return nir.IF(np.ones(1), np.full(1, 0.5), np.zeros(1))


MAX_POOL = {"a": conv(4, 2), "n": lif(), "p": pool(), "h": half(), "f": flat(), "b": affine(5, 64)}
GRAPHS: dict[str, tuple[nir.NIRGraph, str, InputGrid]] = {
    "a vector": (graph((5,), a=affine(6, 5), n=lif(), b=affine(3, 6)), "zero", REALS),
    "a vector that stays": (graph((5,), a=affine(6, 5), n=lif(), b=affine(3, 6)), "zero", ONE_REAL),
    "events, a stride": (
        graph((2, 8, 8), a=conv(4, 2, stride=2, dilation=2), n=lif(), b=conv(3, 4)),
        "zero",
        SPIKES,
    ),
    "a max pool and a vector": (graph((2, 8, 8), **MAX_POOL), "zero", SPIKES),
    "a loop": (
        graph((5,), LOOP, a=affine(6, 5), n=lif(), w=affine(6, 6), b=affine(4, 6), m=lif()),
        "zero",
        SPIKES,
    ),
    "lasting currents": (
        graph((5,), LOOP, a=affine(6, 5), n=cuba(6), w=affine(6, 6), b=affine(4, 6), m=cuba(4)),
        "zero",
        REALS,
    ),
    "subtraction": (graph((2, 8, 8), a=conv(4, 2), n=lif(), b=conv(3, 4)), "subtract", SPIKES),
    "late subtraction": (graph((5,), a=affine(6, 5), n=lif(), b=affine(3, 6)), "subtract-late", ONE_REAL),
}


def network_of(kind: str) -> IntegerNetwork:
    """The integers of a graph, as `import` makes them."""
    made, resets, grid = GRAPHS[kind]
    found = import_graph(made, NirModule(made, "a.nir", 1.0, resets), T, images=False)
    return quantize_real(found.network, T, 1, grid)


def program_of(network: IntegerNetwork) -> Program:
    assert network.image_size
    return parse_graph(to_nir(network, *network.image_size), "network.nir")


def inputs_of(network: IntegerNetwork, count: int = 2) -> Any:
    """Random integers of the grid; the last input is silent in the last steps."""
    low, high = network.input_range
    shape = (network.topology.image_channels, *(network.image_size or ()))
    frames = (network.timesteps, *shape) if network.over_time else shape
    drawn = np.random.default_rng(8).integers(low, high + 1, (count, *frames)).astype(np.int16)
    if network.over_time:
        drawn[-1, T // 2 :] = 0
    return drawn


def assert_exact(network: IntegerNetwork, built: Any) -> Any:
    """Against the engine and the interpreter of the file, every population at every step."""
    given, names = inputs_of(network), [p.wiring.name for p in network.populations]
    trace = IntegerEngine(network).run(given, names)
    interpreted = run_program(built.program, given.astype(np.int64))
    readout, spikes, membranes = built(given)
    for name in names:
        np.testing.assert_array_equal(membranes[name], trace.membranes[name], name)
        np.testing.assert_array_equal(membranes[name], interpreted.membranes[name], name)
        if name != names[-1]:
            np.testing.assert_array_equal(spikes[name], trace.spikes[name], name)
            assert spikes[name].any(), f"{name} is silent and proves nothing"
    np.testing.assert_array_equal(readout, trace.readout)
    return trace


@pytest.mark.slow
@pytest.mark.parametrize("kind", GRAPHS)
def test_every_integer(kind: str, build_c: Callable[..., Any]) -> None:
    network = network_of(kind)
    assert_exact(network, build_c(program_of(network), ("-O1",)))


def wild(current_decay: int = 1100) -> IntegerNetwork:
    """What no import makes: a pixel-shuffle, a late connection to a deeper population, currents that wrap."""
    rng = np.random.default_rng(4)

    def synapse(
        name: str, source: str, given: int, made: int, shift: int = 1, **wiring: Any
    ) -> IntegerSynapse:
        held = Synapse(name, source, given, made, **{"kernel": 3, "bias": False, **wiring})
        mantissa = rng.integers(-90, 110, (made, given, held.kernel, held.kernel)).astype(np.int8)
        bias = (rng.integers(-40, 60, made) * held.bias).astype(np.int32)
        return IntegerSynapse(held, mantissa, shift, bias)

    synapses = (
        synapse("in_a", IMAGE, 2, 4, 9, bias=True, stride=2),
        synapse("a_b", "a", 4, 12, upsample=2),
        synapse("in_b", IMAGE, 2, 3, bias=True),
        synapse("a_b_late", "a", 4, 12, delay=1, upsample=2),
        synapse("b_b", "b", 3, 3, delay=1),
        synapse("b_out", "b", 3, 2, bias=True),
    )
    populations = (
        IntegerPopulation(Population("a", ("in_a",), 4), 900, -8, 300, current_decay),
        IntegerPopulation(Population("b", ("a_b", "in_b", "a_b_late", "b_b"), 3), 700, -8, 4000, 4096),
        IntegerPopulation(Population("out", ("b_out",), 2), 0, -8, 64),
    )
    scalars = {"neuron": "lif", "levels": 1, "signed": False, "decay": 0, "input_step": 1, "input_offset": 0}
    return IntegerNetwork(
        synapses=synapses,
        populations=populations,
        timesteps=T,
        adds_image=False,
        image_size=(6, 6),
        grid=REALS,
        **scalars,  # type: ignore[arg-type]
    )


@pytest.mark.slow
def test_late_connections_shuffles_and_wrapped_sums_under_sanitizers(build_c: Callable[..., Any]) -> None:
    network = wild()
    assert make_step_plan(program_of(network)).turns[0].synapses[0].wraps
    assert_exact(network, build_c(program_of(network), SANITIZED))


def test_what_may_exceed_32_bits_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedLayerError, match="a: its current may exceed 32 bits"):
        make_step_plan(program_of(wild(500)))
    program = program_of(wild())
    convs = [replace(conv, weight=conv.weight << 12, mantissa_exponent=21) for conv in program.convs[:1]]
    with pytest.raises(UnsupportedLayerError, match=r"in_a: a sum of products may exceed 32 bits \(-"):
        make_step_plan(replace(program, convs=(*convs, *program.convs[1:])))
    with pytest.raises(UnsupportedLayerError, match="which this tool does not write for rows"):
        make_plan(program, {})


@pytest.mark.parametrize("arriving", [0, 1 << 23, (1 << 24) + 9, 1 << 27])
@pytest.mark.parametrize("kept", [1, 2996, 4095])
def test_a_current_stays_below_its_bound(arriving: int, kept: int) -> None:
    """The worst sequence: as much as possible, again and again, and the cut that takes 2^24 off once."""
    bound, held = current_bound(arriving, kept), 0
    for _ in range(3000):
        least = max(0, -(1 << 23) + 1 - held * kept // 4096)  # any drive up to the largest may come
        drives = {held * kept // 4096 + arriving, least, min(arriving + held * kept // 4096, 1 << 23)}
        held = max(d - (1 << 24) if d > 1 << 23 else d for d in drives)
        assert abs(held) <= bound


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """A recurrent network's folder of C, with inputs over time."""
    network = network_of("a loop")
    source = tmp_path / "looped.int.safetensors"
    save_integer_network(source, network, {})
    np.save(tmp_path / "inputs.npy", np.moveaxis(inputs_of(network)[..., 0, 0], 1, 0).astype(np.float32))
    options = GoldenOptions(tiles=2, inputs=InputOptions(tmp_path / "inputs.npy"))
    export_student(source, "c", tmp_path / "out", options, verify=False)
    return tmp_path / "out"


@pytest.mark.slow
def test_a_folder_is_tested_verified_on_inputs_and_a_changed_weight_is_found(
    exported: Path, tmp_path: Path
) -> None:
    made = subprocess.run(
        ["make", "-s", "test", "CFLAGS=-O1 -Werror"], cwd=exported, check=True, capture_output=True, text=True
    )
    assert made.stdout == f"looped: 0 of {T * 4} values differ\n"
    subprocess.run(["make", "-s", "clean"], cwd=exported, check=True)
    inputs = InputOptions(tmp_path / "inputs.npy")
    report = verify_export(open_export(exported), ["c"], inputs=inputs)
    assert report.passed and report.photographs and report.photographs.results[0].status == "exact"
    change_weight(exported, "w")
    found = verify_export(open_export(exported), ["c"]).results[0]
    assert found.status == "mismatch" and found.first
    assert (found.first.layer, found.first.quantity) == ("n", "membranes") and found.first.timestep > 0


def change_weight(folder: Path, name: str) -> None:
    """The first weight of snn.c that is not 0, and its hash in the manifest."""
    text = (folder / "snn.c").read_text()
    number = re.compile(r"-?[1-9]\d*").search(text, text.index("{", text.index(f"weight_{name}[")))
    assert number
    (folder / "snn.c").write_text(text[: number.start()] + str(-int(number[0])) + text[number.end() :])
    manifest = json.loads((folder / "export.json").read_text())
    manifest["files"]["snn.c"] = sha256_file(folder / "snn.c")
    (folder / "export.json").write_text(json.dumps(manifest))


@pytest.mark.slow
def test_flash_and_ram_are_known_before(tmp_path: Path) -> None:
    """Weights and biases to the byte, no data of its own, and the buffer."""
    plan = make_step_plan(program_of(network_of("a max pool and a vector")))
    taken = step_footprint(plan)
    for name, text in step_network_files(plan, "net").items():
        (tmp_path / name).write_text(text)
    (tmp_path / "size.c").write_text('#include "snn.h"\nchar size[NET_BUFFER_BYTES];\n')
    words = ["cc", "-O1", "-fno-pie", "-fno-inline", "-c", "snn.c", "size.c"]
    subprocess.run(words, cwd=tmp_path, check=True)
    listed = subprocess.run(
        ["nm", "-S", "snn.o", "size.o"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    sizes = {f[3]: int(f[1], 16) for f in map(str.split, listed.stdout.splitlines()) if len(f) == 4}
    assert sum(size for name, size in sizes.items() if re.match("weight_|bias_", name)) == taken.constants
    assert sizes["size"] == taken.ram
    told = subprocess.run(["size", "snn.o"], cwd=tmp_path, capture_output=True, text=True, check=True)
    text, data, bss, *_ = map(int, told.stdout.splitlines()[1].split()[:3])
    assert (data, bss) == (0, 0) and taken.constants < text < taken.constants + 8192


CALLS = """
#include "snn.h"
static uint8_t buffer[NET_BUFFER_BYTES + 1];
int main(void)
{
    net_state s;
    int16_t input[NET_INPUTS] = {0}, wild[NET_INPUTS] = {0};
    int32_t kept, step;
    wild[NET_INPUTS - 1] = NET_HIGH + 1;
    if (net_init(&s, buffer, NET_BUFFER_BYTES - 1) != NET_SMALL_BUFFER) return 1;
    if (net_init(&s, buffer + 1, NET_BUFFER_BYTES)) return 2;
    if (net_step(&s, NULL) != (NET_OVER_TIME ? NET_OK : NET_BAD_CALL)) return 3;
    net_reset(&s);
    input[0] = NET_HIGH;
    if (net_step(&s, input) || net_step(&s, wild) != NET_BAD_INPUT || s.time != 1) return 4;
    for (step = 0; step < 3 * NET_TIMESTEPS; step++)
        if (net_step(&s, NET_OVER_TIME ? input : NULL)) return 5;
    kept = net_readout(&s)[0];
    net_reset(&s);
    for (step = 0; step < 3 * NET_TIMESTEPS + 1; step++)
        net_step(&s, input);
    if (net_readout(&s)[0] != kept) return 6;
    for (step = 0; step < NET_OUTPUTS; step++)
        if (net_readout(&s)[step] > net_readout(&s)[net_largest(&s)]) return 7;
    return net_run(&s, NULL, NULL) != NET_BAD_CALL;
}
"""


GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "c.md"
ABOUT = """
static int time, shown, answer;
static void show(const int32_t *readout) { shown += readout != 0; }
static int16_t events[NET_INPUTS];
int main(void)
{
"""


def guide() -> str:
    """The example of docs/guides/c.md as a program."""
    head, body = re.findall(r"```c\n(.*?)```", GUIDE.read_text(), re.DOTALL)[2].split("net_state state;\n")
    return (
        f"{head}{ABOUT}net_state state;\n{body}return shown != NET_TIMESTEPS || answer >= NET_OUTPUTS;\n}}\n"
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["a loop", "a vector that stays"])
def test_calls_that_do_not_fit_and_the_guide(kind: str, tmp_path: Path) -> None:
    """Also: an input that stays is the same given again or not, and steps beyond T go on."""
    for name, text in step_network_files(make_step_plan(program_of(network_of(kind))), "net").items():
        (tmp_path / name).write_text(text)
    for program in (CALLS, guide()):
        (tmp_path / "main.c").write_text(program)
        subprocess.run(["cc", *SANITIZED, "-o", "main", "main.c", "snn.c"], cwd=tmp_path, check=True)
        assert subprocess.run([tmp_path / "main"]).returncode == 0


def test_photographs_stream_as_rows(make_network: Callable[..., IntegerNetwork]) -> None:
    assert not by_steps(parse_graph(to_nir(make_network("lif"), 8, 8), "network.nir"))
