"""What one timestep of a library's neuron does, read from its own parameters.

    v = (1 - decay) v + decay leak + gain x;  fires where v > threshold, and takes reset in the same step

| neuron | decay | gain |
|---|---|---|
| snntorch.Leaky | 1 - beta | 1 |
| spikingjelly LIFNode | 1 / tau | 1 / tau with decay_input, else 1 |
| spikingjelly IFNode | 0 | 1 |
| norse LIFBoxCell, LIBoxCell | dt tau_mem_inv | the same |

A reset by subtraction, the default of snntorch, is no state of a chip's neuron: it becomes a reset to 0, and
so does a reset that comes a step late. Both are told, and cost what the original's outputs show.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from snn_tool.errors import UnsupportedLayerError
from torch import nn

Reals = NDArray[np.float64]
SUBTRACTS = "resets by subtraction, which becomes a reset to 0"
LATE = "resets one timestep late, which becomes a reset in the same step"


@dataclass(frozen=True, slots=True, eq=False)
class Update:
    """One neuron's constants, scalars or arrays that broadcast to its shape.

    Attributes:
        decay, gain, leak: of the membrane.
        threshold: None of a read-out, which does not fire.
        reset: of the membrane.
        changed: what is not carried over, in words.
    """

    decay: Reals
    gain: Reals
    leak: Reals
    threshold: Reals | None
    reset: Reals
    changed: tuple[str, ...] = ()


def update_of(module: nn.Module, where: str) -> Update | None:
    """The constants of a neuron; None of any other module.

    Raises:
        UnsupportedLayerError: a neuron with a setting that no graph holds.
    """
    for kind in type(module).__mro__:
        read = READERS.get((kind.__module__.split(".")[0], kind.__name__))
        if read:
            return read(module, where)
    return None


def _array(value: Any) -> Reals:
    held = value.detach().cpu().double().numpy() if isinstance(value, torch.Tensor) else value
    return np.asarray(held, dtype=np.float64)


def _snntorch(module: Any, where: str) -> Update:
    mechanism = str(module.reset_mechanism)
    if mechanism not in ("zero", "subtract"):
        raise UnsupportedLayerError(f"{where}: Leaky with reset_mechanism '{mechanism}'; use 'zero'")
    changed = (SUBTRACTS,) if mechanism == "subtract" else ()
    if mechanism == "zero" and bool(getattr(module, "reset_delay", True)):
        changed = (LATE,)
    beta, zero = _array(module.beta).clip(0, 1), np.zeros(())
    return Update(1 - beta, np.ones(()), zero, _array(module.threshold), zero, changed)


def _below(threshold: Any) -> Reals:
    """The next smaller number of float32: spikingjelly fires at its threshold, NIR above."""
    below: Reals = np.nextafter(_array(threshold).astype(np.float32), np.float32(-np.inf)).astype(np.float64)
    return below


def _spikingjelly(module: Any, where: str) -> Update:
    reset = module.v_reset
    changed = (SUBTRACTS,) if reset is None else ()
    back, zero = _array(reset or 0.0), np.zeros(())
    if not hasattr(module, "tau"):
        return Update(zero, np.ones(()), zero, _below(module.v_threshold), back, changed)
    decay = 1 / _array(module.tau)
    gain = decay if module.decay_input else np.ones(())
    return Update(decay, gain, back, _below(module.v_threshold), back, changed)


def _norse(module: Any, where: str) -> Update:
    held = module.p
    decay = float(module.dt) * _array(held.tau_mem_inv)
    threshold = _array(held.v_th) if hasattr(held, "v_th") else None
    reset = _array(held.v_reset) if hasattr(held, "v_reset") else np.zeros(())
    return Update(decay, decay, _array(held.v_leak), threshold, reset)


READERS: Mapping[tuple[str, str], Callable[[Any, str], Update]] = {
    ("snntorch", "Leaky"): _snntorch,
    ("spikingjelly", "LIFNode"): _spikingjelly,
    ("spikingjelly", "IFNode"): _spikingjelly,
    ("norse", "LIFBoxCell"): _norse,
    ("norse", "LIBoxCell"): _norse,
}
"""By the package and the name of a class or of one that it is made of."""
