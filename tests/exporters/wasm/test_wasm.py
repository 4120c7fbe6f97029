"""WebAssembly of small networks in node: every integer is the engine's, and pixels fit."""

import importlib.util
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import nir
import numpy as np
import pytest
from numpy.typing import NDArray
from snn_tool.deploy.export import export_student
from snn_tool.deploy.options import GoldenOptions
from snn_tool.deploy.verify import open_export, verify_export
from snn_tool.errors import BackendUnavailableError
from snn_tool.exporters.c.backend import run_tiles
from snn_tool.exporters.c.plan import make_plan
from snn_tool.exporters.c.steps import make_step_plan
from snn_tool.exporters.c.target import expected_bytes
from snn_tool.exporters.contract.targets import DEFAULT
from snn_tool.exporters.nir.file import read_program, write_nir
from snn_tool.exporters.nir.graph import to_nir
from snn_tool.exporters.nir.parse import parse_graph
from snn_tool.exporters.nir.program import Program
from snn_tool.exporters.nir_foreign.importing import import_graph
from snn_tool.exporters.nir_foreign.module import NirModule
from snn_tool.exporters.wasm import compiler as compilers
from snn_tool.exporters.wasm.backend import find_node
from snn_tool.exporters.wasm.compiler import REMEDY, find_wasm_compiler, need_wasm_compiler
from snn_tool.exporters.wasm.target import text_of, write_module
from snn_tool.models.integer.engine import IntegerEngine, quantize_image
from snn_tool.models.integer.file import save_integer_network
from snn_tool.models.integer.network import InputGrid, IntegerNetwork
from snn_tool.models.integer.quantize_real import quantize_real

MakeNetwork, Image = Callable[..., IntegerNetwork], NDArray[np.float32]
COMPILER, NODE = find_wasm_compiler(), find_node()
needs_both = pytest.mark.skipif(COMPILER is None or NODE is None, reason=f"no node, or: {REMEDY}")

RESTORE = """
import { readFileSync, writeFileSync } from "node:fs";
import { load } from "./snn.js";
const network = await load(readFileSync("snn.wasm"));
const rgb = new Uint8Array(readFileSync("rgb"));
const rgba = new Uint8Array(rgb.length / 3 * 4);
for (let at = 0; at < rgb.length / 3; at++) rgba.set([...rgb.subarray(3 * at, 3 * at + 3), at % 251], 4 * at);
const restored = network.restore(rgba, WIDTH, HEIGHT), spikes = network.spikes();
const plain = network.restore(rgb, WIDTH, HEIGHT, { spikes: false });
writeFileSync("rgba.out", restored);
writeFileSync("rgb.out", plain);
let refused = 0;
for (const [pixels, height] of [[rgb, HEIGHT + 1], [new Uint8Array(0), 0]])
  try { network.restore(pixels, WIDTH, height); } catch (error) { refused += error instanceof RangeError; }
console.log(JSON.stringify({ spikes, silent: network.spikes().every(one => one.spikes === 0), refused }));
"""


def written(network: IntegerNetwork, folder: Path, height: int, width: int) -> Program:
    """The module of a network in a folder."""
    write_nir(folder / "network.nir", to_nir(network, height, width))
    program = read_program(folder / "network.nir")
    write_module(make_plan(program, {}), need_wasm_compiler(), folder)
    return program


@needs_both
@pytest.mark.slow
@pytest.mark.parametrize("neuron", ["graded", "lif"])
def test_every_integer_and_every_byte(
    make_network: MakeNetwork, tmp_path: Path, photograph: Image, neuron: str
) -> None:
    network = make_network(neuron, "unet", 6)
    program = written(network, tmp_path, 16, 20)
    eight_bit = np.round(np.clip(photograph[None, :, :16, :20], 0, 1) * 255).astype(np.uint8)
    tiles = quantize_image(eight_bit.astype(np.float32) / 255, network)
    names = [population.wiring.name for population in network.populations]
    expected = IntegerEngine(network).run(tiles, names)

    (tmp_path / "check.mjs").write_text(text_of("check.mjs"))
    assert NODE
    command = [NODE.program, tmp_path / "check.mjs", tmp_path, "1", "0"]
    found = run_tiles(command, tmp_path, True, tiles, program, DEFAULT)
    np.testing.assert_array_equal(found.readout, expected.readout)
    for name in names:
        np.testing.assert_array_equal(found.membranes[name], expected.membranes[name], name)
        if name != names[-1]:
            np.testing.assert_array_equal(found.spikes[name], expected.spikes[name], name)

    (tmp_path / "rgb").write_bytes(eight_bit[0].transpose(1, 2, 0).tobytes())
    (tmp_path / "try.mjs").write_text(RESTORE.replace("WIDTH", "20").replace("HEIGHT", "16"))
    run = subprocess.run([NODE.program, "try.mjs"], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    wanted = expected_bytes(program, expected.readout, tiles)[0].transpose(1, 2, 0)
    np.testing.assert_array_equal(np.fromfile(tmp_path / "rgb.out", np.uint8).reshape(16, 20, 3), wanted)
    rgba = np.fromfile(tmp_path / "rgba.out", np.uint8).reshape(16, 20, 4)
    np.testing.assert_array_equal(rgba[..., :3], wanted)
    np.testing.assert_array_equal(rgba[..., 3].ravel(), np.arange(320) % 251)
    counted = {one["name"]: one["spikes"] for one in told["spikes"]}
    assert counted == {name: int(np.count_nonzero(expected.spikes[name])) for name in names[:-1]}
    assert told["silent"] and told["refused"] == 2 and sum(counted.values()) > 0


def test_no_compiler_is_told_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilers.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(compilers.shutil, "which", lambda name: None)
    assert find_wasm_compiler() is None
    with pytest.raises(BackendUnavailableError, match=r"pip install 'snn-tool\[wasm\]'"):
        need_wasm_compiler()


@needs_both
@pytest.mark.slow
def test_a_compiler_that_fails_tells_its_last_words() -> None:
    with pytest.raises(BackendUnavailableError, match="exit code"):
        need_wasm_compiler().compile({"a.c": "int broken("})


STEPS = """
import { readFileSync } from "node:fs";
import { load } from "./snn.js";
const network = await load(readFileSync("snn.wasm"));
const raw = readFileSync("tiles"), { overTime, timesteps } = network.about;
const all = new Int16Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.length));
const inputs = all.subarray(0, all.length / 2), readouts = network.run(inputs), spikes = network.spikes();
const size = inputs.length / (overTime ? timesteps : 1), largest = network.largest();
network.reset();
const same = readouts.every((readout, at) => {
  const given = overTime ? inputs.subarray(at * size, (at + 1) * size) : at ? null : [...inputs];
  return network.step(given).every((value, place) => value === readout[place]);
});
let refused = 0;
for (const wrong of [new Int16Array(size + 1), new Int16Array(size).fill(999), Array(size).fill(0.5)])
  try { network.step(wrong); } catch (error) { refused += error instanceof RangeError; }
console.log(JSON.stringify({ readouts: readouts.map((one) => [...one]), spikes, same, refused, largest }));
"""


@needs_both
@pytest.mark.slow
@pytest.mark.parametrize("over_time", [True, False])
def test_timesteps_in_node(tmp_path: Path, over_time: bool) -> None:
    """A loop of neurons: every integer by the check, and what a page calls."""
    rng = np.random.default_rng(3)
    fire = nir.IF(np.ones(1), np.ones(1), np.zeros(1))
    nodes = {"a": (6, 5), "w": (6, 6), "b": (4, 6)}
    layers = {
        n: nir.Affine(rng.normal(0.1, 0.5, size), rng.normal(0.1, 0.2, size[0])) for n, size in nodes.items()
    }
    named = {"in": nir.Input(np.array([5])), **layers, "n": fire, "out": nir.Output(np.array([4]))}
    edges = [("in", "a"), ("a", "n"), ("n", "w"), ("w", "n"), ("n", "b"), ("b", "out")]
    graph = nir.NIRGraph(named, edges, type_check=False)
    real = import_graph(graph, NirModule(graph, "a.nir", 1.0), 6, images=False).network
    network = quantize_real(real, 6, 1, InputGrid("real", -127, 127, -5, over_time))
    program = parse_graph(to_nir(network, 1, 1), "network.nir")
    write_module(make_step_plan(program), need_wasm_compiler(), tmp_path)
    shape = (2, *((6,) if over_time else ()), 5, 1, 1)
    tiles = rng.integers(-127, 128, shape).astype(np.int16)
    names = [population.wiring.name for population in network.populations]
    expected = IntegerEngine(network).run(tiles, names)

    (tmp_path / "check.mjs").write_text(text_of("steps_check.mjs"))
    (tmp_path / "try.mjs").write_text(STEPS)
    assert NODE
    found = run_tiles(
        [NODE.program, tmp_path / "check.mjs", tmp_path, "1", "0"], tmp_path, True, tiles, program, DEFAULT
    )
    np.testing.assert_array_equal(found.readout, expected.readout)
    for name in names:
        np.testing.assert_array_equal(found.membranes[name], expected.membranes[name], name)
        np.testing.assert_array_equal(found.spikes[name], expected.spikes[name], name)
    run = subprocess.run([NODE.program, "try.mjs"], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    readouts = expected.membranes[names[-1]][:, 0, :, 0, 0]
    np.testing.assert_array_equal(told["readouts"], readouts)
    assert told["same"] and told["refused"] == 3 and told["largest"] == readouts[-1].argmax()
    counted = {one["name"]: one["spikes"] for one in told["spikes"]}
    assert counted == {name: int(expected.spikes[name][:, 0].sum()) for name in names[:-1]}


@pytest.mark.slow
def test_clang_that_hangs_or_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs of these names that do nothing but wait, or fail, at the front of the path."""
    monkeypatch.setattr(compilers.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    answers = '#!/bin/sh\n[ "$1" = --version ] && echo clang 99.0 && exit 0\n'
    for name, body in (("wasm-ld", ""), ("clang", "sleep 60\n")):
        (tmp_path / name).write_text(answers + body)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr(compilers, "TIMEOUT_S", 0.3)
    with pytest.raises(BackendUnavailableError, match="clang does not end: .*; pip install"):
        need_wasm_compiler().compile({"a.c": "int a;"})
    (tmp_path / "clang").write_text("#!/bin/sh\necho broken installation >&2; exit 3\n")
    with pytest.raises(BackendUnavailableError, match="clang --version fails: broken installation; pip"):
        need_wasm_compiler()


@pytest.mark.slow
@pytest.mark.skipif(NODE is None or not importlib.util.find_spec("ziglang"), reason=f"no node, or: {REMEDY}")
def test_zig_compiles_the_same_integers(make_network: MakeNetwork, tmp_path: Path, photograph: Image) -> None:
    """Of the extra `wasm`; where it is installed it comes before clang."""
    compiler = need_wasm_compiler()
    assert compiler.version.startswith("zig ") and "ziglang" in compiler.command
    network = make_network("graded", "flat")
    program = written(network, tmp_path, 8, 8)
    tiles = quantize_image(photograph[None, :, :8, :8], network)
    (tmp_path / "check.mjs").write_text(text_of("check.mjs"))
    assert NODE
    command = [NODE.program, tmp_path / "check.mjs", tmp_path, "0", "0"]
    found = run_tiles(command, tmp_path, False, tiles, program, DEFAULT)
    np.testing.assert_array_equal(found.readout, IntegerEngine(network).run(tiles).readout)


@needs_both
@pytest.mark.slow
def test_both_passes_side_by_side(make_network: MakeNetwork, tmp_path: Path) -> None:
    """`verify` runs each pass alone, then both, and compares all populations of both."""
    source = tmp_path / "twice.int.safetensors"
    save_integer_network(source, make_network("graded", "flat", passes=2), {})
    options = GoldenOptions(size=8, tiles=1, task="denoise", sigma="25")
    export_student(source, "wasm", tmp_path / "out", options, verify=False)
    report = verify_export(open_export(tmp_path / "out"), ["wasm"])
    assert report.passed and report.results[0].tiles == 2
