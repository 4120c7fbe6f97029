"""What `nirtorch.load` makes of a graph's names and edges; norse and sinabs use it.

Read in nirtorch 2.6 (from_nir, graph, graph_executor). One walk from the first node without a source orders
the nodes, each directly behind the first that leads to it; what the last of them gives is returned. Nodes
of a type that the library does not know become None, and all of them together one key of a dictionary. Tests
hold every rule against the importers themselves (tests/exporters/nir_foreign/test_check_graphs.py).
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import nir
from snn_tool.exporters.nir.reading import components
from snn_tool.exporters.nir_foreign.neuron_effects import CHANGED, DROPPED, REFUSED, Effect, Placed

OWN_ATTRIBUTES = frozenset(
    (
        "execution_order get_execution_order get_input_nodes graph instantiate_modules return_state "
        "stateful_modules _apply_module _is_module_stateful"
    ).split()
)
"""Of nirtorch's GraphExecutor, which holds each node as an attribute; besides those of every torch module."""

SPARE_FRAMES = 150
"""Python frames that are left to the caller; the walk takes one for each node that it goes down."""

Edges = Sequence[tuple[str, str]]


def executor_effects(graph: nir.NIRGraph, unknown: frozenset[str], prefix: str = "") -> Iterator[Placed]:
    """Every name, port and edge that does not arrive, of a graph and of the graphs inside it.

    Args:
        graph: to import.
        unknown: types that become None.
        prefix: names of the graphs that it is in.
    """
    original: dict[str, str] = {}
    for name in graph.nodes:
        plain = name.replace(".", "_")
        if plain in original:
            why = f"loses its place to {name}: both are called {plain} in Python"
            yield Placed(prefix + original[plain], Effect(DROPPED, why))
        original[plain] = name
    nones = [plain for plain, name in original.items() if type(graph.nodes[name]).__name__ in unknown]
    edges = [(a.replace(".", "_"), b.replace(".", "_")) for a, b in graph.edges]
    for node, effect in _whole(graph, original, nones, edges):
        yield Placed(prefix + original[node] if node else prefix.removesuffix("."), effect)
    for name, inner in graph.nodes.items():
        if isinstance(inner, nir.NIRGraph):
            yield from executor_effects(inner, unknown, f"{prefix}{name}.")


def _whole(
    graph: nir.NIRGraph, original: Mapping[str, str], nones: Sequence[str], edges: Edges
) -> Iterator[tuple[str, Effect]]:
    """Effects by the names that the nodes have in Python; what raises comes first, and then nothing else."""
    refused = False
    for plain in original:
        if plain not in nones and _is_taken(plain):
            why = f"the modules that hold the nodes have an attribute {plain!r} of their own"
            yield plain, Effect(REFUSED, why)
            refused = True
    lost, joined = set(nones), {name for edge in edges for name in edge}
    for plain in nones[:-1]:
        if plain in joined:
            why = f"{len(nones)} nodes are of types that it does not know; it finds one of them, and raises"
            yield plain, Effect(REFUSED, f"{why} at this one (KeyError)")
            refused = True
    known = list(dict.fromkeys(edge for edge in edges if lost.isdisjoint(edge)))
    present = list(dict.fromkeys(name for edge in known for name in edge))
    fed = {b for _, b in known} if len(present) > 1 else set()
    starts = [name for name in present if name not in fed]
    if not starts:
        lacks = "edge between nodes that it knows" if not present else "node that nothing feeds, to start at"
        yield "", Effect(REFUSED, f"there is no {lacks}")
    elif not refused:
        yield from _walked(graph, original, starts, known, nones)


@lru_cache(maxsize=4096)
def _is_taken(name: str) -> bool:
    from torch import nn

    return name in OWN_ATTRIBUTES or hasattr(nn.Module(), name)


def _walked(
    graph: nir.NIRGraph, original: Mapping[str, str], starts: list[str], edges: Edges, nones: Sequence[str]
) -> Iterator[tuple[str, Effect]]:
    following: dict[str, list[str]] = {plain: [] for plain in original}
    for source, target in edges:
        following[source].append(target)
    walks = {start: walk(start, following) for start in starts}
    if max(depth for _, depth in walks.values()) > sys.getrecursionlimit() - SPARE_FRAMES:
        yield (
            "",
            Effect(REFUSED, "its walk calls itself once for each node in a row, more than Python allows"),
        )
        return
    for plain, name in original.items():
        missing = [start for start in starts if plain not in walks[start][0]]
        if plain in nones or not missing or (plain not in following and not edges):
            continue
        if isinstance(graph.nodes[name], nir.Input | nir.Output) and len(starts) == 1:
            continue
        yield plain, Effect(DROPPED, _unreached(missing, starts, original))
    if len(starts) == 1:
        yield from _ordered(graph, original, walks[starts[0]][0], edges, bool(nones))


def _unreached(missing: Sequence[str], starts: Sequence[str], original: Mapping[str, str]) -> str:
    if len(starts) == 1:
        return f"never runs: no edge that it keeps leads here from {original[starts[0]]}"
    names = ", ".join(original[start] for start in starts)
    return f"may never run: it starts at one of {names}, whichever memory holds first"


def walk(start: str, following: Mapping[str, Sequence[str]]) -> tuple[list[str], int]:
    """Nodes in the order in which they run, each once, before all that it leads to; and the walk's depth."""
    order, seen, deepest = [start], {start}, 1
    stack = [iter(following[start])]
    while stack:
        name = next((n for n in stack[-1] if n not in seen), None)
        if name is None:
            stack.pop()
            continue
        seen.add(name)
        order.append(name)
        stack.append(iter(following[name]))
        deepest = max(deepest, len(stack))
    return order, deepest


def _ordered(
    graph: nir.NIRGraph, original: Mapping[str, str], order: Sequence[str], edges: Edges, drops: bool
) -> Iterator[tuple[str, Effect]]:
    """What runs too early, and what is returned; an Output behind a node that was dropped is that node's."""
    place, loop = {name: index for index, name in enumerate(order)}, components(original, edges)
    for source, target in edges:
        late = place.get(source, -1) > place.get(target, len(order))
        if late and loop[source] != loop[target]:
            why = f"runs before {original[source]}, and gets what that gave a step earlier"
            yield target, Effect(CHANGED, why)
    if not isinstance(graph.nodes[original[order[0]]], nir.Input):
        yield order[0], Effect(CHANGED, "takes the input itself, for no Input leads anywhere")
    for plain, name in original.items():
        lost = drops and plain not in place
        if isinstance(graph.nodes[name], nir.Output) and plain != order[-1] and not lost:
            why = f"is not returned: what {original[order[-1]]} gives is, which runs last"
            yield plain, Effect(CHANGED, why)
