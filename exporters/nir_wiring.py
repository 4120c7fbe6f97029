"""Which convolution reads what and feeds whom: names and edges of a NIR graph, before any value."""

from collections.abc import Mapping
from dataclasses import dataclass

import nir
from snn_tool.errors import ArtifactError
from snn_tool.exporters.nir.metadata import REMEDY, Constants
from snn_tool.exporters.nir.program import IMAGE
from snn_tool.exporters.nir_units import OUTPUT, shuffle_ports

POPULATION_TYPES = (nir.LIF, nir.IF, nir.I, nir.LI, nir.NIRGraph)


@dataclass(frozen=True, slots=True)
class Wiring:
    """Edges with the pixel-shuffle's ports closed: conv -> Output and Input -> population become one edge.

    Attributes:
        source: of each convolution.
        inputs: of each population, in the order of the file's edges.
        order: populations such that each follows all that it reads; the read-out last.
    """

    source: Mapping[str, str]
    inputs: Mapping[str, tuple[str, ...]]
    order: tuple[str, ...]


def read_wiring(graph: nir.NIRGraph, constants: Constants, file: str) -> Wiring:
    """Check the node names, their types and the edges against the metadata.

    Raises:
        ArtifactError: names the node that is missing, unknown, of the wrong type or wrongly connected.
    """
    _check_nodes(graph, constants, file)
    _check_output_edges(graph, constants, file)
    sources, inputs = _incoming(graph, constants, file)
    for name, found in sources.items():
        if len(found) != 1:
            raise ArtifactError(
                f"{file}: {name}: has {len(found)} incoming edges, a convolution has one; {REMEDY}"
            )
        if not any(name in readers for readers in inputs.values()):
            raise ArtifactError(f"{file}: {name}: feeds no population; {REMEDY}")
    for name, found in inputs.items():
        claimed = constants.populations[name].fan_in
        if len(found) != claimed:
            raise ArtifactError(f"{file}: {name}: has {len(found)} incoming edges, not {claimed}; {REMEDY}")
    source = {name: found[0] for name, found in sources.items()}
    order = _execution_order(source, inputs, constants.readout, file)
    return Wiring(source, {name: tuple(found) for name, found in inputs.items()}, order)


def _check_nodes(graph: nir.NIRGraph, constants: Constants, file: str) -> None:
    """The node names are exactly those that the metadata implies, each of the right family."""
    ports = [shuffle_ports(name) for name in constants.shuffles]
    expected: dict[str, tuple[type, ...]] = {IMAGE: (nir.Input,), OUTPUT: (nir.Output,)}
    expected |= {before: (nir.Output,) for before, _ in ports} | {after: (nir.Input,) for _, after in ports}
    expected |= {name: (nir.Conv2d,) for name in constants.mantissa_exponents}
    expected |= {name: POPULATION_TYPES for name in constants.populations}
    if absent := sorted(expected.keys() - graph.nodes.keys()):
        raise ArtifactError(f"{file}: {absent[0]}: the node is missing; {REMEDY}")
    for name, node in graph.nodes.items():
        if name not in expected:
            raise ArtifactError(
                f"{file}: {name}: a {type(node).__name__} that the metadata does not know; {REMEDY}"
            )
        if not isinstance(node, expected[name]):
            raise ArtifactError(
                f"{file}: {name}: a node of type {type(node).__name__} does not belong here; {REMEDY}"
            )


def _check_output_edges(graph: nir.NIRGraph, constants: Constants, file: str) -> None:
    if len(set(graph.edges)) != len(graph.edges):
        raise ArtifactError(f"{file}: an edge occurs twice; {REMEDY}")
    required = {(name, shuffle_ports(name)[0]) for name in constants.shuffles} | {(constants.readout, OUTPUT)}
    found = {edge for edge in graph.edges if isinstance(graph.nodes.get(edge[1]), nir.Output)}
    for source, target in sorted(required ^ found):
        raise ArtifactError(f"{file}: {target}: the edge from {source} is missing or superfluous; {REMEDY}")


def _incoming(
    graph: nir.NIRGraph, constants: Constants, file: str
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Sources of every convolution, and convolutions of every population."""
    sources: dict[str, list[str]] = {name: [] for name in constants.mantissa_exponents}
    inputs: dict[str, list[str]] = {name: [] for name in constants.populations}
    emitters = {IMAGE, *inputs} - {constants.readout}
    delivering = {name: name for name in sources if name not in constants.shuffles}
    delivering |= {shuffle_ports(name)[1]: name for name in constants.shuffles}
    for source, target in graph.edges:
        if target in sources and source in emitters:
            sources[target].append(source)
        elif target in inputs and source in delivering:
            inputs[target].append(delivering[source])
        elif not isinstance(graph.nodes.get(target), nir.Output):
            raise ArtifactError(f"{file}: {target}: an edge from {source} has no meaning here; {REMEDY}")
    return sources, inputs


def _execution_order(
    source: Mapping[str, str], inputs: Mapping[str, list[str]], readout: str, file: str
) -> tuple[str, ...]:
    placed: list[str] = []
    waiting = {name: {source[conv] for conv in convs} - {IMAGE} for name, convs in inputs.items()}
    while waiting:
        ready = [name for name, needed in waiting.items() if needed <= set(placed)]
        if not ready:
            raise ArtifactError(f"{file}: {_on_cycle(waiting)}: lies on a cycle of edges; {REMEDY}")
        placed += ready
        waiting = {name: needed for name, needed in waiting.items() if name not in ready}
    return (*(name for name in placed if name != readout), readout)


def _on_cycle(waiting: Mapping[str, set[str]]) -> str:
    """Walk from source to source among populations that all wait; the first met twice lies on a cycle."""
    name, seen = min(waiting), set[str]()
    while name not in seen:
        seen.add(name)
        name = min(waiting[name] & waiting.keys())
    return name
