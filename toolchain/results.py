"""Results as JSON text and as pandas tables, for people who use the package from Python."""

import importlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from snn_tool.errors import BackendUnavailableError


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
