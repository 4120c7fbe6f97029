"""A population's constants as a chip has them, and its parts that share their time constants.

Lava's LIF has one du and one dv for all its neurons. Neurons that differ in them become populations of their
own, one for each pair of du and dv in 4096ths that occurs: what the chip computes of each neuron stays the
same. Gains, thresholds and rests may differ anyway, since weights and biases take them up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import UnsupportedLayerError
from snn_tool.exporters.nir_foreign.forms import Form, Reals
from snn_tool.exporters.nir_foreign.layers import per_channel
from snn_tool.models.integer.quantize_real import decay_registers

INTEGRATORS = (nir.I, nir.LI)
SAME = 1e-6
"""Relative difference that is taken for float32 rounding of equal time constants."""

Channels = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Neurons:
    """What one timestep does: u = (1 - current_decay) u + gain x, v = (1 - decay) v + u + drive; all [C].

    With a current_decay of 1 the current u is what arrives.
    """

    gain: Reals
    drive: Reals
    decay: Reals
    current_decay: Reals
    subtracts: bool = False

    @property
    def lasts(self) -> NDArray[np.bool_]:
        """Where the current outlives its timestep."""
        held: NDArray[np.bool_] = self.current_decay < 1
        return held


def neurons(node: Any, form: Form, dt_s: float, where: str) -> Neurons:
    """A population's constants, with a threshold of 1 if it spikes.

    Args:
        node: IF, LIF, CubaLIF, I or LI.
        form: what arrives; gives the shape.
        dt_s: timestep in seconds.
        where: stands at the head of messages.

    Raises:
        UnsupportedLayerError: a parameter differs within a channel, a read-out's time constant between
            channels, or a threshold that is not above the reset.
    """

    def read(field: str) -> Reals:
        return per_channel(getattr(node, field), form, field, where)

    zero, one = np.zeros(form.shape[0]), np.ones(form.shape[0])
    gain, decay, rest, current = dt_s * read("r"), zero, zero, one
    if not isinstance(node, nir.IF | nir.I):
        decay = np.minimum(dt_s / read("tau_mem" if isinstance(node, nir.CubaLIF) else "tau"), 1.0)
        gain, rest = decay * read("r"), read("v_leak")
    if isinstance(node, nir.CubaLIF):
        current = dt_s / read("tau_syn")
        current = np.where(current > 1 - SAME, 1.0, current)
        gain = gain * current * read("w_in")
    if isinstance(node, INTEGRATORS):
        return _integrator(Neurons(gain, decay * rest, decay, current), rest, dt_s, where)
    reset = read("v_reset")
    threshold = read("v_threshold") - reset
    if (threshold <= 0).any():
        raise UnsupportedLayerError(
            f"{where}: v_threshold is not above v_reset, so that it fires without input; raise v_threshold"
        )
    return Neurons(gain / threshold, decay * (rest - reset) / threshold, decay, current)


def _integrator(found: Neurons, rest: Reals, dt_s: float, where: str) -> Neurons:
    """A read-out, which is one population."""
    if rest.any():
        raise UnsupportedLayerError(f"{where}: v_leak of a read-out must be 0, where the chip's starts")
    least, most = found.decay.min(), found.decay.max()
    if most > least * (1 + SAME):
        raise UnsupportedLayerError(
            f"{where}: time constants between {dt_s / most:g} and {dt_s / least:g} s; a read-out is one "
            "population, which Lava gives one dv: give it one time constant"
        )
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Channels that share their time constants.

    Attributes:
        channels: of the node, in ascending order.
        decay, current_decay: that they have, or are given.
    """

    channels: Channels
    decay: float
    current_decay: float


def parts_of(found: Neurons, most: int = 0) -> list[Part]:
    """The channels by their time constants, in the order of their first ones.

    Args:
        found: constants of all channels.
        most: parts that are wanted at most, 0 for any number; the nearest pairs are merged, and their
            channels take the mean of theirs.
    """
    keys = np.array([decay_registers(d, c) for d, c in zip(found.decay, found.current_decay, strict=True)])
    _, index = np.unique(keys, axis=0, return_inverse=True)
    groups = [np.flatnonzero(index.ravel() == number) for number in range(index.max() + 1)]
    while most and len(groups) > most:
        groups = _merged(groups, keys.astype(np.float64))
    groups.sort(key=lambda group: int(group[0]))
    return [Part(g, float(found.decay[g].mean()), float(found.current_decay[g].mean())) for g in groups]


def _merged(groups: Sequence[Channels], keys: Reals) -> list[Channels]:
    """The same with the two groups joined whose means are nearest."""
    means = np.array([keys[group].mean(axis=0) for group in groups])
    apart = np.abs(means[:, None] - means[None]).sum(axis=2) + np.diag(np.full(len(groups), np.inf))
    first, second = sorted(int(n) for n in np.unravel_index(int(apart.argmin()), apart.shape))
    joined = np.sort(np.concatenate([groups[first], groups[second]]))
    return [joined, *(group for at, group in enumerate(groups) if at not in (first, second))]
