"""The two spiking neurons with their surrogate gradients, and the ANN twin's ReLU behind the same interface.

Every neuron maps currents [T, N, C, H, W] to activations of the same shape; T is 1 for `graded` and `relu`.
Activations are spikes times a fixed amplitude, which quantisation folds into the next layer's weights.
"""

from typing import Any

import torch
from norse.torch.functional.leaky_integrator_box import LIBoxParameters, LIBoxState, li_box_feed_forward_step
from norse.torch.functional.reset import reset_value
from torch import Tensor, nn
from torch.nn import functional

SURROGATE_SLOPE = 2.0
"""alpha of the arctan surrogate; 2 is the default of Fang et al., ICCV 2021 (arXiv 2007.05785), section 4."""


class _ArctanSpike(torch.autograd.Function):
    """Heaviside forward (strictly above zero), arctan surrogate backward: (a / 2) / (1 + (pi a x / 2)^2)."""

    @staticmethod
    def forward(ctx: Any, distance: Tensor) -> Tensor:
        ctx.save_for_backward(distance)
        return (distance > 0).to(distance.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        distance: Tensor = ctx.saved_tensors[0]
        slope = SURROGATE_SLOPE
        scaled = (torch.pi / 2 * slope) * distance
        return gradient * (slope / 2) / (1 + scaled * scaled)


class _LevelSpike(torch.autograd.Function):
    """Forward amplitude * clamp(round(v / threshold), low, high); backward straight-through inside the range.

    One fused pass per direction: written with clamp, round and detach it takes four times as long as the
    convolutions that it stands between.
    """

    @staticmethod
    def forward(
        ctx: Any,
        current: Tensor,
        threshold: Tensor,
        low: float,
        high: float,
        amplitude: float,
    ) -> Tensor:
        # The tensor's reciprocal is infinite where Python would raise, so that a diverged run ends as NaN.
        scaled = current * float(threshold.reciprocal())
        ctx.save_for_backward(scaled, threshold)
        ctx.range, ctx.amplitude = (low, high), amplitude
        return functional.hardtanh(scaled, low, high).round_().mul_(amplitude)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        scaled, threshold = ctx.saved_tensors
        inside = torch.ops.aten.hardtanh_backward(gradient, scaled, *ctx.range)
        gain = ctx.amplitude * float(threshold.reciprocal())
        of_threshold = -gain * (inside * scaled).sum(dtype=torch.float32)
        return inside * gain, of_threshold.to(threshold.dtype), None, None, None


class _Thresholded(nn.Module):
    """Holds one positive trainable threshold for a population, stored as its logarithm."""

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.log_threshold = nn.Parameter(torch.tensor(threshold).log())

    @property
    def threshold(self) -> Tensor:
        """The threshold, a positive scalar in units of the membrane."""
        return self.log_threshold.exp()


class LifNeuron(_Thresholded):
    """Binary leaky integrate-and-fire over T timesteps, the function that Lava's stock LIF computes.

        v <- (1 - leak) v + i        z = [v > threshold]        v <- 0 where z = 1

    The leaky integration and the reset are norse's (`leaky_integrator_box` with dt / tau = leak and the input
    multiplied by tau / dt, so that a unit current adds one unit of membrane); the surrogate is ours.

    Args:
        leak: fraction of the membrane lost per timestep, above 0 and below 1.
    """

    amplitude = 1.0

    def __init__(self, leak: float) -> None:
        super().__init__(threshold=1.0)
        self.leak = leak
        self._parameters_of_norse = LIBoxParameters(tau_mem_inv=torch.tensor(leak), v_leak=torch.tensor(0.0))

    def forward(self, current: Tensor) -> Tensor:
        """Spikes {0, 1} [T, N, C, H, W] for currents of that shape; the membrane starts at 0."""
        membrane = torch.zeros_like(current[0])
        zero = torch.zeros((), dtype=current.dtype, device=current.device)
        spikes = []
        for step in current:
            membrane, _ = li_box_feed_forward_step(
                step / self.leak, LIBoxState(membrane), self._parameters_of_norse, dt=1.0
            )
            spike: Tensor = _ArctanSpike.apply(membrane / self.threshold - 1)  # type: ignore[no-untyped-call]
            membrane = reset_value(spike.detach(), membrane, zero, self.threshold)
            spikes.append(spike)
        return torch.stack(spikes)


class GradedNeuron(_Thresholded):
    """Memoryless integer levels, one graded spike per neuron (Loihi 2), straight-through inside the range.

        z = clamp(round(v / threshold), low, levels)      low = -levels if signed else 0

    The activation is z / levels, so that its scale does not depend on the number of levels.

    Args:
        levels: largest spike magnitude, at least 1.
        signed: negative spikes are allowed.
    """

    def __init__(self, levels: int, signed: bool) -> None:
        super().__init__(threshold=1.0 / levels)
        self.levels = levels
        self.low = -levels if signed else 0
        self.amplitude = 1.0 / levels

    def forward(self, current: Tensor) -> Tensor:
        """Activations z / levels [T, N, C, H, W] for currents of that shape; timesteps are independent."""
        activation: Tensor = _LevelSpike.apply(  # type: ignore[no-untyped-call]
            current, self.threshold, self.low, self.levels, self.amplitude
        )
        return activation


class ReluNeuron(nn.Module):
    """The ANN twin's activation max(v, 0)."""

    amplitude = 1.0

    def forward(self, current: Tensor) -> Tensor:
        """Activations [T, N, C, H, W] for currents of that shape."""
        return current.relu()
