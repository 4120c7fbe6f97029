"""What `nirtorch.nir_to_torch` makes of a graph's names and edges, for snntorch, spikingjelly and nirtorch.

Read in nirtorch 2.6 (nir_interpreter) and torch 2.13 (fx). It turns a queue of nodes into Python code: a node
whose sources are not there yet goes to the end of the queue, again and again; in a loop the output of the
step before stands for a source that is not there, if the node has another source as well. Tests hold every
rule against the importer itself (tests/exporters/nir_foreign/test_check_graphs.py).
"""

import ast
import heapq
import keyword
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache

import nir
from snn_tool.exporters.nir.reading import components
from snn_tool.exporters.nir_foreign.neuron_effects import CHANGED, DROPPED, REFUSED, Effect, Placed

OWN_VARIABLES = frozenset({"initialized_state", "is_none"})
"""Names in the code that it writes; a node that comes out as one of them is defined twice."""


def interpreter_effects(
    graph: nir.NIRGraph, prefix: str = "", spreads: Callable[[nir.NIRNode], bool] = lambda node: False
) -> Iterator[Placed]:
    """Every name, port and edge that does not arrive, of a graph and of the graphs inside it.

    Args:
        graph: to import.
        prefix: names of the graphs that it is in.
        spreads: whether a library's neuron makes its full width of a single value.
    """
    yield from _names(graph, prefix)
    ports = list(_ports(graph, prefix))
    yield from ports
    yield from _unfed(graph, prefix)
    if not any(placed.effect.verdict == REFUSED for placed in ports):
        yield from _queue(graph, prefix, spreads)
    for name, node in graph.nodes.items():
        if isinstance(node, nir.NIRGraph):
            yield from interpreter_effects(node, f"{prefix}{name}.", spreads)


def python_name(name: str) -> str:
    """The name under which it keeps a node."""
    plain = name.replace(".", "_")
    return f"nir_node_{plain}" if keyword.iskeyword(plain) else plain


def _names(graph: nir.NIRGraph, prefix: str) -> Iterator[Placed]:
    kept: dict[str, str] = {}
    for name in graph.nodes:
        plain = python_name(name)
        if plain in kept:
            why = f"loses its place to {name}: both are called {plain} in Python"
            yield Placed(prefix + kept[plain], Effect(DROPPED, why))
        kept[plain] = name
    for name, node in graph.nodes.items():
        if not isinstance(node, nir.Output) and (why := _name_fault(python_name(name), node)):
            yield Placed(prefix + name, Effect(REFUSED, why))


def _name_fault(name: str, node: nir.NIRNode) -> str:
    """Why a name breaks the module or its code, or empty."""
    if _is_taken(name, isinstance(node, nir.Input)):
        return f"torch's modules have an attribute {name!r} of their own"
    if isinstance(node, nir.Input):
        return ""
    if not _is_quoted_well(name):
        return f"the name {name!r} breaks out of the code that is written for it"
    # torch.fx turns CamelCase into snake_case, and what no identifier holds into underscores.
    written = re.sub(r"[^0-9a-zA-Z_]+", "_", re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name)).lower()
    if written in OWN_VARIABLES:
        return f"the code that is written for it has a variable {written} of its own"
    return ""


def _is_quoted_well(name: str) -> bool:
    """Whether quotation marks around a name give the name, in the code that is written."""
    try:
        return bool(ast.literal_eval(f'"{name}"') == name)
    except (SyntaxError, ValueError):
        return False


@lru_cache(maxsize=4096)
def _is_taken(name: str, is_port: bool) -> bool:
    from torch import fx, nn

    if hasattr(nn.ModuleDict(), name):
        return True
    return not is_port and hasattr(fx.GraphModule(nn.Module(), fx.Graph()), name)


def _ports(graph: nir.NIRGraph, prefix: str) -> Iterator[Placed]:
    inputs, outputs = (
        [name for name, node in graph.nodes.items() if isinstance(node, kind)]
        for kind in (nir.Input, nir.Output)
    )
    where = prefix.removesuffix(".")
    for kind, names in (("Input", inputs), ("Output", outputs)):
        if not names:
            yield Placed(where, Effect(REFUSED, f"there is no {kind}, and it needs one"))
    for name in inputs[1:]:
        yield Placed(prefix + name, Effect(REFUSED, f"is a second Input beside {inputs[0]}; it takes one"))
    for name in outputs[1:]:
        why = f"is a second Output beside {outputs[0]}: each waits for the other, and the import never ends"
        yield Placed(prefix + name, Effect(REFUSED, why))
    for name in outputs[:1]:
        sources = {a for a, b in graph.edges if b == name}
        if len(sources) > 1:
            why = f"returns what {', '.join(sorted(sources))} give one by one, and does not add them"
            yield Placed(prefix + name, Effect(CHANGED, why))
        elif not sources:
            yield Placed(prefix + name, Effect(CHANGED, "nothing feeds it, so that nothing is returned"))


def _unfed(graph: nir.NIRGraph, prefix: str) -> Iterator[Placed]:
    fed = {target for _, target in graph.edges}
    for name, node in graph.nodes.items():
        if name not in fed and not isinstance(node, nir.Input | nir.Output):
            yield Placed(prefix + name, Effect(REFUSED, "nothing feeds it, and it is run without an input"))


def _queue(graph: nir.NIRGraph, prefix: str, spreads: Callable[[nir.NIRNode], bool]) -> Iterator[Placed]:
    """Place the nodes at the turns at which its queue places them; what has no turn waits for ever."""
    original = {python_name(name): name for name in graph.nodes}
    nodes = {plain: graph.nodes[name] for plain, name in original.items()}
    sources: dict[str, set[str]] = {name: set() for name in nodes}
    for a, b in graph.edges:
        sources[python_name(b)].add(python_name(a))
    needed = _needed(sources)
    turns = _turns(nodes, needed)
    early = [name for name, node in nodes.items() if isinstance(node, nir.NIRGraph) and turns.get(name) != 0]
    for name in early:
        why = "comes before what feeds it, and a graph inside the graph is built once only"
        yield Placed(prefix + original[name], Effect(REFUSED, why))
    for name, node in nodes.items():
        if name not in turns and not isinstance(node, nir.Output) and not early:
            missing = ", ".join(sorted(original.get(a, a) for a in needed[name] - turns.keys()))
            why = f"waits for {missing}, which never come: the import does not end"
            yield Placed(prefix + original[name], Effect(REFUSED, why))
    for name in _thin(nodes, sources, list(turns), spreads):
        why = "the first step gives it a single zero, for all that it reads lies on its loops"
        yield Placed(prefix + original[name], Effect(REFUSED, why))


def _needed(sources: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """What must be placed before each node: all but the sources on its loops, where it has several."""
    loop = components(sources, [(a, b) for b, found in sources.items() for a in found])
    return {
        name: {a for a in found if len(found) == 1 or loop.get(a) != loop[name]}
        for name, found in sources.items()
    }


def _turns(nodes: Mapping[str, nir.NIRNode], needed: Mapping[str, set[str]]) -> dict[str, int]:
    """How often each node was put off, in the order in which they are placed; without the Output.

    A node is looked at once in every round, at its place in the file; in the first only behind the Input.
    """
    place = {name: index for index, name in enumerate(nodes)}
    start = next(name for name, node in nodes.items() if isinstance(node, nir.Input))
    first = {name: 0 if index >= place[start] else 1 for name, index in place.items()}
    readers: dict[str, list[str]] = {name: [] for name in nodes}
    for name, found in needed.items():
        for source in found & nodes.keys():
            readers[source].append(name)
    left = {name: 0 if name == start else len(found) for name, found in needed.items()}
    waiting = [(first[name], place[name], name) for name, count in left.items() if not count]
    heapq.heapify(waiting)
    turns: dict[str, int] = {}
    while waiting:
        turn, index, name = heapq.heappop(waiting)
        if isinstance(nodes[name], nir.Output):
            continue
        turns[name] = turn - first[name]
        for reader in readers[name]:
            left[reader] -= 1
            if not left[reader]:
                again = turn if place[reader] > index else turn + 1
                heapq.heappush(waiting, (max(again, first[reader]), place[reader], reader))
    return turns


def _thin(
    nodes: Mapping[str, nir.NIRNode],
    sources: Mapping[str, set[str]],
    order: list[str],
    spreads: Callable[[nir.NIRNode], bool],
) -> Iterator[str]:
    """Nodes of several weights a row that read one value in the first step: nothing else is placed yet."""
    placed, thin = set[str](), set[str]()
    for name in order:
        if sources[name] and all(source in thin or source not in placed for source in sources[name]):
            if _needs_width(nodes[name]):
                yield name
            if not spreads(nodes[name]):
                thin.add(name)
        placed.add(name)


def _needs_width(node: nir.NIRNode) -> bool:
    return isinstance(node, nir.Affine | nir.Linear | nir.Conv1d | nir.Conv2d) and node.weight.shape[1] > 1
