"""A topology as nodes: one timestep after the other, in whichever arithmetic; floats and integers share it.

Tensors have names by which a check finds them, N the timestep (0 in a step of its own):

    potentials.POPULATION.N    what the neuron compares with its threshold, before the reset
    spikes.POPULATION.N        what it emits
    membranes.POPULATION.N     what it keeps, after the reset; of the read-out, its integral so far
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from snn_tool.exporters.onnx.graph import Graph
from snn_tool.models.topology import IMAGE, Topology


class Arithmetic(Protocol):
    """How one kind of network forms its numbers in a graph.

    Attributes:
        graph: receives the nodes.
        number: numpy type of currents, membranes and spikes.
        pixel: numpy type of restored images.
    """

    graph: Graph
    number: Any
    pixel: Any

    def source(self, image: str) -> str:
        """What the first synapses read, from a float32 image [N, 3, H, W] of fitting sides."""

    def current(self, synapse: str, source: str) -> str:
        """One synapse's currents [N, C', H', W'], after pixel-shuffle."""

    def respond(self, population: str, current: str, state: str, step: int) -> tuple[str, str]:
        """Spikes of a population, and its membrane after the reset; `state` is empty at rest."""

    def integrate(self, current: str, state: str, step: int) -> str:
        """The read-out's membrane after one more step."""

    def restored(self, image: str, source: str, readout: str) -> str:
        """The restored image from the degraded one, its `source`, and the read-out's last membrane."""


def walk_step(
    topology: Topology, arithmetic: Arithmetic, source: str, states: Mapping[str, str], step: int
) -> dict[str, str]:
    """Add one timestep.

    Args:
        topology: the wiring.
        arithmetic: makes the nodes.
        source: of `Arithmetic.source`.
        states: membranes by population; what is missing is at rest.
        step: its number, for the names.

    Returns:
        The membranes after it, the read-out's included.
    """
    outputs, after = {IMAGE: source}, {}
    sources = {synapse.name: synapse.source for synapse in topology.synapses}
    for population in topology.populations:
        name = population.name
        parts = [arithmetic.current(part, outputs[sources[part]]) for part in population.inputs]
        current = _total(arithmetic.graph, parts)
        if population is topology.readout:
            after[name] = arithmetic.integrate(current, states.get(name, ""), step)
        else:
            outputs[name], after[name] = arithmetic.respond(name, current, states.get(name, ""), step)
    return after


def _total(graph: Graph, parts: Sequence[str]) -> str:
    """Added one by one, so that streams with a common beginning share its nodes."""
    total = parts[0]
    for part in parts[1:]:
        total = graph.op("Add", total, part)
    return total


def pixel_shuffle(graph: Graph, tensor: str, channels: int, factor: int) -> str:
    """[N, C factor^2, h, w] as [N, C, h factor, w factor]: torch's pixel_shuffle, of any type.

    onnxruntime's DepthToSpace takes no int32.
    """
    sides = graph.op("Shape", tensor, start=2)

    def sizes(*values: int) -> str:
        return graph.constant(np.array(values, np.int64))

    split = graph.op("Concat", sizes(0, channels, factor, factor), sides, axis=0)
    moved = graph.op("Transpose", graph.op("Reshape", tensor, split), perm=[0, 1, 4, 2, 5, 3])
    joined = graph.op("Concat", sizes(0, channels), graph.op("Mul", sides, sizes(factor, factor)), axis=0)
    return graph.op("Reshape", moved, joined)
