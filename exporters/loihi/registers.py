"""Where a plan holds numbers that Lava's simulation takes and a register of the chip does not.

Lava's processes check no range: its Conv takes baked weights, mantissa times a power of two, and a read-out
that must never fire has a threshold above any membrane. A chip keeps an 8-bit mantissa and shifts, and has 17
bits for a threshold. Nothing of this is a violation of the plan, which is what is simulated; it is what a
port to hardware has to change.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from snn_tool.exporters.loihi.limits import THRESHOLD_RANGE, WEIGHT_MANTISSA_RANGE
from snn_tool.exporters.loihi.specs import LifSpec, Plan


@dataclass(frozen=True, slots=True)
class Emulated:
    """A number beyond its register.

    Attributes:
        where: name of a convolution's weights (`ConvSpec.synapse`) or of a neuron process.
        quantity: `weight` or `vth`.
        value: largest magnitude as it is simulated.
        limit: largest magnitude that the register holds.
        on_chip: what holds the same number there.
    """

    where: str
    quantity: str
    value: int
    limit: int
    on_chip: str


def emulated(plan: Plan) -> tuple[Emulated, ...]:
    """Weights by synapse, each once, then thresholds by process, both in execution order."""
    return (*_weights(plan), *_thresholds(plan))


def _weights(plan: Plan) -> Iterator[Emulated]:
    limit = WEIGHT_MANTISSA_RANGE[1]
    seen = set()
    for conv in plan.convs:
        largest = int(np.abs(conv.weight.astype(np.int64)).max(initial=0))
        if largest > limit and conv.synapse not in seen:
            seen.add(conv.synapse)
            held = f"an 8-bit mantissa and a weight exponent of {conv.mantissa_exponent}"
            yield Emulated(conv.synapse, "weight", largest, limit, held)


def _thresholds(plan: Plan) -> Iterator[Emulated]:
    legal = THRESHOLD_RANGE[1]
    for neuron in plan.neurons:
        if isinstance(neuron, LifSpec) and neuron.vth > legal:
            held = f"no threshold, or {legal:,}, which may fire in the last 63 counts below saturation"
            yield Emulated(neuron.name, "vth", neuron.vth, legal, held)
