"""What a package brings to add a target or a backend of its own (docs/targets.md).

Any object that fits, usually a module with two functions and a text, declared as an entry point of the group
`snn_tool.targets`; the entry point's name is what `--target` and `--backend` take. One object may be both.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from snn_tool.exporters.contract.traces import Trace

GROUP = "snn_tool.targets"


@runtime_checkable
class Target(Protocol):
    """Something that a network is exported for."""

    description: str
    """One line for `snn-tool backend list`."""

    def export(self, network: Path, folder: Path) -> None:
        """Write files of any kind and name for a network, or raise `UnsupportedLayerError`.

        Args:
            network: the exported network.nir.
            folder: where to write; network.nir and golden.npz lie in it and must stay as they are. It is
                renamed afterwards, so that nothing in it may name its path.
        """
        ...


@runtime_checkable
class Backend(Protocol):
    """Something that runs a network and tells every integer of the run."""

    description: str
    """One line for `snn-tool backend list`."""

    def run(self, network: Path, tiles: NDArray[np.int16]) -> Trace:
        """Run tiles from rest, or raise `UnsupportedLayerError` or `BackendUnavailableError`.

        Args:
            network: network.nir; beside it lies what else its export holds.
            tiles: integers [N, 3, H, W] of the file's size and input range; N differs from call to call.

        Returns:
            Integers of every population and timestep; see `Trace`.
        """
        ...


BUILT_IN_TARGETS: Mapping[str, str] = {
    "nir": "one NIR file of standard nodes",
    "loihi": "bundle with plan, range proof and resources for a Loihi-class chip",
    "netx": "network.net for lava-dl's hdf5.Network",
    "onnx": "one ONNX file, compared in onnxruntime before it is written",
}

BUILT_IN_BACKENDS: Mapping[str, str] = {
    "integer": "the engine that usually makes the golden integers",
    "nir": "interpreter of network.nir in numpy int64",
    "lava": "Lava's fixed-point simulation of a bundle",
    "netx": "lava-dl, running network.net",
    "norse": "norse in float64, by its importer",
    "snntorch": "snntorch in float64, by its importer",
    "spikingjelly": "spikingjelly in float64, by its importer",
    "sinabs": "sinabs in float64, by maps of this tool",
    "nirtorch": "a plain torch neuron in float64, by nirtorch",
}

RESERVED = frozenset({*BUILT_IN_TARGETS, *BUILT_IN_BACKENDS, "sanafe"})
"""Names that no other package can take."""
