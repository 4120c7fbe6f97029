"""What a deployment puts on the chip besides the network's own populations: accumulators and delay relays.

Both pass values on and change none, so that every register of theirs is known from what they carry: the
summed current of a stream, or the spikes of a population. Identity convolutions lead to them and from them.
"""

from dataclasses import dataclass

import numpy as np
from snn_tool.exporters.loihi.bounds import Bounds, Interval, stream_interval
from snn_tool.exporters.loihi.limits import CONV_RANGE, LIF_CURRENT_RANGE, MEMBRANE_RANGE
from snn_tool.exporters.loihi.lowering import lower_program
from snn_tool.exporters.loihi_quantity import CLIPS, WRAPS, Limit, Quantity, bounded
from snn_tool.exporters.nir.program import MEMBRANE_SHIFT, GradedNode, Program
from snn_tool.models.streams import Stream


@dataclass(frozen=True, slots=True)
class Carrier:
    """One process that passes values on.

    Attributes:
        name: of the process, `<first reader>_stream` or `<what it delays>_relay<stage>`.
        population: whose spikes it carries; empty if it carries a stream.
        stream: the synapses whose summed current it carries; empty if it carries spikes.
        graded: its neurons are graded; otherwise binary LIF of threshold 0.
    """

    name: str
    population: str
    stream: Stream
    graded: bool


def carriers(program: Program, lowering: str) -> tuple[Carrier, ...]:
    """Accumulators and relays of a lowering, each accumulator followed by its own relays.

    Raises:
        ConfigError: the lowering is unknown.
        TargetLimitError: an accumulator could leave 24 bits.
    """
    lowered = lower_program(program, lowering)
    found = []
    for population in lowered.populations:
        name, graded = population.name, isinstance(lowered.nodes[population.name], GradedNode)
        origin = ("", population.stream) if population.accumulates else (name, ())
        if population.accumulates:
            found.append(Carrier(name, *origin, graded))
        for stage in range(1, lowered.relays[name] + 1):
            found.append(Carrier(f"{name}_relay{stage}", *origin, graded))
    return tuple(found)


def carried_registers(
    carrier: Carrier, program: Program, bounds: Bounds, seen: Limit, names: tuple[str, str, str]
) -> tuple[Quantity, ...]:
    """Sum of the identity convolution, current and membrane of a carrier, in the units of `loihi_ranges`.

    Args:
        carrier: of `carriers`.
        program: what is deployed.
        bounds: of the program.
        seen: extremes of what it carries on the golden tiles.
        names: of the three quantities.
    """
    held = _held(carrier, program, bounds)
    total, current, membrane = names
    limit, beyond = (MEMBRANE_RANGE, CLIPS) if carrier.graded else (LIF_CURRENT_RANGE, WRAPS)
    shift = 0 if carrier.graded else MEMBRANE_SHIFT
    low, high = held.low << shift, held.high << shift
    shifted = (seen[0] << shift, seen[1] << shift)
    return (
        bounded(carrier.name, total, CONV_RANGE, WRAPS, held.low, held.high, seen),
        bounded(carrier.name, current, limit, beyond, held.low, held.high, seen),
        bounded(carrier.name, membrane, MEMBRANE_RANGE, CLIPS, low, high, shifted),
    )


def _held(carrier: Carrier, program: Program, bounds: Bounds) -> Interval:
    """Bounds [C] of what a carrier carries; 0 is among it, because nothing comes before the first image."""
    if carrier.stream:
        held = stream_interval(program, bounds, carrier.stream)
    else:
        held = bounds.spikes[carrier.population]
    return Interval(np.minimum(held.low, 0), np.maximum(held.high, 0))
