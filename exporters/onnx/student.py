"""A whole student as an ONNX graph: all timesteps in one, or one step with its membranes as inputs.

    image       float32 [N, 3, height, width], in [0, 1] before noise, of any size
    restored    of the same size: uint8 of integers, float32 of floats (neither rounded nor clamped then)
    readout     the read-out's membrane after the last step

A step takes besides, for each population and the read-out, `state.NAME` (zeros at rest, of the size of the
extended image divided by the population's downscale) and gives `next.NAME` in the same order; its `restored`
holds after the last step.
"""

from dataclasses import dataclass

import numpy as np
from snn_tool.exporters.onnx_sides import MIRROR, cropped, extended
from snn_tool.exporters.onnx_walk import Arithmetic, walk_step
from snn_tool.models.topology import Population, Topology

IMAGE_INPUT, RESTORED, READOUT = "image", "restored", "readout"
STATE, NEXT = "state", "next"


@dataclass(frozen=True, slots=True)
class Form:
    """What a file of a student holds.

    Attributes:
        steps: timesteps inside, T or 1.
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
    states = _declare_states(topology, arithmetic) if form.stateful else {}
    source = arithmetic.source(fitting)
    for step in range(form.steps):
        states = walk_step(topology, arithmetic, source, states, step)
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
        for name, population in spike_tensors(topology, form.steps).items():
            graph.output(name, arithmetic.number, _sizes(topology, population))


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
