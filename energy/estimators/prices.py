"""What a model charges with: a precision and a table of constants, passed in and never global."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from snn_tool.energy.estimators.constants import Table, packaged_constants
from snn_tool.energy.precisions import PRECISIONS, Precision


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
        """Prices at one precision."""
        return Prices(self.precisions[precision], self.constants)


def packaged_pricing() -> Pricing:
    """The packaged table and precisions."""
    return Pricing(packaged_constants(), PRECISIONS)
