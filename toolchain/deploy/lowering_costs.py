"""What each lowering of a network's membrane shortcuts costs, counted on the golden tiles of its export.

A synop is one delivery of a spike to one neuron, in the deployed graph with all its relays. By level, a spike
of level n counts n times; by event, once. An accumulator's graded value is no number of unit spikes: through
its identity synapses it counts once per nonzero value in both, as in `snn_tool.energy`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from snn_tool.energy.counts.fan_out import conv_synops
from snn_tool.errors import TargetLimitError
from snn_tool.exporters.contract.traces import Trace
from snn_tool.exporters.loihi.chips import count_resources, expanded_synapses
from snn_tool.exporters.loihi.deployment import Deployment
from snn_tool.exporters.loihi.specs import ConvSpec, Plan
from snn_tool.exporters.nir.interpreter import current
from snn_tool.exporters.nir.program import IMAGE, Integers, Program
from snn_tool.models.streams import LOWERINGS, RELAY, lower

Maps = dict[str, Integers]


@dataclass(frozen=True, slots=True)
class LoweringCost:
    """One lowering of one network.

    Attributes:
        lowering: `fanout` or `relay`.
        depth: hops from the image to the read-out.
        steps: of a run of one image.
        shared_synapses, expanded_synapses: weights stored once per Conv, and once per connection.
        neurons: of all processes.
        delay_relays, accumulators: parts of `neurons`.
        image_macs: MACs of the layers on the image, per tile, at every timestep and for every reader.
        synops_levels, synops_events: per tile, the mean over the golden tiles.
    """

    lowering: str
    depth: int
    steps: int
    shared_synapses: int
    expanded_synapses: int
    neurons: int
    delay_relays: int
    accumulators: int
    image_macs: int
    synops_levels: float
    synops_events: float


@dataclass(frozen=True, slots=True)
class LoweringRefused:
    """A lowering that the target's ranges do not admit for this network, with the reason."""

    lowering: str
    reason: str


def count_lowerings(
    deployment: Deployment, tiles: NDArray[np.integer], trace: Trace
) -> tuple[LoweringCost | LoweringRefused, ...]:
    """Count every lowering of a program.

    Args:
        deployment: of the exported NIR file, by one of the lowerings.
        tiles: integers [N, 3, H, W].
        trace: what the program makes of them, every population recorded.
    """
    program = deployment.program
    activity = _Activity(program, tiles, trace)
    others = {name: Deployment(program, name) for name in LOWERINGS} | {deployment.lowering: deployment}
    return tuple(_count(others[name], activity) for name in LOWERINGS)


class _Activity:
    """For each population and accumulator, sums over timesteps and tiles: of magnitudes, and of nonzeros."""

    def __init__(self, program: Program, tiles: NDArray[np.integer], trace: Trace) -> None:
        self.tiles = len(tiles)
        spikes = {name: z.astype(np.int64) for name, z in trace.spikes.items()}
        self.levels: Maps = {name: np.abs(z).sum(axis=(0, 1)) for name, z in spikes.items()}
        self.events: Maps = {name: _nonzeros(z) for name, z in spikes.items()}
        sums = _stream_sums(program, {IMAGE: tiles.astype(np.int64)[None], **spikes})
        held = {name: _nonzeros(values) for name, values in sums.items()}
        self.levels |= held
        self.events |= held


def _nonzeros(values: Integers) -> Integers:
    nonzeros: Integers = (values != 0).sum(axis=(0, 1), dtype=np.int64)
    return nonzeros


def _stream_sums(program: Program, emitted: Mapping[str, Integers]) -> Maps:
    """What every accumulator emits, [T, N, C, H, W]."""
    populations = lower({p.name: p.inputs for p in program.populations}, RELAY)
    held = [population for population in populations if population.accumulates]
    currents = {name: _currents(program, name, emitted) for name in {name for p in held for name in p.stream}}
    sums = {p.name: sum((currents[name] for name in p.stream), start=np.int64(0)) for p in held}
    return {
        name: np.broadcast_to(total, (program.timesteps, *np.shape(total)[1:]))
        for name, total in sums.items()
    }


def _currents(program: Program, name: str, emitted: Mapping[str, Integers]) -> Integers:
    """Currents [T or 1, N, C, H, W] of one synapse."""
    conv = program.conv[name]
    return np.stack([np.stack([current(conv, z) for z in step]) for step in emitted[conv.source]])


def _count(deployment: Deployment, activity: _Activity) -> LoweringCost | LoweringRefused:
    try:
        plan = deployment.plan
    except TargetLimitError as error:
        return LoweringRefused(deployment.lowering, str(error))
    uses = count_resources(plan)
    sources = {source.name for source in plan.sources}
    of_image = [conv for conv in plan.convs if conv.source in sources]
    return LoweringCost(
        lowering=deployment.lowering,
        depth=plan.depth,
        steps=plan.steps,
        shared_synapses=uses.shared_synapses,
        expanded_synapses=uses.expanded_synapses,
        neurons=uses.neurons,
        delay_relays=uses.relay_neurons - uses.accumulator_neurons,
        accumulators=uses.accumulator_neurons,
        image_macs=plan.timesteps * sum(expanded_synapses(conv) for conv in of_image),
        synops_levels=_synops(plan, activity.levels) / activity.tiles,
        synops_events=_synops(plan, activity.events) / activity.tiles,
    )


def _synops(plan: Plan, spikes: Maps) -> int:
    origins = _origins(plan)
    sent = {**{neuron: spikes[origin] for neuron, origin in origins.items()}, **spikes}
    return sum(_delivered(conv, sent[conv.source]) for conv in plan.convs if conv.source in sent)


def _origins(plan: Plan) -> dict[str, str]:
    """For each delay relay the population or accumulator whose values it holds."""
    relays = {neuron.name for neuron in plan.neurons if neuron.is_relay} - set(plan.accumulators)
    origins: dict[str, str] = {}
    for conv in plan.convs:
        if conv.target in relays:
            origins[conv.target] = origins.get(conv.source, conv.source)
    return origins


def _delivered(conv: ConvSpec, spikes: Integers) -> int:
    channels_out, kernel_x, kernel_y, _ = conv.weight.shape
    kernel = (kernel_y, kernel_x)
    return conv_synops(spikes, channels_out, kernel, conv.stride, conv.padding, conv.dilation, conv.groups)
