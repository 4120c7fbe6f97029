"""The integer neurons in floating point: fast, and exact because it was proved that nothing rounds.

Every 24-bit register is an integer that float32 holds. Where a bound cannot prove that each intermediate
value is one as well, the same operations run in float64, which holds all of them. `engine` states the
equations; the comments here say why float arithmetic gives the same integers.
"""

from dataclasses import dataclass
from math import gcd

import torch
from snn_tool.models.integer.conv import FLOAT32_EXACT
from snn_tool.models.integer.network import CURRENT_SHIFT, WRAP
from torch import Tensor

LARGEST = WRAP - 1
"""Membranes saturate at this magnitude."""

DECAY_STEPS = 1 << 12
"""Lava's decay counts in 4096ths."""


@dataclass(frozen=True, slots=True, eq=False)
class Response:
    """What a population did.

    Attributes:
        spikes: [T, N, C, H, W], each increased by the magnitude of the smallest, in the narrowest integers.
        membrane: of the same shape, after the reset; the last step's at least of a read-out, else empty
            where nobody asked.
    """

    spikes: Tensor
    membrane: Tensor


def encode(values: Tensor, largest: int) -> Tensor:
    """Floats that hold integers 0 to `largest` as uint8, or int32 if they need it."""
    if largest > 255:
        return values.to(torch.int32)
    if largest > 127:
        return values.to(torch.int16).to(torch.uint8)
    # torch converts floats to signed bytes several times faster than to unsigned ones.
    return values.to(torch.int8).view(torch.uint8)


class GradedNeurons:
    """Memoryless graded neurons: sign(v) min(D, (2 |v| + threshold) // (2 threshold)) for v = current + bias.

    Computed as round(v / threshold (1 + e)) with e = 1 / (2 D threshold). The factor moves exact halves away
    from zero, as the equation wants, and no other integer v across a half; every v then stays 1 / (4 D
    threshold) away from the next half, and float errors must be smaller than that.

    Args:
        bias: int64 [C], LSB.
        threshold: LSB.
        spike_range: smallest and largest level.
        current_bound: largest magnitude of a summed current, LSB.
    """

    def __init__(
        self, bias: Tensor, threshold: int, spike_range: tuple[int, int], current_bound: int
    ) -> None:
        low, high = spike_range
        largest = max(-low, high)
        factor = (1 + 1 / (2 * largest * threshold)) / threshold
        offset = float(bias.abs().max()) * factor + largest
        # Roundings of factor, products and sum, at the largest value that is not clamped anyway.
        error = (4 * offset + 5 * (largest + 1)) / FLOAT32_EXACT
        narrow = error < 1 / (4 * largest * threshold) and current_bound < FLOAT32_EXACT
        self.dtype = torch.float32 if narrow else torch.float64
        self._factor, self._low = factor, low
        self._offset = (bias.double() * factor - low).to(self.dtype)[:, None, None]
        self._bias = bias[:, None, None]
        reached = (2 * LARGEST + threshold) // (2 * threshold)  # by a saturated membrane
        self._range = max(low, -reached) - low, min(high, reached) - low

    def __call__(self, current: Tensor, timesteps: int, keep: bool) -> Response:
        """Respond to summed currents [1, N, C, H, W] in LSB."""
        level = torch.add(self._offset, current.to(self.dtype), alpha=self._factor)
        level = level.round_().clamp_(*self._range)
        membrane = (current.double() + self._bias).clamp_(-LARGEST, LARGEST) if keep else torch.empty(0)
        return Response(encode(level, self._range[1]), membrane)


class LifNeurons:
    """Lava's stock LIF over T steps from rest; with `threshold` None the read-out, which never fires.

    A membrane v loses sign(v) ceil(|v| a / b) per step, where a / b is the decay in lowest terms. That is
    round((v a + sign(v) (b - 1) / 2) / b), and no v lies half-way between two results. Sums stay exact below
    2^24, and whatever is larger is clipped at 2^23 next; products v a must be proved to be below 2^23.
    A synaptic current that lasts is held in float64, where |u| 4096 < 2^36 is exact.

    Args:
        bias: int64 [C], LSB.
        threshold: LSB, or None.
        decay: 4096ths of the membrane lost per step, rounding toward zero.
        current_bound: largest magnitude of a summed current, LSB.
        timesteps: T.
        current_decay: 4096ths of the synaptic current lost per step, likewise; 4096 keeps nothing of it.
    """

    def __init__(
        self,
        bias: Tensor,
        threshold: int | None,
        decay: int,
        current_bound: int,
        timesteps: int,
        current_decay: int = DECAY_STEPS,
    ) -> None:
        scaled_bias = bias << CURRENT_SHIFT
        self.lasts = current_decay < DECAY_STEPS
        self._current_kept = DECAY_STEPS - current_decay
        step = (current_bound << CURRENT_SHIFT) + int(scaled_bias.abs().max())
        self._clips = self.lasts or timesteps * step > LARGEST
        self._wraps = self.lasts or current_bound << CURRENT_SHIFT > WRAP
        common = gcd(decay, DECAY_STEPS)
        self._lost, self._steps = decay // common, DECAY_STEPS // common
        products = min(timesteps * step, LARGEST) * self._lost
        narrow = (
            not self.lasts
            and current_bound < FLOAT32_EXACT
            and int(scaled_bias.abs().max()) <= WRAP
            and (self._lost <= 1 or 2 * products + self._steps < FLOAT32_EXACT)
        )
        self.dtype = torch.float32 if narrow else torch.float64
        self._bias = scaled_bias.to(self.dtype)[:, None, None]
        self.threshold = None if threshold is None else float(threshold << CURRENT_SHIFT)

    def __call__(self, current: Tensor, timesteps: int, keep: bool) -> Response:
        """Respond to summed currents [T or 1, N, C, H, W] in LSB; one is the same at every step."""
        run = LifRun(self, current, timesteps, keep)
        for step in range(timesteps):
            run.advance(current[min(step, len(current) - 1)])
        return run.response()

    def integrate(self, current: Tensor, membrane: Tensor | None, synaptic: Tensor | None) -> Tensor:
        """The membrane before it is compared; what is held is None at rest, and may be overwritten.

        Args:
            current: summed currents of the step [N, C, H, W], LSB.
            membrane: after the step before, 64ths.
            synaptic: the current after this step, 64ths, if it lasts.
        """
        drive = self._drive(current) if synaptic is None else synaptic + self._bias
        membrane = drive if membrane is None else drive.add_(self._kept(membrane))
        return membrane.clamp_(-LARGEST, LARGEST) if self._clips else membrane

    def synaptic(self, current: Tensor, before: Tensor | None) -> Tensor:
        """The synaptic current after a step, 64ths: what is kept of it, rounded toward zero, and the new."""
        arriving = current * (1 << CURRENT_SHIFT)
        if before is not None:
            arriving = arriving + (before * self._current_kept / DECAY_STEPS).trunc()
        return wrap_once(arriving)

    def _drive(self, current: Tensor) -> Tensor:
        if not self._wraps:
            return torch.add(self._bias, current, alpha=1 << CURRENT_SHIFT)
        return wrap_once(current * (1 << CURRENT_SHIFT)).add_(self._bias)

    def _kept(self, membrane: Tensor) -> Tensor:
        if not self._lost:
            return membrane
        lost = membrane * self._lost if self._lost > 1 else membrane
        lost = torch.add(lost, membrane.sign(), alpha=(self._steps - 1) / 2)
        return membrane.sub_(lost.mul_(1 / self._steps).round_())


class LifRun:
    """One population on its way through T timesteps from rest.

    Args:
        neurons: what it is.
        current: of any step, [T or 1, N, C, H, W], for its shape.
        timesteps: T.
        keep: whether every membrane is wanted.
    """

    def __init__(self, neurons: LifNeurons, current: Tensor, timesteps: int, keep: bool) -> None:
        self.neurons, self.timesteps, self.keep = neurons, timesteps, keep
        fires = neurons.threshold is not None
        self.spikes = _bytes(timesteps, current) if fires else torch.empty(0)
        self.step = 0
        self._membrane: Tensor | None = None
        self._synaptic: Tensor | None = None
        self._membranes: list[Tensor] = []

    def advance(self, current: Tensor) -> None:
        """One timestep with its summed currents [N, C, H, W] in LSB."""
        neurons, arriving = self.neurons, current.to(self.neurons.dtype)
        if neurons.lasts:
            self._synaptic = neurons.synaptic(arriving, self._synaptic)
        membrane = neurons.integrate(arriving, self._membrane, self._synaptic)
        if neurons.threshold is not None:
            self.spikes[self.step] = torch.gt(membrane, neurons.threshold, out=torch.empty_like(membrane))
            # What exceeds the threshold is subtracted from itself: several times faster than a mask.
            membrane.sub_(torch.threshold(membrane, neurons.threshold, 0.0))
        if self.keep or (neurons.threshold is None and self.step == self.timesteps - 1):
            self._membranes.append(membrane.clone())
        self._membrane, self.step = membrane, self.step + 1

    def response(self) -> Response:
        """What it did in all steps."""
        membranes = torch.stack(self._membranes) if self._membranes else torch.empty(0)
        return Response(self.spikes.view(torch.uint8), membranes)


def _bytes(timesteps: int, current: Tensor) -> Tensor:
    """Room for spikes int8 [T, N, C, H, W], channels innermost as in the currents [T or 1, N, C, H, W]."""
    _, images, channels, height, width = current.shape
    room = torch.empty((timesteps, images, height, width, channels), dtype=torch.int8)
    return room.permute(0, 1, 4, 2, 3)


def wrap_once(drive: Tensor) -> Tensor:
    """One wrap at +-2^23, as Lava's LIF does: above M subtract 2M, at or below -M add 2M."""
    drive = torch.where(drive > WRAP, drive - 2 * WRAP, drive)
    return torch.where(drive <= -WRAP, drive + 2 * WRAP, drive)
