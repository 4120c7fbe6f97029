"""What golden tiles reach in every register: smallest and largest value, before anything wraps or clips."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from snn_tool.exporters.loihi_carriers import carriers
from snn_tool.exporters.loihi_quantity import Limit
from snn_tool.exporters.nir.interpreter import (
    integrated,
    kept_steps,
    product_sums,
    shuffle,
    signed_24_bit,
)
from snn_tool.exporters.nir.program import IMAGE, GradedNode, Integers, PopulationNode, Program
from snn_tool.exporters.contract.traces import Trace
from snn_tool.models.streams import FANOUT


@dataclass(frozen=True, slots=True)
class Observed:
    """Extremes over all tiles, timesteps and positions, in the units of `loihi_bounds.Bounds`.

    Attributes:
        sums, currents, membranes: of convolutions and populations.
        carried: of what accumulators and relays pass on, LSB or spikes.
    """

    sums: dict[str, Limit] = field(default_factory=dict)
    currents: dict[str, Limit] = field(default_factory=dict)
    membranes: dict[str, Limit] = field(default_factory=dict)
    carried: dict[str, Limit] = field(default_factory=dict)


def observe(
    program: Program, tiles: NDArray[np.integer], reference: Trace, lowering: str = FANOUT
) -> Observed:
    """Recompute the inside of every register from recorded spikes and membranes.

    Args:
        program: of the tiles' size.
        tiles: integers [N, 3, H, W].
        reference: their trace, every population recorded.
        lowering: of membrane shortcuts; it decides which accumulators and relays there are.
    """
    seen, passing = Observed(), carriers(program, lowering)
    for index in range(len(tiles)):
        emitted = {IMAGE: tiles[index : index + 1].astype(np.int64)}
        emitted |= {name: s[:, index].astype(np.int64) for name, s in reference.spikes.items()}
        membranes = {name: m[:, index].astype(np.int64) for name, m in reference.membranes.items()}
        outputs = _observe_tile(program, emitted, membranes, seen)
        for carrier in passing:
            held = emitted[carrier.population] if carrier.population else _summed(carrier.stream, outputs)
            _widen(seen.carried, carrier.name, held)
    return seen


def _observe_tile(
    program: Program, emitted: Mapping[str, Integers], membranes: Mapping[str, Integers], seen: Observed
) -> dict[str, Integers]:
    """Widen the extremes by one tile; returns what each convolution delivers, [T or 1, C, H, W]."""
    outputs: dict[str, Integers] = {}
    for conv in program.convs:
        sums = np.stack([product_sums(conv, frame) for frame in emitted[conv.source]])
        _widen(seen.sums, conv.name, sums)
        outputs[conv.name] = np.stack([shuffle(signed_24_bit(one), conv.upsample) for one in sums])
    for population in program.populations:
        total = _summed(population.inputs, outputs)
        _widen(seen.currents, population.name, total)
        _widen(
            seen.membranes,
            population.name,
            _before_clipping(
                population, total, program.bias(population)[:, None, None], membranes[population.name]
            ),
        )
    return outputs


def _summed(stream: Sequence[str], outputs: Mapping[str, Integers]) -> Integers:
    """The summed current; the image's currents [1, C, H, W] repeat at every timestep."""
    total = outputs[stream[0]]
    for name in stream[1:]:
        total = total + outputs[name]
    return total


def _before_clipping(
    population: PopulationNode, currents: Integers, bias: Integers, membranes: Integers
) -> Integers:
    """Membranes [T, C, H, W] before clipping and reset; `membranes` are those after both."""
    if isinstance(population, GradedNode):
        return currents + bias
    previous = np.concatenate([np.zeros_like(membranes[:1]), membranes[:-1]])
    return integrated(previous, currents, bias, kept_steps(population))


def _widen(extremes: dict[str, Limit], name: str, values: Integers) -> None:
    low, high = int(values.min()), int(values.max())
    if name in extremes:
        low, high = min(low, extremes[name][0]), max(high, extremes[name][1])
    extremes[name] = low, high
