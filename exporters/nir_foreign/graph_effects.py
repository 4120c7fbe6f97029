"""What an importer makes of a graph as a whole: its names, its ports, its edges and its loops.

Each importer wires nodes by one of two functions of nirtorch (`interpreter_effects`,
`executor_effects`); snntorch first puts every neuron with a dense loop of its own into a graph inside the
graph, and its IF gives a pair. What becomes of a node's own values is in `neuron_effects`.
"""

from collections.abc import Iterator, Mapping
from copy import copy, deepcopy

import nir
from snn_tool.errors import first_line
from snn_tool.exporters.nir.reading import READING_FAULTS
from snn_tool.exporters.nir_foreign.executor_effects import executor_effects
from snn_tool.exporters.nir_foreign.interpreter_effects import interpreter_effects
from snn_tool.exporters.nir_foreign.neuron_effects import CHANGED, REFUSED, Effect, Placed
from snn_tool.exporters.simulators.semantics import Simulator

EXECUTORS = frozenset({"norse", "sinabs"})
"""Simulators whose importer calls nirtorch's older `load`."""


def graph_effects(simulator: Simulator, graph: nir.NIRGraph) -> Iterator[Placed]:
    """What does not arrive of a graph's names and edges in one simulator."""
    if simulator.name in EXECUTORS:
        yield from executor_effects(graph, simulator.drops)
    elif simulator.name == "snntorch":
        yield from _snntorch(graph)
    else:
        yield from interpreter_effects(graph)


def type_fault(graph: nir.NIRGraph) -> str:
    """Why `nir.read` refuses a file of this graph, whichever tool calls it; empty if it does not."""
    checked = deepcopy(graph)
    try:
        nir.NIRGraph(checked.nodes, checked.edges, type_check=True)
    except READING_FAULTS as error:
        return first_line(error)
    return ""


def _snntorch(graph: nir.NIRGraph) -> Iterator[Placed]:
    yield from _pairs(graph, "")
    wrapped, names = _wrapped(graph)
    for inside in names.values():
        if len(inside) > 1:
            why = f"its input goes through {inside[1]} first, and what {inside[1]} gives is all that arrives"
            yield Placed(inside[0], Effect(CHANGED, why))
    for placed in interpreter_effects(wrapped, spreads=lambda n: isinstance(n, nir.LIF) and n.tau.size > 1):
        for name in names.get(placed.node, (placed.node,)):
            yield Placed(name, placed.effect)


def _pairs(graph: nir.NIRGraph, prefix: str) -> Iterator[Placed]:
    """Its IF is made without hidden state: spikes and membrane come out as a pair."""
    for name, node in graph.nodes.items():
        if isinstance(node, nir.NIRGraph):
            yield from _pairs(node, f"{prefix}{name}.")
        if not isinstance(node, nir.IF):
            continue
        readers = [b for a, b in graph.edges if a == name and not isinstance(graph.nodes[b], nir.Output)]
        if readers:
            why = f"gives spikes and membrane as a pair, which {readers[0]} cannot take"
            yield Placed(prefix + name, Effect(REFUSED, why))


def _wrapped(graph: nir.NIRGraph) -> tuple[nir.NIRGraph, Mapping[str, tuple[str, ...]]]:
    """The graph with every neuron and its dense loop as a graph, as snntorch's importer rewrites it.

    Also, for each new name, the neuron and the dense node that it stands for.
    """
    made, names = copy(graph), dict[str, tuple[str, ...]]()
    made.nodes, made.edges = dict(graph.nodes), list(dict.fromkeys(graph.edges))
    both = {(a, b) for a, b in {*made.edges} & {(b, a) for a, b in made.edges} if a != b}
    for neuron, dense in [edge for edge in made.edges if edge in both]:
        if (neuron, dense) in made.edges and _is_loop(made, neuron, dense):
            outer = neuron.split(".")[0]
            names |= {outer: (neuron, dense), f"{outer}.{dense}": (dense,)}
            names |= {
                f"{outer}.{inner}": (neuron,) for inner in (neuron, f"{outer}.input", f"{outer}.output")
            }
            _wrap(made, neuron, dense, outer)
    return made, names


def _is_loop(graph: nir.NIRGraph, neuron: str, dense: str) -> bool:
    alone = sum(a == dense for a, _ in graph.edges) == 1 and sum(b == dense for _, b in graph.edges) == 1
    kinds = (nir.LIF, nir.CubaLIF), (nir.Affine, nir.Linear)
    return alone and isinstance(graph.nodes[neuron], kinds[0]) and isinstance(graph.nodes[dense], kinds[1])


def _wrap(graph: nir.NIRGraph, neuron: str, dense: str, outer: str) -> None:
    held = {name: graph.nodes.pop(name) for name in (neuron, dense)}
    held |= {f"{outer}.input": nir.Input(held[neuron].input_type)}
    held |= {f"{outer}.output": nir.Output(held[neuron].output_type)}
    inside = [(neuron, dense), (dense, neuron), (neuron, f"{outer}.output"), (f"{outer}.input", dense)]
    kept = [edge for edge in graph.edges if edge not in inside[:2]]
    graph.edges = [(outer if a == neuron else a, outer if b == neuron else b) for a, b in kept]
    graph.nodes[outer] = nir.NIRGraph(held, inside, type_check=False)
