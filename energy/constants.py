"""Energies of single operations, each with its provenance, and the precisions that models build from them.

The numbers are Mark Horowitz, "Computing's energy problem (and what we can do about it)", ISSCC 2014, pages
10-14, the table of rough energy costs in 45 nm at 0.9 V. They were read not in the proceedings but in two
transcriptions that agree wherever they overlap: V0XNIHILI's gist 2b6fa61edd4c06d9ffce5551065124c1 (all eight
arithmetic entries, caches, DRAM) and Frontiers in Neurology 2022, PMC8934428, Table 3 (32-bit entries, half
the 8 KB cache access, 45 nm and 0.9 V).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Scope = Literal["per-op", "all-in"]
Grade = Literal["simulated", "regressed", "measured", "vendor-peak"]


@dataclass(frozen=True, slots=True)
class Constant:
    """The energy of one operation and where the number comes from.

    Attributes:
        value_pj: picojoules per operation.
        source: publication, with table or figure where known.
        process_nm: feature size of the process.
        voltage_v: supply voltage, or None where the source does not state it.
        scope: `per-op` covers the circuit of one operation; `all-in` divides a whole chip's energy by its
            operations, so that neuron or routing terms must never be added to it.
        grade: how the number was obtained.
    """

    value_pj: float
    source: str
    process_nm: int
    voltage_v: float | None
    scope: Scope
    grade: Grade


_ISSCC_2014 = "Horowitz, Computing's energy problem, ISSCC 2014, rough energy costs in 45 nm"


def _horowitz(value_pj: float, what: str) -> Constant:
    return Constant(value_pj, f"{_ISSCC_2014}: {what}", 45, 0.9, "per-op", "simulated")


HOROWITZ: Mapping[str, Constant] = {
    "add-int8": _horowitz(0.03, "integer add, 8 bit"),
    "add-int32": _horowitz(0.1, "integer add, 32 bit"),
    "add-fp16": _horowitz(0.4, "floating-point add, 16 bit"),
    "add-fp32": _horowitz(0.9, "floating-point add, 32 bit"),
    "mul-int8": _horowitz(0.2, "integer multiply, 8 bit"),
    "mul-int32": _horowitz(3.1, "integer multiply, 32 bit"),
    "mul-fp16": _horowitz(1.1, "floating-point multiply, 16 bit"),
    "mul-fp32": _horowitz(3.7, "floating-point multiply, 32 bit"),
    "sram-8kb": _horowitz(10.0, "cache access, 8 KB, 64 bit"),
    "sram-32kb": _horowitz(20.0, "cache access, 32 KB, 64 bit"),
    "sram-1mb": _horowitz(100.0, "cache access, 1 MB, 64 bit"),
    "dram": _horowitz(1300.0, "DRAM access, 64 bit, the low end of 1300 to 2600 pJ"),
}
"""Rough energy costs by operation, in picojoules; memory figures are per 64-bit access, not per 32 bits."""


@dataclass(frozen=True, slots=True)
class Precision:
    """Which constant each kind of operation is charged with; every field is a key of `HOROWITZ`.

    Attributes:
        name: how reports call it.
        multiply: weight times activation.
        accumulate: adding a product, or a spike's weight, to a membrane or an accumulator.
        state_multiply: membrane times decay, at the membrane's width.
        note: what the choice stands for.
    """

    name: str
    multiply: str
    accumulate: str
    state_multiply: str
    note: str

    @property
    def ac_pj(self) -> float:
        """One accumulate; also one add or compare of a neuron."""
        return HOROWITZ[self.accumulate].value_pj

    @property
    def mac_pj(self) -> float:
        """One multiply-accumulate: the multiply plus the accumulate."""
        return round(HOROWITZ[self.multiply].value_pj + HOROWITZ[self.accumulate].value_pj, 6)

    @property
    def leak_pj(self) -> float:
        """One multiplication of a membrane with its decay."""
        return HOROWITZ[self.state_multiply].value_pj

    @property
    def constants(self) -> tuple[str, ...]:
        """Keys of `HOROWITZ` that this precision uses, sorted."""
        return tuple(sorted({self.multiply, self.accumulate, self.state_multiply}))


PRECISIONS: Mapping[str, Precision] = {
    p.name: p
    for p in (
        Precision(
            "fp32", "mul-fp32", "add-fp32", "mul-fp32", "the 4.6 and 0.9 pJ of most published comparisons"
        ),
        Precision(
            "int8",
            "mul-int8",
            "add-int32",
            "mul-int32",
            "8-bit products, 32-bit accumulators on both sides; the leak as a 32-bit product, an upper bound",
        ),
        Precision(
            "int8-narrow",
            "mul-int8",
            "add-int8",
            "mul-int8",
            "8-bit accumulators, which overflow in a real layer; the constants most favourable to spikes",
        ),
    )
}
"""Precisions by name; a MAC costs 4.6, 0.3 or 0.23 pJ and an accumulate 0.9, 0.1 or 0.03 pJ."""
