"""A `.net` file, loaded by lava-dl's netx, driven by a ring buffer and recorded layer by layer.

Network, layers, neurons and convolutions are lava-dl's and Lava's own. Steps count as in `deployment`: layer
k (from 1) lies k hops behind the image; its window is 1 + k .. N T + k, at whose first step netx resets it.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from deployment import record_neurons, source
from numpy.typing import NDArray

FILE = "network.net"


def deploy_netx(
    run: Mapping[str, Any],
    file: Path,
    images: NDArray[np.int32],
    record: Collection[str],
    folder: Path,
) -> tuple[Any, list[str]]:
    """Build the network; returns one process, from which Lava finds all others, and the recordings' paths.

    Args:
        run: the entry `netx` of export.json.
        file: the `.net` file.
        images: int32 (N, W, H, 3).
        record: names of the populations to record.
        folder: receives `spikes.<name>.npy` and `membranes.<name>.npy`, int32 (N T, W, H, C).
    """
    from lava.lib.dl.netx.hdf5 import Network

    network = Network(
        net_config=str(file),
        input_message_bits=run["input_message_bits"],
        reset_interval=run["reset_interval"],
        reset_offset=run["reset_offset"],
    )
    source(0, run, images).s_out.connect(network.inp)
    paths: list[str] = []
    for hop, (name, layer) in enumerate(zip(run["populations"], network.layers, strict=True), start=1):
        if name in record:
            spec = {"name": name, "shape": layer.shape, "first_step": 1 + hop}
            paths += record_neurons(spec, len(images) * run["timesteps"], layer.neuron, folder)
    return network, paths
