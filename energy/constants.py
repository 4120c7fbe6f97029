"""Prices of single operations and other constants of the energy models, each with its provenance.

The packaged table is `constants.toml`; a user's profile (`energy.profile`) overrides or adds entries. Models
take the table as an argument and never read it here, so that sensitivity and profiles reach every term.
"""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Literal, get_args

from snn_tool.errors import ConfigError

Unit = Literal["pJ", "pJ/bit", "mW", "ns", "hops", "fraction"]
Scope = Literal["per-op", "all-in"]
Grade = Literal["simulated", "regressed", "measured", "vendor-peak", "assumed"]
UNITS, SCOPES, GRADES = get_args(Unit), get_args(Scope), get_args(Grade)
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
        origin: `snn-tool`, or the name of the profile that gave it.
    """

    value: float
    unit: Unit
    source: str
    scope: Scope
    grade: Grade
    process_nm: float | None = None
    voltage_v: float | None = None
    origin: str = PACKAGED


REQUIRED = ("value", "unit", "source", "scope", "grade")
OPTIONAL = ("process_nm", "voltage_v")


def parse_constants(entries: Mapping[str, Any], file: str, origin: str = PACKAGED) -> dict[str, Constant]:
    """Constants from the tables of a TOML file.

    Args:
        entries: by key; each a table of `REQUIRED` and `OPTIONAL` fields.
        file: how messages call the file.
        origin: of every constant read.

    Raises:
        ConfigError: names file and key; a field is missing, unknown, or not allowed.
    """
    return {key: _constant(entry, f"{file}: constants.{key}", origin) for key, entry in entries.items()}


def _constant(entry: Any, where: str, origin: str) -> Constant:
    if not isinstance(entry, dict):
        raise ConfigError(f"{where} is no table; give it {', '.join(REQUIRED)}")
    for field in REQUIRED:
        if field not in entry:
            raise ConfigError(f"{where}.{field} is missing; a constant has {', '.join(REQUIRED)}")
    for field in entry:
        if field not in REQUIRED + OPTIONAL:
            raise ConfigError(f"{where}.{field} is unknown; use {', '.join(REQUIRED + OPTIONAL)}")
    for field, allowed in (("unit", UNITS), ("scope", SCOPES), ("grade", GRADES)):
        if entry[field] not in allowed:
            raise ConfigError(
                f"{where}.{field} = {entry[field]!r} is unknown; use one of {', '.join(allowed)}"
            )
    if not isinstance(entry["source"], str) or not entry["source"].strip():
        raise ConfigError(f"{where}.source is empty; name the publication or the measurement")
    return Constant(**{**entry, "value": _value(entry, where), **_conditions(entry, where)}, origin=origin)


def _value(entry: Mapping[str, Any], where: str) -> float:
    value = _number(entry["value"], f"{where}.value")
    if value < 0:
        raise ConfigError(f"{where}.value = {value!r} is negative; use 0 or more")
    if entry["unit"] == "fraction" and not 0 < value <= 1:
        raise ConfigError(f"{where}.value = {value!r} is no fraction; use a number above 0 and at most 1")
    return value


def _conditions(entry: Mapping[str, Any], where: str) -> dict[str, float]:
    given = {field: _number(entry[field], f"{where}.{field}") for field in OPTIONAL if field in entry}
    for field, value in given.items():
        if value <= 0:
            raise ConfigError(
                f"{where}.{field} = {value!r} is not allowed; use a number above 0, or leave it out"
            )
    return given


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{where} = {value!r} is no finite number")
    return float(value)


@cache
def packaged_constants() -> Table:
    """The table that ships with the package, in the order of the file."""
    text = (files("snn_tool.energy") / "constants.toml").read_text(encoding="utf-8")
    return MappingProxyType(parse_constants(tomllib.loads(text)["constants"], "constants.toml"))
