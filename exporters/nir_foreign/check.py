"""What a simulator would drop, refuse or change of a NIR graph, before anything is converted.

Which types an importer knows is in `simulators.semantics`; what it makes of their values in `neuron_effects`,
and of names, ports and edges in `graph_effects`. This module holds a graph against them.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
from snn_tool.errors import ArtifactError, ConfigError, check_known
from snn_tool.exporters.nir.reading import READING_FAULTS, REPAIR
from snn_tool.exporters.nir_foreign.graph_effects import graph_effects
from snn_tool.exporters.nir_foreign.neuron_effects import (
    CHANGED,
    DROPPED,
    NEURONS,
    REFUSED,
    Effect,
    Effects,
    changed_unless,
    refused_unless,
    told,
)
from snn_tool.exporters.simulators.semantics import SIMULATORS, Simulator

Rule = Callable[[Any, float], Effects]
HELD = "held"
TIMED = frozenset({"CubaLIF", "IF", "LIF"})
"""Types whose meaning in an importer depends on its timestep."""


def _strided_same(node: Any) -> Effects:
    padding = node.padding
    strided = isinstance(padding, str) and padding == "same" and bool((np.ravel(node.stride) != 1).any())
    why = f"padding 'same' with stride {_text(node.stride)}: torch has it with stride 1 only"
    yield from refused_unless(not strided, why)


def _text(values: Any) -> str:
    return " x ".join(str(int(n)) for n in np.ravel(values))


def grouped_conv(node: Any, dt: float) -> Effects:
    """A convolution of torch that is told weight.shape[1] input channels, the channels of one group."""
    groups, per_group = int(node.groups), int(node.weight.shape[1])
    why = f"groups is {groups}: it takes {per_group} for the input channels, which {groups} does not divide"
    yield from refused_unless(groups > 0 and per_group % groups == 0, why)
    yield from _strided_same(node)


def dense_conv(node: Any, dt: float) -> Effects:
    """A convolution behind spikingjelly's own check."""
    groups = int(node.groups)
    yield from refused_unless(groups == 1, f"groups is {groups}, but must be 1")
    yield from _strided_same(node)


def unpadded_pool(node: Any, dt: float) -> Effects:
    """A pool that is made without padding."""
    padding = _text(node.padding)
    yield from changed_unless(not np.any(node.padding), f"padding is {padding}, but is dropped")


def flatten_with_batch(node: Any, dt: float) -> Effects:
    """Flatten of torch with NIR's dimensions, which do not count the batch in front."""
    start, end = int(node.start_dim), int(node.end_dim)
    if start == end or (start < 0 and end < 0):
        return
    shape = node.input_type["input"]
    if shape is not None:
        ranks = len(np.ravel(shape)) + 1
        meant = [n % ranks if n < 0 else n + 1 for n in (start, end)]
        if meant == [n % ranks for n in (start, end)]:
            return
    why = f"flattens {start} to {end} counting from the batch, which NIR's dimensions leave out"
    yield Effect(CHANGED, why)


def random_bias(node: Any, dt: float) -> Effects:
    """A map that stores the bias where nothing reads it, so that torch's random one stays."""
    yield Effect(CHANGED, f"bias is {told(node.bias)}, but a random one is used")


_TORCH = {
    "Conv1d": grouped_conv,
    "Conv2d": grouped_conv,
    "Flatten": flatten_with_batch,
    "SumPool2d": unpadded_pool,
}
LAYERS: Mapping[str, Mapping[str, Rule]] = {
    "norse": _TORCH,
    "snntorch": _TORCH,
    "spikingjelly": {"Conv1d": dense_conv, "Conv2d": dense_conv, "SumPool2d": unpadded_pool},
    "sinabs": {"Conv2d": grouped_conv, "SumPool2d": unpadded_pool},
    "nirtorch": {**_TORCH, "Affine": random_bias},
}
"""Rules by simulator and NIR type; a type without a rule is held whatever its values are."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One node in one target.

    Attributes:
        target: a simulator.
        node: its name; nodes of a subgraph as `subgraph.node`; empty of what is wrong with the whole graph.
        kind: its NIR type.
        verdict: `held`, `changed`, `dropped` or `refused`.
        why: with the node's numbers; of what is held the timestep for which a neuron is, else empty.
    """

    target: str
    node: str
    kind: str
    verdict: str
    why: str

    @property
    def lost(self) -> bool:
        """The target would compute without this node, or not at all."""
        return self.verdict in {DROPPED, REFUSED}


def check_graph(graph: nir.NIRGraph, target: str | None, dt_s: float | None = None) -> tuple[Finding, ...]:
    """Every node against one target, or against all; of ports and whole graphs only what is lost or changed.

    Args:
        graph: of any tool.
        target: a simulator; None for all.
        dt_s: timestep in seconds that the importers are called with; None takes each one's default.

    Raises:
        ConfigError: unknown target (names the known ones), or no timestep.
        ArtifactError: a node's values are of no use, as groups that are no number.
    """
    if target is not None:
        check_known("--target", target, SIMULATORS)
    if dt_s is not None and not 0 < dt_s < float("inf"):
        raise ConfigError(f"--dt {dt_s:g}: a timestep in seconds is above 0")
    chosen = [s for name, s in SIMULATORS.items() if target in (None, name)]
    return tuple(finding for simulator in chosen for finding in _findings(simulator, graph, dt_s))


def _findings(simulator: Simulator, graph: nir.NIRGraph, dt_s: float | None) -> Iterator[Finding]:
    wired: dict[str, list[Effect]] = defaultdict(list)
    for placed in graph_effects(simulator, graph):
        wired[placed.node].append(placed.effect)
    for name, node in _nodes(graph, ""):
        effects, kind = wired[name], type(node).__name__
        if not isinstance(node, nir.NIRGraph | nir.Input | nir.Output):
            found = [*_own(simulator, name, node, dt_s), *effects]
            told = f"at dt = {_step(simulator, dt_s):g} s" if kind in TIMED else ""
            yield Finding(simulator.name, name, kind, *_gravest(found, told))
        elif effects:
            yield Finding(simulator.name, name, kind, *_gravest(effects, ""))


def _nodes(graph: nir.NIRGraph, name: str) -> Iterator[tuple[str, nir.NIRNode]]:
    """The graph itself, and every node of it and of the graphs inside it."""
    yield name, graph
    for own, node in sorted(graph.nodes.items()):
        inner = f"{name}.{own}" if name else own
        if isinstance(node, nir.NIRGraph):
            yield from _nodes(node, inner)
        else:
            yield inner, node


def _gravest(effects: Sequence[Effect], held: str) -> tuple[str, str]:
    """The gravest verdict, and all that leads to it; what raises first hides what would change."""
    for verdict in (REFUSED, DROPPED, CHANGED):
        if found := dict.fromkeys(effect.why for effect in effects if effect.verdict == verdict):
            return verdict, "; ".join(found)
    return HELD, held


def _own(simulator: Simulator, name: str, node: nir.NIRNode, dt_s: float | None) -> list[Effect]:
    """What becomes of a node by its type and its values."""
    kind = type(node).__name__
    if kind in simulator.drops:
        return [Effect(DROPPED, "vanishes without an error")]
    if kind in simulator.refuses:
        return [Effect(REFUSED, simulator.reasons.get(kind, "its importer raises an error"))]
    if kind not in simulator.holds:
        return [Effect(REFUSED, "not among the types that were tested")]
    return _by_values(simulator, name, node, dt_s)


def _step(simulator: Simulator, dt_s: float | None) -> float:
    return simulator.dt_s or dt_s or simulator.default_dt_s


def _by_values(simulator: Simulator, name: str, node: nir.NIRNode, dt_s: float | None) -> list[Effect]:
    kind, step = type(node).__name__, _step(simulator, dt_s)
    try:
        with np.errstate(all="ignore"):  # a time constant of 0 is told as it is
            effects = list(_effects(simulator, kind, node, step))
    except READING_FAULTS as error:
        raise ArtifactError(f"{name}: {kind} with values of no use ({error}); {REPAIR}") from error
    if dt_s and dt_s != step and kind in TIMED and simulator.name != "sinabs":
        effects.append(Effect(CHANGED, f"its timestep is {step:g} s, whatever the caller's is"))
    return effects


def _effects(simulator: Simulator, kind: str, node: nir.NIRNode, step: float) -> Iterator[Effect]:
    for rules in (NEURONS, LAYERS):
        if kind in rules[simulator.name]:
            yield from rules[simulator.name][kind](node, step)
