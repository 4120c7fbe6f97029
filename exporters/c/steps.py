"""What a C program keeps that is given one timestep at a time, and the proofs about its sums.

Networks whose input changes with time, is no photograph, or who remember more than a membrane (recurrence,
currents that last) do not stream rows: `NAME_step` runs every population once, on whole maps. Between two
steps lie in the caller's buffer

    membranes   int32 of every population, and the synaptic current where it lasts
    spikes      a byte of every neuron; of the step before as well where a later population hears them late
    shown       int32, what an input that does not change brings to the populations that read it

and, for the length of a population's turn, the sum of what arrives. Proved, for any number of steps:

    sums      of a convolution, for any input in its range and any spikes, and all parts of them, fit 32 bits
    arriving  the sum of a population's convolutions, each cut to 24 bits where it may leave them: 32 bits
    current   64 arriving + keep current, cut once: the larger of 2^23 and (64 arriving - 2^24) / (1 - keep)
              fits 32 bits; what is added on the way to the membrane is held in 64
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import gcd

import numpy as np
from snn_tool.errors import UnsupportedLayerError
from snn_tool.exporters.c.proofs import BYTE, HALF, LONG, MOST_SHIFT
from snn_tool.exporters.loihi.bounds import Bounds, Interval, stream_interval, sum_interval
from snn_tool.exporters.nir.interpreter import current_kept
from snn_tool.exporters.nir.program import (
    DECAY_STEPS,
    IMAGE,
    MEMBRANE_SHIFT,
    ConvNode,
    GradedNode,
    Integers,
    PopulationNode,
    Program,
)

WORD_BYTES = 4
SPARE = WORD_BYTES - 1
"""Bytes by which a buffer is longer, so that it needs no alignment."""


def by_steps(program: Program) -> bool:
    """Whether C takes a network one timestep at a time; other networks stream rows."""
    return bool(program.form or program.recurrent or program.lasting)


@dataclass(frozen=True, slots=True, eq=False)
class Synapse:
    """A convolution as it stands in C.

    Attributes:
        node: of the program.
        rows, columns: of its source.
        weights: int64, 8 bits each: [kh, kw, Ci, Co], or [kh, kw, C] if each channel reaches itself alone.
        wraps: its sum may leave 24 bits and is cut to them.
    """

    node: ConvNode
    rows: int
    columns: int
    weights: Integers
    wraps: bool

    @property
    def diagonal(self) -> bool:
        """Each channel reaches itself alone."""
        return self.weights.ndim == 3

    @property
    def silent(self) -> bool:
        """It adds nothing, ever."""
        return not self.weights.any()

    @property
    def direct(self) -> bool:
        """Products go into the population's sum at once; others are cut or shuffled in a map of their own."""
        return not self.wraps and self.node.upsample == 1

    @property
    def made(self) -> tuple[int, int, int]:
        """Rows, columns and channels before the pixel-shuffle."""
        factor = self.node.upsample
        rows, columns = self.node.output_size(self.rows, self.columns)
        return rows // factor, columns // factor, int(self.node.weight.shape[0])


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """A population and what is done for it at every timestep.

    Attributes:
        node: of the program.
        synapses: what arrives, silent ones left out.
        late: names of those that read their source's spikes of the step before from a copy.
        bias: int64 [C].
    """

    node: PopulationNode
    synapses: tuple[Synapse, ...]
    late: frozenset[str]
    bias: Integers

    @property
    def neurons(self) -> int:
        """Of the whole map."""
        return self.node.channels * self.node.height * self.node.width


@dataclass(frozen=True, eq=False)
class StepPlan:
    """Everything that is written into C.

    Attributes:
        program: of the network.
        turns: populations in execution order, the read-out last.
        places: offset of every area in the buffer, in bytes from its alignment on, by name.
        total: bytes of the buffer.
    """

    program: Program
    turns: tuple[Turn, ...]
    places: Mapping[str, int]
    total: int

    @property
    def synapses(self) -> tuple[Synapse, ...]:
        """All that are not silent, each once."""
        found = {synapse.node.name: synapse for turn in self.turns for synapse in turn.synapses}
        return tuple(found.values())


def make_step_plan(program: Program) -> StepPlan:
    """Lay out a program and prove what C's types must hold, however many steps it runs.

    Raises:
        UnsupportedLayerError: a sum may exceed 32 bits, or neurons or weights are not what this form of C is
            made for; the node is named.
    """
    for node in program.populations:
        if isinstance(node, GradedNode) or program.passes > 1:
            what = "graded neurons" if program.passes == 1 else "is run in several passes"
            raise UnsupportedLayerError(f"{node.name}: {what}, which C holds for networks of rows alone")
    sizes = {IMAGE: (program.height, program.width)} | {
        n.name: (n.height, n.width) for n in program.populations
    }
    bounds = Bounds({conv.name: _sums(program, conv) for conv in program.convs}, {}, {}, {})
    synapses = {
        conv.name: _synapse(program, conv, sizes[conv.source], bounds.sums[conv.name])
        for conv in program.convs
    }
    order = [node.name for node in program.populations]
    turns = []
    for place, node in enumerate(program.populations):
        _check_registers(program, node, stream_interval(program, bounds, node.inputs))
        heard = [synapses[name] for name in node.inputs if not synapses[name].silent]
        delayed = [one.node for one in heard if one.node.delay]
        late = frozenset(conv.name for conv in delayed if order.index(conv.source) < place)
        turns.append(Turn(node, tuple(heard), late, program.bias(node)))
    places, total = _lay_out(program, turns)
    return StepPlan(program, tuple(turns), places, total)


def _range(program: Program, conv: ConvNode) -> tuple[int, int]:
    """Of what a convolution reads: any input and any spikes, not only those of the first T steps."""
    return (program.input_low, program.input_high) if conv.source == IMAGE else (0, 1)


def _sums(program: Program, conv: ConvNode) -> Interval:
    channels = conv.weight.shape[1]
    low, high = (np.full(channels, end) for end in _range(program, conv))
    return sum_interval(conv, Interval(low, high))


def _synapse(program: Program, conv: ConvNode, size: tuple[int, int], sums: Interval) -> Synapse:
    mantissa = conv.weight >> conv.mantissa_exponent
    if mantissa.min(initial=0) < -BYTE - 1 or mantissa.max(initial=0) > BYTE:
        raise UnsupportedLayerError(f"{conv.name}: weights of more than 8 bits")
    if conv.mantissa_exponent > MOST_SHIFT:
        raise UnsupportedLayerError(f"{conv.name}: weights shifted by {conv.mantissa_exponent} bits")
    low, high = int(sums.low.min()), int(sums.high.max())
    largest = max(map(abs, _range(program, conv))) << conv.mantissa_exponent
    if max(-low, high, largest) > LONG:
        raise UnsupportedLayerError(f"{conv.name}: a sum of products may exceed 32 bits ({low}..{high})")
    weights = mantissa.transpose(2, 3, 1, 0)
    if (
        weights.shape[2] == weights.shape[3] > 1
        and not (weights * (1 - np.eye(weights.shape[2], dtype=int))).any()
    ):
        weights = np.diagonal(weights, axis1=2, axis2=3)
    return Synapse(conv, *size, weights, low < -HALF or high >= HALF)


def current_bound(arriving: int, kept: int) -> int:
    """Largest magnitude of a current that keeps `kept` / 4096 of itself per step, after it is cut once.

    Args:
        arriving: largest magnitude of 64 times what arrives in a step.
        kept: 0 to 4095.
    """
    return max(HALF, -(-(arriving - 2 * HALF) * DECAY_STEPS // (DECAY_STEPS - kept)))


def _check_registers(program: Program, node: PopulationNode, current: Interval) -> None:
    arriving, kept = max(-int(current.low.min()), int(current.high.max())), current_kept(node)
    bias = int(np.abs(program.bias(node)).max(initial=0))
    lasting = current_bound(arriving << MEMBRANE_SHIFT, kept) if kept else 0
    if max(arriving, bias, lasting) > LONG:
        raise UnsupportedLayerError(
            f"{node.name}: its current may exceed 32 bits; quantise it with smaller weights"
        )


def _lay_out(program: Program, turns: list[Turn]) -> tuple[dict[str, int], int]:
    """Words first, then bytes."""
    words = {"totals": max(turn.neurons for turn in turns)}
    apart = [s for turn in turns for s in turn.synapses if not s.direct]
    if apart:
        words["sums"] = max(int(np.prod(s.made)) for s in apart)
    for place, turn in enumerate(turns):
        words[f"membranes_{place}"] = turn.neurons
        if current_kept(turn.node):
            words[f"currents_{place}"] = turn.neurons
        if not program.over_time and any(s.node.source == IMAGE for s in turn.synapses):
            words[f"shown_{place}"] = turn.neurons
    bytes_ = {f"spikes_{place}": turn.neurons for place, turn in enumerate(turns[:-1])}
    late = {s.node.source for turn in turns for s in turn.synapses if s.node.name in turn.late}
    for place, turn in enumerate(turns):
        if turn.node.name in late:
            bytes_[f"before_{place}"] = turn.neurons
    places, at = {}, 0
    for sizes, unit in ((words, WORD_BYTES), (bytes_, 1)):
        for name, count in sizes.items():
            places[name] = at
            at += count * unit
    return places, at + SPARE


def fraction(kept: int) -> tuple[int, int]:
    """What a register keeps of itself, of 4096ths in lowest terms: numerator, and log2 of the denominator."""
    common = gcd(kept, DECAY_STEPS)
    return kept // common, (DECAY_STEPS // common).bit_length() - 1


@dataclass(frozen=True, slots=True)
class StepFootprint:
    """What a program takes, before it is compiled.

    Attributes:
        constants: bytes of weights and biases: read-only memory beside the code itself.
        layers: bytes of weights by convolution.
        ram: bytes of the caller's buffer.
    """

    constants: int
    layers: Mapping[str, int]
    ram: int


def step_footprint(plan: StepPlan) -> StepFootprint:
    """Flash and RAM of a plan, to the byte."""
    weights = {synapse.node.name: int(synapse.weights.size) for synapse in plan.synapses}
    biases = sum(WORD_BYTES * turn.node.channels for turn in plan.turns if turn.bias.any())
    return StepFootprint(sum(weights.values()) + biases, weights, plan.total)
