"""Running a torch network over time by its own library, from rest: what integers are held against."""

import importlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from snn_tool.errors import UnsupportedLayerError, first_line
from torch import Tensor, nn


def reset_states(module: nn.Module) -> None:
    """Forget the state of all neurons of snntorch and spikingjelly; norse keeps none in its modules."""
    roots = {type(part).__module__.split(".")[0] for part in module.modules()}
    if "snntorch" in roots:
        importlib.import_module("snntorch.utils").reset(module)
    if "spikingjelly" in roots:
        functional = importlib.import_module("spikingjelly.activation_based.functional")
        functional.set_step_mode(module, "s")
        functional.reset_net(module)


def run_module(module: nn.Module, steps: Iterable[Tensor], named: str) -> NDArray[np.float64]:
    """Outputs [T, N, ...] of a network in evaluation mode, from rest.

    Args:
        module: takes [N, *shape] and, if it is one of norse's, a state.
        steps: the input of every timestep.
        named: stands at the head of messages.

    Raises:
        UnsupportedLayerError: it fails on an input.
    """
    reset_states(module)
    stateful = type(module).__module__.startswith("norse") or hasattr(module, "stateful_layers")
    outputs: list[NDArray[np.float64]] = []
    state: Any = None
    try:
        with torch.no_grad():
            for values in steps:
                made = module(values, state) if stateful else module(values)
                if stateful:
                    made, state = made
                held = made[0] if isinstance(made, tuple) else made
                outputs.append(held.double().numpy())
    except Exception as error:  # a user's network may raise anything
        raise UnsupportedLayerError(
            f"{named}: its own forward fails on an input: {type(error).__name__}: "
            f"{first_line(error)}; it takes "
            "one timestep [N, ..] and returns the output of that step"
        ) from error
    finally:
        reset_states(module)
    return np.stack(outputs)
