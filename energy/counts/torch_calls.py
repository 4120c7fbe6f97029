"""One dispatched operation: its arguments by name, the tensors among them, and which of them it writes."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor


@cache
def name_of(func: Any) -> str:
    """The ATen name without the underscore of in-place variants; of other libraries with their namespace."""
    name: str = func.overloadpacket.__name__.removesuffix("_")
    return name if func.namespace == "aten" else f"{func.namespace}::{name}"


def bound(func: Any, args: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by the names of the operation's schema, defaults included."""
    names, defaults = _signature(func)
    return {**defaults, **dict(zip(names, args, strict=False)), **kwargs}


@cache
def _signature(func: Any) -> tuple[tuple[str, ...], dict[str, Any]]:
    arguments = func._schema.arguments
    return tuple(a.name for a in arguments), {
        a.name: a.default_value for a in arguments if a.has_default_value()
    }


@cache
def written(func: Any) -> tuple[str, ...]:
    """Names of the arguments that the operation writes."""
    arguments = func._schema.arguments
    return tuple(a.name for a in arguments if a.alias_info is not None and a.alias_info.is_write)


@cache
def is_composite(func: Any) -> bool:
    """Whether the operation is made of others; under `inference_mode` these arrive undivided."""
    return bool(torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"))


def tensors(value: Any) -> Iterator[Tensor]:
    """The tensors of an argument or a result: one, those of a list or tuple, or none."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors(item)
