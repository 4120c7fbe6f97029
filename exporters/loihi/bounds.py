"""Interval arithmetic on a program: what no image whatsoever can exceed, channel by channel.

    sum       s_o = sum of max(w, 0) high_i + min(w, 0) low_i over inputs i and taps; likewise below
    current   sum of the convolutions' outputs; channel c after a pixel-shuffle takes the widest of its f^2
    graded    v = current + bias; z = level(v), which never decreases with v
    lif       v[t] = decay(v[t - 1]) + 64 current + 64 bias for t = 1 .. T, both ends apart, since decay
              never decreases; a membrane that may exceed the threshold stays at or below it or becomes 0
    read-out  as lif, without decay and threshold
    lasting   u[t] = decay(u[t - 1]) + 64 current takes the place of 64 current
    recurrent a source that comes later, or is the reader itself, may fire or not

Every source range is widened to contain 0, so that positions in the padding are covered. A bound of a sum
over the image alone is attained, by the image that takes the range's end that each weight's sign asks for.
All of it holds at the T timesteps that a population lives through; what a deployment does outside them is not
seen by anybody (`plan`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from snn_tool.exporters.nir.interpreter import (
    HALF_RANGE,
    LARGEST,
    current_kept,
    decayed,
    kept_steps,
    levels,
)
from snn_tool.exporters.nir.program import (
    IMAGE,
    MEMBRANE_SHIFT,
    ConvNode,
    GradedNode,
    Integers,
    LifNode,
    PopulationNode,
    Program,
)

ABSURD = 1 << 62
"""Sums beyond this are reported as this, so that int64 holds them; every limit is far below."""


@dataclass(frozen=True, slots=True, eq=False)
class Interval:
    """Inclusive bounds int64 [channels]."""

    low: Integers
    high: Integers


@dataclass(frozen=True, slots=True, eq=False)
class Bounds:
    """Bounds of a whole program.

    Attributes:
        sums: for each convolution its sum of products, per channel before the pixel-shuffle and before it
            wraps to 24 bits, in LSB.
        currents: for each population the sum of its convolutions' outputs, in LSB, with what lasts of it.
        membranes: for each population its membrane at any timestep before clipping and reset; 64ths of an
            LSB, for graded neurons whole LSB.
        spikes: for each population what it emits.
    """

    sums: Mapping[str, Interval]
    currents: Mapping[str, Interval]
    membranes: Mapping[str, Interval]
    spikes: Mapping[str, Interval]


def bound(program: Program) -> Bounds:
    """Carry the image's range through a program."""
    image = Interval(*(np.full(program.channels, value) for value in (program.input_low, program.input_high)))
    spikes: dict[str, Interval] = {IMAGE: image}
    sums: dict[str, Interval] = {}
    currents: dict[str, Interval] = {}
    membranes: dict[str, Interval] = {}
    found = Bounds(sums, currents, membranes, spikes)
    for population in program.populations:
        for name in population.inputs:
            conv = program.conv[name]
            if name not in sums:
                source = _any_spike(program, conv) if conv.delay else spikes[conv.source]
                sums[name] = sum_interval(conv, source)
        current = stream_interval(program, found, population.inputs)
        membrane, emitted = _respond(population, current, program.bias(population), program.timesteps)
        currents[population.name] = _register(population, current, program.timesteps)
        membranes[population.name] = membrane
        spikes[population.name] = emitted
    del spikes[IMAGE]
    return found


def _any_spike(program: Program, conv: ConvNode) -> Interval:
    """What a recurrent convolution's source may emit, whatever it does."""
    silent = np.zeros(program.population[conv.source].channels, dtype=np.int64)
    return Interval(silent, silent + 1)


def stream_interval(program: Program, bounds: Bounds, stream: Sequence[str]) -> Interval:
    """Bounds [C] of the summed current of several convolutions, whose own sums are bounded already."""
    arriving = [_shuffled(_wrapped(bounds.sums[name]), program.conv[name].upsample) for name in stream]
    return Interval(
        np.sum([one.low for one in arriving], axis=0, dtype=np.int64),
        np.sum([one.high for one in arriving], axis=0, dtype=np.int64),
    )


def sum_interval(conv: ConvNode, source: Interval) -> Interval:
    """Bounds [Co] of a convolution's sum of products for a source in the given range [Ci]."""
    # Python integers: a file may hold weights whose sums leave 64 bits.
    low, high = (np.minimum(source.low, 0).astype(object), np.maximum(source.high, 0).astype(object))
    positive = np.maximum(conv.weight, 0).sum(axis=(2, 3)).astype(object)
    negative = np.minimum(conv.weight, 0).sum(axis=(2, 3)).astype(object)
    return Interval(
        np.clip(positive @ low + negative @ high, -ABSURD, ABSURD).astype(np.int64),
        np.clip(positive @ high + negative @ low, -ABSURD, ABSURD).astype(np.int64),
    )


def _wrapped(sums: Interval) -> Interval:
    """The range after the cut to 24 bits: unchanged, or all of it where a bound lies outside."""
    inside = (sums.low >= -HALF_RANGE) & (sums.high < HALF_RANGE)
    return Interval(
        np.where(inside, sums.low, -HALF_RANGE).astype(np.int64),
        np.where(inside, sums.high, HALF_RANGE - 1).astype(np.int64),
    )


def _shuffled(interval: Interval, factor: int) -> Interval:
    """Channels c f^2 .. c f^2 + f^2 - 1 become the sub-positions of channel c."""
    return Interval(
        interval.low.reshape(-1, factor**2).min(axis=1), interval.high.reshape(-1, factor**2).max(axis=1)
    )


def _respond(
    population: PopulationNode, current: Interval, bias: Integers, timesteps: int
) -> tuple[Interval, Interval]:
    """Membranes and spikes."""
    if isinstance(population, GradedNode):
        membrane = Interval(current.low + bias, current.high + bias)
        held = _clipped(membrane)
        return membrane, Interval(levels(population, held.low), levels(population, held.high))
    steps = list(_integrated(population, current, bias, timesteps))
    membrane = Interval(
        np.min([step.low for step in steps], axis=0), np.max([step.high for step in steps], axis=0)
    )
    silent = np.zeros_like(bias)
    if not isinstance(population, LifNode):
        return membrane, Interval(silent, silent)
    fires = membrane.high > population.threshold << MEMBRANE_SHIFT
    return membrane, Interval(silent, fires.astype(np.int64))


def _integrated(
    population: PopulationNode, current: Interval, bias: Integers, timesteps: int
) -> list[Interval]:
    """Membranes of a LIF or a read-out at t = 1 .. T, before clipping and reset."""
    drives = _drives(population, current, timesteps)
    added, kept = bias << MEMBRANE_SHIFT, kept_steps(population)
    rest = Interval(np.zeros_like(bias), np.zeros_like(bias))
    steps = []
    for drive in map(_cut, drives):
        step = Interval(
            decayed(rest.low, kept) + drive.low + added, decayed(rest.high, kept) + drive.high + added
        )
        steps.append(step)
        rest = _clipped(step)
        if isinstance(population, LifNode):
            rest = _reset(rest, population.threshold << MEMBRANE_SHIFT)
    return steps


def _drives(population: PopulationNode, current: Interval, timesteps: int) -> list[Interval]:
    """The current at t = 1 .. T before the cut to 24 bits, 64ths, with what a lasting one keeps."""
    kept = current_kept(population)
    held = Interval(np.zeros_like(current.low), np.zeros_like(current.high))
    found = []
    for _ in range(timesteps):
        low = (current.low << MEMBRANE_SHIFT) + decayed(held.low, kept)
        found.append(Interval(low, (current.high << MEMBRANE_SHIFT) + decayed(held.high, kept)))
        held = _cut(found[-1])
    return found


def _register(population: PopulationNode, current: Interval, timesteps: int) -> Interval:
    """The current's register in LSB, rounded outwards: what arrives, or what lasts of it with it."""
    if current_kept(population) == 0:
        return current
    drives = _drives(population, current, timesteps)
    low, high = np.min([d.low for d in drives], axis=0), np.max([d.high for d in drives], axis=0)
    return Interval(low >> MEMBRANE_SHIFT, -(-high >> MEMBRANE_SHIFT))


def _reset(membrane: Interval, threshold: int) -> Interval:
    """Neurons above the threshold go to 0, all others keep their membrane."""
    may, must = membrane.high > threshold, membrane.low > threshold
    low = np.where(may, np.minimum(membrane.low, 0), membrane.low)
    high = np.where(may, threshold, membrane.high)
    return Interval(np.where(must, 0, low), np.where(must, 0, high))


def _clipped(membrane: Interval) -> Interval:
    return Interval(np.clip(membrane.low, -LARGEST, LARGEST), np.clip(membrane.high, -LARGEST, LARGEST))


def _cut(drive: Interval) -> Interval:
    """Hull of a drive, and of 2^24 less above 2^23 and 2^24 more at or below -2^23."""
    low, high = drive.low, drive.high
    inner_low, inner_high = np.maximum(low, -HALF_RANGE + 1), np.minimum(high, HALF_RANGE)
    parts = (
        (low, np.minimum(high, -HALF_RANGE), 2 * HALF_RANGE),
        (inner_low, inner_high, 0),
        (np.maximum(low, HALF_RANGE + 1), high, -2 * HALF_RANGE),
    )
    lows = [np.where(start <= end, start + shift, ABSURD) for start, end, shift in parts]
    highs = [np.where(start <= end, end + shift, -ABSURD) for start, end, shift in parts]
    return Interval(np.min(lows, axis=0), np.max(highs, axis=0))
