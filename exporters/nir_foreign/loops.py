"""Graphs inside of graphs, and loops: what makes a flat graph that runs step by step.

NIR's edges know no delay. A loop is therefore read as every library that writes one runs it: the layers
behind a neuron read its spikes of the timestep before, and zeros in the first one (snntorch's RLeaky and
RSynaptic, norse's LIFRecurrentCell, the executor of nirtorch). A loop must pass one population: on a chip
each takes a timestep, and two in a row could not answer after one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import nir
from snn_tool.errors import UnsupportedLayerError
from snn_tool.exporters.nir.reading import components

FIRING = (nir.IF, nir.LIF, nir.CubaLIF)
Edge = tuple[str, str]


def flattened(graph: nir.NIRGraph, file: str) -> nir.NIRGraph:
    """The same graph with the nodes of each inner graph, as `inner.node`, in its place.

    Raises:
        UnsupportedLayerError: an inner graph has other than one Input and one Output, or two nodes would have
            one name; named.
    """
    if not any(isinstance(node, nir.NIRGraph) for node in graph.nodes.values()):
        return graph
    nodes: dict[str, nir.NIRNode] = {}
    for name, node in _flat(graph, "", file):
        if name in nodes:
            raise UnsupportedLayerError(f"{file}: {name}: two nodes have this name; rename one")
        nodes[name] = node
    edges = list(_edges(graph, ""))
    ports = [
        n for n, node in nodes.items() if n not in graph.nodes and isinstance(node, nir.Input | nir.Output)
    ]
    for port in ports:
        edges = _without(port, edges)
        del nodes[port]
    return nir.NIRGraph(nodes, edges, metadata=graph.metadata, type_check=False)


def _flat(graph: nir.NIRGraph, prefix: str, file: str) -> Iterator[tuple[str, nir.NIRNode]]:
    for name, node in graph.nodes.items():
        if not isinstance(node, nir.NIRGraph):
            yield prefix + name, node
            continue
        for kind in (nir.Input, nir.Output):
            count = sum(isinstance(one, kind) for one in node.nodes.values())
            if count != 1:
                raise UnsupportedLayerError(
                    f"{file}: {prefix}{name}: an inner graph with {count} {kind.__name__} nodes; one is "
                    "supported"
                )
        yield from _flat(node, f"{prefix}{name}.", file)


def _edges(graph: nir.NIRGraph, prefix: str) -> Iterator[Edge]:
    """All edges; those to and from an inner graph end at its Input and begin at its Output."""

    def end(name: str, kind: type) -> str:
        node = graph.nodes.get(name)
        if not isinstance(node, nir.NIRGraph):
            return prefix + name
        return f"{prefix}{name}.{next(n for n, one in node.nodes.items() if isinstance(one, kind))}"

    yield from ((end(source, nir.Output), end(target, nir.Input)) for source, target in graph.edges)
    for name, node in graph.nodes.items():
        if isinstance(node, nir.NIRGraph):
            yield from _edges(node, f"{prefix}{name}.")


def _without(port: str, edges: Sequence[Edge]) -> list[Edge]:
    """Edges that lead through a port, which passes on what arrives, as edges past it."""
    before = [source for source, target in edges if target == port]
    behind = [target for source, target in edges if source == port]
    past = [(source, target) for source in before for target in behind]
    return list(dict.fromkeys([edge for edge in edges if port not in edge] + past))


@dataclass(frozen=True, slots=True)
class Loops:
    """The recurrent connections of a flat graph.

    Attributes:
        late: edges that bring the timestep before.
        members: for each neuron that they leave, the nodes of its loops, itself among them.
    """

    late: frozenset[Edge]
    members: Mapping[str, frozenset[str]]

    def outer(self, neuron: str, sources: Mapping[str, Sequence[str]]) -> list[str]:
        """What feeds a neuron on a loop from outside of it, and so has its shape."""
        return [source for source in sources[neuron] if source not in self.members[neuron]]


def find_loops(graph: nir.NIRGraph, sources: Mapping[str, Sequence[str]], file: str) -> Loops:
    """The loops of a graph; edges from a neuron into one are late.

    Args:
        graph: flat.
        sources: for each node those that feed it.
        file: stands at the head of messages.

    Raises:
        UnsupportedLayerError: a loop with no neuron that fires, with several, or with a neuron that nothing
            else feeds; the nodes are named.
    """
    edges = [(source, target) for target, feeding in sources.items() for source in feeding]
    component = components(sources, edges)
    inside = [edge for edge in edges if component[edge[0]] == component[edge[1]]]
    loops: dict[str, frozenset[str]] = {}
    for number in dict.fromkeys(component[source] for source, _ in inside):
        members = sorted(name for name, found in component.items() if found == number)
        firing = [name for name in members if isinstance(graph.nodes[name], FIRING)]
        if len(firing) != 1:
            raise UnsupportedLayerError(f"{file}: {(firing or members)[0]}: {_why(firing, members)}")
        loops[firing[0]] = frozenset(members)
    found = Loops(frozenset(edge for edge in inside if edge[0] in loops), loops)
    for neuron in loops:
        if not found.outer(neuron, sources):
            raise UnsupportedLayerError(
                f"{file}: {neuron}: is fed through its own loop alone; feed it what comes from outside "
                "directly"
            )
    return found


def _why(firing: Sequence[str], members: Sequence[str]) -> str:
    if not firing:
        return (
            f"a loop of {', '.join(members)} without IF, LIF or CubaLIF, which depends on itself in one step"
        )
    return (
        f"a loop through {len(firing)} populations ({', '.join(firing)}); each takes a timestep on the chip, "
        f"so that spikes come back after {len(firing)} and not after 1; let every loop pass one population"
    )
