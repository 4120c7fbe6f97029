"""What a simulator would drop, refuse or change of a NIR graph, before anything is converted.

Which types an importer knows is in `simulator_semantics`; what it makes of their values in
`nir_neuron_effects` and `nir_layer_effects`, and of names, ports and edges in `nir_graph_effects`. This
module holds a graph against them.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import nir
import numpy as np
from snn_tool.errors import ArtifactError, ConfigError
from snn_tool.exporters.nir_effects import CHANGED, DROPPED, REFUSED, Effect
from snn_tool.exporters.nir_foreign.graph_effects import graph_effects
from snn_tool.exporters.nir_layer_effects import LAYERS
from snn_tool.exporters.nir_foreign.neuron_effects import NEURONS
from snn_tool.exporters.nir.reading import READING_FAULTS, REPAIR
from snn_tool.exporters.simulators.semantics import SIMULATORS, Simulator

HELD = "held"
TIMED = frozenset({"CubaLIF", "IF", "LIF"})
"""Types whose meaning in an importer depends on its timestep."""


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
    if target is not None and target not in SIMULATORS:
        raise ConfigError(f"--target {target} is unknown; use one of {', '.join(SIMULATORS)}")
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
