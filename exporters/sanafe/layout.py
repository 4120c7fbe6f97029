"""A plan laid out on the cores of one chip, connection by connection; `sanafe_network` says how."""

import numpy as np
from snn_tool.errors import TargetLimitError, UnsupportedLayerError
from snn_tool.exporters.loihi.plan import build_plan
from snn_tool.exporters.loihi_resources import expanded_synapses
from snn_tool.exporters.loihi.specs import LifSpec, Plan
from snn_tool.exporters.loihi_tiles import largest_side, resized, size_multiple
from snn_tool.exporters.nir.program import Program
from snn_tool.exporters.sanafe_connections import connect
from snn_tool.exporters.sanafe_network import LEAK_ONE, NEURONS_PER_CORE, ChipGroup, ChipNetwork
from snn_tool.models.streams import FANOUT

CORES = 128
"""Of one Loihi (Davies et al. 2018), and of the architecture file that SANA-FE ships."""

MAX_CONNECTIONS = 6_000_000
"""SANA-FE 2.2.9 takes about 0.85 kB for a connection, and 1.5 GB for an empty chip (measured)."""


def chip_network(program: Program, lowering: str = FANOUT) -> ChipNetwork:
    """Lay a network out on the cores of one chip, connection by connection.

    Args:
        program: of a NIR file.
        lowering: of membrane shortcuts.

    Raises:
        UnsupportedLayerError: a process has graded neurons; all are named.
        TargetLimitError: more cores or connections than there is room for; says which tile fits.
    """
    plan = build_plan(program, lowering)
    neurons = _lif(plan)
    if excess := _excess(plan):
        raise TargetLimitError(f"{excess}; {_fitting(program, lowering)}")
    images = {source.name for source in plan.sources}
    groups = _placed(neurons)
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
    return tuple(groups)


def _excess(plan: Plan) -> str:
    """What of a plan is more than the chip has, or empty."""
    cores = sum(group.cores for group in _placed(_lif(plan)))
    if cores > CORES:
        return f"{cores} cores of {NEURONS_PER_CORE} neurons are needed and SANA-FE's Loihi has {CORES}"
    images = {source.name for source in plan.sources}
    count = sum(expanded_synapses(conv) for conv in plan.convs if conv.source not in images)
    if count > MAX_CONNECTIONS:
        return f"{count:,} connections exceed the {MAX_CONNECTIONS:,} that SANA-FE is given memory for"
    return ""


def _fitting(program: Program, lowering: str) -> str:
    """Which tiles of the same network fit: they are counted, not guessed."""
    if not program.fits_any_size:
        return f"the network takes images of {program.width}x{program.height} alone; use a smaller network"

    def fits(side: int) -> bool:
        return not _excess(build_plan(resized(program, side, side), lowering))

    side = largest_side(size_multiple(program), fits)
    if not side:
        return "no tile of this network fits; use a smaller network"
    return f"the largest tile that fits is {side}x{side}: export with --size {side}"
