"""NIR's neurons as torch modules of one timestep, their equations discretised by forward Euler.

With x the sum of what arrives in a step (a spike is 1 for the whole step):

    IF, I       v += dt r x
    LIF, LI     v += dt / tau (v_leak - v + r x)
    CubaLIF     i += dt / tau_syn (w_in x - i), then v += dt / tau_mem (v_leak - v + r i) with the new i

then IF, LIF and CubaLIF fire where v > v_threshold, strictly, and take v_reset in the same step. They start
at v_reset, LI at v_leak, I and every current i at 0. This is how snntorch (for a reset to zero without delay)
and, but for its >=, spikingjelly read these nodes, too. Equations: Pedersen et al., Nature Communications 15,
8122 (2024); NIR leaves step, order and initial state open.

NIR has no reset by subtraction, and exporters write one as a reset to 0. Whoever knows better says so: with
`SUBTRACT` a spike takes v_threshold - v_reset off the membrane in the same step, with `SUBTRACT_LATE` in the
next one, after its leak (snntorch's Leaky by default).
"""

from collections.abc import Callable, Sequence
from typing import Any

import nir
import numpy as np
import torch
from snn_tool.errors import ArtifactError, ConfigError
from snn_tool.exporters.nir_foreign import SUBTRACT, SUBTRACT_LATE, TO_ZERO
from torch import Tensor, nn

ROUNDING = 1e-6
"""Relative excess of dt over a time constant that is taken for float32 rounding of an exact tau = dt."""


class NirNeuron(nn.Module):
    """What NIR's neurons share: parameters, which are no weights, and a state that `reset` forgets.

    Attributes:
        multiplies, adds: of one update beyond adding what arrives; gains are taken as folded into weights.
        v, syn: membrane and synaptic current [N, ...] float64, None before the first step.
        resets: one of `RESETS`.
    """

    resets = TO_ZERO

    def __init__(self, node: Any, where: str, dt_s: float) -> None:
        super().__init__()
        self.where, self.dt_s = where, dt_s
        self.v: Tensor | None = None
        self.syn: Tensor | None = None
        for name in ("r", "tau", "tau_mem", "tau_syn", "v_leak", "w_in", "v_threshold", "v_reset"):
            if hasattr(node, name):
                self.register_buffer(name, self._values(name, getattr(node, name)))
        leaks = sum(hasattr(self, name) for name in ("tau", "tau_mem", "tau_syn"))
        self.multiplies = leaks
        self.adds = int(leaks > 1) + int(leaks > 0 and bool(self.v_leak.any()))

    v_leak: Tensor
    v_threshold: Tensor
    v_reset: Tensor
    r: Tensor
    tau: Tensor
    tau_mem: Tensor
    tau_syn: Tensor
    w_in: Tensor

    def reset(self) -> None:
        """Forget the state."""
        self.v = self.syn = None

    def _values(self, name: str, given: Any) -> Tensor:
        values = np.asarray(given, dtype=np.float64)
        if not np.isfinite(values).all():
            raise ArtifactError(f"{self.where}: {name} is not finite; write the file again")
        if name.startswith("tau"):
            self._check_step(name, float(values.min()))
        return torch.from_numpy(values.reshape(() if values.size == 1 else values.shape).copy())

    def _check_step(self, name: str, least: float) -> None:
        if least <= 0:
            raise ArtifactError(f"{self.where}: {name} = {least:g} s; a time constant must be above 0")
        if self.dt_s > least * (1 + ROUNDING):
            raise ConfigError(
                f"{self.where}: {name} = {least:g} s is below the timestep of {self.dt_s:g} s; "
                f"give --dt the step that the file was made for, at most {least:g}"
            )

    def _check_shape(self, x: Tensor) -> None:
        for name, values in self.named_buffers():
            if values.dim() and not _fits(values.shape, x.shape[1:]):
                raise ArtifactError(
                    f"{self.where}: {name} has shape {list(values.shape)}, but {list(x.shape[1:])} arrives; "
                    "write the file again"
                )

    def _integrate(self, x: Tensor, start: Tensor) -> Tensor:
        """The membrane after this step's input, before any reset."""
        if self.v is None:
            self._check_shape(x)
            self.v = start.expand_as(x)
        if hasattr(self, "tau_syn"):
            syn = torch.zeros_like(x) if self.syn is None else self.syn
            self.syn = syn + self.dt_s / self.tau_syn * (self.w_in * x - syn)
            return self.v + self.dt_s / self.tau_mem * (self.v_leak - self.v + self.r * self.syn)
        if hasattr(self, "tau"):
            return self.v + self.dt_s / self.tau * (self.v_leak - self.v + self.r * x)
        return self.v + self.dt_s * self.r * x


def _fits(own: Sequence[int], arriving: Sequence[int]) -> bool:
    """Whether parameters have the shape of one item; [C, 1, 1] is one for all positions of a channel."""
    return len(own) == len(arriving) and all(n in (1, m) for n, m in zip(own, arriving, strict=True))


class NirSpiking(NirNeuron):
    """IF, LIF, CubaLIF: emits 0 or 1."""

    fired: Tensor | None = None

    def reset(self) -> None:
        """Forget the state, and the spikes whose subtraction is due."""
        super().reset()
        self.fired = None

    def forward(self, x: Tensor) -> Tensor:
        """Spikes of one step, of the input's shape and dtype [N, ...]."""
        v = self._integrate(x, self.v_reset)
        jump = self.v_threshold - self.v_reset
        if self.resets == SUBTRACT_LATE and self.fired is not None:
            v = v - jump * self.fired
        fired = v > self.v_threshold
        self.fired = fired if self.resets == SUBTRACT_LATE else None
        if self.resets == TO_ZERO:
            self.v = torch.where(fired, self.v_reset, v)
        else:
            self.v = v - jump * fired if self.resets == SUBTRACT else v
        return fired.to(x.dtype)


class NirIntegrator(NirNeuron):
    """LI, I: emits its membrane."""

    def forward(self, x: Tensor) -> Tensor:
        """The membrane after the step [N, ...]."""
        start = self.v_leak if hasattr(self, "v_leak") else torch.zeros((), dtype=x.dtype)
        self.v = self._integrate(x, start)
        return self.v


NEURONS: dict[type, Callable[[Any, str, float], NirNeuron]] = {
    nir.IF: NirSpiking,
    nir.LIF: NirSpiking,
    nir.CubaLIF: NirSpiking,
    nir.LI: NirIntegrator,
    nir.I: NirIntegrator,
}
