"""Results as JSON text and as pandas tables, for people who use the package from Python."""

import importlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

from snn_tool.errors import BackendUnavailableError


class Result(ABC):
    """What a command or a function found: as plain values by `to_dict`, as text by `to_json`."""

    __slots__ = ()

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """JSON values."""

    def to_json(self) -> str:
        """The values of `to_dict` as indented text.

        Raises:
            ValueError: a number is NaN or infinite (a bug: neither is JSON).
        """
        return json_text(self.to_dict())


def json_text(values: Mapping[str, Any]) -> str:
    """JSON values as indented text.

    Raises:
        ValueError: a number is NaN or infinite (a bug: neither is JSON).
    """
    return json.dumps(values, indent=2, allow_nan=False)


def dataframe(rows: Iterable[Mapping[str, Any]]) -> Any:
    """A `pandas.DataFrame` with a line for each row and a column for each key.

    Raises:
        BackendUnavailableError: pandas is not installed.
    """
    try:
        pandas = importlib.import_module("pandas")
    except ImportError as error:
        raise BackendUnavailableError("to_dataframe needs pandas; run `pip install pandas`") from error
    return pandas.DataFrame(list(rows))
