"""What a plan would occupy: neurons and synapses by layer, and a range of neurocores.

Convolutions can be stored once per layer ("shared", a lower bound) or once per connection ("expanded", an
upper bound; what a core without convolution support needs). The figures are model-feasible counts; whether a
compiler places them is not verified.

Sources: 128 neurocores per chip and 8192 neurons per core, Intel's Loihi 2 technology brief (2021); 128 KiB
of synaptic memory per core, the Loihi profile of SANA-FE.
"""

from dataclasses import dataclass

import numpy as np
from snn_tool.exporters.loihi_specs import ConvSpec, NeuronSpec, Plan

NEURONS_PER_CORE = 8192
CORES_PER_CHIP = 128
SYNAPSE_BYTES_PER_CORE = 128 << 10


@dataclass(frozen=True, slots=True)
class LayerResources:
    """One neuron process with all convolutions that end in it.

    Attributes:
        neurons: W H C.
        shared_synapses: weights stored once; one byte each.
        expanded_synapses: connections between two neurons; positions in the padding have none.
        cores_low, cores_high: neurocores with shared and with expanded synapses.
    """

    name: str
    is_relay: bool
    neurons: int
    shared_synapses: int
    expanded_synapses: int
    cores_low: int
    cores_high: int


@dataclass(frozen=True, slots=True)
class Resources:
    """Sums over all layers of a plan.

    Attributes:
        neurons: of all processes.
        relay_neurons: part of `neurons` that passes values on: delay relays and accumulators.
        chips_low, chips_high: Loihi 2 chips, by neurocores alone.
        accumulator_neurons: part of `relay_neurons` that holds a residual stream.
    """

    neurons: int
    relay_neurons: int
    shared_synapses: int
    expanded_synapses: int
    cores_low: int
    cores_high: int
    chips_low: int
    chips_high: int
    accumulator_neurons: int = 0


def layer_resources(plan: Plan) -> tuple[LayerResources, ...]:
    """Count what each neuron process of a plan occupies."""
    return tuple(
        _layer(neuron, [c for c in plan.convs if c.target == neuron.name]) for neuron in plan.neurons
    )


def count_resources(plan: Plan) -> Resources:
    """Count what a whole plan occupies."""
    layers = layer_resources(plan)
    cores_low = sum(layer.cores_low for layer in layers)
    cores_high = sum(layer.cores_high for layer in layers)
    return Resources(
        neurons=sum(layer.neurons for layer in layers),
        relay_neurons=sum(layer.neurons for layer in layers if layer.is_relay),
        shared_synapses=sum(layer.shared_synapses for layer in layers),
        expanded_synapses=sum(layer.expanded_synapses for layer in layers),
        cores_low=cores_low,
        cores_high=cores_high,
        chips_low=-(-cores_low // CORES_PER_CHIP),
        chips_high=-(-cores_high // CORES_PER_CHIP),
        accumulator_neurons=sum(layer.neurons for layer in layers if layer.name in plan.accumulators),
    )


def _layer(neuron: NeuronSpec, convs: list[ConvSpec]) -> LayerResources:
    neurons = neuron.shape[0] * neuron.shape[1] * neuron.shape[2]
    shared = sum(conv.weight.size for conv in convs)
    expanded = sum(expanded_synapses(conv) for conv in convs)
    by_neurons = -(-neurons // NEURONS_PER_CORE)
    return LayerResources(
        name=neuron.name,
        is_relay=neuron.is_relay,
        neurons=neurons,
        shared_synapses=shared,
        expanded_synapses=expanded,
        cores_low=max(by_neurons, -(-shared // SYNAPSE_BYTES_PER_CORE)),
        cores_high=max(by_neurons, -(-expanded // SYNAPSE_BYTES_PER_CORE)),
    )


def expanded_synapses(conv: ConvSpec) -> int:
    """Connections of a convolution: channel pairs times, for each axis, the taps inside the source."""
    channels_out, kernel_x, kernel_y, channels_in = (int(n) for n in conv.weight.shape)
    columns = _taps_inside(conv, 0, kernel_x)
    rows = _taps_inside(conv, 1, kernel_y)
    return channels_out * channels_in * columns * rows


def _taps_inside(conv: ConvSpec, axis: int, kernel: int) -> int:
    """Pairs (output position before the pixel-shuffle, tap) of one axis whose source position exists."""
    outputs = np.arange(conv.output_shape[axis] // conv.upsample)
    position = outputs[:, None] * conv.stride - conv.padding + np.arange(kernel) * conv.dilation
    return int(np.count_nonzero((position >= 0) & (position < conv.input_shape[axis])))
