"""What a model charges with: a precision and a table of constants, passed in and never global."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from snn_tool.energy.estimators.constants import Table, packaged_constants
from snn_tool.errors import check_known


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
        integer: integers; only then activations of fewer bits cost less.
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


@dataclass(frozen=True, slots=True)
class Prices:
    """The values behind one evaluation of a model.

    Attributes:
        precision: which constants arithmetic is charged with.
        constants: by key; holds at least those of the precision and of the model.
    """

    precision: Precision
    constants: Table

    def __getitem__(self, key: str) -> float:
        """The value of a constant, in its own unit."""
        return self.constants[key].value

    @property
    def ac_pj(self) -> float:
        """One accumulate; also one add or compare of a neuron."""
        return self[self.precision.accumulate]

    @property
    def mac_pj(self) -> float:
        """One multiply-accumulate: the multiply plus the accumulate."""
        return self[self.precision.multiply] + self.ac_pj

    def narrow_mac_pj(self, bits: int | None) -> float:
        """A multiply-accumulate with an activation of fewer bits; None is the precision's own width.

        A multiplier of b by w bits adds b rows of w bits, so that its energy is taken as proportional to b.
        """
        share = 1.0 if bits is None else bits / self.precision.bits
        return self[self.precision.multiply] * share + self.ac_pj

    @property
    def leak_pj(self) -> float:
        """One multiplication of a membrane with its decay."""
        return self[self.precision.state_multiply]

    def scaled(self, key: str, factor: float) -> "Prices":
        """The same prices with one constant times `factor`; a fraction stays at most 1."""
        constant = self.constants[key]
        value = constant.value * factor
        value = min(value, 1.0) if constant.unit == "fraction" else value
        return Prices(self.precision, {**self.constants, key: replace(constant, value=value)})


@dataclass(frozen=True, slots=True)
class Pricing:
    """All that an audit prices with.

    Attributes:
        constants: the table.
        precisions: by name.
        profile: name of the file that changed either, or None.
    """

    constants: Table
    precisions: Mapping[str, Precision]
    profile: str | None = None

    def at(self, precision: str) -> Prices:
        """Prices at one precision.

        Raises:
            ConfigError: it is unknown.
        """
        check_known("precision", precision, self.precisions)
        return Prices(self.precisions[precision], self.constants)


def packaged_pricing() -> Pricing:
    """The packaged table and precisions."""
    return Pricing(packaged_constants(), PRECISIONS)
