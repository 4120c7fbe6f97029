"""The reference meaning of a NIR file: what a program computes, in plain int64 arithmetic.

Written against Lava's fixed-point processes (lava.proc.lif.models, lava.proc.conv.models) and against nothing
else: it exists to disagree with any other implementation that is wrong. Per timestep:

    c  = low 24 bits, as a signed number, of conv(z)         bias excluded; then the pixel-shuffle
    u  = 64 sum c, and 2^24 less if above 2^23, 2^24 more if at or below -2^23
    v  = v (4096 - decay) / 4096 toward zero + u + 64 bias, held in -(2^23 - 1) .. 2^23 - 1
    z  = [v > 64 threshold], and v = 0 where it fires          the read-out does not fire
    graded: v = sum c + bias, held likewise; z = number of rungs that v reaches less those that -v reaches

A recurrent convolution reads the z of the timestep before, zeros in the first. Where a current lasts,
u (4096 - current_decay) / 4096 of the timestep before, toward zero, is added to 64 sum c before the cut. The
input is the same in every timestep, or another one in each.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from snn_tool.errors import DataError
from snn_tool.exporters.nir.program import (
    DECAY_STEPS,
    IMAGE,
    MEMBRANE_SHIFT,
    ConvNode,
    GradedNode,
    Integers,
    LifNode,
    PopulationNode,
    Program,
)

HALF_RANGE = 1 << 23
LARGEST = HALF_RANGE - 1


@dataclass(frozen=True, slots=True, eq=False)
class ProgramTrace:
    """Everything that a run produced; without the batch axis N if the image had none.

    Attributes:
        readout: int64 [N, C, H, W], the read-out's membrane after the last timestep, in 64ths of its LSB.
        spikes: for each population int64 [T, N, C, H, W]; the read-out's are zero.
        membranes: likewise, after the reset; 64ths of an LSB, for graded neurons whole LSB.
    """

    readout: Integers
    spikes: Mapping[str, Integers]
    membranes: Mapping[str, Integers]


def run_program(program: Program, image: Integers) -> ProgramTrace:
    """Run a program on integer inputs of its `input_shape`, or [N, ...] of them, within its input range.

    Raises:
        DataError: the image has another shape, another type or values outside the range.
    """
    _check_image(program, image)
    single = image.ndim == len(program.input_shape)
    traces = [_run_single(program, one.astype(np.int64)) for one in (image[None] if single else image)]
    if single:
        return traces[0]
    return ProgramTrace(
        np.stack([trace.readout for trace in traces]),
        {name: np.stack([trace.spikes[name] for trace in traces], axis=1) for name in program.population},
        {name: np.stack([trace.membranes[name] for trace in traces], axis=1) for name in program.population},
    )


def _check_image(program: Program, image: Integers) -> None:
    shape = program.input_shape
    if (
        image.ndim not in (len(shape), len(shape) + 1)
        or image.shape[-len(shape) :] != shape
        or not image.size
    ):
        raise DataError(
            f"image of shape {list(image.shape)}: the program takes [N, {', '.join(map(str, shape))}]"
        )
    if not np.issubdtype(image.dtype, np.integer):
        raise DataError(f"image of type {image.dtype}: the program takes integers of its input grid")
    if image.min() < program.input_low or image.max() > program.input_high:
        raise DataError(
            f"image values {image.min()}..{image.max()} leave the input range "
            f"{program.input_low}..{program.input_high}"
        )


def _run_single(program: Program, image: Integers) -> ProgramTrace:
    states = {population.name: _State(population, program) for population in program.populations}
    presented: dict[str, Integers] = {}
    for step in range(program.timesteps):
        arrived = {} if program.over_time else dict(presented)
        frame = image[step] if program.over_time else image
        for population in program.populations:
            for name in population.inputs:
                if name not in arrived:
                    conv = program.conv[name]
                    emitted = (
                        frame if conv.source == IMAGE else states[conv.source].emitted(step - conv.delay)
                    )
                    arrived[name] = current(conv, emitted)
                    if conv.source == IMAGE:
                        presented[name] = arrived[name]
            total = np.sum([arrived[name] for name in population.inputs], axis=0)
            states[population.name].advance(step, total)
    spikes = {name: state.spikes for name, state in states.items()}
    membranes = {name: state.membranes for name, state in states.items()}
    return ProgramTrace(membranes[program.readout.name][-1], spikes, membranes)


class _State:
    """One population from rest: what it holds, and all that it did, [T, C, H, W]."""

    def __init__(self, population: PopulationNode, program: Program) -> None:
        self.population = population
        self.bias = program.bias(population)[:, None, None]
        shape = (population.channels, population.height, population.width)
        self.spikes = np.zeros((program.timesteps, *shape), dtype=np.int64)
        self.membranes = np.zeros_like(self.spikes)
        self.membrane, self.synaptic = np.zeros((2, *shape), dtype=np.int64)

    def emitted(self, step: int) -> Integers:
        """Spikes [C, H, W] of a timestep; none before the first."""
        return self.spikes[step] if step >= 0 else np.zeros_like(self.spikes[0])

    def advance(self, step: int, amount: Integers) -> None:
        """One timestep with its summed currents [C, H, W] in LSB."""
        node = self.population
        if isinstance(node, GradedNode):
            self.membranes[step] = np.clip(amount + self.bias, -LARGEST, LARGEST)
            self.spikes[step] = levels(node, self.membranes[step])
            return
        self.synaptic = lasting_current(self.synaptic, amount, current_kept(node))
        moved = decayed(self.membrane, kept_steps(node)) + self.synaptic + (self.bias << MEMBRANE_SHIFT)
        self.membrane = np.clip(moved, -LARGEST, LARGEST)
        if isinstance(node, LifNode):
            self.spikes[step] = self.membrane > (node.threshold << MEMBRANE_SHIFT)
            self.membrane = self.membrane * (1 - self.spikes[step])
        self.membranes[step] = self.membrane


def current(conv: ConvNode, frame: Integers) -> Integers:
    """One timestep's output [Co / f^2, f h, f w] of a convolution for spikes or an image [Ci, H, W]."""
    return shuffle(signed_24_bit(product_sums(conv, frame)), conv.upsample)


def product_sums(conv: ConvNode, frame: Integers) -> Integers:
    """Sums of products [Co, h, w] before they are cut to 24 bits and shuffled."""
    wide = np.pad(frame, [(0, 0), (conv.padding, conv.padding), (conv.padding, conv.padding)])
    height, width = (size // conv.upsample for size in conv.output_size(*frame.shape[1:]))
    kernel_rows, kernel_columns = conv.weight.shape[2:]
    sums = np.zeros((conv.weight.shape[0], height, width), dtype=np.int64)
    for y in range(kernel_rows):
        for x in range(kernel_columns):
            top, left = y * conv.dilation, x * conv.dilation
            bottom, right = top + (height - 1) * conv.stride + 1, left + (width - 1) * conv.stride + 1
            taken = wide[:, top : bottom : conv.stride, left : right : conv.stride]
            sums += np.tensordot(conv.weight[:, :, y, x], taken, axes=1)
    return sums


def signed_24_bit(values: Integers) -> Integers:
    """The low 24 bits read as a two's-complement number."""
    return ((values & (2 * HALF_RANGE - 1)) ^ HALF_RANGE) - HALF_RANGE


def shuffle(values: Integers, factor: int) -> Integers:
    """Channel c f^2 + y f + x of every pixel goes to sub-position (y, x) of channel c."""
    channels, height, width = values.shape
    wide = np.empty((channels // factor**2, height * factor, width * factor), dtype=np.int64)
    for y in range(factor):
        for x in range(factor):
            wide[:, y::factor, x::factor] = values[y * factor + x :: factor**2]
    return wide


def kept_steps(population: PopulationNode) -> int:
    """4096ths of the membrane that a LIF or a read-out keeps from one timestep to the next."""
    return DECAY_STEPS - (0 if isinstance(population, GradedNode) else population.decay)


def current_kept(population: PopulationNode) -> int:
    """4096ths of the synaptic current that a population keeps from one timestep to the next; usually 0."""
    return DECAY_STEPS - population.current_decay if isinstance(population, LifNode) else 0


def lasting_current(before: Integers, amount: Integers, kept: int) -> Integers:
    """A synaptic current in 64ths of an LSB, after `amount` LSB arrived and one cut to 24 bits."""
    return cut((amount << MEMBRANE_SHIFT) + decayed(before, kept))


def cut(drive: Integers) -> Integers:
    """2^24 less above 2^23, and 2^24 more at or below -2^23, once."""
    found: Integers = drive - 2 * HALF_RANGE * (drive > HALF_RANGE) + 2 * HALF_RANGE * (drive <= -HALF_RANGE)
    return found


def decayed(membrane: Integers, kept: int) -> Integers:
    """Membrane times kept / 4096, rounded toward zero."""
    # An arithmetic shift rounds down; the addend makes it round toward zero for negative membranes.
    return (membrane * kept + (DECAY_STEPS - 1) * (membrane < 0)) // DECAY_STEPS


def levels(population: GradedNode, membranes: Integers) -> Integers:
    """Spikes of clipped membranes, of the same shape."""
    count = np.zeros_like(membranes)
    for rung in population.rungs:
        count += membranes >= rung
        if population.signed:
            count -= membranes <= -rung
    return count
