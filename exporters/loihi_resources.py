"""What a plan would occupy, layer by layer: neurons, synapses, axons and memory.

Convolutions can be stored once per layer ("shared") or once per connection ("expanded"; what a core without
convolution support needs). An axon is one neuron's line to one convolution of a reader, whatever the number
of its connections there; a neuron that no tap reaches has none. A layer that is split over several cores
repeats axons; that is a placement's affair and not counted. Every figure is an exact count of the plan.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from snn_tool.exporters.loihi.specs import ConvSpec, LifSpec, NeuronSpec, Plan

WEIGHT_BYTES = 1
"""A weight is an 8-bit mantissa; the exponent is a layer's, and indices are not counted."""

LIF_STATE_BYTES, GRADED_STATE_BYTES = 6, 3
"""Current and membrane of 24 bits each (lava.proc.lif.models); memoryless graded neurons hold a membrane."""


@dataclass(frozen=True, slots=True)
class LayerResources:
    """One neuron process with all convolutions that end in it, or the sum over all of them.

    Attributes:
        neurons: W H C.
        shared_synapses: weights stored once.
        expanded_synapses: connections between two neurons; positions in the padding have none.
        axons_in: lines that arrive, the image's included.
        axons_out: lines that leave to other layers.
        state_bytes: dynamic state; biases and thresholds are one per channel and not counted.
    """

    name: str
    is_relay: bool
    neurons: int
    shared_synapses: int
    expanded_synapses: int
    axons_in: int
    axons_out: int
    state_bytes: int

    @property
    def shared_bytes(self) -> int:
        """Synaptic memory with shared kernels."""
        return self.shared_synapses * WEIGHT_BYTES

    @property
    def expanded_bytes(self) -> int:
        """Synaptic memory with one weight per connection."""
        return self.expanded_synapses * WEIGHT_BYTES


def layer_resources(plan: Plan) -> tuple[LayerResources, ...]:
    """Count what each neuron process of a plan occupies."""
    return tuple(
        _layer(
            neuron,
            [conv for conv in plan.convs if conv.target == neuron.name],
            [conv for conv in plan.convs if conv.source == neuron.name],
        )
        for neuron in plan.neurons
    )


def total_of(layers: Iterable[LayerResources]) -> LayerResources:
    """The sum over layers."""
    listed = list(layers)
    return LayerResources(
        name="total",
        is_relay=False,
        neurons=sum(layer.neurons for layer in listed),
        shared_synapses=sum(layer.shared_synapses for layer in listed),
        expanded_synapses=sum(layer.expanded_synapses for layer in listed),
        axons_in=sum(layer.axons_in for layer in listed),
        axons_out=sum(layer.axons_out for layer in listed),
        state_bytes=sum(layer.state_bytes for layer in listed),
    )


def _layer(neuron: NeuronSpec, arriving: list[ConvSpec], leaving: list[ConvSpec]) -> LayerResources:
    neurons = neuron.shape[0] * neuron.shape[1] * neuron.shape[2]
    state = LIF_STATE_BYTES if isinstance(neuron, LifSpec) else GRADED_STATE_BYTES
    return LayerResources(
        name=neuron.name,
        is_relay=neuron.is_relay,
        neurons=neurons,
        shared_synapses=sum(int(conv.weight.size) for conv in arriving),
        expanded_synapses=sum(expanded_synapses(conv) for conv in arriving),
        axons_in=sum(axons(conv) for conv in arriving),
        axons_out=sum(axons(conv) for conv in leaving),
        state_bytes=neurons * state,
    )


def expanded_synapses(conv: ConvSpec) -> int:
    """Connections of a convolution: channel pairs times, for each axis, the taps inside the source."""
    channels_out, _, _, channels_in = (int(n) for n in conv.weight.shape)
    columns, rows = (int(np.count_nonzero(_inside(conv, axis))) for axis in (0, 1))
    return channels_out * channels_in * columns * rows


def axons(conv: ConvSpec) -> int:
    """Source neurons that a convolution connects to anything: channels times reached positions."""
    columns, rows = (len(np.unique(_positions(conv, axis)[_inside(conv, axis)])) for axis in (0, 1))
    return conv.input_shape[2] * columns * rows


def _positions(conv: ConvSpec, axis: int) -> NDArray[np.int64]:
    """Source positions along an axis, [outputs before the pixel-shuffle, taps]; padding lies outside."""
    outputs = np.arange(conv.output_shape[axis] // conv.upsample)
    taps = np.arange(conv.weight.shape[1 + axis])
    return outputs[:, None] * conv.stride - conv.padding + taps * conv.dilation


def _inside(conv: ConvSpec, axis: int) -> NDArray[np.bool_]:
    position = _positions(conv, axis)
    return (position >= 0) & (position < conv.input_shape[axis])
