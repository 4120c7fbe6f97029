"""Hardware ranges that Lava's simulation does not check; a plan is built only for what fits all of them.

Sources: the docstring of lava.proc.lif.process.LIF (bias_mant 13 bit signed, du and dv 12 bit, vth 17 bit);
lava.proc.conv.process.Conv (num_weight_bits 8); lava.proc.lif.models and lava.proc.conv.models (current and
membrane have 24 bits; a Conv's output wraps to 24 bits; a LIF shifts its input left by 6).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from snn_tool.errors import TargetLimitError
from snn_tool.exporters.nir.program import (
    DECAY_STEPS,
    MEMBRANE_SHIFT,
    ConvNode,
    GradedNode,
    Integers,
    LifNode,
    PopulationNode,
    Program,
    ReadoutNode,
)

Limit = tuple[int, int]
"""Smallest and largest value, both allowed."""

FIXED, CLIPS, WRAPS = "fixed", "clips", "wraps"
PROVED, SATURATES, OBSERVED, VIOLATED = "proved", "saturates", "observed", "violated"
BIAS_MANTISSA_RANGE: Limit = (-(1 << 12), (1 << 12) - 1)
THRESHOLD_RANGE: Limit = (0, (1 << 17) - 1)
DECAY_RANGE: Limit = (0, (1 << 12) - 1)
WEIGHT_MANTISSA_RANGE: Limit = (-(1 << 7), (1 << 7) - 1)
MEMBRANE_RANGE: Limit = (-(1 << 23) + 1, (1 << 23) - 1)
CONV_RANGE: Limit = (-(1 << 23), (1 << 23) - 1)
LIF_CURRENT_RANGE: Limit = (-(MEMBRANE_RANGE[1] >> MEMBRANE_SHIFT), MEMBRANE_RANGE[1] >> MEMBRANE_SHIFT)
"""Sums of currents whose left shift by 6 stays inside the symmetric 24 bits, in LSB."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """The range of one number of one layer against its limit, both ends inclusive.

    Attributes:
        node: name of the convolution or population.
        name: of the quantity; `ranges` states the units.
        limit: what the register or the parameter field holds.
        beyond: `fixed`, `clips` or `wraps`, what happens outside.
        channel_low, channel_high: bounds per output channel (before a pixel-shuffle), or one value.
        observed: extremes on the golden tiles; None for a parameter, and where nothing was run.
    """

    node: str
    name: str
    limit: Limit
    beyond: str
    channel_low: tuple[int, ...]
    channel_high: tuple[int, ...]
    observed: Limit | None = None

    @property
    def bound(self) -> Limit:
        """Smallest and largest value over all channels."""
        return min(self.channel_low), max(self.channel_high)

    @property
    def status(self) -> str:
        """`proved`, `saturates`, `observed` or `violated`."""
        if _holds(self.limit, self.bound):
            return PROVED
        if self.beyond == CLIPS:
            return SATURATES
        if self.beyond == WRAPS and self.observed and _holds(self.limit, self.observed):
            return OBSERVED
        return VIOLATED

    @property
    def headroom_bits(self) -> float | None:
        """log2(limit / bound) on the tighter side, negative beyond the limit; None for a bound of 0."""
        ratios = [
            limit / bound for limit, bound in zip(self.limit, self.bound, strict=True) if limit * bound > 0
        ]
        return math.log2(min(ratios)) if ratios else None

    @property
    def violation(self) -> str:
        """The quantity, its worst value and its limit."""
        low, high, where = *self.bound, ""
        if self.observed:
            low, high, where = *self.observed, " on the golden tiles"
        worst = low if low < self.limit[0] else high
        return f"{self.node}: {self.name} {worst}{where} outside {self.limit[0]}..{self.limit[1]}"


def _holds(limit: Limit, values: Limit) -> bool:
    return limit[0] <= values[0] and values[1] <= limit[1]


def bounded(
    node: str,
    name: str,
    limit: Limit,
    beyond: str,
    low: Integers,
    high: Integers,
    observed: Limit | None = None,
) -> Quantity:
    """A quantity from bounds int64 [channels]."""
    return Quantity(node, name, limit, beyond, tuple(low.tolist()), tuple(high.tolist()), observed)


def check_limits(program: Program, registers: Sequence[Quantity] = ()) -> None:
    """Hold every node of a program against the hardware's ranges.

    Args:
        program: its parameters are checked.
        registers: further quantities, see `ranges`.

    Raises:
        TargetLimitError: lists every violation with its node, the value and the range.
    """
    quantities = [*parameters(program), *registers]
    found = [quantity.violation for quantity in quantities if quantity.status == VIOLATED]
    found += [text for conv in program.convs for text in _off_grid(conv)]
    if found:
        raise TargetLimitError(
            f"the network does not fit Loihi ({len(found)} violations): {'; '.join(found)}; "
            "quantise it again, or train with a smaller --lr if the layers differ much in scale"
        )


def parameters(program: Program) -> tuple[Quantity, ...]:
    """What the file fixes: mantissas of every convolution, then biases, decays and thresholds."""
    return (
        *(_mantissas(conv) for conv in program.convs),
        *(quantity for node in program.populations for quantity in _of_population(node, program)),
    )


def _mantissas(conv: ConvNode) -> Quantity:
    mantissa = (conv.weight >> conv.mantissa_exponent).reshape(len(conv.weight), -1)
    return bounded(
        conv.name, "weight mantissa", WEIGHT_MANTISSA_RANGE, FIXED, mantissa.min(axis=1), mantissa.max(axis=1)
    )


def _of_population(node: PopulationNode, program: Program) -> Iterator[Quantity]:
    bias = program.bias(node)
    if isinstance(node, GradedNode):
        yield bounded(node.name, "bias", MEMBRANE_RANGE, FIXED, bias, bias)
    else:
        yield bounded(node.name, "bias_mant", BIAS_MANTISSA_RANGE, FIXED, bias, bias)
    if isinstance(node, LifNode) or (isinstance(node, ReadoutNode) and node.decay):
        decay = np.array([node.decay])
        yield bounded(node.name, "dv", DECAY_RANGE, FIXED, decay, decay)
    if isinstance(node, LifNode) and node.current_decay < DECAY_STEPS:
        du = np.array([node.current_decay - 1])
        yield bounded(node.name, "du", DECAY_RANGE, FIXED, du, du)
    if isinstance(node, LifNode | GradedNode):
        threshold = np.array([node.threshold])
        yield bounded(node.name, "vth", THRESHOLD_RANGE, FIXED, threshold, threshold)


def _off_grid(conv: ConvNode) -> Iterator[str]:
    if (conv.weight % (1 << conv.mantissa_exponent)).any():
        yield f"{conv.name}: weights are not multiples of 2^{conv.mantissa_exponent}"
