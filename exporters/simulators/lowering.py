"""A NIR file's program as a graph of Conv2d, LIF and IF alone, in whole LSB, that simulators can hold.

Integers stay integers, carried in float64: weights and biases in the LSB of the population that they feed,
thresholds half a membrane unit (2^-7 LSB) above the grid, so that no membrane lies on one.

A graded population of one timestep is memoryless, and NIR's Threshold, which no importer knows, becomes a LIF
that starts at rest: v = x, z = [v > rung - 1 / 2]. Its levels are as many LIF nodes, added where NIR adds, by
several edges into one node. The mirrored half reads convolutions with the opposite sign and leaves through a
1x1 convolution with the negative identity.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import nir
import numpy as np
from snn_tool.errors import UnsupportedLayerError
from snn_tool.exporters.nir.program import (
    DECAY_STEPS,
    IMAGE,
    MEMBRANE_SHIFT,
    OUTPUT,
    ConvNode,
    GradedNode,
    LifNode,
    PopulationNode,
    Program,
    ReadoutNode,
)
from snn_tool.exporters.simulators.encoding import identity_conv

STEP_S = 1.0
"""The timestep of the lowered graph: time constants are numbers of steps."""

EXACT_LIMIT = 1 << (53 - MEMBRANE_SHIFT)
"""Sums of products in LSB below this are exact in float64 together with their 64ths."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """Names of the neurons that make up one graded population."""

    above: tuple[str, ...]
    below: tuple[str, ...]


def lower(program: Program) -> tuple[nir.NIRGraph, dict[str, Ladder]]:
    """The graph, to be encoded with `STEP_S`, and the ladders of its graded populations.

    Raises:
        UnsupportedLayerError: a pixel-shuffle, a read-out that leaks, a graded network of several timesteps,
            or sums of products that float64 does not hold; names the node.
    """
    _check(program)
    ladders = {p.name: _ladder(p) for p in program.populations if isinstance(p, GradedNode)}
    shape = np.array([program.channels, program.height, program.width])
    nodes: dict[str, nir.NIRNode] = {IMAGE: nir.Input({"input": shape})}
    sizes = {p.name: (p.height, p.width) for p in program.populations}
    sizes[IMAGE] = (program.height, program.width)
    mirrored = {c for p in program.populations if isinstance(p, GradedNode) and p.signed for c in p.inputs}
    for conv in program.convs:
        nodes[conv.name] = _conv(conv, sizes[conv.source], 1)
        if conv.name in mirrored:
            nodes[_negated(conv.name)] = _conv(conv, sizes[conv.source], -1)
    for population in program.populations:
        nodes |= dict(_neurons(population, ladders))
    readout = program.readout
    nodes[OUTPUT] = nir.Output({"output": np.array([readout.channels, readout.height, readout.width])})
    return nir.NIRGraph(nodes, list(_edges(program, ladders))), ladders


def _check(program: Program) -> None:
    for conv in program.convs:
        if conv.upsample > 1:
            raise UnsupportedLayerError(
                f"{conv.name}: pixel-shuffle by {conv.upsample}: NIR has no node for it, and no simulator's "
                "importer an extension; export a flat student for simulators"
            )
        largest = max(abs(program.input_low), program.input_high) if conv.source == IMAGE else 127
        bound = int((np.abs(conv.weight).sum(axis=(1, 2, 3)) * largest + np.abs(conv.bias)).max())
        if bound * len(program.convs) >= EXACT_LIMIT:
            raise UnsupportedLayerError(
                f"{conv.name}: sums of products up to {bound} are not exact in float64"
            )
    if isinstance(program.readout, ReadoutNode) and program.readout.decay:
        raise UnsupportedLayerError(
            f"{program.readout.name}: a read-out that leaks: the host would have to keep its register; use "
            "the backends nir, integer, onnx or lava"
        )
    graded = [p for p in program.populations if isinstance(p, GradedNode)]
    if graded and program.timesteps > 1:
        raise UnsupportedLayerError(
            f"{graded[0].name}: graded neurons over {program.timesteps} timesteps: no simulator's importer "
            "holds a neuron without memory; one timestep is held"
        )


def _ladder(node: GradedNode) -> Ladder:
    steps = range(1, node.levels + 1)
    above = tuple(f"{node.name}_above_{k}" for k in steps)
    return Ladder(above, tuple(f"{node.name}_below_{k}" for k in steps) if node.signed else ())


def _negated(conv: str) -> str:
    return f"{conv}_negated"


def _mirror(population: str) -> str:
    return f"{population}_mirrored"


def _conv(conv: ConvNode, source: tuple[int, int], sign: int) -> nir.Conv2d:
    return nir.Conv2d(
        input_shape=source,
        weight=(sign * conv.weight).astype(np.float64),
        stride=(conv.stride, conv.stride),
        padding=(conv.padding, conv.padding),
        dilation=(conv.dilation, conv.dilation),
        groups=1,
        bias=(sign * conv.bias).astype(np.float64),
    )


def _neurons(population: PopulationNode, ladders: dict[str, Ladder]) -> Iterator[tuple[str, nir.NIRNode]]:
    shape = (population.channels, population.height, population.width)
    if isinstance(population, LifNode):
        yield (
            population.name,
            _lif(shape, population.threshold + 0.5 ** (MEMBRANE_SHIFT + 1), population.decay),
        )
    elif isinstance(population, GradedNode):
        ladder = ladders[population.name]
        for names in (ladder.above, ladder.below):
            for name, rung in zip(names, population.rungs, strict=False):
                # What a LIF keeps does not matter in its only timestep; half is exact in every arithmetic.
                yield name, _lif(shape, rung - 0.5, DECAY_STEPS // 2)
        if ladder.below:
            size = (population.height, population.width)
            yield _mirror(population.name), identity_conv(population.channels, size, -1.0)
    else:
        yield population.name, nir.I(r=np.full(shape, 1 / STEP_S))


def _lif(shape: tuple[int, int, int], threshold: float, decay: int) -> nir.NIRNode:
    level, zero = np.full(shape, threshold), np.zeros(shape)
    if decay == 0:
        return nir.IF(r=np.full(shape, 1 / STEP_S), v_threshold=level, v_reset=zero)
    steps = np.full(shape, DECAY_STEPS / decay)
    return nir.LIF(tau=steps * STEP_S, r=steps, v_leak=zero, v_threshold=level, v_reset=zero.copy())


def _edges(program: Program, ladders: dict[str, Ladder]) -> Iterator[tuple[str, str]]:
    mirrored = {conv for p in program.populations if p.name in ladders for conv in p.inputs}
    for conv in program.convs:
        ladder = ladders.get(conv.source, Ladder((conv.source,), ()))
        names = (
            (conv.name, _negated(conv.name)) if conv.name in mirrored and _signed(ladders) else (conv.name,)
        )
        for name in names:
            yield from ((source, name) for source in ladder.above)
            if ladder.below:
                yield _mirror(conv.source), name
    for population in program.populations:
        ladder = ladders.get(population.name, Ladder((population.name,), ()))
        for conv_name in population.inputs:
            yield from ((conv_name, name) for name in ladder.above)
            yield from ((_negated(conv_name), name) for name in ladder.below)
        yield from ((name, _mirror(population.name)) for name in ladder.below)
    yield program.readout.name, OUTPUT


def _signed(ladders: dict[str, Ladder]) -> bool:
    return any(ladder.below for ladder in ladders.values())
