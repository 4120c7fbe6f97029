"""The two spiking neurons with their surrogate gradients, and the ANN twin's ReLU behind the same interface.

Every neuron maps currents [T, N, C, H, W] to activations of the same shape; T is 1 for `graded` and `relu`.
Activations are spikes times a fixed amplitude, which quantisation folds into the next layer's weights.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

SURROGATE_SLOPE = 2.0
"""alpha of the arctan surrogate; 2 is the default of Fang et al., ICCV 2021 (arXiv 2007.05785), section 4."""


class _LifSpikes(torch.autograd.Function):
    """All timesteps of a binary LIF, and the arctan surrogate's gradient through time.

        m[t] = (1 - leak) m[t-1] (1 - z[t-1]) + i[t]        z[t] = [m[t] > threshold]

    The reset is not differentiated. With x = m / threshold - 1 and a the surrogate's slope, backward is

        dm[t] = dz[t] (a / 2) / (threshold (1 + (pi a x / 2)^2)) + (1 - leak) (1 - z[t]) dm[t+1]

    One function for all steps takes 0.64 of the time of a training step of separate ones. Masks are kept
    as numbers: on a CPU in bf16 a comparison into booleans takes 5 times, masked_fill 30 times a product.
    """

    @staticmethod
    def forward(ctx: Any, current: Tensor, threshold: Tensor, leak: float) -> Tensor:
        membrane, spikes = torch.empty_like(current), torch.empty_like(current)
        membrane[0] = current[0]
        for step in range(len(current)):
            if step:
                before, fired = membrane[step - 1], spikes[step - 1]
                torch.addcmul(before, before, fired, value=-1, out=membrane[step])
                membrane[step].mul_(1 - leak).add_(current[step])
            torch.gt(membrane[step], float(threshold), out=spikes[step])
        ctx.save_for_backward(membrane, spikes, threshold)
        ctx.kept = 1 - leak
        return spikes

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        membrane, spikes, threshold = ctx.saved_tensors
        inverse = float(threshold.reciprocal())
        # All divided by a / (2 threshold), so that the bell's height costs no pass of its own.
        height = float(threshold) * 2 / SURROGATE_SLOPE
        steepness = torch.pi / 2 * SURROGATE_SLOPE * height**0.5
        scaled = (membrane * (steepness * inverse)).sub_(steepness)
        bell = scaled.square_().add_(height)
        of_membrane = torch.div(gradient, bell, out=bell)
        of_threshold = -inverse * (of_membrane * membrane).sum()
        for step in reversed(range(len(spikes) - 1)):
            later = of_membrane[step + 1]
            of_membrane[step].add_(later, alpha=ctx.kept).addcmul_(later, spikes[step], value=-ctx.kept)
        return of_membrane, of_threshold.to(threshold.dtype), None


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

    The same function as norse's `LIFBoxCell` with dt / tau = leak and its input multiplied by tau / dt:
    a unit current adds one unit of membrane; tests hold the two against each other.

    Args:
        leak: fraction of the membrane lost per timestep, above 0 and below 1.
    """

    amplitude = 1.0

    def __init__(self, leak: float) -> None:
        super().__init__(threshold=1.0)
        self.leak = leak

    def forward(self, current: Tensor) -> Tensor:
        """Spikes {0, 1} [T, N, C, H, W] for currents of that shape; the membrane starts at 0."""
        spikes: Tensor = _LifSpikes.apply(current, self.threshold, self.leak)  # type: ignore[no-untyped-call]
        return spikes


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
