"""Convolutions connection by connection, over neurons that are numbered n = (x H + y) C + c."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from snn_tool.exporters.loihi_layout import Shape
from snn_tool.exporters.loihi.specs import ConvSpec

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Connections:
    """All connections of one convolution.

    Attributes:
        source, target: names of groups; of the image `source` is a source process of the plan.
        sources, targets: neuron numbers, int64 [E].
        weights: int64 [E] in LSB; zeros are kept, because a chip reads them too.
    """

    source: str
    target: str
    sources: Integers
    targets: Integers
    weights: Integers


def connect(conv: ConvSpec) -> Connections:
    """Every connection of a convolution; taps in the padding have none."""
    (columns, taps_x, from_x), (rows, taps_y, from_y) = _taps(conv, 0), _taps(conv, 1)
    channels_out, kernel_x, kernel_y, group = conv.weight.shape
    outputs, inputs = np.arange(channels_out)[:, None], np.arange(group)[None, :]
    channel_in = outputs // (channels_out * group // conv.input_shape[2]) * group + inputs
    column, row, channel = _shuffled(conv, columns[:, None, None, None], rows[:, None, None], outputs)
    taken = conv.weight[:, kernel_x - 1 - taps_x][:, :, kernel_y - 1 - taps_y].transpose(1, 2, 0, 3)
    sources = _numbers(conv.input_shape, from_x[:, None, None, None], from_y[:, None, None], channel_in)
    targets = np.broadcast_to(_numbers(conv.output_shape, column, row, channel), taken.shape)
    flat = (sources.ravel(), targets.ravel(), taken.astype(np.int64).ravel())
    return Connections(conv.source, conv.target, *flat)


def _taps(conv: ConvSpec, axis: int) -> tuple[Integers, Integers, Integers]:
    """Output position (before a pixel-shuffle), tap, and source position, of every tap inside the source."""
    outputs = np.arange(conv.output_shape[axis] // conv.upsample)
    taps = np.arange(conv.weight.shape[1 + axis])
    position = outputs[:, None] * conv.stride - conv.padding + taps * conv.dilation
    output, tap = np.nonzero((position >= 0) & (position < conv.input_shape[axis]))
    return output, tap, position[output, tap]


def _shuffled(
    conv: ConvSpec, column: Integers, row: Integers, channel: Integers
) -> tuple[Integers, Integers, Integers]:
    """Where the plan's virtual ports send an output (`loihi_plan`)."""
    part, channel = np.divmod(channel, conv.output_shape[2])
    part_x, part_y = np.divmod(part, conv.upsample)
    return column * conv.upsample + part_x, row * conv.upsample + part_y, channel


def _numbers(shape: Shape, column: Integers, row: Integers, channel: Integers) -> Integers:
    return (column * shape[1] + row) * shape[2] + channel
