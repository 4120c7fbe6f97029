"""Hardware ranges that Lava's simulation does not check; a plan is built only for what fits all of them.

Sources: the docstring of lava.proc.lif.process.LIF (bias_mant 13 bit signed, du and dv 12 bit, vth 17 bit);
lava.proc.conv.process.Conv (num_weight_bits 8); lava.proc.lif.models and lava.proc.conv.models (current and
membrane have 24 bits; a Conv's output wraps to 24 bits; a LIF shifts its input left by 6).
"""

from collections.abc import Iterator, Sequence

import numpy as np
from snn_tool.errors import TargetLimitError
from snn_tool.exporters.loihi_quantity import FIXED, VIOLATED, Limit, Quantity, bounded
from snn_tool.exporters.nir.program import (
    MEMBRANE_SHIFT,
    ConvNode,
    GradedNode,
    LifNode,
    PopulationNode,
    Program,
    ReadoutNode,
)

BIAS_MANTISSA_RANGE: Limit = (-(1 << 12), (1 << 12) - 1)
THRESHOLD_RANGE: Limit = (0, (1 << 17) - 1)
DECAY_RANGE: Limit = (0, (1 << 12) - 1)
WEIGHT_MANTISSA_RANGE: Limit = (-(1 << 7), (1 << 7) - 1)
MEMBRANE_RANGE: Limit = (-(1 << 23) + 1, (1 << 23) - 1)
CONV_RANGE: Limit = (-(1 << 23), (1 << 23) - 1)
LIF_CURRENT_RANGE: Limit = (-(MEMBRANE_RANGE[1] >> MEMBRANE_SHIFT), MEMBRANE_RANGE[1] >> MEMBRANE_SHIFT)
"""Sums of currents whose left shift by 6 stays inside the symmetric 24 bits, in LSB."""


def check_limits(program: Program, registers: Sequence[Quantity] = ()) -> None:
    """Hold every node of a program against the hardware's ranges.

    Args:
        program: its parameters are checked.
        registers: further quantities, see `loihi_ranges`.

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
    if isinstance(node, LifNode | GradedNode):
        threshold = np.array([node.threshold])
        yield bounded(node.name, "vth", THRESHOLD_RANGE, FIXED, threshold, threshold)


def _off_grid(conv: ConvNode) -> Iterator[str]:
    if (conv.weight % (1 << conv.mantissa_exponent)).any():
        yield f"{conv.name}: weights are not multiples of 2^{conv.mantissa_exponent}"
