"""A float network's arithmetic in ONNX: students with `lif` or `graded` neurons, and teachers with ReLU.

The constants are those of torch's own float32 run, so that a neuron answers to equal potentials equally.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from snn_tool.exporters.onnx.graph import Graph
from snn_tool.exporters.onnx.student import Form, State, add_student
from snn_tool.models.network import IMAGE_OFFSET, Network, SynapticConv
from snn_tool.models.neurons import GradedNeuron, LifNeuron
from torch import Tensor

Floats = NDArray[np.float32]
STUDENT, TEACHER, SCHEMA = "onnx-student", "onnx-teacher", 1


class FloatArithmetic:
    """Of one float network; fits `student.Arithmetic`.

    Args:
        graph: receives the nodes.
        network: what is exported.
    """

    number: Any = np.float32
    current_number: Any = np.float32
    pixel: Any = np.float32
    images, over_time = True, False
    lasting: frozenset[str] = frozenset()

    def __init__(self, graph: Graph, network: Network) -> None:
        self.graph, self.network = graph, network

    def source(self, image: str) -> str:
        """The image less its offset."""
        return self.graph.op("Sub", image, self._real(IMAGE_OFFSET))

    def current(self, synapse: str, source: str) -> str:
        """Currents [N, C', H', W'] with their bias, after pixel-shuffle."""
        module = self.network.synapses[synapse]
        assert isinstance(module, SynapticConv)
        wiring = module.synapse
        constants = [self.graph.constant(array_of(module.weight), f"{synapse}.weight")]
        if module.bias is not None:
            constants.append(self.graph.constant(array_of(module.bias), f"{synapse}.bias"))
        sums = self.graph.op(
            "Conv",
            source,
            *constants,
            kernel_shape=[wiring.kernel] * 2,
            strides=[wiring.stride] * 2,
            dilations=[wiring.dilation] * 2,
            pads=[wiring.padding] * 4,
        )
        if wiring.upsample == 1:
            return sums
        return self.graph.op("DepthToSpace", sums, blocksize=wiring.upsample, mode="CRD")

    def respond(self, population: str, current: str, state: State, step: int) -> State:
        """Activations and the membrane after the reset; that of neurons without memory is the potential."""
        op, neuron = self.graph.op, self.network.neurons[population]
        made = f"{population}.{step}"
        if isinstance(neuron, LifNeuron):
            return self._fire(neuron, current, state.membrane, made)
        potential = op("Identity", current, name=f"potentials.{made}")
        if not isinstance(neuron, GradedNeuron):
            return State(potential, spikes=op("Relu", potential, name=f"spikes.{made}"))
        scaled = op("Mul", potential, self._real(reciprocal(neuron)))
        clipped = op("Clip", scaled, self._real(neuron.low), self._real(neuron.levels))
        spikes = op("Mul", op("Round", clipped), self._real(neuron.amplitude), name=f"spikes.{made}")
        return State(potential, spikes=spikes)

    def integrate(self, current: str, state: str, step: int) -> str:
        """The sum of the read-out's currents so far."""
        total = self.graph.op("Add", state, current) if state else current
        return self.graph.op("Identity", total, name=f"membranes.{self.network.topology.readout.name}.{step}")

    def restored(self, image: str, source: str, readout: str) -> str:
        """The image plus the mean of the read-out's currents."""
        mean = self.graph.op("Div", readout, self._real(self.network.timesteps))
        return self.graph.op("Add", image, mean)

    def chained(self, image: str, source: str, readout: str, name: str) -> str:
        """Clamped and rounded as `models.network.as_pixels` does, less the image's offset."""
        op, real = self.graph.op, self._real
        clamped = op("Clip", self.restored(image, source, readout), real(0), real(1))
        raised = op("Add", op("Mul", clamped, real(255)), real(0.5))
        return op("Sub", op("Div", op("Floor", raised), real(255)), real(IMAGE_OFFSET), name=name)

    def _fire(self, neuron: LifNeuron, current: str, state: str, made: str) -> State:
        """Spikes [v > threshold] of v = (1 - leak) v + i, and 0 where they are."""
        op = self.graph.op
        kept = op("Mul", state, self._real(1 - neuron.leak)) if state else ""
        drive = op("Add", kept, current) if state else current
        potential = op("Identity", drive, name=f"potentials.{made}")
        fired = op("Greater", potential, self._real(float(neuron.threshold.detach())))
        membrane = op("Where", fired, self._real(0), potential, name=f"membranes.{made}")
        return State(membrane, spikes=self.graph.cast(fired, np.float32, name=f"spikes.{made}"))

    def _real(self, value: float) -> str:
        return self.graph.number(value, np.float32)


def array_of(values: Tensor) -> Floats:
    """Parameters as a float32 array."""
    array: Floats = values.detach().to("cpu", torch.float32).contiguous().numpy()
    return array


def reciprocal(neuron: GradedNeuron) -> float:
    """1 / threshold with the rounding of torch's float32 run."""
    return float(neuron.threshold.detach().reciprocal())


def float_model(network: Network, form: Form, kind: str, metadata: Mapping[str, Any]) -> Any:
    """A float network as a checked ONNX file.

    Args:
        network: what is exported, in evaluation mode.
        form: of the graph.
        kind: `STUDENT` or `TEACHER`.
        metadata: JSON values that say where the network is from, and what its neurons are.

    Raises:
        ExportError: `onnx.checker` refuses the graph.
    """
    graph = Graph(kind.removeprefix("onnx-"))
    add_student(network.topology, FloatArithmetic(graph, network), form)
    features = network.topology.hints if kind == TEACHER else ()
    for name in features:
        graph.op("Identity", f"potentials.{name}.{network.topology.passes - 1}", name=name)
    described = {
        "timesteps": network.timesteps,
        **({"passes": passes} if (passes := network.topology.passes) > 1 else {}),
        "stateful": form.stateful,
        "multiple": network.multiple,
        "input": {"offset": IMAGE_OFFSET},
        "features": list(features),
        "populations": [asdict(population) for population in network.topology.populations],
    }
    return graph.model(kind, SCHEMA, {**described, **metadata})
