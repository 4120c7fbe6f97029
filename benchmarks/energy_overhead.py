"""What counting costs: an audit's exact counts against a plain run, and `count_spikes` against its peers.

    .venv/bin/python benchmarks/energy_overhead.py [--size 256 256] [--repeats 9]

One process, two threads, medians, the runs of a line in turn. `plain` is the integer engine on IMAGES images,
made anew before them as an audit does; `counted` is the same with every synop, spike and MAC counted.
Networks are untrained but active.

The second table runs a spikingjelly network of six layers (32 channels, 64x64, T = 4) plainly, under
`count_spikes` and under spikingjelly's own `SynOpCounter`; their synops must agree before a time is printed.
"""

import argparse

import numpy as np
import torch
from measuring import median_s
from snn_tool.degradations.crops import draw_tiles
from snn_tool.degradations.tasks import degradation_from_options
from snn_tool.energy import count_spikes
from snn_tool.energy.counts.activity import count_network
from snn_tool.models.config import default_config
from snn_tool.models.integer.engine import IntegerEngine, quantize_image
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.integer.quantize import quantize
from snn_tool.models.student import build_student
from torch import nn

THREADS, IMAGES = 2, 4


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
    single = np.ascontiguousarray(image[0])

    def run_plainly() -> None:
        engine = IntegerEngine(network)
        for _ in range(IMAGES):
            engine.run(image)

    plain = median_s(run_plainly, repeats)
    counted = median_s(lambda: count_network(network, [single] * IMAGES), repeats)
    return f"{neuron:6} {body:5} {1e3 * plain:9.1f} ms {1e3 * counted:9.1f} ms {counted / plain:6.2f}"


def jelly_network() -> nn.Module:
    """Six convolutions, each read by integrate-and-fire neurons; the first reads the real image."""
    from spikingjelly.activation_based import neuron

    torch.manual_seed(0)
    ends = [(3, 32), *[(32, 32)] * 4, (32, 3)]
    layers = [(nn.Conv2d(*pair, 3, padding=1), neuron.IFNode(v_threshold=0.2)) for pair in ends]
    return nn.Sequential(*(part for pair in layers for part in pair)).eval()


def compare_counters(repeats: int) -> str:
    """One line: plain forward, `count_spikes`, and spikingjelly's counter of the same network."""
    from spikingjelly.activation_based import functional
    from spikingjelly.activation_based.op_counter import DispatchCounterMode, SynOpCounter

    network, image = jelly_network(), torch.rand(1, 3, 64, 64)

    def plain() -> None:
        functional.reset_net(network)
        with torch.no_grad():
            for _ in range(4):
                network(image)

    def counted() -> int:
        with count_spikes(network) as counter:
            plain()
        return counter.result().synops

    def by_spikingjelly() -> int:
        counter = SynOpCounter()
        with DispatchCounterMode([counter]):
            plain()
        return int(counter.get_total())

    assert counted() == by_spikingjelly() > 0
    times = [median_s(run, repeats) for run in (plain, counted, by_spikingjelly)]
    shown = " ".join(f"{1e3 * seconds:9.1f} ms" for seconds in times)
    return f"{shown} {times[1] / times[0]:6.2f} {times[2] / times[0]:6.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=int, nargs=2, default=(256, 256), metavar=("H", "W"))
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    torch.set_num_threads(THREADS)
    height, width = arguments.size
    print(f"{IMAGES} images of {height}x{width}, {THREADS} threads, median of {arguments.repeats}")
    print("network           plain      counted  ratio")
    for neuron in ("graded", "lif"):
        for body in ("unet", "flat"):
            print(compare_engine(neuron, body, (height, width), arguments.repeats), flush=True)
    print("\n       plain  count_spikes  spikingjelly  ratios")
    print(compare_counters(arguments.repeats))


if __name__ == "__main__":
    main()
