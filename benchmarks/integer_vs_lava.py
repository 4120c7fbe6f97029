"""Time per tile of the integer engine, of Lava, and of the float ANN twin: one network, one tile, one run.

    .venv/bin/python benchmarks/integer_vs_lava.py [--student FILE] [--neuron lif] [--size 64] [--repeats 5]

Lava's time is that of its steps alone, without compiling and starting its processes, for one tile: T + depth
steps. Every implementation's read-out is compared with the integer engine's before a time is printed. Without
--student the network is untrained but active, with the default shape; its neuron kind is --neuron.
"""

import argparse
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from snn_tool.crops import draw_tiles
from snn_tool.degradations import degradation_from_options
from snn_tool.exporters.lava_environment import LavaEnvironment
from snn_tool.exporters.lava_installation import provision_lava
from snn_tool.exporters.lava_simulation import CONVOLUTIONS, run_on_lava
from snn_tool.exporters.loihi_bundle import export_bundle
from snn_tool.exporters.nir_file import read_program, write_nir
from snn_tool.exporters.nir_graph import to_nir
from snn_tool.exporters.nir_interpreter import run_program
from snn_tool.models.integer import IntegerNetwork
from snn_tool.models.integer_file import load_integer_network
from snn_tool.models.integer_run import IntegerEngine, quantize_image
from snn_tool.models.network import Network
from snn_tool.models.neurons import ReluNeuron
from snn_tool.models.quantization import quantize
from snn_tool.models.student import build_student, default_config
from snn_tool.models.topology import Topology

LAVA_STEP = re.compile(r"lava: step (\d+) of (\d+), ([0-9.]+) s")
LAVA_START = re.compile(r"lava: compiled and started in ([0-9.]+) s")


def fresh_network(neuron: str) -> IntegerNetwork:
    torch.manual_seed(0)
    config = default_config(neuron)
    student = build_student(config)
    with torch.no_grad():
        for synapse in student.synapses.values():
            synapse.raw_weight *= 1.5
    return quantize(student, config, [])


def median_s(run: Callable[[], object], repeats: int) -> float:
    run()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def lava_s(folder: Path, tiles: np.ndarray, readout: np.ndarray, lava: LavaEnvironment, conv: str) -> float:
    """Seconds of all steps of one tile; the read-out is compared."""
    seen: list[str] = []
    trace = run_on_lava(folder, tiles, lava, conv=conv, record=[], log=seen.append)
    assert np.array_equal(trace.readout, readout), f"lava, {conv}: the read-out differs"
    started = float(next(m[1] for line in seen if (m := LAVA_START.match(line))))
    return float([m[3] for line in seen if (m := LAVA_STEP.match(line))][-1]) - started


def twin(topology: Topology) -> Network:
    """The ANN of the same wiring with fresh weights; its time does not depend on them."""
    return Network(Topology(topology.synapses, topology.populations, ()), ReluNeuron).eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--student", type=Path)
    parser.add_argument("--neuron", choices=("graded", "lif"), default="graded")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    network = load_integer_network(options.student)[0] if options.student else fresh_network(options.neuron)
    size = (options.size, options.size)
    tile = draw_tiles(None, 1, size, degradation_from_options("denoise", "25"), 0)
    integers = quantize_image(tile, network)
    engine = IntegerEngine(network)
    trace = engine.run(integers, [p.wiring.name for p in network.populations])
    rows = {"integer engine": median_s(lambda: engine.run(integers), options.repeats)}
    ann, image = twin(network.topology), torch.from_numpy(tile)
    with torch.inference_mode():
        rows["float ANN twin, torch"] = median_s(lambda: ann(image), options.repeats)
    with tempfile.TemporaryDirectory() as name:
        nir, bundle = Path(name) / "network.nir", Path(name) / "bundle"
        write_nir(nir, to_nir(network, *size))
        export_bundle(nir, bundle, integers, trace, student_sha256="0" * 64)
        program = read_program(nir)
        assert np.array_equal(run_program(program, integers.astype(np.int64)).readout, trace.readout)
        rows["NIR interpreter, numpy int64"] = median_s(
            lambda: run_program(program, integers.astype(np.int64)), 1
        )
        lava = provision_lava(print)
        for conv in CONVOLUTIONS:
            rows[f"Lava {lava.version}, {conv} convolution"] = lava_s(
                bundle, integers, trace.readout, lava, conv
            )
    print(f"{network.neuron}, T = {network.timesteps}, one tile of {size[1]}x{size[0]}, ", end="")
    print(f"{torch.get_num_threads()} threads; all read-outs equal the integer engine's")
    for label, seconds in rows.items():
        print(f"{label:34} {1000 * seconds:10.1f} ms   {seconds / rows['integer engine']:8.1f} x the engine")


if __name__ == "__main__":
    main()
