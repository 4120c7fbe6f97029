"""A user's own constants and precisions, from a TOML file, on top of the packaged ones."""

import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from snn_tool.energy.constants import Constant, Table, packaged_constants, parse_constants
from snn_tool.energy.precisions import PRECISIONS, Precision
from snn_tool.energy.prices import Pricing
from snn_tool.energy.registry import MODELS
from snn_tool.energy.scopes import check_scopes
from snn_tool.errors import ConfigError

_SECTIONS = ("constants", "precisions")
_OPERATIONS = ("multiply", "accumulate", "state_multiply")
_WIDTHS = ("bits", "state_bits")
_REQUIRED = (*_OPERATIONS, *_WIDTHS, "integer", "note")
_FLEXIBLE = tuple(name for name, model in MODELS.items() if model.precisions is None)


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
    content = _read(path)
    for key in content:
        if key not in _SECTIONS or not isinstance(content[key], dict):
            raise ConfigError(f"{path}: {key} is unknown; use tables {' and '.join(_SECTIONS)}")
    own = parse_constants(content.get("constants", {}), str(path), path.name)
    constants = {**packaged_constants(), **own}
    chosen = {name: _precision(name, e, path, constants) for name, e in content.get("precisions", {}).items()}
    pricing = Pricing(constants, {**PRECISIONS, **chosen}, path.name)
    _check_use(own, pricing, path)
    check_scopes(pricing, str(path))
    return pricing


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"--profile {path}: cannot be read ({error.strerror}); name a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"--profile {path}: no TOML ({error}); correct the file") from error


def _precision(name: str, entry: Any, path: Path, constants: Table) -> Precision:
    where = f"{path}: precisions.{name}"
    if not isinstance(entry, dict):
        raise ConfigError(f"{where} is no table; give it {', '.join(_REQUIRED)}")
    known = {field.name for field in fields(Precision)} - {"name"}
    for key in (*(k for k in _REQUIRED if k not in entry), *(k for k in entry if k not in known)):
        state = "unknown" if key in entry else "missing"
        raise ConfigError(
            f"{where}.{key} is {state}; a precision has {', '.join(_REQUIRED)}, and may have models"
        )
    for key in _OPERATIONS:
        _check_operation(entry[key], f"{where}.{key}", constants)
    for key in _WIDTHS:
        if type(entry[key]) is not int or not 1 <= entry[key] <= 64:
            raise ConfigError(f"{where}.{key} = {entry[key]!r} is not allowed; use 1 to 64 bits")
    if type(entry["integer"]) is not bool or not isinstance(entry["note"], str):
        raise ConfigError(f"{where}: integer must be true or false, and note a text")
    if "models" in entry and name in PRECISIONS:
        raise ConfigError(f"{where}.models is not allowed for a packaged precision; give yours another name")
    made = Precision(name=name, **{**entry, "models": None})
    return replace(made, models=_models(entry["models"], where)) if "models" in entry else made


def _check_operation(key: Any, where: str, constants: Table) -> None:
    if key not in constants:
        raise ConfigError(
            f"{where} = {key!r} is no constant; use one of the table, or add it under constants"
        )
    if constants[key].unit != "pJ":
        raise ConfigError(f"{where} = {key!r} is in {constants[key].unit}; arithmetic needs pJ")


def _models(names: Any, where: str) -> tuple[str, ...]:
    if not isinstance(names, list) or not names or any(name not in _FLEXIBLE for name in names):
        raise ConfigError(f"{where}.models = {names!r} is not allowed; list some of {', '.join(_FLEXIBLE)}")
    return tuple(names)


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
        if packaged and packaged.unit != constant.unit:
            raise ConfigError(
                f"{path}: constants.{key}.unit = {constant.unit!r} is not allowed; use {packaged.unit!r}"
            )
        if key not in used:
            raise ConfigError(
                f"{path}: constants.{key} is used by no model and no precision; correct its name, "
                "or name it in a precision"
            )
