"""The variants of the distillation benchmark: the four of the paper's question, and free-form ones."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from snn_tool.errors import ConfigError
from snn_tool.models.config import LossWeights
from snn_tool.training.settings import RunSettings, load_settings

Overrides = dict[str, dict[str, Any]]
NONE = "none"
PLAIN: Mapping[str, Overrides] = {
    NONE: {"loss": {"output": 0.0, "hints": 0.0, "hint_targets": ()}},
    "hints": {"loss": {"output": 0.0}},
    "output": {"loss": {"hints": 0.0}},
    "both": {},
}
TABLES = tuple(field.name for field in fields(RunSettings))
EQUAL = ("max_steps", "batch", "patch", "seed", "validate_every")
"""Keys of [training] that all variants share, or the comparison would mean nothing."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A name and what it sets, above the defaults and above what all variants share."""

    name: str
    overrides: Overrides

    def settings(self, shared: Overrides, seed: int) -> RunSettings:
        """The settings of one run.

        Raises:
            ConfigError: an unknown key or a value that is not allowed.
        """
        return load_settings(None, merged(shared, self.overrides, {"training": {"seed": seed}}))


def variants(free: Iterable[str], only: Iterable[str]) -> list[Variant]:
    """`none` first, then the plain ones, then the free ones, in the order given.

    Args:
        free: texts NAME=TABLE.KEY:VALUE,TABLE.KEY:VALUE.
        only: names to keep beside `none`; empty keeps all.

    Raises:
        ConfigError: a text cannot be read, a name is taken or unknown.
    """
    chosen = [Variant(name, overrides) for name, overrides in PLAIN.items()]
    chosen += [_free(text) for text in free]
    names = [variant.name for variant in chosen]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"--variant {repeated[0]}: the name is taken; give another one")
    wanted = set(only)
    if unknown := sorted(wanted - set(names)):
        raise ConfigError(f"--only {unknown[0]}: no such variant; there are {', '.join(names)}")
    return [v for v in chosen if not wanted or v.name in wanted | {NONE}]


def _free(text: str) -> Variant:
    name, equals, settings = text.partition("=")
    if not equals or not re.fullmatch(r"[\w.-]+", name) or name.startswith("."):
        raise ConfigError(f"--variant {text}: use NAME=TABLE.KEY:VALUE,…, the name of letters, digits, - _ .")
    overrides = parsed(settings, f"--variant {name}")
    if fixed := [key for key in overrides.get("training", {}) if key in EQUAL]:
        raise ConfigError(
            f"--variant {name}: training.{fixed[0]} must be the same in all variants; use --set or an option"
        )
    return Variant(name, overrides)


def parsed(text: str, option: str) -> Overrides:
    """Settings from TABLE.KEY:VALUE,…; a list of names is written a+b.

    Raises:
        ConfigError: an item has another form, or the table is unknown.
    """
    overrides: Overrides = {}
    for item in filter(None, text.split(",")):
        place, colon, value = item.partition(":")
        table, dot, key = place.partition(".")
        if not colon or not dot or table not in TABLES:
            raise ConfigError(
                f"{option}: '{item}' is not TABLE.KEY:VALUE with a table of {', '.join(TABLES)}, "
                "like loss.hints:0.1"
            )
        overrides.setdefault(table, {})[key] = _value(table, key, value)
    return overrides


def _value(table: str, key: str, text: str) -> Any:
    if table == "loss" and isinstance(getattr(LossWeights(), key, None), tuple):
        return tuple(filter(None, text.split("+")))
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def merged(*several: Overrides) -> Overrides:
    """Later values win."""
    return {table: {k: v for one in several for k, v in one.get(table, {}).items()} for table in TABLES}
