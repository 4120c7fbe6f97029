"""A user's own constants and precisions, from a TOML file, on top of the packaged ones."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta
from snn_tool.energy.estimators.constants import (
    Constant,
    ConstantEntry,
    Table,
    constants_of,
    packaged_constants,
)
from snn_tool.energy.estimators.estimate import EnergyModel
from snn_tool.energy.estimators.prices import PRECISIONS, Precision, Pricing
from snn_tool.energy.estimators.registry import MODELS
from snn_tool.errors import ConfigError
from snn_tool.files.artifacts import key_path, shown
from snn_tool.files.documents import Name, Text, convert, one_of, read_toml

ALL_IN = "all-in"
_OPERATIONS = ("multiply", "accumulate", "state_multiply")


def check_scopes(pricing: Pricing, file: str) -> None:
    """Refuse a table with which a model would count the same energy twice.

    Args:
        pricing: constants and precisions.
        file: that gave them, for the message.

    Raises:
        ConfigError: names the file, the constant, the model and the reason.
    """
    for model in MODELS.values():
        for precision in pricing.precisions.values():
            if model.takes(precision):
                _check_arithmetic(model, precision, pricing, file)
                _check_beside(model, pricing, file)


def _check_arithmetic(model: EnergyModel, precision: Precision, pricing: Pricing, file: str) -> None:
    if not (model.arithmetic and model.neuron_terms):
        return
    for key in precision.constants:
        if pricing.constants[key].scope == ALL_IN:
            free = [m.name for m in MODELS.values() if m.arithmetic and not m.neuron_terms]
            raise ConfigError(
                f"{file}: constants.{key} is all-in, a chip's energy over its operations, "
                f"and {model.name} would charge neurons beside it at precision {precision.name}; "
                f"give that precision models = {free}, or a per-op figure"
            )


def _check_beside(model: EnergyModel, pricing: Pricing, file: str) -> None:
    charged = [key for key in model.beside if pricing.constants[key].value > 0]
    for key in charged:
        others = [other for other in charged if other != key]
        if pricing.constants[key].scope == ALL_IN and others:
            raise ConfigError(
                f"{file}: constants.{key} is all-in, a chip's energy over its operations, "
                f"and {model.name} would add {', '.join(others)} to it; set those to 0, "
                "or give a per-op figure"
            )


_FLEXIBLE = tuple(name for name, model in MODELS.items() if model.precisions is None)
_Bits = Annotated[int, Meta(ge=1, le=64)]


class PrecisionEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A precision in a profile: a `Precision` without its name."""

    multiply: Name
    accumulate: Name
    state_multiply: Name
    bits: _Bits
    state_bits: _Bits
    integer: bool
    note: Text
    models: Annotated[tuple[Annotated[str, one_of(*_FLEXIBLE)], ...], Meta(min_length=1)] | None = None


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The tables of a profile."""

    constants: dict[Name, ConstantEntry] = {}
    precisions: dict[Name, PrecisionEntry] = {}


def load_profile(path: Path) -> Pricing:
    """Read a profile; what it does not name stays as packaged.

        [constants.add-int32]                    # overrides; a new name adds
        value = 0.08
        unit = "pJ"
        source = "our 28 nm library, typical corner"
        scope = "per-op"                         # or "all-in"
        grade = "simulated"                      # simulated, regressed, measured, vendor-peak, assumed
        process_nm = 28                          # optional, as is voltage_v

        [precisions.ours]
        multiply = "mul-int8"
        accumulate = "add-int32"
        state_multiply = "mul-int32"
        bits = 8
        state_bits = 24
        integer = true
        note = "what it stands for"
        models = ["paper", "exact-ops"]          # optional

    Raises:
        ConfigError: names file and key: unreadable, a key missing, unknown or not allowed, a constant with
            another unit than the one it overrides, one that nothing uses, or an all-in figure that a model
            would add other terms to.
    """
    given = convert(read_toml(path, "--profile "), Profile, str(path), ConfigError)
    own = constants_of(given.constants, path.name)
    constants = {**packaged_constants(), **own}
    chosen = {name: _precision(name, entry, path, constants) for name, entry in given.precisions.items()}
    pricing = Pricing(constants, {**PRECISIONS, **chosen}, path.name)
    _check_use(own, pricing, path)
    check_scopes(pricing, str(path))
    return pricing


def _precision(name: str, entry: PrecisionEntry, path: Path, constants: Table) -> Precision:
    where = f"{path}: {key_path(('precisions', name))}"
    for operation in _OPERATIONS:
        key = getattr(entry, operation)
        if key not in constants:
            raise ConfigError(
                f"{where}.{operation} = {shown(key)} is no constant; use one of the table, or add it under "
                "constants"
            )
        if constants[key].unit != "pJ":
            raise ConfigError(
                f"{where}.{operation} = {shown(key)} is in {constants[key].unit}; arithmetic needs pJ"
            )
    if entry.models and name in PRECISIONS:
        raise ConfigError(f"{where}.models is not allowed for a packaged precision; give yours another name")
    return Precision(name=name, **msgspec.structs.asdict(entry))


def _check_use(own: Mapping[str, Constant], pricing: Pricing, path: Path) -> None:
    """What nothing uses is misspelt; what has another unit would be taken for what it is not."""
    used = {
        key
        for model in MODELS.values()
        for precision in pricing.precisions.values()
        if model.takes(precision)
        for key in model.constants_at(precision)
    }
    for key, constant in own.items():
        packaged = packaged_constants().get(key)
        where = f"{path}: {key_path(('constants', key))}"
        if packaged and packaged.unit != constant.unit:
            raise ConfigError(f"{where}.unit = {constant.unit!r} is not allowed; use {packaged.unit!r}")
        if key not in used:
            raise ConfigError(
                f"{where} is used by no model and no precision; correct its name, or name it in a precision"
            )
