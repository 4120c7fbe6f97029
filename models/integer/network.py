"""The integer network: what a Loihi-class chip would hold, and nothing that it could not.

Weights are 8-bit mantissas with one left shift per synapse; thresholds, biases and currents are integers in
units of their population's least significant bit (LSB), a power of two of the float student's membrane unit.
All synapses that meet in one population share that LSB, because a sum of currents knows no scale of its own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray
from snn_tool.errors import DataError, QuantizationError
from snn_tool.files.documents import check_fields, one_of
from snn_tool.models.topology import IMAGE, Passes, Population, Side, Steps, Synapse, Topology

CURRENT_SHIFT = 6
"""Lava's LIF holds current and membrane in 64ths of a weight unit (lava.proc.lif.models, fixed_pt)."""

INPUT_OFFSET = 128
"""Grey levels that a student's input has subtracted, so that zero padding stands for middle grey."""

WRAP = 1 << 23
"""Lava's signed 24-bit range: currents wrap at +-2^23, membranes saturate at +-(2^23 - 1)."""

THRESHOLD_LIMIT = (1 << 17) - 1
"""Largest threshold, in LSB."""

Neuron = Annotated[str, one_of("graded", "lif")]
Levels = Annotated[int, Meta(ge=1, le=127)]
Decay = Annotated[int, Meta(ge=0, le=4095)]
InputStep = Annotated[int, Meta(ge=1, le=16)]
InputOffset = Annotated[int, Meta(ge=0, le=128, multiple_of=128, extra={"allowed": "0 or 128"})]
Exponent = Annotated[int, Meta(ge=0, le=31)]
LsbExponent = Annotated[int, Meta(ge=-256, le=256)]
Threshold = Annotated[int, Meta(ge=0, le=THRESHOLD_LIMIT)]
InputKind = Annotated[str, one_of("real", "spikes")]
InputEnd = Annotated[int, Meta(ge=-(1 << 15), le=(1 << 15) - 1)]
INSTANT = 1 << 12
"""4096ths of the synaptic current that a population loses per timestep, if it keeps nothing of it."""

CurrentDecay = Annotated[int, Meta(ge=1, le=INSTANT)]
_NUMBERS = (
    "neuron",
    "timesteps",
    "levels",
    "signed",
    "decay",
    "input_step",
    "input_offset",
    "adds_image",
    "image_size",
    "passes",
)


@dataclass(frozen=True, slots=True, eq=False)
class IntegerSynapse:
    """A convolution's integers: baked weight = mantissa << exponent.

    Attributes:
        wiring: geometry, source and name.
        mantissa: int8 [out, in, kh, kw].
        exponent: left shift into the target's LSB, 0 to 31; by 24 nothing is left of a mantissa.
        bias: int32 [out], added at every timestep, in the target's LSB.
    """

    wiring: Synapse
    mantissa: NDArray[np.int8]
    exponent: Exponent
    bias: NDArray[np.int32]

    def __post_init__(self) -> None:
        """Refuse tensors that are not those of the wiring.

        Raises:
            QuantizationError: names the synapse, what it has and what it should have.
        """
        wiring = self.wiring
        shape = (wiring.out_channels, wiring.in_channels, wiring.kernel, wiring.kernel)
        for part, array, dtype, wanted in (
            ("mantissa", self.mantissa, np.int8, shape),
            ("bias", self.bias, np.int32, shape[:1]),
        ):
            if array.dtype != dtype or array.shape != wanted:
                raise QuantizationError(
                    f"synapse {wiring.name}: its {part} is {array.dtype} {list(array.shape)}; out_channels, "
                    f"in_channels and kernel ask for {dtype.__name__} {list(wanted)}"
                )
        if not 0 <= self.exponent <= 31:
            raise QuantizationError(
                f"synapse {wiring.name}: exponent {self.exponent} is not allowed; use 0 to 31"
            )


@dataclass(frozen=True, slots=True, eq=False)
class IntegerPopulation:
    """A population's integers.

    Attributes:
        wiring: inputs, channels, resolution and name.
        threshold: in LSB, 1 to 2^17 - 1; 0 for the read-out, which never fires.
        lsb_exponent: one LSB is 2^lsb_exponent of the float student's membrane unit.
        decay: 4096ths of the membrane lost per timestep, of networks trained elsewhere, whose populations may
            differ; None takes the network's, and no decay for the read-out.
        current_decay: 4096ths of the synaptic current lost per timestep (Lava's du, plus 1); biases do not
            pass through that current.
    """

    wiring: Population
    threshold: Threshold
    lsb_exponent: LsbExponent
    decay: Decay | None = None
    current_decay: CurrentDecay = INSTANT

    def __post_init__(self) -> None:
        """Refuse numbers that no register holds.

        Raises:
            QuantizationError: names the population, the value and what is allowed.
        """
        check_fields(
            self,
            f"population {self.wiring.name}",
            QuantizationError,
            ("threshold", "lsb_exponent", "decay", "current_decay"),
        )


@dataclass(frozen=True, slots=True)
class InputGrid:
    """What a network takes, where that is no image of grey levels.

    Attributes:
        kind: `spikes`, whole numbers that count for themselves; or `real`, values on a grid.
        low, high: smallest and largest integer.
        exponent: one unit is 2^exponent; 0 of spikes.
        over_time: another input at each timestep, [N, T, C, H, W]; otherwise one, presented at all of them.
    """

    kind: InputKind
    low: InputEnd
    high: InputEnd
    exponent: LsbExponent = 0
    over_time: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no grid.

        Raises:
            QuantizationError: names the value and what is allowed.
        """
        check_fields(self, "the input", QuantizationError)
        if not self.low <= 0 < self.high:
            raise QuantizationError(f"the input: {self.low} to {self.high} is no range around 0")
        if self.kind == "spikes" and (self.low, self.exponent) != (0, 0):
            raise QuantizationError("the input: spikes have low 0 and exponent 0")

    def integers(self, values: NDArray[np.floating]) -> NDArray[np.int16]:
        """Values on the grid, of the same shape; what lies beyond its ends is clipped.

        Raises:
            DataError: spikes that are no whole numbers of its range, of which none is lost.
        """
        units = np.ldexp(np.asarray(values, dtype=np.float64), -self.exponent)
        whole = np.floor(units + 0.5)
        if self.kind == "spikes" and ((whole != units) | (whole < 0) | (whole > self.high)).any():
            raise DataError(
                f"inputs of {values.min():g} to {values.max():g}: the network takes spikes, whole numbers "
                f"from 0 to {self.high}"
            )
        return np.clip(whole, self.low, self.high).astype(np.int16)


@dataclass(frozen=True, eq=False)
class IntegerNetwork:
    """A whole student in integers; `engine` states the arithmetic equation by equation.

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
        grid: of inputs that are no images; None for images, which the three fields above describe.
        passes: how often it runs on one image (`passes` says what the input of each is).
    """

    synapses: tuple[IntegerSynapse, ...]
    populations: tuple[IntegerPopulation, ...]
    neuron: Neuron
    timesteps: Steps
    levels: Levels
    signed: bool
    decay: Decay
    input_step: InputStep
    input_offset: InputOffset = INPUT_OFFSET
    adds_image: bool = True
    image_size: tuple[Side, Side] | None = None
    grid: InputGrid | None = None
    passes: Passes = 1

    def __post_init__(self) -> None:
        """Refuse a network that cannot run, whether code or a file gave it.

        Raises:
            ConfigError: a part of the wiring does not fit another (`check_wiring`).
            QuantizationError: a number lies outside its range; it is named.
        """
        check_fields(self, "the network", QuantizationError, _NUMBERS)
        if self.neuron == "lif" and (self.levels, self.signed) != (1, False):
            raise QuantizationError("the network: with lif neurons levels is 1 and signed false")
        if self.neuron == "graded" and (self.timesteps, self.decay) != (1, 0):
            raise QuantizationError("the network: with graded neurons timesteps is 1 and decay 0")
        if not self.populations:
            raise QuantizationError("the network: has no population")
        self._check_elsewhere()
        for population in self.populations[:-1]:
            if not population.threshold:
                raise QuantizationError(
                    f"population {population.wiring.name}: threshold 0 is not allowed; use 1 to "
                    f"{THRESHOLD_LIMIT}"
                )
        if self.populations[-1].threshold:
            raise QuantizationError(
                f"population {self.populations[-1].wiring.name}: the read-out has no threshold; use 0"
            )
        assert self.topology.populations  # the wiring is checked where it is made

    def _check_elsewhere(self) -> None:
        """What only networks trained elsewhere have."""
        held = [s.wiring.name for s in self.synapses if s.wiring.delay]
        held += [p.wiring.name for p in self.populations if p.current_decay != INSTANT]
        if held and self.neuron != "lif":
            raise QuantizationError(f"{held[0]}: with graded neurons nothing lasts from step to step")
        if self.populations[-1].current_decay != INSTANT:
            raise QuantizationError(f"{self.populations[-1].wiring.name}: a read-out keeps no current")
        if self.grid and (self.adds_image or self.image_size is None or self.neuron != "lif"):
            raise QuantizationError("the network: inputs on a grid ask for lif, an image_size and no image")

    @property
    def over_time(self) -> bool:
        """The network takes another input at each timestep, [N, T, C, H, W]."""
        return self.grid is not None and self.grid.over_time

    @cached_property
    def topology(self) -> Topology:
        """The wiring alone."""
        return Topology(
            tuple(s.wiring for s in self.synapses),
            tuple(p.wiring for p in self.populations),
            (),
            self.adds_image,
            self.image_size,
            self.passes,
        )

    @cached_property
    def by_name(self) -> Mapping[str, IntegerSynapse]:
        """Synapses by name."""
        return {synapse.wiring.name: synapse for synapse in self.synapses}

    @property
    def input_range(self) -> tuple[int, int]:
        """Smallest and largest integer input, on the network's grid."""
        if self.grid:
            return self.grid.low, self.grid.high
        return input_range(self.input_step, self.input_offset)

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


def input_range(step: int, offset: int) -> tuple[int, int]:
    """Smallest and largest integer input: grey levels -128 to 383, less 128, on a grid of `step` grey levels.

    Without an offset 0 to 255: a wider range would cost weights their precision, since no image at all
    may drive a current out of its register, and networks trained elsewhere expect images in [0, 1].
    """
    if not offset:
        return 0, (255 + step // 2) // step
    return -(256 // step), 256 // step - 1


@dataclass(frozen=True, slots=True, eq=False)
class CurrentRange:
    """Proved bounds of a current per channel, int64 [C], in LSB of the target population."""

    low: NDArray[np.int64]
    high: NDArray[np.int64]

    @property
    def largest(self) -> int:
        """Largest magnitude over all channels."""
        return int(max(np.abs(self.low).max(), np.abs(self.high).max()))


def synapse_range(synapse: IntegerSynapse, network: IntegerNetwork) -> CurrentRange:
    """Bounds of one synapse's current: each product at its worst; zero padding only shrinks them.

    The source's range contains 0, so a padded position never lies outside it.
    """
    low, high = network.source_range(synapse.wiring.source)
    weight = synapse.mantissa.astype(np.int64) << synapse.exponent
    smallest = np.minimum(weight * low, weight * high).sum(axis=(1, 2, 3))
    largest = np.maximum(weight * low, weight * high).sum(axis=(1, 2, 3))
    factor = synapse.wiring.upsample**2
    # Pixel-shuffle sends channels c * factor .. c * factor + factor - 1 to channel c.
    return CurrentRange(smallest.reshape(-1, factor).min(axis=1), largest.reshape(-1, factor).max(axis=1))


def population_range(population: IntegerPopulation, network: IntegerNetwork) -> CurrentRange:
    """Bounds of the summed current of one population at one timestep, without its bias."""
    return stream_range(population.wiring.inputs, network)


def stream_range(stream: Iterable[str], network: IntegerNetwork) -> CurrentRange:
    """Bounds of the sum of several synapses' currents at one timestep, by their names."""
    ranges = [synapse_range(network.by_name[name], network) for name in stream]
    return CurrentRange(
        np.sum([r.low for r in ranges], axis=0, dtype=np.int64),
        np.sum([r.high for r in ranges], axis=0, dtype=np.int64),
    )
