"""The image and the populations as rows of bytes, or of bits: what convolutions read."""

from dataclasses import dataclass

from snn_tool.errors import UnsupportedLayerError
from snn_tool.exporters.c.proofs import BYTE, MOST_CHANNELS
from snn_tool.exporters.nir.program import IMAGE, GradedNode, LifNode, PopulationNode, Program

QUAD, BLOCK = 4, 4
"""Inputs are padded to multiples of the first; so many outputs are computed together."""

BITS, MOST_SHARE = 8, 4
"""Of a byte; pixels that share one, so that their number divides a pixel's bytes, a multiple of 4."""


@dataclass(frozen=True, slots=True)
class Source:
    """The image or a population, as bytes, or spikes of 0 and 1 as bits.

    Bits of all timesteps lie together in a byte, and those of the next pixels beside them as far as there is
    room; of more than eight timesteps each eight take a plane.

    Attributes:
        name: of the node, `IMAGE` or a population.
        channels: of a pixel, which takes `pixel` bytes.
        planes: timesteps, or the low and the high part of the image's integers.
        ranges: smallest and largest value of each plane, of timesteps one for all.
        split: bits of the image's low part, 0 if it has one plane.
        width, height: in positions per unit of the image's width and height.
        left, right: columns of zeros before the first and after the last position.
        share: pixels whose bits share a byte; 0: every value is a byte.
    """

    name: str
    channels: int
    planes: int
    ranges: tuple[tuple[int, int], ...]
    split: int
    width: int
    height: int
    left: int
    right: int
    share: int = 0

    @property
    def pixel(self) -> int:
        """Bytes of a pixel."""
        return up(self.channels, QUAD)

    @property
    def held_planes(self) -> int:
        """Planes of a row of the ring."""
        return up(self.planes, BITS) // BITS if self.share else self.planes

    @property
    def plane(self) -> tuple[int, int]:
        """(unit, fixed) bytes of one of them."""
        share = max(1, self.share)
        return self.pixel * self.width // share, self.pixel * (self.left + self.right + share - 1) // share

    @property
    def zero(self) -> int:
        """What AVX2 adds to a value, of the image to its high part, so that bytes have no sign."""
        return -self.ranges[-1][0]


def up(value: int, multiple: int) -> int:
    """The least multiple that is no less."""
    return -(-value // multiple) * multiple


def _margins(program: Program, name: str, width: int) -> tuple[int, int]:
    """Columns of zeros around a source's `width` positions, for all its readers and whole blocks."""
    left = right = 0
    for conv in program.convs:
        if conv.source == name:
            columns = conv.weight.shape[3]
            made = (width + 2 * conv.padding - conv.dilation * (columns - 1) - 1) // conv.stride + 1
            last = (made + BLOCK - 2) * conv.stride - conv.padding + conv.dilation * (columns - 1)
            left, right = max(left, conv.padding), max(right, last - (width - 1))
    return left, right


def image_source(program: Program, unit: tuple[int, int]) -> Source:
    """The image, in one plane or in two.

    Raises:
        UnsupportedLayerError: its integers do not fit.
    """
    low, high = program.input_low, program.input_high
    bits = (high - low).bit_length()
    split = 0 if bits <= 5 else -(-bits // 2)
    ranges = ((0, (1 << split) - 1), (low >> split, high >> split)) if split else ((low, high),)
    if low > 0 or high < 0 or ranges[-1][1] > BYTE or ranges[-1][0] < -BYTE:
        raise UnsupportedLayerError(f"{IMAGE}: integers {low} to {high} do not fit the two bytes of C")
    margins = _margins(program, IMAGE, program.width)
    return Source(IMAGE, program.channels, len(ranges), ranges, split, *unit, *margins)


def population_source(program: Program, node: PopulationNode, unit: tuple[int, int]) -> Source:
    """A population's spikes.

    Raises:
        UnsupportedLayerError: C does not hold them.
    """
    low, high = 0, 1
    if isinstance(node, GradedNode):
        low, high = (-node.levels if node.signed else 0), node.levels
    if high > BYTE or node.channels > MOST_CHANNELS:
        raise UnsupportedLayerError(
            f"{node.name}: {node.channels} channels of spikes up to {high}; C holds up to {MOST_CHANNELS} of "
            f"up to {BYTE}"
        )
    width = node.width * unit[0] // program.width
    height = node.height * unit[1] // program.height
    margins, steps = _margins(program, node.name, node.width), program.timesteps
    share = min(MOST_SHARE, max(1, BITS // steps)) if isinstance(node, LifNode) else 0
    return Source(node.name, node.channels, steps, ((low, high),), 0, width, height, *margins, share)
