"""The backend `onnx`: the ONNX graph of what an export's network.nir says, run in onnxruntime."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import ExportError, UnsupportedLayerError
from snn_tool.exporters.contract.export import Export
from snn_tool.exporters.contract.targets import Context
from snn_tool.exporters.contract.traces import RecordedTrace
from snn_tool.exporters.nir.network import integer_network
from snn_tool.exporters.nir.program import Program
from snn_tool.exporters.onnx.integer import BACKEND, integer_model
from snn_tool.exporters.onnx.run import Image, trace_file
from snn_tool.exporters.onnx.student import Form
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.topology import own_shape


class OnnxBackend:
    """A file of one timestep for a network, made once, and its integer operators in onnxruntime."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._made: tuple[Program, tuple[int, ...], IntegerNetwork, Any] | None = None

    def versions(self, export: Export, context: Context) -> Mapping[str, str]:
        """Of what writes and what runs the file."""
        return {name: version(name) for name in ("onnx", BACKEND)}

    def trace(
        self, export: Export, tiles: NDArray[np.int16], record: Sequence[str], context: Context
    ) -> RecordedTrace:
        """Run integer tiles [N, C, H, W], or [N, T, C, H, W]; every population is there.

        Raises:
            UnsupportedLayerError: a sum may exceed 32 bits; it is named.
        """
        network, model = self._file(export.program, tiles.shape)
        form, values = form_of(network), values_of(tiles, network)
        return trace_file(model, export.network.path, network.topology, form, network.timesteps, values)

    def _file(self, program: Program, shape: tuple[int, ...]) -> tuple[IntegerNetwork, Any]:
        """One pass of the network at the size of the tiles, whose read-out alone comes out."""
        size = (shape[-2], shape[-1])
        if self._made is None or self._made[0] is not program or self._made[1] != size:
            network = replace(integer_network(program), passes=1, adds_image=False, image_size=size)
            try:
                model = integer_model(network, form_of(network), {})
            except ExportError as error:
                raise UnsupportedLayerError(f"{error}; verify it with another backend") from error
            self._made = (program, size, network, model)
        return self._made[2], self._made[3]


def form_of(network: IntegerNetwork) -> Form:
    """One timestep with its states, whose size does not grow with T."""
    return Form(1, stateful=network.neuron == "lif")


def values_of(tiles: NDArray[np.int16], network: IntegerNetwork) -> Image:
    """What the file makes these integers of: images in [0, 1], or values as it takes them."""
    if network.grid is None:
        grey = tiles.astype(np.float64) * network.input_step + network.input_offset
        return (grey / 255).astype(np.float32)
    values = np.ldexp(tiles.astype(np.float32), network.grid.exponent)
    steps = np.moveaxis(values, 1, 0) if network.over_time else values
    assert network.image_size
    own = own_shape(network.topology.input_channels, network.image_size)
    return np.ascontiguousarray(steps.reshape(*steps.shape[:-3], *own))
