"""Hardware ranges that Lava's simulation does not check; a plan is built only for what fits all of them.

Sources: the docstring of lava.proc.lif.process.LIF (bias_mant 13 bit signed, du and dv 12 bit, vth 17 bit);
lava.proc.conv.process.Conv (num_weight_bits 8); lava.proc.lif.models (current and membrane have 24 bits).
"""

from collections.abc import Iterator

import numpy as np
from snn_tool.errors import TargetLimitError
from snn_tool.exporters.nir_program import ConvNode, GradedNode, LifNode, PopulationNode, Program

BIAS_MANTISSA_RANGE = (-(1 << 12), (1 << 12) - 1)
THRESHOLD_RANGE = (0, (1 << 17) - 1)
DECAY_RANGE = (0, (1 << 12) - 1)
WEIGHT_MANTISSA_RANGE = (-(1 << 7), (1 << 7) - 1)
MEMBRANE_RANGE = (-(1 << 23) + 1, (1 << 23) - 1)


def check_limits(program: Program) -> None:
    """Hold every node of a program against the hardware's ranges.

    Raises:
        TargetLimitError: lists every violation with its node, the value and the range.
    """
    found = [text for conv in program.convs for text in _conv_violations(conv)]
    found += [
        text for population in program.populations for text in _population_violations(population, program)
    ]
    if found:
        raise TargetLimitError(
            f"the network does not fit Loihi ({len(found)} violations): {'; '.join(found)}; "
            "quantise it again, or train with a smaller --lr if the layers differ much in scale"
        )


def _conv_violations(conv: ConvNode) -> Iterator[str]:
    mantissa = conv.weight >> conv.mantissa_exponent
    yield from _outside(conv.name, "weight mantissa", mantissa, WEIGHT_MANTISSA_RANGE)
    if (mantissa << conv.mantissa_exponent != conv.weight).any():
        yield f"{conv.name}: weights are not multiples of 2^{conv.mantissa_exponent}"


def _population_violations(population: PopulationNode, program: Program) -> Iterator[str]:
    bias = program.bias(population)
    if isinstance(population, GradedNode):
        yield from _outside(population.name, "bias", bias, MEMBRANE_RANGE)
    else:
        yield from _outside(population.name, "bias_mant", bias, BIAS_MANTISSA_RANGE)
    if isinstance(population, LifNode):
        yield from _outside(population.name, "dv", np.array(population.decay), DECAY_RANGE)
    if isinstance(population, LifNode | GradedNode):
        yield from _outside(population.name, "vth", np.array(population.threshold), THRESHOLD_RANGE)


def _outside(node: str, quantity: str, values: np.ndarray, allowed: tuple[int, int]) -> Iterator[str]:
    low, high = allowed
    if values.min(initial=low) < low or values.max(initial=high) > high:
        worst = int(values.min()) if int(values.min()) < low else int(values.max())
        yield f"{node}: {quantity} {worst} outside {low}..{high}"
