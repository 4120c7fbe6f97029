"""`--option key=value` of a teacher's constructor, checked against its signature."""

import inspect
import json
from typing import Any

from snn_tool.errors import ConfigError
from snn_tool.models.teacher_sizes import size_options
from snn_tool.models.teachers.registry import TEACHERS


def parse_teacher_options(architecture: str, given: list[str], size: str | None = None) -> dict[str, Any]:
    """JSON values by keyword; tuples are written as lists, e.g. `blocks=[1,1,2,4]`.

    Args:
        architecture: a key of `TEACHERS`.
        given: `key=value`, which override the size's.
        size: a named size of the architecture.

    Raises:
        ConfigError: unknown architecture, size or key (the valid ones are listed), or no JSON value.
    """
    if architecture not in TEACHERS:
        raise ConfigError(f"--arch {architecture} is unknown; use one of {', '.join(TEACHERS)}")
    known = inspect.signature(TEACHERS[architecture]).parameters
    options = size_options(architecture, size)
    for item in given:
        key, separator, text = item.partition("=")
        if not separator or key not in known:
            raise ConfigError(
                f"--option {item}: {architecture} takes {', '.join(f'{name}=…' for name in known)}"
            )
        options[key] = _value(item, text)
    return options


def _value(item: str, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        if text.isidentifier():
            return text
        raise ConfigError(f"--option {item}: the value must be a number, a list or a name") from None
