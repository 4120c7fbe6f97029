"""What windows make of spikes: sums and averages give levels, maxima and signs keep spikes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from snn_tool.energy.counts.operation_costs import spread
from snn_tool.energy.torch_counter.arithmetic import Call, KindOf, Outcome, Rule
from snn_tool.energy.torch_counter.kinds import Kind, Plain, Spikes


@dataclass(frozen=True, slots=True)
class Window:
    """What every window of a pool divides its sum by, and how many values it sums."""

    divisor: float
    values: int


def pool_source(call: Call) -> Any:
    """The one input, which schemas name differently."""
    return call["self"] if "self" in call else call["input"]


def kept(change: Callable[[Spikes], Kind], folded: bool = False, every: bool = False) -> Rule:
    """One input, changed as a whole."""

    def rule(call: Call, out: Any, kind_of: KindOf) -> Outcome:
        kind = kind_of(pool_source(call))
        return Outcome(change(kind), folded, every) if isinstance(kind, Spikes) else Outcome(Plain.REAL)

    return rule


def pooled(window: Callable[[Call, Any], Window | None]) -> Rule:
    """Sums of spikes over windows, divided by a constant: levels that the next layer reads through the pool.

    Spikes of both signs may cancel in a window, which only a pool that computes its sums can use: they cost.
    """

    def rule(call: Call, out: Any, kind_of: KindOf) -> Outcome:
        kind, over = kind_of(pool_source(call)), window(call, out)
        if not isinstance(kind, Spikes) or kind.amplitude is None or over is None:
            return Outcome(Plain.REAL)
        unit = kind.unit and over.values == 1
        return Outcome(replace(kind, amplitude=kind.amplitude / over.divisor, unit=unit), not kind.signed)

    return rule


def sum_window(call: Call, out: Any) -> Window:
    """Of a sum over dimensions."""
    return Window(1.0, int(pool_source(call).numel()) // int(out.numel()))


def mean_window(call: Call, out: Any) -> Window:
    """Of a mean over dimensions."""
    values = sum_window(call, out).values
    return Window(float(values), values)


def average_window(dimensions: int) -> Callable[[Call, Any], Window | None]:
    """None where windows at the border have other divisors."""

    def window(call: Call, out: Any) -> Window | None:
        if call["ceil_mode"] or (any(call["padding"]) and not call["count_include_pad"]):
            return None
        values = prod(spread(call["kernel_size"], dimensions))
        return Window(float(call.get("divisor_override") or values), values)

    return window


def adaptive_window(call: Call, out: Any) -> Window | None:
    """None where windows differ in size."""
    dimensions = len(call["output_size"])
    sizes = zip(pool_source(call).shape[-dimensions:], out.shape[-dimensions:], strict=True)
    return None if any(n % m for n, m in sizes) else mean_window(call, out)
