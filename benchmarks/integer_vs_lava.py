"""Time and memory per image of the integer engine, of Lava, and of the float ANN twin: one network, one run.

    .venv/bin/python benchmarks/integer_vs_lava.py [--student FILE] [--neuron lif] [--size 128 128]
        [--repeats 9] [--without-lava]

Every implementation runs in a process of its own, on two threads, and its read-out is compared with the
integer engine's before a time is printed. Memory is that process's and its children's peak, Python and
libraries included. Lava's time is that of its steps alone, T + depth for one image, without compiling and
starting its processes. Without --student the network is untrained but active, of the default shape.
"""

import argparse
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import Measured, in_own_process, median_s
from snn_tool.degradations.crops import draw_tiles
from snn_tool.degradations.tasks import degradation_from_options
from snn_tool.exporters.contract.targets import Context
from snn_tool.exporters.lava.installation import provision_lava
from snn_tool.exporters.lava.simulation import CONVOLUTIONS, run_on_lava
from snn_tool.exporters.loihi.bundle import export_bundle
from snn_tool.exporters.nir.file import read_program, write_nir
from snn_tool.exporters.nir.graph import to_nir
from snn_tool.exporters.nir.interpreter import run_program
from snn_tool.models.config import default_config
from snn_tool.models.integer.engine import IntegerEngine, quantize_image
from snn_tool.models.integer.file import load_integer_network
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.integer.quantize import quantize
from snn_tool.models.network import Network
from snn_tool.models.neurons import ReluNeuron
from snn_tool.models.student import build_student
from snn_tool.models.topology import Topology

LAVA_STEP = re.compile(r"lava: step (\d+) of (\d+), ([0-9.]+) s")
LAVA_START = re.compile(r"lava: compiled and started in ([0-9.]+) s")
ENGINE = "integer engine"


@dataclass(frozen=True)
class Job:
    """What every implementation is given."""

    student: Path | None
    neuron: str
    size: tuple[int, int]
    repeats: int
    threads: int

    def network(self) -> IntegerNetwork:
        """The student, or an untrained one."""
        torch.set_num_threads(self.threads)
        if self.student:
            return load_integer_network(self.student)[0]
        torch.manual_seed(0)
        config = default_config(self.neuron)
        student = build_student(config)
        with torch.no_grad():
            for synapse in student.synapses.values():
                synapse.raw_weight *= 1.5
        return quantize(student, config, [])

    def image(self) -> np.ndarray:
        """A noisy crop [1, 3, H, W] of a photograph that ships with scikit-image."""
        return draw_tiles(None, 1, self.size, degradation_from_options("denoise", "25"), 0)


def run_engine(job: Job) -> tuple[float, Any]:
    network = job.network()
    engine, integers = IntegerEngine(network), quantize_image(job.image(), network)
    return median_s(lambda: engine.run(integers), job.repeats), engine.run(integers).readout


def run_twin(job: Job, memory_format: torch.memory_format) -> tuple[float, Any]:
    """The ANN of the same wiring with fresh weights; its time does not depend on them."""
    topology = job.network().topology
    twin = Network(Topology(topology.synapses, topology.populations, ()), ReluNeuron).eval()
    twin, image = twin.to(memory_format=memory_format), torch.from_numpy(job.image())
    image = image.to(memory_format=memory_format)
    with torch.inference_mode():
        return median_s(lambda: twin(image), job.repeats), None


def run_interpreter(job: Job, nir: Path) -> tuple[float, Any]:
    program, integers = read_program(nir), quantize_image(job.image(), job.network()).astype(np.int64)
    return median_s(lambda: run_program(program, integers), 1), run_program(program, integers).readout


def run_lava(job: Job, bundle: Path, conv: str) -> tuple[float, Any]:
    """Seconds of all steps for one image."""
    seen: list[str] = []
    integers = quantize_image(job.image(), job.network())
    lava = provision_lava(print)
    trace = run_on_lava(bundle, integers, lava, [], Context(conv=conv, log=seen.append))
    started = float(next(m[1] for line in seen if (m := LAVA_START.match(line))))
    return float([m[3] for line in seen if (m := LAVA_STEP.match(line))][-1]) - started, trace.readout


def run_all(job: Job, with_lava: bool) -> dict[str, Measured]:
    network = job.network()
    rows = {
        ENGINE: in_own_process(run_engine, job),
        "float ANN twin, torch": in_own_process(run_twin, job, torch.contiguous_format),
        "float ANN twin, channels_last": in_own_process(run_twin, job, torch.channels_last),
    }
    with tempfile.TemporaryDirectory() as name:
        nir, bundle = Path(name) / "network.nir", Path(name) / "bundle"
        write_nir(nir, to_nir(network, *job.size))
        rows["NIR interpreter, numpy int64"] = in_own_process(run_interpreter, job, nir)
        if with_lava:
            integers = quantize_image(job.image(), network)
            trace = IntegerEngine(network).run(integers, [p.wiring.name for p in network.populations])
            export_bundle(nir, bundle, integers, trace, student_sha256="0" * 64)
            for conv in CONVOLUTIONS:
                rows[f"Lava, {conv} convolution"] = in_own_process(run_lava, job, bundle, conv)
    for label, row in rows.items():
        agrees = row.result is None or np.array_equal(row.result, rows[ENGINE].result)
        assert agrees, f"{label}: the read-out differs"
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--student", type=Path)
    parser.add_argument("--neuron", choices=("graded", "lif"), default="graded")
    parser.add_argument("--size", type=int, nargs=2, default=(128, 128), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--without-lava", action="store_true", help="for images that it takes hours for")
    options = parser.parse_args()
    size = (options.size[0], options.size[1])
    job = Job(options.student, options.neuron, size, options.repeats, options.threads)
    network, rows = job.network(), run_all(job, not options.without_lava)
    print(f"{network.neuron}, T = {network.timesteps}, one image of {size[1]}x{size[0]}, ", end="")
    print(f"{job.threads} threads; all read-outs equal the integer engine's")
    for label, row in rows.items():
        times = row.seconds / rows[ENGINE].seconds
        print(f"{label:31} {1000 * row.seconds:10.1f} ms {times:9.2f} x the engine {row.memory_mb:7.0f} MB")


if __name__ == "__main__":
    main()
