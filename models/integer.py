"""The integer network: what a Loihi-class chip would hold, and nothing that it could not.

Weights are 8-bit mantissas with one left shift per synapse; thresholds, biases and currents are integers in
units of their population's least significant bit (LSB), a power of two of the float student's membrane unit.
All synapses that meet in one population share that LSB, because a sum of currents knows no scale of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from snn_tool.models.topology import IMAGE, Population, Synapse, Topology

CURRENT_SHIFT = 6
"""Lava's LIF holds current and membrane in 64ths of a weight unit (lava.proc.lif.models, fixed_pt)."""

INPUT_OFFSET = 128
"""Grey levels that a student's input has subtracted, so that zero padding stands for middle grey."""

WRAP = 1 << 23
"""Lava's signed 24-bit range: currents wrap at +-2^23, membranes saturate at +-(2^23 - 1)."""


@dataclass(frozen=True, slots=True, eq=False)
class IntegerSynapse:
    """A convolution's integers: baked weight = mantissa << exponent.

    Attributes:
        wiring: geometry, source and name.
        mantissa: int8 [out, in, kh, kw].
        exponent: left shift into the target's LSB, 0 or more.
        bias: int32 [out], added at every timestep, in the target's LSB.
    """

    wiring: Synapse
    mantissa: NDArray[np.int8]
    exponent: int
    bias: NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class IntegerPopulation:
    """A population's integers.

    Attributes:
        wiring: inputs, channels, resolution and name.
        threshold: in LSB, 1 to 2^17 - 1; 0 for the read-out, which never fires.
        lsb_exponent: one LSB is 2^lsb_exponent of the float student's membrane unit.
        decay: 4096ths of the membrane lost per timestep, of networks trained elsewhere, whose populations may
            differ; None takes the network's, and no decay for the read-out.
    """

    wiring: Population
    threshold: int
    lsb_exponent: int
    decay: int | None = None


@dataclass(frozen=True, eq=False)
class IntegerNetwork:
    """A whole student in integers; `integer_run` states the arithmetic equation by equation.

    Attributes:
        synapses, populations: in execution order, the read-out last.
        neuron: `lif` or `graded`.
        timesteps: T; 1 for `graded`.
        levels, signed: range of graded spikes; 1 and False for `lif`.
        decay: 4096ths of the membrane lost per timestep (Lava's dv); 0 for `graded`.
        input_step: grey levels per integer input unit.
        input_offset: grey levels that are subtracted first, 128; 0 where zero padding must stand for black.
        adds_image: the output is the image, on the input grid, plus the scaled read-out; else that alone.
        image_size: (H, W) of the only images that fit; None for all multiples of the topology's own.
    """

    synapses: tuple[IntegerSynapse, ...]
    populations: tuple[IntegerPopulation, ...]
    neuron: str
    timesteps: int
    levels: int
    signed: bool
    decay: int
    input_step: int
    input_offset: int = INPUT_OFFSET
    adds_image: bool = True
    image_size: tuple[int, int] | None = None

    @cached_property
    def topology(self) -> Topology:
        """The wiring alone."""
        return Topology(
            tuple(s.wiring for s in self.synapses),
            tuple(p.wiring for p in self.populations),
            (),
            self.adds_image,
            self.image_size,
        )

    @cached_property
    def by_name(self) -> Mapping[str, IntegerSynapse]:
        """Synapses by name."""
        return {synapse.wiring.name: synapse for synapse in self.synapses}

    @property
    def input_range(self) -> tuple[int, int]:
        """Smallest and largest integer input: grey levels -128 to 383, less 128, on the input grid.

        Without an offset 0 to 255: a wider range would cost weights their precision, since no image at all
        may drive a current out of its register, and networks trained elsewhere expect images in [0, 1].
        """
        if not self.input_offset:
            return 0, (255 + self.input_step // 2) // self.input_step
        return -(256 // self.input_step), 256 // self.input_step - 1

    @property
    def spike_range(self) -> tuple[int, int]:
        """Smallest and largest spike value of a population."""
        return (-self.levels if self.signed else 0), self.levels

    @property
    def residual_scale(self) -> float:
        """Residual in units of [0, 1] per unit of the read-out's integer membrane: a power of two over T."""
        return float(2.0 ** (self.populations[-1].lsb_exponent - CURRENT_SHIFT) / self.timesteps)

    def decay_of(self, population: IntegerPopulation) -> int:
        """4096ths of the membrane that a population loses per timestep."""
        if population.decay is not None:
            return population.decay
        return 0 if population is self.populations[-1] else self.decay

    def source_range(self, source: str) -> tuple[int, int]:
        """Smallest and largest value that a synapse's source can emit."""
        return self.input_range if source == IMAGE else self.spike_range

    @property
    def synapse_sources(self) -> dict[str, str]:
        """For each synapse the population, or the image, that it reads."""
        return {synapse.wiring.name: synapse.wiring.source for synapse in self.synapses}
