"""A plan laid out on the cores of one chip, connection by connection; `sanafe_network` says how."""

import numpy as np
from snn_tool.errors import TargetLimitError, UnsupportedLayerError
from snn_tool.exporters.loihi_resources import expanded_synapses
from snn_tool.exporters.loihi_specs import LifSpec, Plan
from snn_tool.exporters.sanafe_connections import connect
from snn_tool.exporters.sanafe_network import LEAK_ONE, NEURONS_PER_CORE, ChipGroup, ChipNetwork

CORES = 128
"""Of one Loihi (Davies et al. 2018), and of the architecture file that SANA-FE ships."""

MAX_CONNECTIONS = 6_000_000
"""SANA-FE 2.2.9 takes about 0.85 kB for a connection, and 1.5 GB for an empty chip (measured)."""


def chip_network(plan: Plan) -> ChipNetwork:
    """Lay a plan out on the cores of one chip, connection by connection.

    Raises:
        UnsupportedLayerError: a process has graded neurons; all are named.
        TargetLimitError: more cores or connections than there is room for.
    """
    neurons = _lif(plan)
    images = {source.name for source in plan.sources}
    groups = _placed(neurons)
    _check_size(plan, images)
    convs = [(conv, connect(conv)) for conv in plan.convs]
    return ChipNetwork(
        groups,
        tuple(edges for conv, edges in convs if conv.source not in images),
        tuple(edges for conv, edges in convs if conv.source in images),
        {n.name: np.broadcast_to(n.bias_mant, n.shape).astype(np.int64).ravel() for n in neurons},
        plan.timesteps,
        plan.depth,
    )


def _lif(plan: Plan) -> list[LifSpec]:
    """The neurons of a plan, if all are LIF."""
    others = [neuron.name for neuron in plan.neurons if not isinstance(neuron, LifSpec)]
    if others:
        raise UnsupportedLayerError(
            f"{', '.join(others)}: graded neurons, but a spike in SANA-FE carries no payload; "
            "take a lif student exported with --lowering fanout"
        )
    return [neuron for neuron in plan.neurons if isinstance(neuron, LifSpec)]


def _placed(neurons: list[LifSpec]) -> tuple[ChipGroup, ...]:
    groups: list[ChipGroup] = []
    core = 0
    for n in neurons:
        groups.append(ChipGroup(n.name, n.shape, core, n.vth, LEAK_ONE - n.dv, n.depth, n.is_relay))
        core += groups[-1].cores
    if core > CORES:
        raise TargetLimitError(
            f"{core} cores of {NEURONS_PER_CORE} neurons are needed and SANA-FE's Loihi has {CORES}; "
            "export smaller tiles (--size 16, or 8)"
        )
    return tuple(groups)


def _check_size(plan: Plan, images: set[str]) -> None:
    count = sum(expanded_synapses(conv) for conv in plan.convs if conv.source not in images)
    if count > MAX_CONNECTIONS:
        raise TargetLimitError(
            f"{count:,} connections exceed the {MAX_CONNECTIONS:,} that SANA-FE is given memory for; "
            "export smaller tiles (--size 16, or 8)"
        )
