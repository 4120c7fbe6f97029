"""An integer network's arithmetic in ONNX's integer operators; `models.integer_run` states the equations.

Values and weights are unsigned bytes with zero points: these alone onnxruntime's ConvInteger multiplies
exactly on every processor (with signed weights it adds two products in 16 bits where AVX2 has no VNNI), and
ten times faster than with signed weights.
"""

from typing import Any

import numpy as np
from snn_tool.errors import ExportError
from snn_tool.exporters.onnx_bytes import Part, byte_parts
from snn_tool.exporters.onnx.graph import Graph
from snn_tool.exporters.onnx_integer_neurons import IntegerNeurons
from snn_tool.exporters.onnx_walk import pixel_shuffle
from snn_tool.models.integer.conv import absolute_product_bound
from snn_tool.models.integer.network import WRAP, IntegerNetwork, IntegerSynapse

WORD = (1 << 31) - 1
WEIGHT_ZERO = 128
GREY, HALF = 255.0, 0.5


class IntegerArithmetic:
    """Of one integer network; fits `onnx_walk.Arithmetic`.

    Args:
        graph: receives the nodes.
        network: what is exported.

    Raises:
        ExportError: a sum of products could leave 32 bits; the synapse is named.
    """

    number: Any = np.int32
    pixel: Any = np.uint8

    def __init__(self, graph: Graph, network: IntegerNetwork) -> None:
        self.graph, self.network = graph, network
        self._neurons = {p.wiring.name: IntegerNeurons(graph, network, p) for p in network.populations}
        for synapse in network.synapses:
            if 2 * absolute_product_bound(synapse, network) > WORD:
                raise ExportError(
                    f"{synapse.wiring.name}: a sum of products may exceed 32 bits; use fewer levels"
                )

    def source(self, image: str) -> str:
        """The integer input int32: clip(floor((255 image - offset) / step + 1/2), input_range) in float64."""
        op, (low, high), offset = self.graph.op, self.network.input_range, self.network.input_offset
        grey = op("Sub", op("Mul", self.graph.cast(image, np.float64), self._real(GREY)), self._real(offset))
        steps = op("Div", grey, self._real(self.network.input_step))
        nearest = op("Floor", op("Add", steps, self._real(HALF)))
        return self.graph.cast(op("Clip", nearest, self._real(low), self._real(high)), np.int32)

    def current(self, synapse: str, source: str) -> str:
        """Currents int32 [N, C', H', W'] after shift, wrap and pixel-shuffle."""
        held = self.network.by_name[synapse]
        parts = byte_parts(self.graph, source, *self.network.source_range(held.wiring.source))
        total = self._convolved(held, parts[0])
        for part in parts[1:]:
            total = self.graph.op("Add", total, self._convolved(held, part))
        total = self._shifted(held, total)
        factor = held.wiring.upsample
        return pixel_shuffle(self.graph, total, held.wiring.target_channels, factor) if factor > 1 else total

    def respond(self, population: str, current: str, state: str, step: int) -> tuple[str, str]:
        """Spikes and the membrane after the reset, int32."""
        neurons = self._neurons[population]
        if self.network.neuron == "graded":
            return neurons.grade(current, step)
        return neurons.fire(current, state, step)

    def integrate(self, current: str, state: str, step: int) -> str:
        """The read-out, LIF without decay that never fires: its membrane, int32."""
        name = self.network.topology.readout.name
        membrane = self._neurons[name].integrate(current, state)
        return self.graph.op("Identity", membrane, name=f"membranes.{name}.{step}")

    def restored(self, image: str, source: str, readout: str) -> str:
        """uint8, by the operations, types and roundings of `models.integer_run.restore` and `to_uint8`."""
        op, cast, number = self.graph.op, self.graph.cast, self.graph.number
        scaled = op("Mul", cast(readout, np.float64), self._real(self.network.residual_scale))
        whole = op("Add", self._base(source), scaled) if self.network.adds_image else scaled
        restored = cast(whole, np.float32)
        scaled = op("Add", op("Mul", restored, number(GREY, np.float32)), number(HALF, np.float32))
        low, high = number(0, np.float32), number(GREY, np.float32)
        return cast(op("Clip", op("Floor", scaled), low, high), np.uint8)

    def _base(self, source: str) -> str:
        """`models.integer_run.base_image` in float64."""
        op, network = self.graph.op, self.network
        steps = op("Mul", self.graph.cast(source, np.float64), self._real(network.input_step))
        return op("Div", op("Add", steps, self._real(network.input_offset)), self._real(GREY))

    def _real(self, value: float) -> str:
        return self.graph.number(value, np.float64)

    def _whole(self, value: int) -> str:
        return self.graph.number(value, np.int32)

    def _convolved(self, synapse: IntegerSynapse, part: Part) -> str:
        """Sums of products int32 of one part, times its factor; padded places hold the value 0."""
        wiring, name = synapse.wiring, synapse.wiring.name
        weight = (synapse.mantissa.astype(np.int16) + WEIGHT_ZERO).astype(np.uint8)
        sums = self.graph.op(
            "ConvInteger",
            part.tensor,
            self.graph.constant(weight, f"{name}.weight"),
            self.graph.number(part.zero_point, np.uint8),
            self.graph.number(WEIGHT_ZERO, np.uint8),
            kernel_shape=[wiring.kernel] * 2,
            strides=[wiring.stride] * 2,
            dilations=[wiring.dilation] * 2,
            pads=[wiring.padding] * 4,
        )
        return self.graph.op("Mul", sums, self._whole(part.factor)) if part.factor > 1 else sums

    def _shifted(self, synapse: IntegerSynapse, sums: str) -> str:
        """wrap24(sums << exponent); without the wrap where it was proved to change nothing."""
        op, number = self.graph.op, self.graph.number
        factor = 1 << synapse.exponent
        if absolute_product_bound(synapse, self.network) * factor < WRAP:
            return op("Mul", sums, self._whole(factor)) if factor > 1 else sums
        wide = op("Mul", self.graph.cast(sums, np.int64), number(factor, np.int64))
        raised = op("Mod", op("Add", wide, number(WRAP, np.int64)), number(2 * WRAP, np.int64))
        return self.graph.cast(op("Sub", raised, number(WRAP, np.int64)), np.int32)
