"""`package.module:factory`: a user's own code that builds a network."""

import importlib
import inspect
import logging
import os
import sys
from typing import Any

import torch
from snn_tool.errors import ConfigError, TeacherError
from snn_tool.memory import is_out_of_memory
from snn_tool.terminal import LOGGER
from torch import nn

SHOWN = 12


def build_from_factory(named: str) -> nn.Module:
    """Import `package.module:factory`, also from the working folder, and call it without arguments.

    The factory's random numbers are its own: the student's weights do not depend on it.

    Raises:
        ConfigError: the module or the name does not exist, or the name cannot be called without arguments.
        TeacherError: the factory fails, or returns no torch module.
    """
    factory = _find(named)
    try:
        inspect.signature(factory).bind()
    except TypeError as error:
        raise ConfigError(
            f"--teacher {named}: called without arguments it has a {error}; write a function around it"
        ) from error
    except ValueError:
        pass  # built into C without a signature; calling it tells
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = _called(named, factory)
    if not isinstance(network, nn.Module):
        raise TeacherError(f"--teacher {named}: returns {type(network).__name__}, not a torch.nn.Module")
    return network


def _find(named: str) -> Any:
    module_name, _, attribute = named.partition(":")
    if (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)  # the console script leaves the working folder out, unlike python -m
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"--teacher {named}: no module '{error.name}'; run where it lies, or install it"
        ) from error
    except Exception as error:  # a user's module may raise anything
        raise _failed(named, "cannot be imported", error) from error
    factory = getattr(module, attribute, None)
    if not callable(factory):
        found = [name for name, value in vars(module).items() if callable(value) and name[0] != "_"][:SHOWN]
        raise ConfigError(
            f"--teacher {named}: {module_name} has no callable '{attribute}'; it has "
            f"{', '.join(found) or 'none'}"
        )
    return factory


def _called(named: str, factory: Any) -> Any:
    try:
        return factory()
    except Exception as error:  # a user's function may raise anything
        if is_out_of_memory(error):
            raise
        raise _failed(named, "fails", error) from error


def _failed(named: str, what: str, error: Exception) -> TeacherError:
    logging.getLogger(LOGGER).debug("--teacher %s", named, exc_info=error)
    reason = " ".join(str(error).split())[:200]
    return TeacherError(f"--teacher {named}: {what} ({type(error).__name__}: {reason}); -v shows where")
