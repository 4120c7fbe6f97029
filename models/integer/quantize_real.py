"""Integers for a network trained elsewhere: 8-bit mantissas, and one LSB per population.

1. Each synapse takes the scale whose rounded (and, at the edge, saturated) mantissas have the least squared
   error. A hidden population's scale may be any number, because its threshold follows; the read-out's is a
   power of two, because the host multiplies by it.
2. The synapses of a population share the finest of these scales, times a left shift each.
3. The LSB, in which threshold and bias are counted, lies as many bits below as the registers allow over T
   timesteps, up to `FINER_BITS`; failing that, over one. If they allow none, the scale grows until no image
   whatsoever can wrap a current.
4. Thresholds, biases and decays are rounded.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import QuantizationError
from snn_tool.models.integer.network import (
    INSTANT,
    THRESHOLD_LIMIT,
    InputGrid,
    IntegerNetwork,
    IntegerPopulation,
    IntegerSynapse,
    input_range,
)
from snn_tool.models.integer.neurons import DECAY_STEPS
from snn_tool.models.integer.quantize import BIAS_LIMIT, LIF_CURRENT_LIMIT, MANTISSA_LIMIT, mantissas
from snn_tool.models.topology import IMAGE, Population, Synapse

Reals = NDArray[np.float64]
FINER_BITS = 6
"""Bits of threshold and bias below the weights' own step; more would not move a membrane in 64ths."""

STEPS_PER_OCTAVE, OCTAVES = 8, 2
"""Scales that are tried: from the one that saturates nothing downwards."""

COARSER = 24
"""Octaves of coarser scales that are tried; 24 bits leave nothing of a mantissa."""


@dataclass(frozen=True, slots=True, eq=False)
class RealSynapse:
    """A convolution's weights [out, in, kh, kw], in units of the target's membrane.

    From the image they are per unit of it, of an image in [0, 1], from a population per spike.
    """

    wiring: Synapse
    weight: Reals


@dataclass(frozen=True, slots=True, eq=False)
class RealPopulation:
    """Neurons that share one decay, and a threshold of 1.

    Attributes:
        wiring: inputs, channels and name.
        bias: [C], added to the membrane at every timestep.
        decay: fraction of the membrane that is lost per timestep, 0 to 1.
        current_decay: fraction of the synaptic current that is lost per timestep, 0 to 1.
        subtracts: a recurrent synapse takes its threshold off the current, which then is to hold 8 bits.
    """

    wiring: Population
    bias: Reals
    decay: float
    current_decay: float = 1.0
    subtracts: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class RealNetwork:
    """Synapses and populations in execution order, the read-out last.

    Attributes:
        adds_image: the output is the image plus the read-out.
        image_size: (H, W) of the only images that fit, or None.
    """

    synapses: tuple[RealSynapse, ...]
    populations: tuple[RealPopulation, ...]
    adds_image: bool
    image_size: tuple[int, int] | None

    def incoming(self, population: RealPopulation) -> tuple[RealSynapse, ...]:
        """The synapses of a population, in the order of its inputs."""
        by_name = {synapse.wiring.name: synapse for synapse in self.synapses}
        return tuple(by_name[name] for name in population.wiring.inputs)


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """One synapse of a population: real weights per integer of its source, and the least and largest."""

    synapse: RealSynapse
    weight: Reals
    inputs: tuple[int, int]


def quantize_real(
    network: RealNetwork,
    timesteps: int,
    input_step: int,
    grid: InputGrid | None = None,
) -> IntegerNetwork:
    """Quantise a network.

    Args:
        network: in real numbers.
        timesteps: T, at least 1.
        input_step: grey levels (of 255) per integer input unit, of images.
        grid: of inputs that are no images in [0, 1], in place of it; asks for a network of
            one image size.

    Raises:
        QuantizationError: a population's weights and threshold, or bias, differ too much in scale; named.
    """
    synapses: list[IntegerSynapse] = []
    populations: list[IntegerPopulation] = []
    for population in network.populations:
        readout = population is network.populations[-1]
        parts = [_part(one, input_step, grid) for one in network.incoming(population)]
        incoming, whole = _quantized(population, parts, timesteps, readout)
        synapses += incoming
        populations.append(whole)
    order = {synapse.wiring.name: index for index, synapse in enumerate(network.synapses)}
    synapses.sort(key=lambda synapse: order[synapse.wiring.name])
    return IntegerNetwork(
        synapses=tuple(synapses),
        populations=tuple(populations),
        neuron="lif",
        timesteps=timesteps,
        levels=1,
        signed=False,
        decay=0,
        input_step=1 if grid else input_step,
        input_offset=0,
        adds_image=network.adds_image,
        image_size=network.image_size,
        grid=grid,
    )


REAL_INPUT = 127
"""Largest magnitude of a real input's integers: 8 bits with the sign."""


def _part(synapse: RealSynapse, input_step: int, grid: InputGrid | None) -> _Part:
    if synapse.wiring.source != IMAGE:
        return _Part(synapse, synapse.weight, (0, 1))
    if grid:
        return _Part(synapse, synapse.weight * 2.0**grid.exponent, (grid.low, grid.high))
    return _Part(synapse, synapse.weight * input_step / 255, input_range(input_step, 0))


def _quantized(
    population: RealPopulation, parts: Sequence[_Part], timesteps: int, is_readout: bool
) -> tuple[list[IntegerSynapse], IntegerPopulation]:
    """Integers of a population and its synapses."""
    step = _finest(parts, is_readout)
    for wanted, steps in _scales(step, timesteps, is_readout):
        lsb = 1 / _of_eight_bits(1 / wanted) if population.subtracts else wanted
        threshold = 0 if is_readout else _threshold(population, lsb)
        if threshold > THRESHOLD_LIMIT:
            continue
        made = _with_lsb(population, parts, lsb, max(step, lsb), threshold)
        if _fits(made, parts, timesteps, steps):
            return made
    raise QuantizationError(
        f"{population.wiring.name}: no scale keeps its currents and bias in the chip's registers; "
        "its bias is too large beside its weights"
    )


def _of_eight_bits(threshold: float) -> float:
    """The nearest threshold of at least 1 that a weight can take off at once: 64 to 127, shifted left."""
    shift = max(0, math.floor(math.log2(max(threshold, 1.0))) - 6)
    return float(min(round(threshold / 2**shift), MANTISSA_LIMIT) * 2**shift)


def _scales(step: float, timesteps: int, is_readout: bool) -> Iterator[tuple[float, int]]:
    """LSBs in the order of preference, each with the timesteps that its membrane must take unclipped.

    A hidden membrane that clips below at -2^23 differs from a real one where it may matter least, so that
    this is given up before the weights' precision; the read-out must not clip.
    """
    finer = [step / 2**bits for bits in range(FINER_BITS, -1, -1)]
    yield from ((lsb, timesteps) for lsb in finer)
    # An octave of the read-out is one step, because the host multiplies by a power of two.
    growth = 2.0 if is_readout else 2 ** (1 / STEPS_PER_OCTAVE)
    if not is_readout:
        yield from ((lsb, 1) for lsb in finer)
    steps = timesteps if is_readout else 1
    yield from ((step * growth**n, steps) for n in range(1, 1 + round(COARSER / math.log2(growth))))


def _finest(parts: Sequence[_Part], power_of_two: bool) -> float:
    """The smallest among the best scales of the synapses; 1 where all weights are zero."""
    found = [_best_scale(part.weight, power_of_two) for part in parts if part.weight.any()]
    return min(found, default=1.0)


def _best_scale(weight: Reals, power_of_two: bool) -> float:
    widest = float(np.abs(weight).max()) / MANTISSA_LIMIT
    if power_of_two:
        exponent = math.ceil(math.log2(widest))
        tried = [2.0 ** (exponent - n) for n in range(OCTAVES + 1)]
    else:
        tried = [widest * 2 ** (-n / STEPS_PER_OCTAVE) for n in range(OCTAVES * STEPS_PER_OCTAVE + 1)]
    return min(tried, key=lambda scale: _squared_error(weight, scale))


def _squared_error(weight: Reals, scale: float) -> float:
    return float(((mantissas(weight, scale) * scale - weight) ** 2).sum())


def _with_lsb(
    population: RealPopulation, parts: Sequence[_Part], lsb: float, step: float, threshold: int
) -> tuple[list[IntegerSynapse], IntegerPopulation]:
    """Integers in one LSB; the mantissas' step is at least `step`, a power of two above the LSB."""
    synapses = [_synapse(part, lsb, step) for part in parts]
    bias = np.clip(np.round(population.bias / lsb), -(1 << 30), 1 << 30).astype(np.int32)
    first = synapses[0]
    synapses[0] = IntegerSynapse(
        replace(first.wiring, bias=bool(bias.any())), first.mantissa, first.exponent, bias
    )
    decay, current = decay_registers(population.decay, population.current_decay)
    exponent = round(math.log2(lsb))
    return synapses, IntegerPopulation(population.wiring, threshold, exponent, decay, current)


def decay_registers(decay: float, current_decay: float) -> tuple[int, int]:
    """4096ths of the membrane and of the synaptic current that are lost per timestep, of fractions."""
    current = max(1, min(round(current_decay * INSTANT), INSTANT))
    least = int(current < INSTANT)  # NIR has no lasting current without a leak; 1 / 4096 is the least
    return max(least, min(round(decay * DECAY_STEPS), DECAY_STEPS - 1)), current


def _synapse(part: _Part, lsb: float, step: float) -> IntegerSynapse:
    shifts = range(round(math.log2(step / lsb)), 25)
    shift = min(shifts, key=lambda n: _squared_error(part.weight, lsb * 2**n))
    mantissa = mantissas(part.weight, lsb * 2**shift).astype(np.int8)
    wiring = replace(part.synapse.wiring, bias=False)
    return IntegerSynapse(wiring, mantissa, shift, np.zeros(len(mantissa), dtype=np.int32))


def _threshold(population: RealPopulation, lsb: float) -> int:
    threshold = 1 / lsb
    if not 1 <= round(threshold):
        raise QuantizationError(
            f"{population.wiring.name}: its threshold is {threshold:.3g} of the smallest step that its "
            "currents allow; its weights are too large beside the threshold"
        )
    return round(threshold)


def _fits(
    made: tuple[list[IntegerSynapse], IntegerPopulation], parts: Sequence[_Part], timesteps: int, steps: int
) -> bool:
    """Whether no input can drive the current of a step, times `steps`, beyond the register.

    What loses a fraction d per step never exceeds what arrives in one, over d, nor T times that. Of a current
    that lasts no step may leave the register, since it would wrap.
    """
    synapses, population = made
    low, high = _range(synapses, parts)
    bias = int(np.abs(synapses[0].bias.astype(np.int64)).max())
    largest = int(np.maximum(np.abs(low), np.abs(high)).max())
    if population.current_decay < INSTANT:
        largest *= min(timesteps, -(-INSTANT // population.current_decay))
        steps = 1 if population.decay == DECAY_STEPS - 1 else steps  # the membrane is the current
    return (largest + bias) * steps < LIF_CURRENT_LIMIT and bias <= BIAS_LIMIT


def _range(
    synapses: Sequence[IntegerSynapse], parts: Sequence[_Part]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Least and greatest current [C] in LSB; what sources emit lies about 0."""
    low = high = np.zeros(len(synapses[0].mantissa), dtype=np.int64)
    for synapse, part in zip(synapses, parts, strict=True):
        weight = synapse.mantissa.astype(np.int64) << synapse.exponent
        ends = [weight * end for end in part.inputs]
        low = low + np.minimum(*ends).sum(axis=(1, 2, 3))
        high = high + np.maximum(*ends).sum(axis=(1, 2, 3))
    return low, high
