"""The range proof of a Loihi-style bundle: every register and every parameter, its bound and its limit.

It starts from the program, hence from the NIR file, and knows nothing of how the file came about. Quantities:

| node | name | unit | limit | beyond it |
|---|---|---|---|---|
| convolution | weight mantissa | 1 | 8 bits | violation |
| convolution | sum | LSB | signed 24 bits | wraps (lava.proc.conv.models) |
| lif, read-out | current | LSB | +-131071: 64 times it stays in 24 bits | wraps (lava.proc.lif.models) |
| lif, read-out | membrane, over T steps | LSB / 64 | +-(2^23 - 1) | clips |
| graded | current, and membrane = current + bias | LSB | +-(2^23 - 1) | clips |
| populations | bias_mant or bias, vth, dv | LSB, LSB, 4096ths | 13, 17, 12 bits | violation |
| accumulator, relay | sum of its identity convolution, current, membrane | as above | as above | as above |

Each is `proved` (no image can exceed it), `saturates` (bound beyond a clip at which all implementations
agree: exact, not linear) or `observed` (beyond a wrap, which no golden tile reaches: that much is shown).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from snn_tool.exporters.loihi.bounds import Bounds, bound
from snn_tool.exporters.loihi_carriers import Carrier, carried_registers, carriers
from snn_tool.exporters.loihi.limits import (
    CONV_RANGE,
    LIF_CURRENT_RANGE,
    MEMBRANE_RANGE,
    check_limits,
    parameters,
)
from snn_tool.exporters.loihi_observed import Observed
from snn_tool.exporters.loihi_quantity import CLIPS, FIXED, WRAPS, Quantity, bounded
from snn_tool.exporters.nir.program import ConvNode, GradedNode, PopulationNode, Program
from snn_tool.models.streams import FANOUT

SUM, CURRENT, MEMBRANE = "sum", "current", "membrane"


@dataclass(frozen=True, slots=True)
class RangeProof:
    """All quantities of a network.

    Attributes:
        timesteps: T, over which membranes were bounded.
        inputs: for each population, in execution order, its convolutions; then, without any, accumulators
            and relays of the lowering.
        quantities: registers in execution order, then parameters.
    """

    timesteps: int
    inputs: Mapping[str, tuple[str, ...]]
    quantities: tuple[Quantity, ...]

    def of(self, population: str) -> tuple[Quantity, ...]:
        """Quantities of a population and of the convolutions that it sums."""
        nodes = {population, *self.inputs[population]}
        return tuple(quantity for quantity in self.quantities if quantity.node in nodes)


def prove_ranges(program: Program, observed: Observed, lowering: str = FANOUT) -> RangeProof:
    """Bound every register, and hold registers and parameters against their limits.

    Args:
        program: what is deployed.
        observed: what golden tiles reach; a register that may wrap must not have wrapped there.
        lowering: of membrane shortcuts, the same as `observed` was made with.

    Raises:
        TargetLimitError: lists every violation of every layer.
    """
    proof = derive_ranges(program, observed, lowering)
    check_limits(program, [quantity for quantity in proof.quantities if quantity.beyond != FIXED])
    return proof


def derive_ranges(program: Program, observed: Observed, lowering: str = FANOUT) -> RangeProof:
    """All quantities as `prove_ranges` gives them, violated ones included."""
    bounds, passing = bound(program), carriers(program, lowering)
    registers = (
        *(_sum(conv, bounds, observed) for conv in program.convs),
        *(one for node in program.populations for one in _registers(node, bounds, observed)),
        *(one for carrier in passing for one in _passed(carrier, program, bounds, observed)),
    )
    inputs = {population.name: population.inputs for population in program.populations}
    inputs |= {carrier.name: () for carrier in passing}
    return RangeProof(program.timesteps, inputs, (*registers, *parameters(program)))


def _sum(conv: ConvNode, bounds: Bounds, observed: Observed) -> Quantity:
    sums = bounds.sums[conv.name]
    return bounded(conv.name, SUM, CONV_RANGE, WRAPS, sums.low, sums.high, observed.sums[conv.name])


def _passed(carrier: Carrier, program: Program, bounds: Bounds, observed: Observed) -> tuple[Quantity, ...]:
    seen = observed.carried[carrier.name]
    return carried_registers(carrier, program, bounds, seen, (SUM, CURRENT, MEMBRANE))


def _registers(node: PopulationNode, bounds: Bounds, observed: Observed) -> tuple[Quantity, Quantity]:
    limit, beyond = (MEMBRANE_RANGE, CLIPS) if isinstance(node, GradedNode) else (LIF_CURRENT_RANGE, WRAPS)
    current, membrane = bounds.currents[node.name], bounds.membranes[node.name]
    seen = observed.currents[node.name], observed.membranes[node.name]
    return (
        bounded(node.name, CURRENT, limit, beyond, current.low, current.high, seen[0]),
        bounded(node.name, MEMBRANE, MEMBRANE_RANGE, CLIPS, membrane.low, membrane.high, seen[1]),
    )
