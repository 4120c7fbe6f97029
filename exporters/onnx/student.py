"""A whole student as an ONNX graph: all timesteps in one, or one step with its membranes as inputs.

    image       float32 [N, C, height, width], in [0, 1] before noise, of any size
    restored    of the same size: uint8 of integers, float32 of floats (neither rounded nor clamped then)
    readout     the read-out's membrane after the last step

A step takes besides, for each population and the read-out, `state.NAME` (zeros at rest, of the size of the
extended image divided by the population's downscale) and gives `next.NAME` in the same order; its `restored`
holds after the last step.

A student of several passes has all of them in its graph, each from rest: image in, image out. Its timesteps
are numbered through, those of the second pass from T on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from snn_tool.exporters.onnx.graph import MIRROR, Graph, cropped, extended
from snn_tool.models.topology import IMAGE, Population, Topology

IMAGE_INPUT, RESTORED, READOUT = "image", "restored", "readout"
STATE, NEXT = "state", "next"


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
        """An image as the first synapses read it, from float32 [N, C, H, W] of fitting sides."""

    def current(self, synapse: str, source: str) -> str:
        """One synapse's currents [N, C', H', W'], after pixel-shuffle."""

    def respond(self, population: str, current: str, state: str, step: int) -> tuple[str, str]:
        """Spikes of a population, and its membrane after the reset; `state` is empty at rest."""

    def integrate(self, current: str, state: str, step: int) -> str:
        """The read-out's membrane after one more step."""

    def restored(self, image: str, source: str, readout: str) -> str:
        """The restored image from the degraded one, its `source`, and the read-out's last membrane."""

    def chained(self, image: str, source: str, readout: str, name: str) -> str:
        """The same as 8-bit pixels, as the first synapses of the next pass read it; made under `name`."""


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


@dataclass(frozen=True, slots=True)
class Form:
    """What a file of a student holds.

    Attributes:
        steps: timesteps of one pass inside, T or 1.
        stateful: membranes are inputs and outputs.
        taps: spikes of all populations are outputs.
    """

    steps: int
    stateful: bool = False
    taps: bool = False


def add_student(topology: Topology, arithmetic: Arithmetic, form: Form) -> None:
    """Add a student's nodes, inputs and outputs to the arithmetic's graph."""
    graph = arithmetic.graph
    height, width = topology.image_size or ("height", "width")
    image = graph.input(IMAGE_INPUT, np.float32, ("batch", topology.image_channels, height, width))
    multiple = 1 if topology.image_size else topology.multiple
    fitting = extended(graph, image, multiple, MIRROR)
    source = arithmetic.source(fitting)
    states = _walk_passes(topology, arithmetic, form, fitting, source)
    readout = states[topology.readout.name]
    if topology.restores:
        whole = arithmetic.restored(fitting, source, readout)
        cropped(graph, whole, image, multiple, RESTORED)
        graph.output(RESTORED, arithmetic.pixel, ("batch", topology.image_channels, height, width))
    if form.stateful:
        for population in topology.populations:
            graph.op("Identity", states[population.name], name=f"{NEXT}.{population.name}")
            graph.output(f"{NEXT}.{population.name}", arithmetic.number, _sizes(topology, population))
    else:
        graph.op("Identity", readout, name=READOUT)
        graph.output(READOUT, arithmetic.number, _sizes(topology, topology.readout))
    if form.taps:
        for name, population in spike_tensors(topology, topology.passes * form.steps).items():
            graph.output(name, arithmetic.number, _sizes(topology, population))


def _walk_passes(
    topology: Topology, arithmetic: Arithmetic, form: Form, image: str, source: str
) -> dict[str, str]:
    """Add every timestep of every pass; the membranes after the last, by population."""
    given, states = source, _declare_states(topology, arithmetic) if form.stateful else {}
    for number in range(topology.passes):
        if topology.passes > 1:
            readout = states.get(topology.readout.name, "")
            result = arithmetic.chained(image, source, readout, chained_name(number)) if readout else source
            given, states = arithmetic.graph.op("Concat", source, result, axis=1), {}
        for step in range(form.steps):
            states = walk_step(topology, arithmetic, given, states, number * form.steps + step)
    return states


def chained_name(number: int) -> str:
    """The tensor with the result that a pass reads, by its number from 0."""
    return f"results.{number}"


def readout_name(topology: Topology, form: Form) -> str:
    """The output that holds the read-out's membrane."""
    return f"{NEXT}.{topology.readout.name}" if form.stateful else READOUT


def spike_tensors(topology: Topology, steps: int) -> dict[str, Population]:
    """Names of the tensors of each timestep's spikes, in the order of execution, and their populations."""
    return {f"spikes.{p.name}.{step}": p for step in range(steps) for p in topology.spiking}


def _declare_states(topology: Topology, arithmetic: Arithmetic) -> dict[str, str]:
    return {
        p.name: arithmetic.graph.input(f"{STATE}.{p.name}", arithmetic.number, _sizes(topology, p))
        for p in topology.populations
    }


def _sizes(topology: Topology, population: Population) -> tuple[int | str, ...]:
    """Sizes of a population's tensors; sides of extended images are named by their downscale."""
    if topology.image_size:
        sides: tuple[int | str, ...] = topology.sizes(*topology.image_size)[population.name]
    else:
        sides = (f"rows_{population.downscale}", f"columns_{population.downscale}")
    return ("batch", population.channels, *sides)
