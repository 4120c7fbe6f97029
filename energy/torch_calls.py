"""One dispatched operation: its arguments by name, and which of them it writes."""

from collections.abc import Mapping
from typing import Any

import torch


def name_of(func: Any) -> str:
    """The ATen name without the underscore of in-place variants; of other libraries with their namespace."""
    name: str = func.overloadpacket.__name__.removesuffix("_")
    return name if func.namespace == "aten" else f"{func.namespace}::{name}"


def bound(func: Any, args: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by the names of the operation's schema, defaults included."""
    arguments = func._schema.arguments
    defaults = {a.name: a.default_value for a in arguments if a.has_default_value()}
    return defaults | {a.name: value for a, value in zip(arguments, args, strict=False)} | dict(kwargs)


def is_written(argument: Any) -> bool:
    """Whether the operation writes this argument of its schema."""
    return argument.alias_info is not None and bool(argument.alias_info.is_write)


def is_composite(func: Any) -> bool:
    """Whether the operation is made of others; under `inference_mode` these arrive undivided."""
    return bool(torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"))
