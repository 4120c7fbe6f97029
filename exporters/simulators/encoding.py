"""A NIR graph rewritten for one simulator, so that what its importer ignores lies in what it reads.

With kept = 1 - dt / tau (1 for IF) and gain G = r dt / tau (r dt for IF), NIR's neurons are

    u = kept u + x,   z = [u > v_threshold / G],   u = v_reset / G where z           v = G u

so that every simulator can hold them as u, whatever it makes of r. Where it compares with >=, the threshold
is the next larger float64, which makes >= the same as >. Grouped convolutions become dense ones filled with
zeros. A final LI or I, which none of the importers holds, runs on the host.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import nir
import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import UnsupportedLayerError
from snn_tool.exporters.simulators.semantics import AT_LEAST, Simulator

Floats = NDArray[np.float64]
SUM = "output_sum"
"""A convolution with the identity, where several nodes meet in the Output, which nirtorch does not add."""


_RESETS = {
    "norse": "its importer drops v_reset and resets to 0",
    "snntorch": "its importer drops v_reset and resets to 0",
    "spikingjelly": "its importer takes no v_reset that differs from v_leak",
    "sinabs": "its MembraneReset adds the value to every neuron, fired or not",
}


@dataclass(frozen=True, slots=True)
class Neuron:
    """A population in units of u.

    Attributes:
        kept: factor of the membrane from one timestep to the next.
        threshold: it fires strictly above.
        reset: membrane after a spike.
        gain: G; NIR's membrane is gain times u.
    """

    kept: float
    threshold: float
    reset: float
    gain: float


@dataclass(frozen=True, slots=True)
class Readout:
    """An integrator on the host: v = kept v + gain x + leak, from 0."""

    name: str
    kept: float
    gain: float
    leak: float


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """What one simulator is given.

    Attributes:
        graph: the nodes that it must hold, in its own encoding.
        neurons: the populations' meaning.
        unit: for each population, u per unit of the simulator's membrane.
        readout: what the host does with the output, if anything.
    """

    graph: nir.NIRGraph
    neurons: Mapping[str, Neuron]
    unit: Mapping[str, float]
    readout: Readout | None


def encode(graph: nir.NIRGraph, dt_s: float, simulator: Simulator) -> Encoded:
    """Rewrite a graph of Conv2d, IF, LIF and at most one final LI or I.

    Args:
        graph: parameters have their full shape and one value per population.
        dt_s: timestep in seconds for which the graph is meant.
        simulator: the target.

    Raises:
        UnsupportedLayerError: names the node, its type, the simulator and what it cannot hold.
    """
    readout = _final_readout(graph, dt_s)
    nodes: dict[str, nir.NIRNode] = {}
    neurons: dict[str, Neuron] = {}
    unit: dict[str, float] = {}
    for name, node in graph.nodes.items():
        if readout and name == readout.name:
            continue
        if isinstance(node, nir.LIF | nir.IF):
            neurons[name] = _neuron(name, node, dt_s, simulator)
            nodes[name], unit[name] = _encoded_neuron(neurons[name], node.v_threshold.shape, simulator)
        elif isinstance(node, nir.Conv2d):
            nodes[name] = _dense_conv(node)
        elif isinstance(node, nir.Input | nir.Output):
            nodes[name] = node
        else:
            raise refusal(name, node, simulator, _fate(type(node).__name__, simulator))
    edges = _edges_without(graph, readout)
    edges += _summed_output(nodes, edges)
    return Encoded(nir.NIRGraph(nodes, edges), neurons, unit, readout)


def refusal(name: str, node: nir.NIRNode, simulator: Simulator, reason: str) -> UnsupportedLayerError:
    """The error that names a node and what the simulator cannot hold."""
    return UnsupportedLayerError(f"{name}: {type(node).__name__} on {simulator.name}: {reason}")


def _fate(kind: str, simulator: Simulator) -> str:
    if kind in simulator.drops:
        return "its importer drops the node without an error"
    if kind in simulator.refuses:
        return "its importer refuses the node"
    return "not among what this tool carries to simulators (Conv2d, IF, LIF, a final LI or I)"


def _final_readout(graph: nir.NIRGraph, dt_s: float) -> Readout | None:
    outputs = {name for name, node in graph.nodes.items() if isinstance(node, nir.Output)}
    last = [source for source, target in graph.edges if target in outputs]
    if len(last) != 1 or not isinstance(graph.nodes[last[0]], nir.LI | nir.I):
        return None
    node, name = graph.nodes[last[0]], last[0]
    if [target for source, target in graph.edges if source == name and target not in outputs]:
        return None
    if isinstance(node, nir.I):
        return Readout(name, 1.0, _single(name, "r", node.r) * dt_s, 0.0)
    part = dt_s / _single(name, "tau", node.tau)
    leak = _single(name, "v_leak", node.v_leak)
    return Readout(name, 1 - part, _single(name, "r", node.r) * part, leak * part)


def _neuron(name: str, node: nir.LIF | nir.IF, dt_s: float, simulator: Simulator) -> Neuron:
    part = dt_s / _single(name, "tau", node.tau) if isinstance(node, nir.LIF) else 0.0
    gain = _single(name, "r", node.r) * (part if isinstance(node, nir.LIF) else dt_s)
    if isinstance(node, nir.LIF) and np.any(node.v_leak != 0):
        raise refusal(name, node, simulator, "v_leak is not 0, which moves the membrane's rest")
    if gain <= 0 or part >= 1:
        raise refusal(name, node, simulator, "needs r above 0 and tau above dt")
    reset = _single(name, "v_reset", node.v_reset)
    if reset != 0 and simulator.name != "nirtorch":
        raise refusal(name, node, simulator, f"v_reset is {reset:g}; {_RESETS[simulator.name]}")
    return Neuron(1 - part, _single(name, "v_threshold", node.v_threshold) / gain, reset / gain, gain)


def _single(name: str, field: str, values: Floats) -> float:
    unique = np.unique(np.asarray(values, dtype=np.float64))
    if unique.size != 1 or not np.isfinite(unique[0]):
        raise UnsupportedLayerError(f"{name}: {field} has {unique.size} values; simulators take one finite")
    return float(unique[0])


def _encoded_neuron(
    neuron: Neuron, shape: tuple[int, ...], simulator: Simulator
) -> tuple[nir.NIRNode, float]:
    """The node in the simulator's encoding, and u per unit of its membrane."""

    def full(value: float) -> Floats:
        return np.full(shape, value, dtype=np.float64)

    dt_s = simulator.dt_s or 1.0
    over = simulator.comparison == AT_LEAST
    threshold = float(np.nextafter(neuron.threshold, np.inf)) if over else neuron.threshold
    if neuron.kept == 1:
        return nir.IF(r=full(1 / dt_s), v_threshold=full(threshold), v_reset=full(neuron.reset)), 1.0
    steps = 1 / (1 - neuron.kept)
    # An importer that ignores r computes v += (x - v) / steps: its membrane is u / steps.
    unit = steps if simulator.name == "norse" else 1.0
    node = nir.LIF(
        tau=full(steps * dt_s),
        r=full(1.0 if unit != 1 else steps),
        v_leak=full(0.0),
        v_threshold=full(threshold / unit),
        v_reset=full(neuron.reset / unit),
    )
    return node, unit


def _dense_conv(node: nir.Conv2d) -> nir.Conv2d:
    weight = np.asarray(node.weight, dtype=np.float64)
    outputs, per_group, *kernel = weight.shape
    dense = np.zeros((outputs, per_group * node.groups, *kernel))
    rows = outputs // node.groups
    for group in range(node.groups):
        own = slice(group * rows, (group + 1) * rows)
        dense[own, group * per_group : (group + 1) * per_group] = weight[own]
    return nir.Conv2d(
        input_shape=node.input_shape,
        weight=dense,
        stride=node.stride,
        padding=node.padding,
        dilation=node.dilation,
        groups=1,
        bias=np.asarray(node.bias, dtype=np.float64),
    )


def _edges_without(graph: nir.NIRGraph, readout: Readout | None) -> list[tuple[str, str]]:
    """Edges with the read-out closed: what fed it feeds its targets."""
    if readout is None:
        return list(graph.edges)
    sources = [source for source, target in graph.edges if target == readout.name]
    targets = [target for source, target in graph.edges if source == readout.name]
    kept = [edge for edge in graph.edges if readout.name not in edge]
    return kept + [(source, target) for source in sources for target in targets]


def _summed_output(nodes: dict[str, nir.NIRNode], edges: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Take several edges into the Output out of `edges` and give those through an identity instead."""
    output = next(name for name, node in nodes.items() if isinstance(node, nir.Output))
    meeting = [edge for edge in edges if edge[1] == output]
    if len(meeting) < 2:
        return []
    for edge in meeting:
        edges.remove(edge)
    channels, height, width = (int(n) for n in nodes[output].output_type["output"])
    nodes[SUM] = identity_conv(channels, (height, width), 1.0)
    return [*((source, SUM) for source, _ in meeting), (SUM, output)]


def identity_conv(channels: int, size: tuple[int, int], factor: float) -> nir.Conv2d:
    """A 1x1 convolution that multiplies every channel by a factor."""
    weight = factor * np.eye(channels)[:, :, None, None]
    return nir.Conv2d(size, weight, (1, 1), (0, 0), (1, 1), 1, np.zeros(channels))
