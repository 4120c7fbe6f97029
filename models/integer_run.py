"""The reference run of an integer network: vectorised, and exact by proof rather than by luck.

With M = 2^23, all quantities integers, one line per operation:

    input       x = clip(floor((255 image - 128) / step + 1/2), input_range)
    synapse     c = wrap24(conv(mantissa, z) << exponent), then pixel-shuffle
                wrap24(a) = ((a + M) mod 2M) - M
    lif         u = wrap_once((sum c) << 6);  v = clip(decay(v) + u + (bias << 6), -M + 1, M - 1)
                z = [v > threshold << 6];  v = 0 where z           decay(v) = sign(v) (|v| (4096 - dv) >> 12)
    graded      v = clip(sum c + bias, -M + 1, M - 1)
                z = sign(v) min(levels, (2 |v| + threshold) // (2 threshold))
    read-out    lif without decay that never fires; residual = v residual_scale

`lif` and the read-out are Lava's stock LIF (select_tag fixed_pt, du = 4095) number for number. Convolutions
run in float32 or float64 where the largest possible sum of absolute products is below 2^24 or 2^53: then
every partial sum is an integer that the format holds exactly, whatever the order of the additions.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from snn_tool.errors import QuantizationError
from snn_tool.models.integer import CURRENT_SHIFT, WRAP, IntegerNetwork, IntegerPopulation, IntegerSynapse
from snn_tool.models.topology import IMAGE
from torch import Tensor
from torch.nn import functional

DECAY_SHIFT = 12


@dataclass(frozen=True, slots=True, eq=False)
class IntegerTrace:
    """What a run produced.

    Attributes:
        readout: int64 [N, 3, H, W], the read-out's membrane after the last timestep, in 64ths of its LSB.
        spikes: for each recorded population int16 [T, N, C, H, W].
        membranes: likewise int64 [T, N, C, H, W], after the reset; 64ths of an LSB for `lif`, whole LSB for
            `graded`.
    """

    readout: NDArray[np.int64]
    spikes: dict[str, NDArray[np.int16]]
    membranes: dict[str, NDArray[np.int64]]


def to_input_grid(image: NDArray[np.float32], step: int, low: int, high: int) -> NDArray[np.int16]:
    """Integer input of the same shape from an image in [0, 1] before noise; any real values, clipped."""
    grey = image.astype(np.float64) * 255 - 128
    return np.clip(np.floor(grey / step + 0.5), low, high).astype(np.int16)


def quantize_image(image: NDArray[np.float32], network: IntegerNetwork) -> NDArray[np.int16]:
    """`to_input_grid` with a network's own grid."""
    return to_input_grid(image, network.input_step, *network.input_range)


def absolute_product_bound(synapse: IntegerSynapse, network: IntegerNetwork) -> int:
    """Largest possible sum of |mantissa * source value| over one output's products."""
    largest = max(abs(value) for value in network.source_range(synapse.wiring.source))
    return largest * int(np.abs(synapse.mantissa.astype(np.int64)).sum(axis=(1, 2, 3)).max(initial=0))


class _ExactConv:
    """One synapse as a float convolution whose exactness was proved from its weights at construction."""

    def __init__(self, synapse: IntegerSynapse, network: IntegerNetwork) -> None:
        bound = absolute_product_bound(synapse, network)
        if bound >= 1 << 53:
            raise QuantizationError(
                f"{synapse.wiring.name}: a product sum of {bound} exceeds 2^53; use fewer levels"
            )
        self.dtype = torch.float32 if bound < 1 << 24 else torch.float64
        self.weight = torch.from_numpy(synapse.mantissa.astype(np.float64)).to(self.dtype)
        self.synapse = synapse
        self.wraps = (bound << synapse.exponent) >= WRAP

    def __call__(self, source: Tensor) -> Tensor:
        wiring = self.synapse.wiring
        sums = functional.conv2d(
            source.to(self.dtype), self.weight, None, wiring.stride, wiring.padding, wiring.dilation
        )
        current = sums.to(torch.int64) << self.synapse.exponent
        if self.wraps:
            current = (current + WRAP) % (2 * WRAP) - WRAP
        return functional.pixel_shuffle(current, wiring.upsample) if wiring.upsample > 1 else current


class IntegerEngine:
    """Runs one integer network on any number of images; the weights are prepared once."""

    def __init__(self, network: IntegerNetwork) -> None:
        self.network = network
        self._convs = {s.wiring.name: _ExactConv(s, network) for s in network.synapses}

    def run(self, image: NDArray[np.int16], record: Iterable[str] = ()) -> IntegerTrace:
        """Run on integer images [N, 3, H, W]; H and W are multiples of the topology's `multiple`.

        Args:
            image: integers of `quantize_image`.
            record: names of the populations whose spikes and membranes are kept.
        """
        network = self.network
        outputs: dict[str, Tensor] = {IMAGE: torch.from_numpy(image)}
        currents: dict[str, Tensor] = {}
        kept = frozenset(record)
        spikes: dict[str, NDArray[np.int16]] = {}
        membranes: dict[str, NDArray[np.int64]] = {}
        for population in network.populations:
            for name in population.wiring.inputs:
                if name not in currents:
                    currents[name] = self._current(name, outputs[network.by_name[name].wiring.source])
            fired, membrane = self._neuron(population, [currents[name] for name in population.wiring.inputs])
            outputs[population.wiring.name] = fired
            if population.wiring.name in kept:
                spikes[population.wiring.name] = fired.to(torch.int16).numpy()
                membranes[population.wiring.name] = membrane.numpy()
        return IntegerTrace(membrane[-1].numpy(), spikes, membranes)

    def current(self, name: str, source: NDArray[np.int16]) -> NDArray[np.int64]:
        """Currents of one synapse in LSB, int64 [T or 1, N, C, H, W], after wrap and pixel-shuffle.

        Args:
            name: the synapse.
            source: what its source emits: recorded spikes [T, N, C, H, W], or the image [N, 3, H, W].
        """
        current: NDArray[np.int64] = self._current(name, torch.from_numpy(source)).numpy()
        return current

    def _current(self, name: str, source: Tensor) -> Tensor:
        """Currents int64 [T or 1, N, C, H, W]; the image [N, 3, H, W] gives the same one at every step."""
        if source.dim() == 4:
            return self._convs[name](source).unsqueeze(0)
        return torch.unflatten(self._convs[name](source.flatten(0, 1)), 0, source.shape[:2])

    def _bias(self, population: IntegerPopulation) -> Tensor:
        """Sum of the input synapses' biases int64 [C, 1, 1] in LSB (a shuffled synapse has none)."""
        total = np.zeros(population.wiring.channels, dtype=np.int64)
        for name in population.wiring.inputs:
            synapse = self.network.by_name[name]
            if synapse.wiring.bias:
                total += synapse.bias
        return torch.from_numpy(total)[:, None, None]

    def _neuron(self, population: IntegerPopulation, currents: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Spikes and membranes after the reset, both [T, N, C, H, W]."""
        total = currents[0]
        for current in currents[1:]:
            total = total + current
        total = total.expand(self.network.timesteps, *total.shape[1:])
        is_readout = population is self.network.populations[-1]
        if self.network.neuron == "graded" and not is_readout:
            return graded_step(total + self._bias(population), population.threshold, self.network)
        decay = 0 if is_readout else self.network.decay
        threshold = None if is_readout else population.threshold
        return lif_run(total, self._bias(population), threshold, decay)


def graded_step(membrane: Tensor, threshold: int, network: IntegerNetwork) -> tuple[Tensor, Tensor]:
    """Levels and saturated membrane int64 of memoryless graded neurons; halves round away from zero."""
    membrane = membrane.clamp(-WRAP + 1, WRAP - 1)
    magnitude = (2 * membrane.abs() + threshold) // (2 * threshold)
    low, high = network.spike_range
    return (membrane.sign() * magnitude).clamp(low, high), membrane


def lif_run(total: Tensor, bias: Tensor, threshold: int | None, decay: int) -> tuple[Tensor, Tensor]:
    """Lava's stock LIF over T steps, from rest; `threshold` None never fires.

    Args:
        total: summed currents int64 [T, N, C, H, W] in LSB.
        bias: int64 [C, 1, 1] in LSB.
        threshold: in LSB.
        decay: 4096ths of the membrane lost per step, rounding toward zero.
    """
    membrane = torch.zeros_like(total[0])
    spikes, membranes = torch.zeros_like(total), torch.zeros_like(total)
    for step, current in enumerate(total):
        kept = membrane.sign() * ((membrane.abs() * ((1 << DECAY_SHIFT) - decay)) >> DECAY_SHIFT)
        drive = wrap_once(current << CURRENT_SHIFT)
        membrane = (kept + drive + (bias << CURRENT_SHIFT)).clamp(-WRAP + 1, WRAP - 1)
        if threshold is not None:
            fired = membrane > (threshold << CURRENT_SHIFT)
            spikes[step] = fired
            membrane = membrane.masked_fill(fired, 0)
        membranes[step] = membrane
    return spikes, membranes


def wrap_once(drive: Tensor) -> Tensor:
    """One wrap at +-2^23, as Lava's LIF does: above M subtract 2M, at or below -M add 2M."""
    drive = torch.where(drive > WRAP, drive - 2 * WRAP, drive)
    return torch.where(drive <= -WRAP, drive + 2 * WRAP, drive)


def restore(engine: IntegerEngine, image: NDArray[np.float32]) -> NDArray[np.float64]:
    """Restored images [N, 3, H, W]: the degraded image plus the scaled read-out; not clamped."""
    trace = engine.run(quantize_image(image, engine.network))
    return image.astype(np.float64) + trace.readout * engine.network.residual_scale
