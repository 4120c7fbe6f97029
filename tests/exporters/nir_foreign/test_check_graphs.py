"""What `check` says of a graph's names, ports, edges and loops, against the importers themselves.

`refused` must raise, never end, or raise on the first frames; all else must run. A graph of linear nodes
without loops that is held in all its parts must give what its edges say, computed below from them alone.
"""

import contextlib
import copy
import io
import json
import logging
import os
import signal
import warnings
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from snn_tool.cli.app import run
from snn_tool.exporters.nir_foreign.check import Finding, check_graph

Edges = list[tuple[str, str]]
Outcome = tuple[str, NDArray[np.float64] | None]
SECONDS = 3
"""After which an import is taken to have no end; each takes a few hundredths."""


class EndlessError(BaseException):
    """Raised by the alarm; no plain exception, for importers swallow those while they look at a module."""


Importer = Callable[[nir.NIRGraph], Any]


@cache
def importer(target: str) -> Importer:
    """What a library ships; skips where it is not installed."""
    if target == "norse":
        made = pytest.importorskip("norse.torch").from_nir
    elif target == "sinabs":
        made = partial(pytest.importorskip("sinabs.nir").from_nir, batch_size=1)
    elif target == "nirtorch":
        made = partial(pytest.importorskip("nirtorch").nir_to_torch, node_map={})
    else:
        places = {
            "snntorch": "snntorch.import_nir",
            "spikingjelly": "spikingjelly.activation_based.nir_exchange",
        }
        made = pytest.importorskip(places[target]).import_from_nir
    made_here: Importer = made
    return made_here


TARGETS = ("norse", "snntorch", "spikingjelly", "sinabs", "nirtorch")


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """Quiet, and for a few seconds only."""

    def ring(*_: object) -> None:
        raise EndlessError

    before = signal.signal(signal.SIGALRM, ring)
    logging.disable(logging.CRITICAL)
    signal.setitimer(signal.ITIMER_REAL, SECONDS, 1)  # again and again: foreign code may swallow the first
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        logging.disable(logging.NOTSET)


def happens(target: str, graph: nir.NIRGraph, frame: torch.Tensor) -> Outcome:
    """`refused`, or `runs` with what the first of three steps gives."""
    imported = importer(target)
    with bounded():
        try:
            module, state, first = imported(copy.deepcopy(graph)), None, None
            with torch.no_grad():
                for _ in range(3):
                    answer = module(frame, state)
                    parts = answer if isinstance(answer, tuple) else (answer,)
                    state = parts[-1] if len(parts) > 1 else state
                    first = parts[0] if first is None else first
        except (Exception, EndlessError):  # foreign code, of which any exception is an outcome
            return "refused", None
    return "runs", first.numpy().astype(np.float64) if isinstance(first, torch.Tensor) else None


def says(target: str, graph: nir.NIRGraph) -> tuple[Finding, ...]:
    return check_graph(graph, target, 1e-3 if target == "norse" else None)


def refusals(found: tuple[Finding, ...]) -> list[Finding]:
    return [finding for finding in found if finding.verdict == "refused"]


ONE = torch.ones(1, 2)


def linear(seed: int = 0) -> nir.Affine:
    """No bias of nirtorch's own arrives, so that what it makes is compared by its edges alone."""
    return nir.Affine(np.random.default_rng(seed).integers(-3, 4, (2, 2)).astype("f4"), np.zeros(2, "f4"))


def fires() -> nir.LIF:
    """Held by norse, snntorch and spikingjelly, changed by sinabs, refused by nirtorch."""
    return nir.LIF(np.full(2, 4e-3), np.ones(2), np.zeros(2), np.full(2, 0.5), np.zeros(2))


def current() -> nir.CubaLIF:
    values = (2e-4, 4e-4, 4.0, 0.0, 0.5, 0.0, 2.0)
    return nir.CubaLIF(*(np.full(2, value) for value in values))


def pair() -> nir.IF:
    return nir.IF(np.ones(2), np.ones(2), np.zeros(2))


def unknown() -> nir.Scale:
    return nir.Scale(np.full(2, 3.0))


def start() -> nir.Input:
    return nir.Input(np.array([2]))


def end() -> nir.Output:
    return nir.Output(np.array([2]))


def graph(edges: Edges, **nodes: nir.NIRNode) -> nir.NIRGraph:
    return nir.NIRGraph(nodes, edges, type_check=False)


def around(edges: Edges, **nodes: nir.NIRNode) -> nir.NIRGraph:
    return graph(edges, i=start(), o=end(), **nodes)


def inside(**nodes: nir.NIRNode) -> nir.NIRGraph:
    names = ["x0", *nodes, "x9"]
    return graph(list(zip(names, names[1:], strict=False)), x0=start(), **nodes, x9=end())


FAMILY: dict[str, Callable[[], nir.NIRGraph]] = {
    "nothing but an unknown": lambda: around([("i", "a"), ("a", "o")], a=unknown()),
    "a chain": lambda: around([("i", "a"), ("a", "b"), ("b", "o")], a=linear(), b=linear(1)),
    "a skip": lambda: around(
        [("i", "a"), ("a", "b"), ("b", "c"), ("a", "c"), ("c", "o")], a=linear(), b=linear(1), c=linear(2)
    ),
    "the skip first": lambda: around(
        [("i", "a"), ("a", "c"), ("a", "b"), ("b", "c"), ("c", "o")], a=linear(), b=linear(1), c=linear(2)
    ),
    "the output joins": lambda: around(
        [("i", "a"), ("i", "b"), ("a", "o"), ("b", "o")], a=linear(), b=linear(1)
    ),
    "a dead end": lambda: around([("i", "a"), ("a", "o"), ("a", "b")], a=linear(), b=linear(1)),
    "nothing feeds it": lambda: around([("i", "a"), ("a", "o")], a=linear(), b=linear(1)),
    "a second source": lambda: around([("i", "a"), ("b", "a"), ("a", "o")], a=linear(), b=linear(1)),
    "the output alone": lambda: around([("i", "a")], a=linear()),
    "no output": lambda: graph([("i", "a")], i=start(), a=linear()),
    "no input": lambda: graph([("a", "o")], o=end(), a=linear()),
    "no edges": lambda: around([], a=linear()),
    "two inputs": lambda: around(
        [("i", "a"), ("j", "b"), ("a", "c"), ("b", "c"), ("c", "o")],
        j=start(),
        a=linear(),
        b=linear(1),
        c=linear(2),
    ),
    "two outputs": lambda: around([("i", "a"), ("a", "o"), ("a", "p")], p=end(), a=linear()),
    "a node that reads itself": lambda: around([("i", "a"), ("a", "a"), ("a", "o")], a=linear()),
    "a loop of two": lambda: around([("i", "a"), ("a", "n"), ("n", "a"), ("n", "o")], a=linear(), n=fires()),
    "a loop that nothing enters": lambda: around(
        [("i", "a"), ("b", "n"), ("n", "b"), ("a", "o")], a=linear(), b=linear(1), n=fires()
    ),
    "a recurrent neuron, early": lambda: around(
        [("i", "k"), ("k", "n"), ("n", "w"), ("w", "n"), ("n", "o")], k=linear(), n=fires(), w=linear(1)
    ),
    "a recurrent neuron, late": lambda: graph(
        [("i", "a"), ("a", "n"), ("n", "w"), ("w", "n"), ("n", "o")],
        a=linear(),
        i=start(),
        n=fires(),
        o=end(),
        w=linear(1),
    ),
    "a recurrent neuron in parts": lambda: graph(
        [("i", "a"), ("a", "r.n"), ("r.n", "r.w"), ("r.w", "r.n"), ("r.n", "o")],
        **{"a": linear(), "i": start(), "o": end(), "r.n": current(), "r.w": linear(1)},
    ),
    "two recurrent neurons of one name": lambda: graph(
        [
            ("i", "r.m"),
            ("r.m", "r.v"),
            ("r.v", "r.m"),
            ("r.m", "r.n"),
            ("r.n", "r.w"),
            ("r.w", "r.n"),
            ("r.n", "o"),
        ],
        **{"i": start(), "o": end(), "r.m": fires(), "r.n": fires(), "r.v": linear(), "r.w": linear(1)},
    ),
    "a loop of three": lambda: around(
        [("i", "n"), ("n", "a"), ("a", "b"), ("b", "n"), ("n", "o")], a=linear(), b=linear(1), n=fires()
    ),
    "a loop that is read": lambda: around(
        [("i", "n"), ("n", "a"), ("a", "n"), ("a", "o")], a=linear(), n=fires()
    ),
    "one unknown": lambda: around([("i", "a"), ("a", "b"), ("b", "o")], a=linear(), b=unknown()),
    "one unknown inside": lambda: around(
        [("i", "a"), ("a", "b"), ("b", "c"), ("c", "o")], a=linear(), b=unknown(), c=linear(1)
    ),
    "an unknown beside": lambda: around([("i", "a"), ("a", "o"), ("a", "b")], a=linear(), b=unknown()),
    "two unknown": lambda: around(
        [("i", "a"), ("a", "b"), ("b", "c"), ("c", "o")], a=linear(), b=unknown(), c=unknown()
    ),
    "two unknown, one apart": lambda: around(
        [("i", "a"), ("a", "b"), ("a", "o")], a=linear(), b=unknown(), c=unknown()
    ),
    "a pair at the end": lambda: around([("i", "a"), ("a", "n"), ("n", "o")], a=linear(), n=pair()),
    "a pair inside": lambda: around(
        [("i", "a"), ("a", "n"), ("n", "b"), ("b", "o")], a=linear(), b=linear(1), n=pair()
    ),
    "a graph inside": lambda: around([("i", "s"), ("s", "o")], s=inside(a=linear())),
    "a graph behind": lambda: around([("i", "a"), ("a", "s"), ("s", "o")], a=linear(), s=inside(b=linear(1))),
    "a graph too early": lambda: graph(
        [("i", "z"), ("z", "s"), ("s", "o")], i=start(), s=inside(b=linear(1)), z=linear(), o=end()
    ),
    "a graph in a graph": lambda: around([("i", "s"), ("s", "o")], s=inside(t=inside(a=linear()))),
    "a graph without an output": lambda: around(
        [("i", "s"), ("s", "o")], s=graph([("x", "a")], x=start(), a=linear())
    ),
    "two graphs of neurons": lambda: around(
        [("i", "s"), ("s", "t"), ("t", "o")],
        s=inside(a=linear(), n=fires()),
        t=inside(b=linear(1), n=fires()),
    ),
    "names that become one": lambda: graph(
        [("i", "a.b"), ("a.b", "a_b"), ("a_b", "o")],
        **{"i": start(), "a.b": linear(), "a_b": linear(1), "o": end()},
    ),
    "a thousand nodes": lambda: around(
        [("i", "n0"), *((f"n{k}", f"n{k + 1}") for k in range(1199)), ("n1199", "o")],
        **{f"n{k}": linear() for k in range(1200)},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", FAMILY)
@pytest.mark.parametrize("target", TARGETS)
def test_what_is_refused_raises_and_nothing_else_does(target: str, case: str) -> None:
    if case == "a thousand nodes" and target not in ("norse", "sinabs"):
        return  # the newer function takes a minute for them
    made = FAMILY[case]()
    found, outcome = says(target, made), happens(target, made, ONE)[0]
    refused = refusals(found)
    assert ("refused" if refused else "runs") == outcome, found


NAMES = (
    "0 1.2 a.b a-b a+b é if lambda state input output self torch add forward keys items values pop update to "
    "half training graph code meta recompile print_readable execution_order stateful_modules return_state "
    "_forward_hooks is_none initialized_state InitializedState is-none T_destination a'b"
).split()
NAMES += ["a\\q", "a\rb", "a b", 'a"b', "a\\b", "a\nb", "a\\", " ", "\t", '") or print("', "\u2028"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("target", TARGETS)
def test_names_of_nodes(target: str, name: str) -> None:
    made = nir.NIRGraph(
        {"i": start(), name: linear(), "o": end()}, [("i", name), (name, "o")], type_check=False
    )
    found, outcome = says(target, made), happens(target, made, ONE)[0]
    assert ("refused" if refusals(found) else "runs") == outcome, found


def by_edges(made: nir.NIRGraph, frame: NDArray[np.float64]) -> NDArray[np.float64]:
    """The Output's sum, by the edges alone."""

    def gives(name: str) -> NDArray[np.float64]:
        node = made.nodes[name]
        if isinstance(node, nir.Input):
            return frame
        total: NDArray[np.float64] = sum(gives(a) for a, b in made.edges if b == name)  # type: ignore[assignment]
        return total @ node.weight.T.astype(np.float64) if isinstance(node, nir.Affine) else total

    (last,) = (name for name, node in made.nodes.items() if isinstance(node, nir.Output))
    return gives(last)


LETTERS = "abcdefgh"


@st.composite
def wirings(draw: st.DrawFn, loops: bool) -> nir.NIRGraph:
    """Up to five linear nodes and neurons, of any edges forward (and back), in any order, by any letters."""
    count = draw(st.integers(1, 5))
    names = draw(st.permutations(LETTERS))[:count]
    kinds = draw(st.lists(st.booleans(), min_size=count, max_size=count)) if loops else [False] * count
    nodes = {
        name: fires() if kind else linear(k) for k, (name, kind) in enumerate(zip(names, kinds, strict=True))
    }
    places = ["in", *names, "out"]
    possible = [
        (a, b)
        for k, a in enumerate(places[:-1])
        for m, b in enumerate(places[1:], 1)
        if (m > k or loops) and not (a, b) == ("in", "out")
    ]
    edges = draw(st.lists(st.sampled_from(possible), min_size=1, max_size=8, unique=True))
    ends = {"in": start(), "out": end()}
    order = draw(st.permutations([*nodes, *ends]))
    return graph(edges, **{name: {**nodes, **ends}[name] for name in order})


EXAMPLES = int(os.environ.get("SNN_TOOL_GRAPHS", "40"))


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
@given(data=st.data())
def test_any_wiring_with_loops_is_refused_if_and_only_if_it_raises(target: str, data: st.DataObject) -> None:
    made = data.draw(wirings(loops=True))
    found = says(target, made)
    if any(f.kind == "LIF" for f in found) and target == "nirtorch":
        return
    endless = any("not end" in f.why or "never ends" in f.why for f in found)
    if endless and data.draw(st.integers(0, 9)):
        return  # each takes its seconds: one of ten is tried
    outcome = happens(target, made, ONE)[0]
    assert ("refused" if refusals(found) else "runs") == outcome, (made.edges, list(made.nodes), found)


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
@given(data=st.data())
def test_what_is_held_gives_what_the_edges_say(target: str, data: st.DataObject) -> None:
    made = data.draw(wirings(loops=False))
    kept = [f for f in says(target, made) if f.why.split(",")[0] != "bias is 0"]
    if refusals(tuple(kept)) and data.draw(st.integers(0, 9)):
        return
    frame = np.array([[3.0, -5.0]])
    with contextlib.suppress(IndexError):
        outcome, found = happens(target, made, torch.from_numpy(frame).float())
        assert ("refused" if refusals(tuple(kept)) else "runs") == outcome, (
            made.edges,
            list(made.nodes),
            kept,
        )
        if all(f.verdict == "held" for f in kept) and target != "nirtorch":
            assert found is not None and np.array_equal(found, by_edges(made, frame)), (made.edges, kept)


@pytest.mark.parametrize("target", TARGETS)
def test_a_real_recurrent_network(target: str) -> None:
    """The braille network of NIR's paper: a recurrent CubaLIF between two Affines."""
    folder = os.environ.get("SNN_TOOL_DATA")
    if not folder:
        pytest.skip("SNN_TOOL_DATA names no folder with nir/braille_noDelay_bias_zero.nir")
    made = nir.read(Path(folder) / "nir" / "braille_noDelay_bias_zero.nir")
    found = says(target, made)
    outcome = happens(target, made, torch.ones(1, 12))[0]
    assert ("refused" if refusals(found) else "runs") == outcome, found
    expected = {"norse": "runs", "spikingjelly": "runs"}.get(target, "refused")
    assert outcome == expected


@pytest.mark.slow
def test_the_command_says_why_and_exits_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "net.nir"
    nir.write(path, FAMILY["a recurrent neuron in parts"]())
    assert run(["check", str(path), "--target", "snntorch"]) == 3
    shown = capsys.readouterr().out
    assert "snntorch: r.n (CubaLIF): refused, comes before what feeds it" in shown
    assert "snntorch: r.w (Affine): refused" in shown
    assert run(["check", str(path), "--target", "sinabs"]) == 3
    assert run(["check", str(path), "--target", "norse"]) == 0
    nir.write(path, FAMILY["two outputs"]())
    capsys.readouterr()
    assert run(["--json", "check", str(path), "--target", "spikingjelly"]) == 3
    (of_port,) = [f for f in json.loads(capsys.readouterr().out)["findings"] if f["verdict"] == "refused"]
    assert (of_port["node"], of_port["kind"]) == ("p", "Output") and "never ends" in of_port["why"]
    nir.write(path, around([("i", "b"), ("b", "o")], b=unknown()))
    assert run(["check", str(path), "--target", "norse"]) == 3
    assert "norse: the graph (NIRGraph): refused, there is no edge" in capsys.readouterr().out
