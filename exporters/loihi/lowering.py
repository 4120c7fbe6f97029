"""A program with its membrane shortcuts lowered, and the proof that an accumulator changes no integer.

An accumulator's value is a sum of currents, each wrapped to 24 bits by its own convolution. It saturates at
+-(2^23 - 1) and is delivered through identity convolutions that wrap to 24 bits. Neither can happen if
interval arithmetic bounds the sum by 2^23 - 1, for every image and every spike that the sources can emit; the
proved bound is the accumulator's number of levels, and gives the bits of its payload.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from snn_tool.errors import TargetLimitError
from snn_tool.exporters.loihi.limits import CONV_RANGE, MEMBRANE_RANGE
from snn_tool.exporters.nir.program import (
    IMAGE,
    ConvNode,
    GradedNode,
    Integers,
    LifNode,
    PopulationNode,
    Program,
)
from snn_tool.models.streams import LoweredPopulation, hop_depths, lower, lowered_sources, relay_counts


@dataclass(frozen=True, eq=False)
class LoweredProgram:
    """A program and the populations that a deployment has for it.

    Attributes:
        program: as it stands in the file.
        populations: in execution order, accumulators among them.
        nodes: shape and neuron of each; an accumulator is a `GradedNode` of threshold 1.
    """

    program: Program
    populations: tuple[LoweredPopulation, ...]
    nodes: Mapping[str, PopulationNode]

    @cached_property
    def sources(self) -> dict[str, tuple[str, ...]]:
        """For each population what it reads through synapses of the same timestep."""
        now = {conv.name: conv.source for conv in self.program.convs if not conv.delay}
        return lowered_sources(self.populations, now)

    @cached_property
    def late(self) -> dict[str, tuple[str, ...]]:
        """For each population what it reads of the timestep before."""
        late = {conv.name: conv.source for conv in self.program.convs if conv.delay}
        found = {p.name: tuple(late[name] for name in p.synapses if name in late) for p in self.populations}
        return {name: read for name, read in found.items() if read}

    @cached_property
    def depths(self) -> dict[str, int]:
        """Longest distance in hops from the image, which is at 0, to every population."""
        return hop_depths(self.sources, IMAGE)

    @cached_property
    def relays(self) -> dict[str, int]:
        """Delay relays behind each population."""
        return relay_counts(self.sources, IMAGE, self.late)


def lower_program(program: Program, lowering: str) -> LoweredProgram:
    """Lower a program's membrane shortcuts by `fanout` or `relay`.

    Raises:
        ConfigError: the lowering is unknown.
        TargetLimitError: an accumulator could leave 24 bits; every one that could is listed.
    """
    populations = lower({p.name: p.inputs for p in program.populations}, lowering)
    held = [population for population in populations if population.accumulates]
    if held and program.recurrent:
        raise TargetLimitError(
            f"{program.recurrent[0]}: is recurrent, and accumulators sum what one timestep brings; "
            "use --lowering fanout"
        )
    bounds = {population.name: stream_bound(program, population.stream) for population in held}
    _check_bounds(bounds)
    nodes = {p.name: _accumulator(program, p, bounds[p.name]) for p in held}
    return LoweredProgram(program, populations, {**program.population, **nodes})


def stream_bound(program: Program, stream: tuple[str, ...]) -> int:
    """Largest magnitude, over all channels, of the sum of a stream's wrapped currents in one timestep."""
    ranges = [_wrapped_range(program, program.conv[name]) for name in stream]
    low, high = (np.sum(bounds, axis=0) for bounds in zip(*ranges, strict=True))
    return int(max(-low.min(), high.max()))


def _wrapped_range(program: Program, conv: ConvNode) -> tuple[Integers, Integers]:
    """Least and greatest current [C] of a convolution; if one of a channel could wrap, all of 24 bits.

    Sources may emit all that their kind can, as in `models.integer.network.stream_range`, by which the audit
    lowers the same network; `bounds` is tighter and would let the two disagree.
    """
    low, high = _source_range(program, conv.source)
    least = np.minimum(conv.weight * low, conv.weight * high).sum(axis=(1, 2, 3))
    greatest = np.maximum(conv.weight * low, conv.weight * high).sum(axis=(1, 2, 3))
    wraps = (least < CONV_RANGE[0]) | (greatest > CONV_RANGE[1])
    least, greatest = np.where(wraps, CONV_RANGE[0], least), np.where(wraps, CONV_RANGE[1], greatest)
    # Pixel-shuffle sends channels c f^2 .. c f^2 + f^2 - 1 to channel c.
    shape = (-1, conv.upsample**2)
    return least.reshape(shape).min(axis=1), greatest.reshape(shape).max(axis=1)


def _source_range(program: Program, source: str) -> tuple[int, int]:
    """Smallest and largest value of a source; 0 lies between them, for padding and before an image comes."""
    if source == IMAGE:
        return min(program.input_low, 0), max(program.input_high, 0)
    node = program.population[source]
    if isinstance(node, GradedNode):
        return (-node.levels if node.signed else 0), node.levels
    return 0, int(isinstance(node, LifNode))


def _check_bounds(bounds: Mapping[str, int]) -> None:
    if found := list(_violations(bounds)):
        raise TargetLimitError(
            f"the streams do not fit accumulators ({len(found)} violations): {'; '.join(found)}; "
            "use --lowering fanout, or quantise again"
        )


def _violations(bounds: Mapping[str, int]) -> Iterator[str]:
    for name, bound in bounds.items():
        if bound > MEMBRANE_RANGE[1]:
            yield f"{name}: summed current {bound} outside {MEMBRANE_RANGE[0]}..{MEMBRANE_RANGE[1]}"


def _accumulator(program: Program, held: LoweredPopulation, bound: int) -> GradedNode:
    reader = next(p for p in program.populations if p.inputs == held.stream)
    shape = (reader.channels, reader.height, reader.width)
    return GradedNode(held.name, held.stream, *shape, threshold=1, levels=max(bound, 1), signed=True)
