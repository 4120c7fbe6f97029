"""NIR's neurons in the terms of a chip: a gain, a constant drive, a threshold of 1 and one decay.

With g the gain on what arrives, forward Euler as in `nir_module_neurons`, and w = v - v_reset:

    IF        w += dt r x                                               threshold v_threshold - v_reset
    LIF       w += dt / tau (v_leak - v_reset - w + r x)                likewise
    CubaLIF   the same with r w_in for r, if tau_syn = dt: its current then is w_in x

so that v_leak and v_reset become a constant drive and a lower threshold. Dividing gain and drive by the
threshold makes it 1, whatever it was in each channel. I and LI are the same without threshold and reset.
"""

from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
from snn_tool.errors import UnsupportedLayerError
from snn_tool.exporters.nir_foreign.forms import Form, Reals
from snn_tool.exporters.nir_import_layers import per_channel

SPIKING = (nir.IF, nir.LIF, nir.CubaLIF)
INTEGRATORS = (nir.I, nir.LI)
SAME = 1e-6
"""Relative difference that is taken for float32 rounding of equal time constants."""


@dataclass(frozen=True, slots=True, eq=False)
class Neurons:
    """What one timestep does: v = (1 - decay) v + gain x + drive; [C] each but the decay."""

    gain: Reals
    drive: Reals
    decay: float


def neurons(node: Any, form: Form, dt_s: float, where: str) -> Neurons:
    """A population's constants, with a threshold of 1 if it spikes.

    Args:
        node: IF, LIF, CubaLIF, I or LI.
        form: what arrives; gives the shape.
        dt_s: timestep in seconds.
        where: stands at the head of messages.

    Raises:
        UnsupportedLayerError: a parameter differs within a channel, a time constant between channels, a
            synaptic current that lasts, or a threshold that is not above the reset.
    """

    def read(field: str) -> Reals:
        return per_channel(getattr(node, field), form, field, where)

    zero = np.zeros(form.shape[0])
    gain, decay, rest = dt_s * read("r"), 0.0, zero
    if not isinstance(node, nir.IF | nir.I):
        tau = _one(read("tau_mem" if isinstance(node, nir.CubaLIF) else "tau"), where)
        decay = min(dt_s / tau, 1.0)
        gain, rest = decay * read("r"), read("v_leak")
    if isinstance(node, nir.CubaLIF):
        gain = gain * _instant(read("tau_syn"), dt_s, where) * read("w_in")
    if isinstance(node, INTEGRATORS):
        return _integrator(Neurons(gain, decay * rest, decay), rest, where)
    reset = read("v_reset")
    threshold = read("v_threshold") - reset
    if (threshold <= 0).any():
        raise UnsupportedLayerError(
            f"{where}: v_threshold is not above v_reset, so that it fires without input; raise v_threshold"
        )
    drive = decay * (rest - reset) if decay else zero
    return Neurons(gain / threshold, drive / threshold, decay)


def _integrator(found: Neurons, rest: Reals, where: str) -> Neurons:
    if rest.any():
        raise UnsupportedLayerError(f"{where}: v_leak of a read-out must be 0, where the chip's starts")
    return found


def _one(tau: Reals, where: str) -> float:
    if tau.max() > tau.min() * (1 + SAME):
        raise UnsupportedLayerError(
            f"{where}: its time constants lie between {tau.min():g} and {tau.max():g} s; a population of the "
            "chip has one decay"
        )
    return float(tau[0])


def _instant(tau: Reals, dt_s: float, where: str) -> float:
    if (np.abs(tau - dt_s) > dt_s * SAME).any():
        raise UnsupportedLayerError(
            f"{where}: CubaLIF with tau_syn = {tau.max():g} s, whose current outlasts the timestep of "
            f"{dt_s:g} s; use LIF, or tau_syn = dt"
        )
    return 1.0
