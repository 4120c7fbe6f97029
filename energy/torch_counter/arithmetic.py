"""What single operations make of spikes: one small function for each rule of `rules`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from snn_tool.energy.torch_counter.kinds import Kind, Plain, Spikes, added, joined
from torch import Tensor

Call = Mapping[str, Any]
KindOf = Callable[[Tensor], Kind]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an operation makes.

    Attributes:
        kind: of its result, of the first if there are several.
        folded: it costs nothing, because the weights of the next layer absorb it.
        every: all results are of that kind.
    """

    kind: Kind
    folded: bool = False
    every: bool = False


Rule = Callable[[Call, Any, KindOf], Outcome]


def scalar(value: Any) -> float | None:
    """A Python number, or the value of a tensor that has only one; None for anything else."""
    if isinstance(value, bool | int | float):
        return float(value)
    return float(value) if isinstance(value, Tensor) and value.numel() == 1 else None


def operand_kind(value: Any, kind_of: KindOf) -> Kind:
    """Of an operand: a tensor, or a number, which is a constant."""
    if isinstance(value, Tensor):
        return kind_of(value)
    return Plain.NEUTRAL if scalar(value) == 0 else Plain.CONSTANT


def multiplied(call: Call, out: Any, kind_of: KindOf) -> Outcome:
    """By a constant: folded. By other spikes: coincidences, e.g. the gate of a spiking attention."""
    first, second = (operand_kind(call[key], kind_of) for key in ("self", "other"))
    if Plain.NEUTRAL in (first, second):
        return Outcome(Plain.NEUTRAL)
    if isinstance(first, Spikes) and isinstance(second, Spikes):
        unit = first.unit and second.unit
        if first.amplitude is None or second.amplitude is None:
            return Outcome(Spikes(None, True, first.signed or second.signed) if unit else Plain.REAL)
        amplitude = first.amplitude * second.amplitude
        return Outcome(Spikes(amplitude, unit, first.signed or second.signed))
    return _by_constant(call, kind_of, lambda factor: factor)


def divided(call: Call, out: Any, kind_of: KindOf) -> Outcome:
    """By a constant: folded."""
    if call.get("rounding_mode") is not None or not isinstance(operand_kind(call["self"], kind_of), Spikes):
        return Outcome(Plain.REAL)
    return _by_constant(call, kind_of, lambda divisor: 1 / divisor if divisor else inf)


def _by_constant(call: Call, kind_of: KindOf, factor: Callable[[float], float]) -> Outcome:
    spikes, other = call["self"], call["other"]
    if not isinstance(operand_kind(spikes, kind_of), Spikes):
        spikes, other = other, spikes
    value = scalar(other) if operand_kind(other, kind_of) is Plain.CONSTANT else None
    kind = operand_kind(spikes, kind_of)
    if value is None or not isinstance(kind, Spikes):
        return Outcome(Plain.REAL)
    return Outcome(kind.scaled(factor(value)), folded=True)


def summed(subtracted: bool) -> Rule:
    """Spikes and spikes give levels; zero changes nothing; a - z is unit spikes if z is, of amplitude a."""

    def rule(call: Call, out: Any, kind_of: KindOf) -> Outcome:
        first, second = (operand_kind(call[key], kind_of) for key in ("self", "other"))
        if call.get("alpha", 1) != 1:
            return Outcome(Plain.REAL)
        if isinstance(first, Spikes) and isinstance(second, Spikes):
            return Outcome(added(first, second, subtracted))
        if isinstance(first, Spikes) and second is Plain.NEUTRAL:
            return Outcome(first, folded=True)
        if isinstance(second, Spikes) and first is Plain.NEUTRAL and not subtracted:
            return Outcome(second, folded=True)
        if subtracted and isinstance(second, Spikes) and _is_amplitude(call["self"], first, second):
            return Outcome(second)
        return Outcome(Plain.REAL)

    return rule


def _is_amplitude(value: Any, kind: Kind, spikes: Spikes) -> bool:
    return kind is Plain.CONSTANT and spikes.unit and not spikes.signed and scalar(value) == spikes.amplitude


def reversed_difference(call: Call, out: Any, kind_of: KindOf) -> Outcome:
    """`rsub`: other - self, e.g. 1 - z of a spike-element-wise residual block."""
    swapped = {**call, "self": call["other"], "other": call["self"]}
    return summed(True)(swapped, out, kind_of)


def power(call: Call, out: Any, kind_of: KindOf) -> Outcome:
    """Only to the first power, as an L1 pool writes it."""
    first = scalar(call["exponent"]) == 1
    return Outcome(kind_of(call["self"]) if first else Plain.REAL, folded=first)


def masked(call: Call, out: Any, kind_of: KindOf) -> Outcome:
    """Spikes if the value is zero, or spikes."""
    return Outcome(joined((kind_of(call["self"]), operand_kind(call["value"], kind_of))))


def selected(call: Call, out: Any, kind_of: KindOf) -> Outcome:
    """From two sources; of two constants, spikes that select make spikes if one of them is zero."""
    kinds = operand_kind(call["self"], kind_of), operand_kind(call["other"], kind_of)
    if Plain.CONSTANT not in kinds or not set(kinds) <= {Plain.CONSTANT, Plain.NEUTRAL}:
        return Outcome(joined(kinds))
    value = scalar(call["self" if kinds[0] is Plain.CONSTANT else "other"])
    if Plain.NEUTRAL in kinds and value is not None and isinstance(kind_of(call["condition"]), Spikes):
        return Outcome(Spikes().scaled(value))
    return Outcome(Plain.REAL)


def padded(call: Call, out: Any, kind_of: KindOf) -> Outcome:
    """With zeros, spikes stay spikes; the padding then reads as positions that never fire."""
    return Outcome(joined((kind_of(call["self"]), operand_kind(call.get("value", 0), kind_of))))


def largest(call: Call, out: Any, kind_of: KindOf) -> Outcome:
    """The larger, or the smaller, of two spike tensors with one amplitude."""
    kinds = operand_kind(call["self"], kind_of), operand_kind(call["other"], kind_of)
    kind = joined(kinds)
    exact = isinstance(kind, Spikes) and kind.amplitude is not None
    return Outcome(kind if exact else Plain.REAL)
