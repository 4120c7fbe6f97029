"""What counting costs: an audit's exact counts against a plain run, and `count_spikes` against its peers.

    .venv/bin/python benchmarks/energy_overhead.py [--size 256 256] [--repeats 9]

One process, two threads, medians, the runs of a line in turn. `plain` is the integer engine on one image;
`counted` is the same image with every synop, spike and MAC counted. Networks are untrained but active.
"""

import argparse

import numpy as np
import torch
from measuring import median_s
from snn_tool.crops import draw_tiles
from snn_tool.degradations import degradation_from_options
from snn_tool.energy.activity import count_network
from snn_tool.models.integer import IntegerNetwork
from snn_tool.models.integer_run import IntegerEngine, quantize_image
from snn_tool.models.quantization import quantize
from snn_tool.models.student import build_student, default_config

THREADS = 2


def active_network(neuron: str, body: str) -> IntegerNetwork:
    """An untrained network in which every layer fires."""
    torch.manual_seed(0)
    config = default_config(neuron, body)
    student = build_student(config)
    with torch.no_grad():
        for synapse in student.synapses.values():
            synapse.raw_weight *= 1.5
    return quantize(student, config, [])


def compare_engine(neuron: str, body: str, size: tuple[int, int], repeats: int) -> str:
    """One line: plain and counted time of the integer engine."""
    network = active_network(neuron, body)
    degraded = draw_tiles(None, 1, size, degradation_from_options("denoise", "25"), 0)
    image = quantize_image(degraded, network)
    engine = IntegerEngine(network)
    plain = median_s(lambda: engine.run(image), repeats)
    counted = median_s(lambda: count_network(network, [np.ascontiguousarray(image[0])]), repeats)
    return f"{neuron:6} {body:5} {1e3 * plain:9.1f} ms {1e3 * counted:9.1f} ms {counted / plain:6.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=int, nargs=2, default=(256, 256), metavar=("H", "W"))
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    torch.set_num_threads(THREADS)
    height, width = arguments.size
    print(f"{height}x{width}, {THREADS} threads, median of {arguments.repeats}")
    print("network           plain      counted  ratio")
    for neuron in ("graded", "lif"):
        for body in ("unet", "flat"):
            print(compare_engine(neuron, body, (height, width), arguments.repeats), flush=True)


if __name__ == "__main__":
    main()
