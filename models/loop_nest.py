"""The loops of one convolution or matrix product: all that a mapping onto an accelerator needs of it."""

from dataclasses import dataclass
from math import gcd
from typing import Annotated

from msgspec import Meta
from snn_tool.models.topology import Synapse

Loop = Annotated[int, Meta(ge=1, le=1 << 31)]
Border = Annotated[int, Meta(ge=0, le=1 << 16)]


@dataclass(frozen=True, slots=True)
class LoopNest:
    """Seven loops and how the input moves under them.

        O[g, k, y, x] += W[g, k, c, i, j] I[g, c, s y + d i - p, s x + d j - p]

    A matrix product is the same with a kernel of one: its rows are positions, folded into two loops.

    Attributes:
        groups: independent products of this shape; heads of an attention, channels of a depthwise one.
        out_channels, in_channels: K and C of one group.
        rows, columns: positions of the output, and of the kernel with `kernel_`.
        stride, dilation, padding: in pixels, the same in both directions.
    """

    groups: Loop
    out_channels: Loop
    in_channels: Loop
    rows: Loop
    columns: Loop
    kernel_rows: Loop = 1
    kernel_columns: Loop = 1
    stride: Loop = 1
    dilation: Loop = 1
    padding: Border = 0

    @property
    def macs(self) -> int:
        """Products, those with a padded zero included."""
        return self.outputs * self.in_channels * self.kernel_rows * self.kernel_columns

    @property
    def outputs(self) -> int:
        """Values written, each once."""
        return self.groups * self.out_channels * self.rows * self.columns

    @property
    def weights(self) -> int:
        """Values of the second operand, each once."""
        return self.groups * self.out_channels * self.in_channels * self.kernel_rows * self.kernel_columns

    @property
    def inputs(self) -> int:
        """Values of the input that the loops reach, each once; without the padding."""
        height, width = self.input_size
        return self.groups * self.in_channels * height * width

    @property
    def input_size(self) -> tuple[int, int]:
        """Rows and columns of the input that the loops reach, without the padding."""
        return self._reached(self.rows, self.kernel_rows), self._reached(self.columns, self.kernel_columns)

    def _reached(self, positions: int, taps: int) -> int:
        return self.stride * (positions - 1) + 1 + self.dilation * (taps - 1) - 2 * self.padding

    @property
    def text(self) -> str:
        """In a line: groups, channels, kernel, stride, dilation, positions."""
        groups = f"{self.groups} x " if self.groups > 1 else ""
        moves = f" /{self.stride}" if self.stride > 1 else ""
        spread = f" dilated {self.dilation}" if self.dilation > 1 else ""
        kernel = f"{self.kernel_rows}x{self.kernel_columns}"
        channels = f"{self.in_channels} to {self.out_channels}"
        return f"{groups}{channels}, {kernel}{moves}{spread}, {self.rows}x{self.columns}"

    @property
    def is_depthwise(self) -> bool:
        """Each channel is read and written by itself."""
        return self.groups > 1 and self.out_channels == self.in_channels == 1


def synapse_nest(synapse: Synapse, height: int, width: int) -> LoopNest:
    """The loops of a synapse whose source is `height` by `width` positions; a pixel-shuffle moves nothing."""
    rows, columns = (length // synapse.upsample for length in synapse.output_size(height, width))
    return LoopNest(
        groups=1,
        out_channels=synapse.out_channels,
        in_channels=synapse.in_channels,
        rows=rows,
        columns=columns,
        kernel_rows=synapse.kernel,
        kernel_columns=synapse.kernel,
        stride=synapse.stride,
        dilation=synapse.dilation,
        padding=synapse.padding,
    )


FOLD = 4
"""Columns into which the rows of a matrix are folded where they divide: arrays unroll two short loops."""


def matrix_nest(batch: int, rows: int, inner: int, columns: int) -> LoopNest:
    """The loops of `batch` products [rows, inner] x [inner, columns].

    The longer side of the result takes the place of the positions, the other that of the channels, so that
    the smaller factor stands where weights do.
    """
    positions, channels = max(rows, columns), min(rows, columns)
    folded = gcd(positions, FOLD)
    return LoopNest(batch, channels, inner, positions // folded, folded)
