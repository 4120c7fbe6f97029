"""Counts PilotNet on the spikes that lava-dl publishes, and prints the layers of workloads.toml.

    pip download --no-deps --ignore-requires-python lava-dl==0.6.0
    unzip lava_dl-0.6.0-py3-none-any.whl 'tests/lava/lib/dl/netx/gts/pilotnet_lif/*'
    python benchmarks/pilotnet.py tests/lava/lib/dl/netx/gts/pilotnet_lif

Layer l is counted over the 16 steps of one sample, l .. l + 15, because each hop takes a step. Spikes are
stored as (W, H, C, steps) or (features, steps).
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from snn_tool.energy.counts.fan_out import conv_synops

TIMESTEPS = 16
Spikes = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Conv:
    """A convolution of 3 x 3 without groups; stride and padding are (vertical, horizontal)."""

    outputs: int
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)

    def synops(self, spikes: NDArray[np.int64]) -> int:
        """Deliveries of spikes (W, H, C)."""
        return conv_synops(
            np.ascontiguousarray(spikes.transpose(2, 1, 0)), self.outputs, 3, self.stride, self.padding
        )

    def weights(self, inputs: int) -> int:
        """Stored once."""
        return 9 * inputs * self.outputs


@dataclass(frozen=True, slots=True)
class Dense:
    """A fully connected layer on everything that its source holds."""

    outputs: int

    def synops(self, spikes: NDArray[np.int64]) -> int:
        """Deliveries of spikes of any shape."""
        return self.outputs * int(spikes.sum())


LAYERS: dict[str, Conv | Dense] = {
    "input": Conv(24, (2, 2)),
    "conv-0": Conv(36, (2, 2)),
    "conv-1": Conv(48, (2, 2)),
    "conv-2": Conv(64, (2, 1), (1, 0)),
    "conv-3": Conv(64, (1, 1)),
    "conv-4": Dense(100),
    "fc-0": Dense(50),
    "fc-1": Dense(10),
    "fc-2": Dense(1),
}
"""By the file of their source's spikes; the geometry stands in network.net beside them."""


def counted(name: str, sample: Spikes) -> dict[str, object]:
    """Counts of one layer on one sample [..., TIMESTEPS], as workloads.toml has them."""
    layer = LAYERS[name]
    shape = sample.shape[:-1]
    neurons = int(np.prod(shape))
    weights = layer.weights(shape[-1]) if isinstance(layer, Conv) else neurons * layer.outputs
    return {
        "name": name,
        "neurons": neurons,
        "weights": weights,
        "macs": layer.synops(np.ones(shape, np.int64)),
        "events": _extent(sample, lambda spikes: int(spikes.sum())),
        "synops": _extent(sample, layer.synops),
    }


def _extent(sample: Spikes, count: Callable[[NDArray[np.int64]], int]) -> dict[str, int]:
    """Over the sample, and with every step as the one that counts least or most."""
    steps = [count(sample[..., step].astype(np.int64)) for step in range(TIMESTEPS)]
    return {"counted": sum(steps), "least": TIMESTEPS * min(steps), "most": TIMESTEPS * max(steps)}


def toml(layer: dict[str, object]) -> str:
    """A layer as a table of workloads.toml."""
    lines = ["[[workloads.pilotnet-lif.layers]]"]
    for key, value in layer.items():
        if isinstance(value, dict):
            inner = ", ".join(f"{name} = {number}" for name, number in value.items())
            lines.append(f"{key} = {{ {inner} }}")
        else:
            lines.append(f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value}")
    return "\n".join(lines)


def main() -> None:
    """Read the folder of spikes and print every layer."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="lava-dl's tests/lava/lib/dl/netx/gts/pilotnet_lif")
    folder = parser.parse_args().folder
    tables = []
    for hop, name in enumerate(LAYERS):
        spikes = np.load(folder / f"{name}.npy", allow_pickle=False)[..., hop : hop + TIMESTEPS]
        tables.append(toml(counted(name, spikes)))
    print("\n\n".join(tables))


if __name__ == "__main__":
    main()
