"""Prices of single operations and other constants of the energy models, each with its provenance.

The packaged table is `constants.toml`; a user's profile (`profile`) overrides or adds entries. Models
take the table as an argument and never read it here, so that sensitivity and profiles reach every term.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from snn_tool.errors import ConfigError
from snn_tool.files.documents import NotNegative, Positive, convert

Unit = Literal["pJ", "pJ/bit", "mW", "ns", "hops", "fraction"]
Scope = Literal["per-op", "all-in"]
Grade = Literal["simulated", "regressed", "measured", "vendor-peak", "assumed"]
Traced = Literal["found", "transcribed", "not found"]
"""`found` was read in the source itself, `transcribed` in somebody's quotation or table of it; `not found`
stands where neither was, or where there is nothing to read because the number is a choice."""

PACKAGED = "snn-tool"
"""`Constant.origin` of what ships with the package."""

Table = Mapping[str, "Constant"]


@dataclass(frozen=True, slots=True)
class Constant:
    """One number that models multiply counts with, and where it comes from.

    Attributes:
        value: in `unit`; finite and not negative, a fraction above 0 and at most 1.
        unit: `pJ` per operation, `pJ/bit` per bit and hop, `mW`, `ns`, `hops`, or `fraction`.
        source: publication, with table or figure where known.
        scope: `per-op` covers the circuit of one operation; `all-in` divides a whole chip's energy by its
            operations, so that neuron or routing terms must never be added to it.
        grade: how the number was obtained; `assumed` is a choice of this package, not a publication's.
        process_nm: feature size of the process, or None where it has no meaning or is not stated.
        voltage_v: supply voltage, or None likewise.
        reading: whether the number was read in its source; None where a profile does not say.
        read_in: where it was read; empty where a profile does not say.
        origin: `snn-tool`, or the name of the profile that gave it.
    """

    value: float
    unit: Unit
    source: str
    scope: Scope
    grade: Grade
    process_nm: float | None = None
    voltage_v: float | None = None
    reading: Traced | None = None
    read_in: str = ""
    origin: str = PACKAGED


class ConstantEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A constant in a TOML file: a `Constant` without its origin."""

    value: NotNegative
    unit: Unit
    source: Annotated[
        str, Meta(pattern=r"\S", extra={"allowed": "a text that names the publication or the measurement"})
    ]
    scope: Scope
    grade: Grade
    process_nm: Positive | None = None
    voltage_v: Positive | None = None
    reading: Traced | None = None
    read_in: str = ""

    def __post_init__(self) -> None:
        """A fraction is one."""
        if self.unit == "fraction" and not 0 < self.value <= 1:
            raise ValueError(f"value = {self.value!r} is no fraction; use a number above 0 and at most 1")


def constants_of(entries: Mapping[str, ConstantEntry], origin: str = PACKAGED) -> dict[str, Constant]:
    """The constants of a file.

    Args:
        entries: by key.
        origin: of every constant.
    """
    return {key: Constant(**msgspec.structs.asdict(entry), origin=origin) for key, entry in entries.items()}


@cache
def packaged_constants() -> Table:
    """The table that ships with the package, in the order of the file."""
    text = (files("snn_tool.energy.estimators") / "constants.toml").read_text(encoding="utf-8")
    tables = convert(tomllib.loads(text), dict[str, dict[str, ConstantEntry]], "constants.toml", ConfigError)
    return MappingProxyType(constants_of(tables["constants"]))
