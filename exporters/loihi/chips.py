"""Published capacities of Loihi chips, and how many cores and chips a layer's counts fill.

A core serves one layer. `low` stores kernels once per layer, `high` every connection. Both are capacities
divided into counts, nothing more: axons that a split layer repeats, indices beside the weights and the
routing are not in them. So they say what a model could fit, not that a compiler places it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from snn_tool.exporters.loihi.specs import ConvSpec, LifSpec, NeuronSpec, Plan
from snn_tool.files.documents import Count

WEIGHT_BYTES = 1
"""A weight is an 8-bit mantissa; the exponent is a layer's, and indices are not counted."""

LIF_STATE_BYTES, GRADED_STATE_BYTES = 6, 3
"""Current and membrane of 24 bits each (lava.proc.lif.models); memoryless graded neurons hold a membrane."""

LABEL = "model-feasible, physical fit unverified"
KAPOHO_POINT_CHIPS = 8
"""Loihi 2 chips on Intel's Kapoho Point board (Intel Labs, 2022)."""


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
    columns, rows = (len(np.unique(positions(conv, axis)[_inside(conv, axis)])) for axis in (0, 1))
    return conv.input_shape[2] * columns * rows


def positions(conv: ConvSpec, axis: int) -> NDArray[np.int64]:
    """Source positions along an axis, [outputs before the pixel-shuffle, taps]; padding lies outside."""
    outputs = np.arange(conv.output_shape[axis] // conv.upsample)
    taps = np.arange(conv.weight.shape[1 + axis])
    return outputs[:, None] * conv.stride - conv.padding + taps * conv.dilation


def _inside(conv: ConvSpec, axis: int) -> NDArray[np.bool_]:
    position = positions(conv, axis)
    return (position >= 0) & (position < conv.input_shape[axis])


@dataclass(frozen=True, slots=True)
class Chip:
    """Capacities; None where nothing is published.

    Attributes:
        neurons: per core.
        synapse_bytes: per core, of weights.
        state_bytes: per core.
        axons: per core, incoming and as many outgoing.
        cores: per chip.
        synapses: per chip.
    """

    name: str
    neurons: int
    synapse_bytes: int
    state_bytes: int | None
    axons: int | None
    cores: int
    synapses: int | None


LOIHI_1 = Chip("Loihi 1", 1024, 1_048_576 // 8, None, 4096, 128, None)
"""Davies et al., Loihi: A Neuromorphic Manycore Processor with On-Chip Learning, IEEE Micro 38(1), 2018: 128
cores of 1024 neurons. nengo-loihi, block.py: MAX_COMPARTMENTS 1024, MAX_IN_AXONS and MAX_OUT_AXONS 4096,
MAX_SYNAPSE_BITS 1048576. Its spikes are binary, so that a graded payload (of the image, or of graded neurons)
would need another encoding there; the counts leave that aside."""

LOIHI_2 = Chip("Loihi 2", 8192, 128 << 10, 64 << 10, None, 128, 120_000_000)
"""Intel, Taking Neuromorphic Computing to the Next Level with Loihi 2, technology brief, 2021: 128 cores of
up to 8192 neurons and 192 KB, 120 million synapses per chip. SANA-FE's Loihi 2 profile takes 128 KiB of a
core as synaptic memory; the other 64 KiB are taken as neuron state here. Axons are not published."""

CHIPS = (LOIHI_1, LOIHI_2)


@dataclass(frozen=True, slots=True)
class Span:
    """With shared kernels, and with every connection stored."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Resources:
    """Sums over all layers of a plan, for Loihi 2.

    Attributes:
        neurons: of all processes.
        relay_neurons: part of `neurons` that passes values on: delay relays and accumulators.
        cores_low, cores_high: neurocores with shared and with expanded synapses.
        chips_low, chips_high: chips, by neurocores and by synapses.
        accumulator_neurons: part of `relay_neurons` that holds a residual stream.
    """

    neurons: Count
    relay_neurons: Count
    shared_synapses: Count
    expanded_synapses: Count
    cores_low: Count
    cores_high: Count
    chips_low: Count
    chips_high: Count
    accumulator_neurons: Count = 0


def cores_of(layer: LayerResources, chip: Chip) -> Span:
    """Cores that one layer fills."""
    other = [(layer.neurons, chip.neurons)]
    if chip.state_bytes is not None:
        other.append((layer.state_bytes, chip.state_bytes))
    if chip.axons is not None:
        other += [(layer.axons_in, chip.axons), (layer.axons_out, chip.axons)]
    least = max(-(-used // room) for used, room in other)
    return Span(
        max(least, -(-layer.shared_bytes // chip.synapse_bytes)),
        max(least, -(-layer.expanded_bytes // chip.synapse_bytes)),
    )


def cores_of_all(layers: Sequence[LayerResources], chip: Chip) -> Span:
    """Cores that all layers fill, each its own."""
    spans = [cores_of(layer, chip) for layer in layers]
    return Span(sum(span.low for span in spans), sum(span.high for span in spans))


def chips_of(layers: Sequence[LayerResources], chip: Chip) -> Span:
    """Chips that all layers fill, by cores and by the chip's number of synapses."""
    cores, total = cores_of_all(layers, chip), total_of(layers)
    room = chip.synapses
    by_synapses = (
        Span(-(-total.shared_synapses // room), -(-total.expanded_synapses // room)) if room else Span(0, 0)
    )
    return Span(
        max(-(-cores.low // chip.cores), by_synapses.low),
        max(-(-cores.high // chip.cores), by_synapses.high),
    )


def count_resources(plan: Plan) -> Resources:
    """Count what a whole plan occupies on Loihi 2."""
    layers = layer_resources(plan)
    total = total_of(layers)
    cores, chips = cores_of_all(layers, LOIHI_2), chips_of(layers, LOIHI_2)
    return Resources(
        neurons=total.neurons,
        relay_neurons=sum(layer.neurons for layer in layers if layer.is_relay),
        shared_synapses=total.shared_synapses,
        expanded_synapses=total.expanded_synapses,
        cores_low=cores.low,
        cores_high=cores.high,
        chips_low=chips.low,
        chips_high=chips.high,
        accumulator_neurons=sum(layer.neurons for layer in layers if layer.name in plan.accumulators),
    )
