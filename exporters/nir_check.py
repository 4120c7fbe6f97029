"""What a simulator would drop, refuse or change of a NIR graph, node by node, before anything is converted.

The facts are `simulator_semantics`; this module only holds a graph against them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import nir
from snn_tool.errors import ConfigError
from snn_tool.exporters.simulator_semantics import AT_LEAST, SIMULATORS, Simulator

HELD, CHANGED, DROPPED, REFUSED = "held", "changed", "dropped", "refused"
SPIKING = (nir.IF, nir.LIF, nir.CubaLIF)


@dataclass(frozen=True, slots=True)
class Finding:
    """One node in one target.

    Attributes:
        target: a simulator.
        node: its name; nodes of a subgraph as `subgraph.node`.
        kind: its NIR type.
        verdict: `held`, `changed`, `dropped` or `refused`.
        why: empty if held.
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


def check_graph(graph: nir.NIRGraph, target: str | None) -> tuple[Finding, ...]:
    """Every node against one target, or against all.

    Raises:
        ConfigError: unknown target; names the known ones.
    """
    if target is not None and target not in SIMULATORS:
        raise ConfigError(f"--target {target} is unknown; use one of {', '.join(SIMULATORS)}")
    chosen = [s for name, s in SIMULATORS.items() if target in (None, name)]
    nodes = list(_nodes(graph, ""))
    return tuple(_finding(simulator, name, node) for simulator in chosen for name, node in nodes)


def _nodes(graph: nir.NIRGraph, prefix: str) -> Iterator[tuple[str, nir.NIRNode]]:
    for name, node in sorted(graph.nodes.items()):
        if isinstance(node, nir.NIRGraph):
            yield from _nodes(node, f"{prefix}{name}.")
        elif not isinstance(node, nir.Input | nir.Output):
            yield f"{prefix}{name}", node


def _finding(simulator: Simulator, name: str, node: nir.NIRNode) -> Finding:
    kind = type(node).__name__
    if kind in simulator.drops:
        verdict, why = DROPPED, "vanishes without an error"
    elif kind in simulator.refuses:
        verdict, why = REFUSED, "its importer raises an error"
    elif kind not in simulator.holds:
        verdict, why = REFUSED, "not among the types that were tested"
    else:
        why = "; ".join(_changes(simulator, kind, isinstance(node, SPIKING)))
        verdict = CHANGED if why else HELD
    return Finding(simulator.name, name, kind, verdict, why)


def _changes(simulator: Simulator, kind: str, spiking: bool) -> Iterator[str]:
    if kind in simulator.deviates:
        yield simulator.deviates[kind]
    if spiking and simulator.comparison == AT_LEAST:
        yield "fires where v >= threshold, NIR where v > threshold"
    if spiking and simulator.dt_s is not None:
        yield f"timestep fixed at {simulator.dt_s:g} s"
