"""From a NIR file's content back to an integer network, so that the engine can run what a file says.

The engine and the interpreter then compute the same file with no code in common: a reference for any image,
also where the student that was exported is no longer there.
"""

import math
from dataclasses import replace
from itertools import repeat

import numpy as np
from snn_tool.errors import ArtifactError
from snn_tool.exporters.nir.program import (
    MEMBRANE_SHIFT,
    ConvNode,
    GradedNode,
    LifNode,
    PopulationNode,
    Program,
)
from snn_tool.models.integer.network import (
    INSTANT,
    InputGrid,
    IntegerNetwork,
    IntegerPopulation,
    IntegerSynapse,
)
from snn_tool.models.topology import Population, Synapse


def integer_network(program: Program) -> IntegerNetwork:
    """The network that a program was written from; but for the LSB of hidden populations, which no run needs.

    Raises:
        ArtifactError: populations of several kinds, or an input range that no integer network has.
    """
    spiking = [p for p in program.populations if isinstance(p, LifNode | GradedNode)]
    first = _uniform(spiking)
    wirings = [_wiring(node, program) for node in program.populations]
    drives = {p.inputs[0]: p.drive for p in program.populations if isinstance(p, LifNode) and p.drive}
    synapses = tuple(_synapse(conv, drives.get(conv.name, ())) for conv in program.convs)
    # residual_scale = 2^(lsb - 6) / T, a power of two over T
    lsb = round(math.log2(program.residual_scale * program.timesteps)) + MEMBRANE_SHIFT
    network = IntegerNetwork(
        synapses=synapses,
        populations=tuple(map(_population, wirings, program.populations, repeat(lsb))),
        neuron="graded" if isinstance(first, GradedNode) else "lif",
        timesteps=program.timesteps,
        levels=first.levels if isinstance(first, GradedNode) else 1,
        signed=isinstance(first, GradedNode) and first.signed,
        decay=first.decay if isinstance(first, LifNode) else 0,
        input_step=program.input_step,
        input_offset=program.input_offset,
        adds_image=program.adds_image,
        image_size=None if program.fits_any_size else (program.height, program.width),
        grid=_grid(program),
        passes=program.passes,
    )
    if network.input_range != (program.input_low, program.input_high):
        raise ArtifactError(
            f"input range {program.input_low}..{program.input_high} does not belong to a step of "
            f"{program.input_step} grey levels; export the network again"
        )
    return network


def _grid(program: Program) -> InputGrid | None:
    form = program.form
    if form is None:
        return None
    return InputGrid(form.kind, program.input_low, program.input_high, form.exponent, form.over_time)


def _uniform(spiking: list[LifNode | GradedNode]) -> LifNode | GradedNode:
    """The first population, after seeing that all others have its kind, levels and sign."""
    kinds = {(p.levels, p.signed) if isinstance(p, GradedNode) else ("lif",) for p in spiking}
    if len(kinds) != 1:
        raise ArtifactError(
            f"{len(kinds)} kinds of neurons; an integer network has one, export each part by itself"
        )
    return spiking[0]


def _synapse(conv: ConvNode, drive: tuple[int, ...]) -> IntegerSynapse:
    """`drive` is what a population with a lasting current adds to its membrane, at its first input."""
    channels, inputs, kernel, _ = conv.weight.shape
    wiring = Synapse(
        name=conv.name,
        source=conv.source,
        in_channels=inputs,
        out_channels=channels,
        kernel=kernel,
        stride=conv.stride,
        dilation=conv.dilation,
        upsample=conv.upsample,
        bias=conv.upsample == 1,
        delay=conv.delay,
    )
    if conv.weight.shape[3] != kernel:
        raise ArtifactError(
            f"{conv.name}: a kernel of {kernel}x{conv.weight.shape[3]}; the engine runs square ones"
        )
    if conv.padding != wiring.padding:
        wiring = replace(wiring, given_padding=conv.padding)
    mantissa = (conv.weight >> conv.mantissa_exponent).astype(np.int8)
    bias = np.array(drive, dtype=np.int64) if drive else conv.bias
    return IntegerSynapse(wiring, mantissa, conv.mantissa_exponent, bias.astype(np.int32))


def _wiring(node: PopulationNode, program: Program) -> Population:
    return Population(node.name, node.inputs, node.channels, max(1, program.height // node.height))


def _population(wiring: Population, node: PopulationNode, lsb: int) -> IntegerPopulation:
    threshold = node.threshold if isinstance(node, LifNode | GradedNode) else 0
    decay = 0 if isinstance(node, GradedNode) else node.decay
    current = node.current_decay if isinstance(node, LifNode) else INSTANT
    return IntegerPopulation(wiring, threshold, lsb, decay, current)
