"""`package.module:factory`: a user's own code that builds a network."""

import importlib
import inspect
import logging
import os
import sys
from typing import Any

import torch
from snn_tool.errors import ConfigError
from snn_tool.memory import is_out_of_memory
from snn_tool.terminal import LOGGER
from torch import nn

SHOWN = 12


def names_factory(text: str) -> bool:
    """Whether a text has the form `package.module:factory`."""
    module, colon, name = text.partition(":")
    return bool(colon) and name.isidentifier() and all(part.isidentifier() for part in module.split("."))


def build_from_factory(named: str) -> nn.Module:
    """Import `package.module:factory`, also from the working folder, and call it without arguments.

    The factory's random numbers are its own: the student's weights do not depend on it.

    Raises:
        ConfigError: the module or the name does not exist, the name cannot be called without arguments, it
            fails, or it returns no torch module.
    """
    factory = _find(named)
    try:
        inspect.signature(factory).bind()
    except TypeError as error:
        raise ConfigError(
            f"{named}: cannot be called without arguments ({error}); write a function around it"
        ) from error
    except ValueError:
        pass  # built into C without a signature; calling it tells
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = _called(named, factory)
    if not isinstance(network, nn.Module):
        raise ConfigError(f"{named}: returned {type(network).__name__}, not a torch.nn.Module")
    return network


def _find(named: str) -> Any:
    module_name, _, attribute = named.partition(":")
    if (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)  # the console script leaves the working folder out, unlike python -m
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{named}: No module named '{error.name}'; run where it lies, or install it"
        ) from error
    except Exception as error:  # a user's module may raise anything
        raise _failed(named, "cannot be imported", error) from error
    factory = getattr(module, attribute, None)
    if not callable(factory):
        found = [
            n for n, v in vars(module).items() if callable(v) and getattr(v, "__module__", "") == module_name
        ][:SHOWN]
        raise ConfigError(
            f"{named}: {module_name} has no '{attribute}' that can be called; it has "
            f"{', '.join(found) or 'none'}"
        )
    return factory


def _called(named: str, factory: Any) -> Any:
    try:
        return factory()
    except Exception as error:  # a user's function may raise anything
        if is_out_of_memory(error):
            raise
        raise _failed(named, "calling it failed", error) from error


def _failed(named: str, what: str, error: Exception) -> ConfigError:
    logging.getLogger(LOGGER).debug("%s", named, exc_info=error)
    reason = " ".join(str(error).split())[:200]
    return ConfigError(f"{named}: {what}: {type(error).__name__}: {reason}; -v shows where")
