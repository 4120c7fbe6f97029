"""What one timestep of a library's neuron does, read from its own parameters.

    u = (1 - current) u + x, or x where it has no current of its own;  v = (1 - decay) v + decay leak + gain u
    fires where v > threshold

| neuron | decay | gain | current |
|---|---|---|---|
| snntorch.Leaky, RLeaky | 1 - beta | 1 | |
| snntorch.Synaptic, RSynaptic | 1 - beta | 1 | 1 - alpha |
| spikingjelly LIFNode, ParametricLIFNode | 1 / tau | 1 / tau with decay_input, else 1 | |
| spikingjelly IFNode | 0 | 1 | |
| norse LIFBoxCell, LIBoxCell | dt tau_mem_inv | the same | |
| norse LIFCell, LIFRecurrentCell | dt tau_mem_inv | the same | dt tau_syn_inv |

A spike's reset is one of `nir_foreign.RESETS`, which a graph cannot write and which is told beside it. Of
snntorch's Leaky a reset to zero that comes one step late gives the same spikes as one in the same step, since
it comes before the next input; that of its other neurons takes the next input away, too, which is told.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from snn_tool.errors import UnsupportedLayerError
from snn_tool.exporters.nir_foreign import SUBTRACT, SUBTRACT_LATE, TO_ZERO
from torch import nn

Reals = NDArray[np.float64]
LATE = "resets one timestep late and loses that step's input, which becomes a reset in the same step"
STARTS = "starts at v_leak, which becomes v_reset"

UNMAPPED: Mapping[tuple[str, str], str] = {
    ("snntorch", "Alpha"): ("two synaptic currents, of which a chip's neuron has one; use Synaptic or Leaky"),
}
"""Neurons that no graph holds, and why."""


@dataclass(frozen=True, slots=True, eq=False)
class Update:
    """One neuron's constants, scalars or arrays that broadcast to its shape.

    Attributes:
        decay, gain, leak: of the membrane.
        threshold: None of a read-out, which does not fire.
        reset: of the membrane.
        current: fraction that the synaptic current loses per step; None where there is none.
        resets: what a spike does, one of `RESETS`.
        feeds: a layer of its own in front of it.
        recurrent: a layer that its spikes of the step before go through.
        changed: what is not carried over, in words.
    """

    decay: Reals
    gain: Reals
    leak: Reals
    threshold: Reals | None
    reset: Reals
    current: Reals | None = None
    resets: str = TO_ZERO
    feeds: nn.Module | None = None
    recurrent: nn.Module | None = None
    changed: tuple[str, ...] = ()


def update_of(module: nn.Module, where: str) -> Update | None:
    """The constants of a neuron; None of any other module.

    Raises:
        UnsupportedLayerError: a neuron with a setting that no graph holds.
    """
    for kind in type(module).__mro__:
        name = (kind.__module__.split(".")[0], kind.__name__)
        if name in UNMAPPED:
            raise UnsupportedLayerError(f"{where}: {UNMAPPED[name]}")
        if name in READERS:
            return READERS[name](module, where)
    return None


def _array(value: Any) -> Reals:
    held = value.detach().cpu().double().numpy() if isinstance(value, torch.Tensor) else value
    return np.asarray(held, dtype=np.float64)


def _snntorch(module: Any, where: str) -> Update:
    mechanism, late = str(module.reset_mechanism), bool(getattr(module, "reset_delay", True))
    if mechanism not in ("zero", "subtract"):
        raise UnsupportedLayerError(f"{where}: with reset_mechanism '{mechanism}'; use 'zero' or 'subtract'")
    for setting, usual in (("inhibition", False), ("graded_spikes_factor", 1), ("state_quant", False)):
        if getattr(module, setting, usual) != usual:
            raise UnsupportedLayerError(f"{where}: with {setting}, which no graph holds; leave it out")
    alpha = getattr(module, "alpha", None)
    recurrent = getattr(module, "recurrent", None)
    loses_input = mechanism == "zero" and late and (alpha is not None or recurrent is not None)
    beta, zero = _array(module.beta).clip(0, 1), np.zeros(())
    return Update(
        *(1 - beta, np.ones(()), zero, _array(module.threshold), zero),
        current=None if alpha is None else 1 - _array(alpha).clip(0, 1),
        resets=TO_ZERO if mechanism == "zero" else SUBTRACT_LATE if late else SUBTRACT,
        recurrent=recurrent,
        changed=(LATE,) if loses_input else (),
    )


def _below(threshold: Any) -> Reals:
    """The next smaller number of float32: spikingjelly fires at its threshold, NIR above."""
    below: Reals = np.nextafter(_array(threshold).astype(np.float32), np.float32(-np.inf)).astype(np.float64)
    return below


def _spikingjelly(module: Any, where: str) -> Update:
    resets = SUBTRACT if module.v_reset is None else TO_ZERO
    back, zero = _array(module.v_reset or 0.0), np.zeros(())
    threshold = _below(module.v_threshold)
    if hasattr(module, "w"):  # a learned one
        decay = _array(torch.sigmoid(module.w.detach().double()))
    elif hasattr(module, "tau"):
        decay = 1 / _array(module.tau)
    else:
        return Update(zero, np.ones(()), zero, threshold, back, resets=resets)
    gain = decay if module.decay_input else np.ones(())
    return Update(decay, gain, back, threshold, back, resets=resets)


def _norse(module: Any, where: str) -> Update:
    held = module.p
    decay = float(module.dt) * _array(held.tau_mem_inv)
    threshold = _array(held.v_th) if hasattr(held, "v_th") else None
    reset = _array(held.v_reset) if hasattr(held, "v_reset") else np.zeros(())
    return Update(decay, decay, _array(held.v_leak), threshold, reset)


def _norse_current(module: Any, where: str) -> Update:
    """The same with a synaptic current, and with the weights that a recurrent cell has inside."""
    found = _norse(module, where)
    weights = getattr(module, "input_weights", None)
    return replace(
        found,
        current=float(module.dt) * _array(module.p.tau_syn_inv),
        feeds=None if weights is None else _linear(weights),
        recurrent=None if weights is None else _linear(module.recurrent_weights),
        changed=(STARTS,) if (found.leak != found.reset).any() else (),
    )


def _linear(weights: torch.Tensor) -> nn.Linear:
    made = nn.Linear(weights.shape[1], weights.shape[0], bias=False)
    with torch.no_grad():
        made.weight.copy_(weights)
    return made


READERS: Mapping[tuple[str, str], Callable[[Any, str], Update]] = {
    ("snntorch", "Leaky"): _snntorch,
    ("snntorch", "RLeaky"): _snntorch,
    ("snntorch", "Synaptic"): _snntorch,
    ("snntorch", "RSynaptic"): _snntorch,
    ("spikingjelly", "LIFNode"): _spikingjelly,
    ("spikingjelly", "ParametricLIFNode"): _spikingjelly,
    ("spikingjelly", "IFNode"): _spikingjelly,
    ("norse", "LIFBoxCell"): _norse,
    ("norse", "LIBoxCell"): _norse,
    ("norse", "LIFCell"): _norse_current,
    ("norse", "LIFRecurrentCell"): _norse_current,
}
"""By the package and the name of a class or of one that it is made of."""
