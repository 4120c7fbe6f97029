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

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray
from snn_tool.exporters.contract.folder import REMEDY
from snn_tool.exporters.contract.traces import Trace
from snn_tool.exporters.loihi.bounds import Bounds, Interval, bound, stream_interval
from snn_tool.exporters.loihi.limits import (
    CLIPS,
    CONV_RANGE,
    FIXED,
    LIF_CURRENT_RANGE,
    MEMBRANE_RANGE,
    OBSERVED,
    PROVED,
    SATURATES,
    WRAPS,
    Limit,
    Quantity,
    bounded,
    check_limits,
    parameters,
)
from snn_tool.exporters.loihi.lowering import lower_program
from snn_tool.exporters.nir.interpreter import (
    current_kept,
    cut,
    decayed,
    kept_steps,
    product_sums,
    shuffle,
    signed_24_bit,
)
from snn_tool.exporters.nir.program import (
    IMAGE,
    MEMBRANE_SHIFT,
    ConvNode,
    GradedNode,
    Integers,
    PopulationNode,
    Program,
)
from snn_tool.files.artifacts import write_json
from snn_tool.files.documents import Document, Finite, Name, one_of, read_document
from snn_tool.models.streams import FANOUT, Stream
from snn_tool.models.topology import Steps

SUM, CURRENT, MEMBRANE = "sum", "current", "membrane"
KIND, SCHEMA = "range-proof", 1


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
    """Sum of the identity convolution, current and membrane of a carrier, in the units of the table above.

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


@dataclass(frozen=True, slots=True)
class Observed:
    """Extremes over all tiles, timesteps and positions, in the units of `bounds.Bounds`.

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
        tiles: integers [N, 3, H, W], or [N, T, C, H, W].
        reference: their trace, every population recorded.
        lowering: of membrane shortcuts; it decides which accumulators and relays there are.
    """
    seen, passing = Observed(), carriers(program, lowering)
    for index in range(len(tiles)):
        shown = tiles[index] if program.over_time else tiles[index : index + 1]
        emitted = {IMAGE: shown.astype(np.int64)}
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
        frames = emitted[conv.source]
        if conv.delay:
            frames = np.concatenate([np.zeros_like(frames[:1]), frames[:-1]])
        sums = np.stack([product_sums(conv, frame) for frame in frames])
        _widen(seen.sums, conv.name, sums)
        outputs[conv.name] = np.stack([shuffle(signed_24_bit(one), conv.upsample) for one in sums])
    for node in program.populations:
        total = _summed(node.inputs, outputs)
        drive = _drive(node, total, program.timesteps)
        # The register in LSB, rounded away from zero: 64ths of it are there only where a current lasts.
        _widen(seen.currents, node.name, np.sign(drive) * (-(-np.abs(drive) >> MEMBRANE_SHIFT)))
        before = _before_clipping(node, total, drive, program.bias(node)[:, None, None], membranes[node.name])
        _widen(seen.membranes, node.name, before)
    return outputs


def _summed(stream: Sequence[str], outputs: Mapping[str, Integers]) -> Integers:
    """The summed current; the image's currents [1, C, H, W] repeat at every timestep."""
    total = outputs[stream[0]]
    for name in stream[1:]:
        total = total + outputs[name]
    return total


def _drive(node: PopulationNode, currents: Integers, timesteps: int) -> Integers:
    """Currents [T or 1, C, H, W] in 64ths before they are cut to 24 bits, with what lasts of earlier ones."""
    kept = current_kept(node)
    if not kept:
        return currents << MEMBRANE_SHIFT
    held, found = np.zeros_like(currents[0]), []
    for amount in np.broadcast_to(currents, (timesteps, *currents.shape[1:])):
        found.append((amount << MEMBRANE_SHIFT) + decayed(held, kept))
        held = cut(found[-1])
    return np.stack(found)


def _before_clipping(
    node: PopulationNode, currents: Integers, drive: Integers, bias: Integers, membranes: Integers
) -> Integers:
    """Membranes [T, C, H, W] before clipping and reset; `membranes` are those after both."""
    if isinstance(node, GradedNode):
        return currents + bias
    previous = np.concatenate([np.zeros_like(membranes[:1]), membranes[:-1]])
    return decayed(previous, kept_steps(node)) + cut(drive) + (bias << MEMBRANE_SHIFT)


def _widen(extremes: dict[str, Limit], name: str, values: Integers) -> None:
    low, high = int(values.min()), int(values.max())
    if name in extremes:
        low, high = min(low, extremes[name][0]), max(high, extremes[name][1])
    extremes[name] = low, high


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


Integer = Annotated[int, Meta(ge=-(1 << 62), le=1 << 62)]


def ranges_document(proof: RangeProof) -> dict[str, Any]:
    """A proof as JSON values; bounds of all channels included."""
    quantities = [
        {
            **asdict(quantity),
            "bound": quantity.bound,
            "headroom_bits": None if quantity.headroom_bits is None else round(quantity.headroom_bits, 3),
            "status": quantity.status,
        }
        for quantity in proof.quantities
    ]
    return {"timesteps": proof.timesteps, "inputs": dict(proof.inputs), "quantities": quantities}


def write_ranges(path: Path, proof: RangeProof) -> None:
    """Write ranges.json."""
    write_json(path, KIND, SCHEMA, ranges_document(proof))


class QuantityEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of `quantities`: a `Quantity`, and what follows from it."""

    node: Name
    name: Name
    limit: tuple[Integer, Integer]
    beyond: Annotated[str, one_of(FIXED, CLIPS, WRAPS)]
    channel_low: Annotated[tuple[Integer, ...], Meta(min_length=1)]
    channel_high: Annotated[tuple[Integer, ...], Meta(min_length=1)]
    observed: tuple[Integer, Integer] | None
    bound: tuple[Integer, Integer]
    headroom_bits: Finite | None
    status: Annotated[str, one_of(PROVED, SATURATES, OBSERVED)]

    def __post_init__(self) -> None:
        """What follows must follow; violations are never written."""
        quantity = self.quantity
        if (quantity.bound, quantity.status) != (self.bound, self.status):
            raise ValueError(
                f"bound {list(self.bound)} and status {self.status} do not follow from limit, channel_low, "
                f"channel_high and observed, which give "
                f"{list(quantity.bound)} and {quantity.status}"
            )

    @property
    def quantity(self) -> Quantity:
        """The quantity alone."""
        return Quantity(
            self.node,
            self.name,
            self.limit,
            self.beyond,
            self.channel_low,
            self.channel_high,
            self.observed,
        )


class RangesDocument(Document, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The schema of ranges.json."""

    timesteps: Steps
    inputs: dict[Name, tuple[Name, ...]]
    quantities: Annotated[tuple[QuantityEntry, ...], Meta(min_length=1)]


def read_ranges(path: Path) -> RangeProof:
    """Read ranges.json.

    Raises:
        ArtifactError: missing, of another schema, or a key is missing, unknown, not allowed or does not
            follow from the rest.
    """
    document = read_document(path, KIND, SCHEMA, RangesDocument, REMEDY)
    quantities = tuple(entry.quantity for entry in document.quantities)
    return RangeProof(document.timesteps, document.inputs, quantities)
