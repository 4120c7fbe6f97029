"""What `nirtorch.nir_to_torch` makes of a graph's names and edges, for snntorch, spikingjelly and nirtorch.

Read in nirtorch 2.6 (nir_interpreter) and torch 2.13 (fx). It turns a queue of nodes into Python code: a node
whose sources are not there yet goes to the end of the queue, again and again; in a loop the output of the
step before stands for a source that is not there, if the node has another source as well. Tests hold every
rule against the importer itself (tests/test_nir_check_graphs.py).
"""

import ast
import keyword
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache

import nir
from snn_tool.exporters.nir_effects import CHANGED, DROPPED, REFUSED, Effect, Placed
from snn_tool.exporters.nir_loops import components

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
    """Go through the queue as it does, until it is empty or nothing in it can ever be placed."""
    original = {python_name(name): name for name in graph.nodes}
    edges = {(python_name(a), python_name(b)) for a, b in graph.edges}
    sources: Mapping[str, set[str]] = {n: {a for a, b in edges if b == n} for n in original}
    loop = components(original, edges)
    waiting = deque((python_name(name), node) for name, node in graph.nodes.items())
    placed, thin, built, since = set[str](), set[str](), set[str](), 0
    while waiting and since <= len(waiting):
        name, node = waiting.popleft()
        ready = name in placed or _is_ready(name, node, sources[name], placed, loop, bool(waiting))
        if placed and isinstance(node, nir.NIRGraph):
            if name in built:
                why = "comes before what feeds it, and a graph inside the graph is built once only"
                yield Placed(prefix + original[name], Effect(REFUSED, why))
                return
            built.add(name)
        if ready and (placed or isinstance(node, nir.Input)):
            if sources[name] and sources[name] <= thin | (loop.keys() - placed):
                thin.add(name)
                if _needs_width(node):
                    why = "the first step gives it a single zero, for all that it reads lies on its loops"
                    yield Placed(prefix + original[name], Effect(REFUSED, why))
                if spreads(node):
                    thin.discard(name)
            placed.add(name)
            since = 0
        else:
            waiting.append((name, node))
            since += 1
    stuck = [name for name, node in waiting if not isinstance(node, nir.Output)]
    for name in stuck:
        needed = ", ".join(sorted(original.get(a, a) for a in sources[name] - placed))
        why = f"waits for {needed}, which never come: the import does not end"
        yield Placed(prefix + original[name], Effect(REFUSED, why))


def _needs_width(node: nir.NIRNode) -> bool:
    return isinstance(node, nir.Affine | nir.Linear | nir.Conv1d | nir.Conv2d) and node.weight.shape[1] > 1


def _is_ready(
    name: str,
    node: nir.NIRNode,
    sources: set[str],
    placed: set[str],
    loop: Mapping[str, int],
    others_wait: bool,
) -> bool:
    if isinstance(node, nir.Input):
        return True
    missing = sources - placed
    if isinstance(node, nir.Output):
        return not others_wait and not missing
    return all(len(sources) > 1 and loop.get(source) == loop[name] for source in missing)
