"""A whole student as an ONNX graph: all timesteps in one, or one step with its membranes as inputs.

    image       float32 [N, C, height, width], in [0, 1] before noise, of any size
    inputs      instead of it, where a network takes spikes or other values: float32 [N, ...] of the network's
                own shape, or [T, N, ...] where each timestep has its own
    restored    of the same size: uint8 of integers, float32 of floats (neither rounded nor clamped then)
    readout     the read-out's membrane after the last step

A step takes besides, for each population and the read-out, `state.NAME` (zeros at rest, of the size of the
extended image divided by the population's downscale) and gives `next.NAME` in the same order; its `restored`
holds after the last step. A synaptic current that lasts is `state.NAME.current`, and spikes that a recurrent
connection delivers a timestep later are `state.NAME.spikes`.

A student of several passes has all of them in its graph, each from rest: image in, image out. Its timesteps
are numbered through, those of the second pass from T on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from snn_tool.exporters.onnx.graph import MIRROR, Graph, cropped, extended
from snn_tool.models.topology import IMAGE, Population, Topology, own_shape

IMAGE_INPUT, VALUES_INPUT, RESTORED, READOUT = "image", "inputs", "restored", "readout"
STATE, NEXT = "state", "next"
CURRENT, SPIKES = "current", "spikes"


@dataclass(frozen=True, slots=True)
class State:
    """Tensors that a population hands to its next timestep; empty at rest, and where it has none.

    Attributes:
        membrane: after the reset.
        current: the synaptic one, if it lasts.
        spikes: what it emitted.
    """

    membrane: str = ""
    current: str = ""
    spikes: str = ""


REST = State()


class Arithmetic(Protocol):
    """How one kind of network forms its numbers in a graph.

    Attributes:
        graph: receives the nodes.
        number: numpy type of currents, membranes and spikes.
        current_number: numpy type of synaptic currents that last.
        pixel: numpy type of restored images.
        images: the input is an image in [0, 1]; otherwise values on a grid.
        over_time: each timestep has an input of its own.
        lasting: names of populations whose synaptic current lasts.
    """

    graph: Graph
    number: Any
    current_number: Any
    pixel: Any
    images: bool
    over_time: bool
    lasting: frozenset[str]

    def source(self, image: str) -> str:
        """What the first synapses read, of float32 [.., C, H, W] of fitting sides."""

    def current(self, synapse: str, source: str) -> str:
        """One synapse's currents [N, C', H', W'], after pixel-shuffle."""

    def respond(self, population: str, current: str, state: State, step: int) -> State:
        """A population after one more step."""

    def integrate(self, current: str, state: str, step: int) -> str:
        """The read-out's membrane after one more step."""

    def restored(self, image: str, source: str, readout: str) -> str:
        """The restored image from the degraded one, its `source`, and the read-out's last membrane."""

    def chained(self, image: str, source: str, readout: str, name: str) -> str:
        """The same as 8-bit pixels, as the first synapses of the next pass read it; made under `name`."""


def walk_step(
    topology: Topology, arithmetic: Arithmetic, source: str, states: Mapping[str, State], step: int
) -> dict[str, State]:
    """Add one timestep.

    Args:
        topology: the wiring.
        arithmetic: makes the nodes.
        source: of `Arithmetic.source`.
        states: of the populations after the step before; what is missing is at rest.
        step: its number, for the names.

    Returns:
        Their states after it, the read-out's included.
    """
    outputs, after = {IMAGE: source}, dict[str, State]()
    wirings = {synapse.name: synapse for synapse in topology.synapses}
    for population in topology.populations:
        name, parts = population.name, list[str]()
        for synapse in map(wirings.__getitem__, population.inputs):
            late = states.get(synapse.source, REST).spikes
            if emitted := late if synapse.delay else outputs[synapse.source]:
                parts.append(arithmetic.current(synapse.name, emitted))
        current, state = _total(arithmetic.graph, parts), states.get(name, REST)
        if population is topology.readout:
            after[name] = State(arithmetic.integrate(current, state.membrane, step))
        else:
            after[name] = arithmetic.respond(name, current, state, step)
            outputs[name] = after[name].spikes
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
    multiple = 1 if topology.image_size else topology.multiple
    image = fitting = ""
    if arithmetic.images:
        sides = topology.image_size or ("height", "width")
        image = graph.input(IMAGE_INPUT, np.float32, ("batch", topology.image_channels, *sides))
        fitting = extended(graph, image, multiple, MIRROR)
        sources = [arithmetic.source(fitting)]
    else:
        sources = _values(topology, arithmetic, form)
    states = _walk_passes(topology, arithmetic, form, fitting, sources)
    readout = states[topology.readout.name].membrane
    if topology.restores:
        whole = arithmetic.restored(fitting, sources[0], readout)
        cropped(graph, whole, image, multiple, RESTORED)
        graph.output(RESTORED, arithmetic.pixel, ("batch", topology.image_channels, *sides))
    if form.stateful:
        for kept in _kept_states(topology, arithmetic):
            made = {"": states[kept.population.name].membrane, CURRENT: states[kept.population.name].current}
            made |= {SPIKES: states[kept.population.name].spikes}
            graph.op("Identity", made[kept.part], name=kept.name(NEXT))
            graph.output(kept.name(NEXT), kept.kind, _sizes(topology, kept.population))
    else:
        graph.op("Identity", readout, name=READOUT)
        graph.output(READOUT, arithmetic.number, _sizes(topology, topology.readout))
    if form.taps:
        for name, population in spike_tensors(topology, topology.passes * form.steps).items():
            graph.output(name, arithmetic.number, _sizes(topology, population))


def _values(topology: Topology, arithmetic: Arithmetic, form: Form) -> list[str]:
    """Declare an input that is no image; what the first synapses read, once or of each timestep."""
    assert topology.image_size
    graph, size = arithmetic.graph, (topology.input_channels, *topology.image_size)
    steps = (form.steps,) if arithmetic.over_time and not form.stateful else ()
    own = own_shape(topology.input_channels, topology.image_size)
    given = graph.input(VALUES_INPUT, np.float32, (*steps, "batch", *own))
    sides = graph.constant(np.array([0] * (len(steps) + 1) + list(size), np.int64))  # 0 keeps a side
    whole = arithmetic.source(graph.op("Reshape", given, sides))
    if not steps:
        return [whole]
    return [graph.op("Gather", whole, graph.number(step, np.int64), axis=0) for step in range(form.steps)]


def _walk_passes(
    topology: Topology, arithmetic: Arithmetic, form: Form, image: str, sources: Sequence[str]
) -> dict[str, State]:
    """Add every timestep of every pass; the states after the last, by population."""
    states = _declare_states(topology, arithmetic) if form.stateful else dict[str, State]()
    for number in range(topology.passes):
        given = list(sources)
        if topology.passes > 1:
            source, readout = sources[0], states.get(topology.readout.name, REST).membrane
            result = arithmetic.chained(image, source, readout, chained_name(number)) if readout else source
            given, states = [arithmetic.graph.op("Concat", source, result, axis=1)], {}
        for step in range(form.steps):
            shown = given[min(step, len(given) - 1)]
            states = walk_step(topology, arithmetic, shown, states, number * form.steps + step)
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


@dataclass(frozen=True, slots=True)
class _Kept:
    """One tensor that a step takes and gives: a membrane, or the `part` of a state that is none."""

    population: Population
    part: str
    kind: Any

    def name(self, direction: str) -> str:
        return ".".join(filter(None, (direction, self.population.name, self.part)))


def _kept_states(topology: Topology, arithmetic: Arithmetic) -> list[_Kept]:
    """In the order of execution."""
    read_late = {synapse.source for synapse in topology.synapses if synapse.delay}
    kept: list[_Kept] = []
    for population in topology.populations:
        kept.append(_Kept(population, "", arithmetic.number))
        if population.name in arithmetic.lasting:
            kept.append(_Kept(population, CURRENT, arithmetic.current_number))
        if population.name in read_late:
            kept.append(_Kept(population, SPIKES, arithmetic.number))
    return kept


def _declare_states(topology: Topology, arithmetic: Arithmetic) -> dict[str, State]:
    names = {
        (kept.population.name, kept.part): arithmetic.graph.input(
            kept.name(STATE), kept.kind, _sizes(topology, kept.population)
        )
        for kept in _kept_states(topology, arithmetic)
    }
    return {
        p.name: State(*(names.get((p.name, part), "") for part in ("", CURRENT, SPIKES)))
        for p in topology.populations
    }


def _sizes(topology: Topology, population: Population) -> tuple[int | str, ...]:
    """Sizes of a population's tensors; sides of extended images are named by their downscale."""
    if topology.image_size:
        sides: tuple[int | str, ...] = topology.sizes(*topology.image_size)[population.name]
    else:
        sides = (f"rows_{population.downscale}", f"columns_{population.downscale}")
    return ("batch", population.channels, *sides)
