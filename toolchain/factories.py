"""`package.module:factory` on the command line: import it, call it without arguments, get a torch module."""

import importlib

from snn_tool.errors import ConfigError
from torch import nn


def names_factory(text: str) -> bool:
    """Whether a text has the form `package.module:factory`."""
    module, colon, name = text.partition(":")
    return bool(colon) and name.isidentifier() and all(part.isidentifier() for part in module.split("."))


def build_from_factory(text: str) -> nn.Module:
    """The module that a factory returns.

    Raises:
        ConfigError: it cannot be imported, does not exist, fails, or returns something else.
    """
    module_name, _, name = text.partition(":")
    try:
        factory = getattr(importlib.import_module(module_name), name)
    except ImportError as error:
        raise ConfigError(f"{text}: {error}; is its folder on PYTHONPATH?") from error
    except AttributeError as error:
        raise ConfigError(f"{text}: {module_name} has no '{name}'") from error
    try:
        made = factory()
    except Exception as error:  # a stranger's code may raise anything
        raise ConfigError(f"{text}: calling it failed: {type(error).__name__}: {error}") from error
    if not isinstance(made, nn.Module):
        raise ConfigError(f"{text}: returned {type(made).__name__}, not a torch.nn.Module")
    return made
