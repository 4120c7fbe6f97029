"""Number formats: which constant each kind of arithmetic is charged with, and how wide its values are."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Precision:
    """A number format; the three operations are keys of the table of constants.

    Attributes:
        name: how reports call it.
        multiply: weight times activation.
        accumulate: adding a product, or a spike's weight, to a membrane or an accumulator.
        state_multiply: membrane times decay, at the membrane's width.
        bits: width of weights and activations in memory.
        state_bits: width of membranes, accumulators and biases in memory.
        integer: integers; only then a quantised ANN can be charged with it.
        note: what the choice stands for.
        models: names of the only models that may use it; None for all that take any precision.
    """

    name: str
    multiply: str
    accumulate: str
    state_multiply: str
    bits: int
    state_bits: int
    integer: bool
    note: str
    models: tuple[str, ...] | None = None

    @property
    def constants(self) -> tuple[str, ...]:
        """Keys of the table that this precision uses, sorted."""
        return tuple(sorted({self.multiply, self.accumulate, self.state_multiply}))


PRECISIONS: Mapping[str, Precision] = MappingProxyType(
    {
        p.name: p
        for p in (
            Precision(
                "fp32",
                "mul-fp32",
                "add-fp32",
                "mul-fp32",
                32,
                32,
                False,
                "the 4.6 and 0.9 pJ of most published comparisons",
            ),
            Precision(
                "fp16",
                "mul-fp16",
                "add-fp16",
                "mul-fp16",
                16,
                16,
                False,
                "half precision throughout, accumulators too",
            ),
            Precision(
                "int8",
                "mul-int8",
                "add-int32",
                "mul-int32",
                8,
                32,
                True,
                "8-bit products, 32-bit accumulators on both sides; the leak a 32-bit product, a bound",
            ),
            Precision(
                "int8-narrow",
                "mul-int8",
                "add-int8",
                "mul-int8",
                8,
                8,
                True,
                "8-bit accumulators, which overflow in a real layer; the constants most favourable to spikes",
            ),
        )
    }
)
"""Precisions by name; with the packaged table a MAC costs 4.6, 1.5, 0.3 or 0.23 pJ and an accumulate 0.9,
0.4, 0.1 or 0.03 pJ."""
