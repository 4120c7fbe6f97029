"""Real NIR files of others: engine, interpreter and C give equal integers on simulated inputs."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from snn_tool.exporters.c.backend import run_tiles
from snn_tool.exporters.c.steps import make_step_plan
from snn_tool.exporters.c.steps_source import step_check_text, step_network_files
from snn_tool.exporters.contract.targets import DEFAULT
from snn_tool.exporters.contract.traces import RecordedTrace
from snn_tool.exporters.nir.graph import to_nir
from snn_tool.exporters.nir.interpreter import run_program
from snn_tool.exporters.nir.parse import parse_graph
from snn_tool.exporters.nir.program import Program
from snn_tool.exporters.nir_foreign.importing import import_graph
from snn_tool.exporters.nir_foreign.module import load_nir_module
from snn_tool.models.integer.engine import IntegerEngine, quantize_image
from snn_tool.models.integer.network import InputGrid
from snn_tool.models.integer.quantize_real import quantize_real

pytestmark = pytest.mark.slow

REALS, EVENTS = InputGrid("real", -127, 127, -5, True), InputGrid("spikes", 0, 1, 0, True)
FILES = {
    "lif_norse": (1e-3, REALS),
    "two_lif_neurons": (1e-3, REALS),
    "braille_noDelay_bias_zero": (1e-4, EVENTS),
    "cnn_sinabs": (1.0, EVENTS),
    "brandy_1": (1.0, EVENTS),
}
T = 6


@pytest.mark.parametrize("name", FILES)
def test_a_real_file_becomes_integers_that_all_implementations_agree_on(name: str, tmp_path: Path) -> None:
    if "SNN_TOOL_DATA" not in os.environ:
        pytest.skip("SNN_TOOL_DATA names no folder; its nir/ holds the files, which are not ours to commit")
    path = Path(os.environ["SNN_TOOL_DATA"]) / "nir" / f"{name}.nir"
    if not path.is_file():
        pytest.skip(f"SNN_TOOL_DATA has no nir/{name}.nir")
    dt_s, grid = FILES[name]
    module = load_nir_module(path, dt_s)
    found = import_graph(module.graph, module, T, images=False).network
    network = quantize_real(found, T, 1, grid)
    assert network.image_size
    rng, shape = np.random.default_rng(0), (1, T, network.topology.image_channels, *network.image_size)
    frames = (rng.random(shape) < 0.2) if grid is EVENTS else rng.normal(1, 1, shape)
    given = quantize_image(frames.astype(np.float32), network)
    trace = IntegerEngine(network).run(given, [p.wiring.name for p in network.populations])
    program = parse_graph(to_nir(network, *network.image_size), "network.nir")
    expected = run_program(program, given.astype(np.int64))
    traces = [trace, *([in_c(program, given, tmp_path)] if shutil.which("cc") else [])]
    for found_trace in traces:
        for population in expected.membranes:
            np.testing.assert_array_equal(found_trace.membranes[population], expected.membranes[population])
            np.testing.assert_array_equal(found_trace.spikes[population], expected.spikes[population])
    assert any(spikes.any() for spikes in trace.spikes.values())


def in_c(program: Program, given: NDArray[np.int16], folder: Path) -> RecordedTrace:
    """Compiled, with taps, and run."""
    plan = make_step_plan(program)
    for file, text in step_network_files(plan, "net").items():
        (folder / file).write_text(text)
    (folder / "check.c").write_text(step_check_text(plan, "net"))
    words = ["cc", "-std=c99", "-O1", "-DSNN_TAPS", "-o", "check", "snn.c", "check.c"]
    subprocess.run(words, cwd=folder, check=True)
    return run_tiles([folder / "check"], folder, True, given, program, DEFAULT)
