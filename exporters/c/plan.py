"""What a C program of a network keeps and in which types, proved before a line of it is written.

Rows stream through. Every population keeps a ring of rows of its spikes, one byte each, for the convolutions
that read it. A sum of convolutions that later populations continue (a membrane shortcut) is a ring of rows of
32-bit currents. Two populations of which one continues the other's sum, and nobody else does, share its rows:
each adds its part in place, so that no convolution is computed twice.

    image      x = low + 2^split high, a plane of bytes each, so that products stay small; one plane if x has
               five bits or fewer
    sums       of products fit 32 bits, whatever the image: from the weights and the range of every source
    16 bits    kernels add products in 16 bits as long as those hold them for any input (`Conv.taps` etc.)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from math import frexp, lcm

import numpy as np
from snn_tool.errors import UnsupportedLayerError
from snn_tool.exporters.c.proofs import (
    BYTE,
    HALF,
    LARGEST,
    LONG,
    MOST_CHANNELS,
    bounds_of,
    check_conv,
    fitting,
    fitting_rows,
)
from snn_tool.exporters.c.schedule import Need, Schedule, ring_rows
from snn_tool.exporters.loihi.bounds import Bounds, bound
from snn_tool.exporters.nir.program import (
    IMAGE,
    MEMBRANE_SHIFT,
    ConvNode,
    GradedNode,
    Integers,
    PopulationNode,
    Program,
    refuse_time,
)

LANES, QUAD, BLOCK, SEGMENT = 8, 4, 4, 64
"""Outputs and inputs are padded to multiples of the first two; the others as in snn_runtime.h."""


@dataclass(frozen=True, slots=True)
class Source:
    """The image or a population, as bytes.

    Attributes:
        name: of the node, `IMAGE` or a population.
        channels: of a pixel, which takes `pixel` bytes.
        planes: timesteps, or the low and the high part of the image's integers.
        ranges: smallest and largest value of each plane, of timesteps one for all.
        split: bits of the image's low part, 0 if it has one plane.
        width, height: in positions per unit of the image's width and height.
        left, right: columns of zeros before the first and after the last position.
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

    @property
    def pixel(self) -> int:
        """Bytes of a pixel."""
        return _up(self.channels, QUAD)

    @property
    def zero(self) -> int:
        """What AVX2 adds to a value, of the image to its high part, so that bytes have no sign."""
        return -self.ranges[-1][0]


@dataclass(frozen=True, slots=True, eq=False)
class Conv:
    """A convolution with the proofs about its sums.

    Attributes:
        node: of the program.
        source: what it reads.
        mantissa: int64 [Co, Ci, kh, kw], 8 bits each.
        wraps: its shifted sum may leave 24 bits and is cut to them.
        taps, split: kernel positions whose products fit 16 bits together; or inputs of a single one.
        fast_taps, fast_split: likewise for pairs of products of unsigned bytes, in quadruples of inputs; 0 if
            not even two products fit.
        event_rows: kernel rows whose products fit 16 bits; 0 if not one does.
        density: nonzero values of 1000 of its source, measured on the golden tiles.
        planes: timesteps that it is computed for, 1 if it reads the image.
    """

    node: ConvNode
    source: Source
    mantissa: Integers
    wraps: bool
    taps: int
    split: int
    fast_taps: int
    fast_split: int
    event_rows: int
    density: int
    planes: int

    @property
    def name(self) -> str:
        """Of the node."""
        return self.node.name

    @property
    def lanes(self) -> int:
        """Outputs, rounded up."""
        return _up(int(self.mantissa.shape[0]), LANES)

    @property
    def inputs(self) -> int:
        """Channels of the source."""
        return int(self.mantissa.shape[1])

    @property
    def weight_bytes(self) -> int:
        """Of the weights as they are laid out for the portable kernels."""
        return self.lanes * self.inputs * int(np.prod(self.mantissa.shape[2:]))


@dataclass(frozen=True, slots=True)
class Stream:
    """A ring of sums of currents.

    Attributes:
        name: of the population that begins its rows.
        channels, width: of a plane of a row.
        planes: 1, or a timestep each.
        members: populations that share the rows, in the order in which they add to them.
    """

    name: str
    channels: int
    width: int
    planes: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A population and what is done for one group of its rows.

    Attributes:
        node: of the program.
        source: its spikes; of the read-out what would be.
        convs: what is added to the sum that it continues, or that it begins.
        continues: population whose sum it continues, empty if none.
        stream: name of the ring that holds its own sum; empty if nobody continues it.
        planes: 1, or a timestep each, of its sum.
        group: rows that are made together, more than one after a pixel-shuffle.
        bias: int64 [C].
        wraps, clips: of its current, and of its membrane.
    """

    node: PopulationNode
    source: Source
    convs: tuple[Conv, ...]
    continues: str
    stream: str
    planes: int
    group: int
    bias: Integers
    wraps: bool
    clips: bool

    @property
    def name(self) -> str:
        """Of the node."""
        return self.node.name


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything that is written into C.

    Attributes:
        program: of the network.
        unit: widths and heights are multiples of these pixels (columns, rows); others are mirrored up.
        fixed: the image has one size only, one unit.
        sources: by name, the image first.
        layers: populations in execution order, the read-out last.
        streams: rings of sums by name.
        scale: numerator, and binary exponent, of grey levels / 255 per unit of the read-out times T.
    """

    program: Program
    unit: tuple[int, int]
    fixed: bool
    sources: Mapping[str, Source]
    layers: tuple[Layer, ...]
    streams: Mapping[str, Stream]
    exponent: int
    bounds: Bounds = field(repr=False)

    @property
    def convs(self) -> tuple[Conv, ...]:
        """All convolutions in execution order."""
        return tuple(conv for layer in self.layers for conv in layer.convs)

    @cached_property
    def schedule(self) -> Schedule:
        """Who needs which rows of what."""
        return schedule_of(self)

    @cached_property
    def rows(self) -> Mapping[str, int]:
        """Rows of each ring; of streams by `sum NAME`."""
        return ring_rows(self.schedule)


def make_plan(program: Program, density: Mapping[str, float]) -> Plan:
    """Lay out a program and prove what C's types must hold.

    Args:
        program: of network.nir.
        density: share of nonzero values by source; a source that is not in it counts as dense.

    Raises:
        UnsupportedLayerError: a sum may exceed 32 bits, or a kernel or number is out of what C is made for;
            the node is named.
    """
    refuse_time(program, "rows that stream through")
    if program.form:
        raise UnsupportedLayerError(
            f"{IMAGE}: inputs of the kind {program.form.kind}; rows are those of images"
        )
    bounds = bound(program)
    fixed = not program.fits_any_size
    unit = (program.width, program.height) if fixed else _unit(program)
    sources = {IMAGE: _image(program, unit)}
    sources |= {node.name: _population(program, node, unit, bounds) for node in program.populations}
    maker = _Maker(program, bounds, sources, density)
    layers = tuple(maker.layer(node) for node in program.populations)
    return Plan(program, unit, fixed, sources, layers, maker.streams, _exponent(program), bounds)


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _unit(program: Program) -> tuple[int, int]:
    """The least width and height of which all populations have whole numbers of positions."""
    nodes = program.populations
    return (
        lcm(*(Fraction(node.width, program.width).denominator for node in nodes)),
        lcm(*(Fraction(node.height, program.height).denominator for node in nodes)),
    )


def _exponent(program: Program) -> int:
    """Of residual_scale T = 2^exponent."""
    mantissa, exponent = frexp(program.residual_scale * program.timesteps)
    if mantissa != 0.5 or not -40 <= exponent - 1 <= 8:
        raise UnsupportedLayerError(
            f"{program.readout.name}: its scale times T is {program.residual_scale * program.timesteps}, no "
            "power of two that C is made for; quantise the student again"
        )
    return exponent - 1


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


def _image(program: Program, unit: tuple[int, int]) -> Source:
    low, high = program.input_low, program.input_high
    bits = (high - low).bit_length()
    split = 0 if bits <= 5 else -(-bits // 2)
    ranges = ((0, (1 << split) - 1), (low >> split, high >> split)) if split else ((low, high),)
    if low > 0 or high < 0 or ranges[-1][1] > BYTE or ranges[-1][0] < -BYTE:
        raise UnsupportedLayerError(f"{IMAGE}: integers {low} to {high} do not fit the two bytes of C")
    margins = _margins(program, IMAGE, program.width)
    return Source(IMAGE, program.channels, len(ranges), ranges, split, *unit, *margins)


def _population(program: Program, node: PopulationNode, unit: tuple[int, int], bounds: Bounds) -> Source:
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
    margins = _margins(program, node.name, node.width)
    return Source(node.name, node.channels, program.timesteps, ((low, high),), 0, width, height, *margins)


class _Maker:
    """Makes layers in execution order, and the rings of sums that they share."""

    def __init__(
        self,
        program: Program,
        bounds: Bounds,
        sources: Mapping[str, Source],
        density: Mapping[str, float],
    ) -> None:
        self.program, self.bounds, self.sources, self.density = program, bounds, sources, density
        self.streams: dict[str, Stream] = {}
        nodes = program.populations
        self._continued = {node.name: self._beginning(index) for index, node in enumerate(nodes)}
        self._planes: dict[str, int] = {}

    def _beginning(self, index: int) -> str:
        """The earlier population with the longest sum that this one's begins with; empty if none."""
        inputs = self.program.populations[index].inputs
        earlier = self.program.populations[:index]
        fitting = [node for node in earlier if node.inputs == inputs[: len(node.inputs)]]
        return max(fitting, key=lambda node: len(node.inputs)).name if fitting else ""

    def layer(self, node: PopulationNode) -> Layer:
        """A population; its sum shares the rows of the one that it continues if that is possible."""
        begun = self._continued[node.name]
        known = len(self.program.population[begun].inputs) if begun else 0
        convs = tuple(self.conv(self.program.conv[name]) for name in node.inputs[known:])
        planes = max([self._planes[begun] if begun else 1, *(conv.planes for conv in convs)])
        self._planes[node.name] = planes
        readers = [name for name, earlier in self._continued.items() if earlier == node.name]
        source, group = self.sources[node.name], lcm(1, *(conv.node.upsample for conv in convs))
        held = next((one for one in self.streams.values() if begun and begun in one.members), None)
        alone = begun and sum(earlier == begun for earlier in self._continued.values()) == 1
        stream = ""
        if held and alone and held.planes == planes and held.members[-1] == begun:
            self.streams[held.name] = Stream(
                held.name, held.channels, held.width, planes, (*held.members, node.name)
            )
            stream = held.name
        elif readers:
            self.streams[node.name] = Stream(node.name, node.channels, source.width, planes, (node.name,))
            stream = node.name
        self._check_sums(node)
        bias = self.program.bias(node)
        return Layer(node, source, convs, begun, stream, planes, group, bias, *self._registers(node))

    def _registers(self, node: PopulationNode) -> tuple[bool, bool]:
        """Whether the current may wrap, and the membrane clip."""
        current, membrane = self.bounds.currents[node.name], self.bounds.membranes[node.name]
        clips = int(membrane.low.min()) < -LARGEST or int(membrane.high.max()) > LARGEST
        if isinstance(node, GradedNode):
            return False, clips
        low, high = int(current.low.min()) << MEMBRANE_SHIFT, int(current.high.max()) << MEMBRANE_SHIFT
        return low <= -HALF or high > HALF, clips

    def _check_sums(self, node: PopulationNode) -> None:
        current = self.bounds.currents[node.name]
        largest = max(abs(int(current.low.min())), abs(int(current.high.max())))
        bias = int(np.abs(self.program.bias(node)).max(initial=0))
        shift = 0 if isinstance(node, GradedNode) else MEMBRANE_SHIFT
        if (largest << shift) + (bias << shift) + 2 * HALF > LONG:
            raise UnsupportedLayerError(
                f"{node.name}: a sum of currents may exceed 32 bits; use fewer levels, or quantise it again"
            )

    def conv(self, node: ConvNode) -> Conv:
        """A convolution with its proofs.

        Raises:
            UnsupportedLayerError: of `make_plan`.
        """
        source, sums = self.sources[node.source], self.bounds.sums[node.name]
        mantissa = node.weight >> node.mantissa_exponent
        check_conv(node, mantissa, source.ranges, source.split)
        low, high = int(sums.low.min()), int(sums.high.max())
        if max(-low, high) > LONG:
            raise UnsupportedLayerError(
                f"{node.name}: a sum of products may exceed 32 bits ({low}..{high}); use fewer levels"
            )
        ranges = source.ranges
        signed = [bounds_of(mantissa, *each) for each in ranges]
        bytes_ = [bounds_of(mantissa, 0, high - low) for low, high in ranges]
        taps, split = fitting(signed)
        narrow = all(high - low <= BYTE for low, high in ranges)
        fast_taps, fast_split = fitting(bytes_, paired=True) if narrow else (0, 0)
        density = 1000 if node.source == IMAGE else round(1000 * self.density.get(node.source, 1.0))
        return Conv(
            node,
            source,
            mantissa,
            low < -HALF or high >= HALF,
            taps,
            split,
            fast_taps,
            fast_split,
            fitting_rows(signed, int(mantissa.shape[3])),
            density,
            1 if node.source == IMAGE else self.program.timesteps,
        )


def schedule_of(plan: Plan) -> Schedule:
    """Who needs which rows of what, for `ring_rows` and for the tables in C."""
    names = [IMAGE, *(layer.name for layer in plan.layers)]
    index = {name: place for place, name in enumerate(names)}
    buffers = [*names, *(f"sum {name}" for name in plan.streams)]
    needs: list[Need] = []
    for layer in plan.layers:
        reader = index[layer.name]
        for conv in layer.convs:
            node, rows = conv.node, conv.mantissa.shape[2]
            ahead = node.dilation * (rows - 1) - node.padding
            producer = index[node.source]
            needs.append(Need(reader, producer, producer, node.stride, node.upsample, node.padding, ahead))
        if layer.continues:
            held = next(s for s in plan.streams.values() if layer.continues in s.members)
            needs.append(Need(reader, buffers.index(f"sum {held.name}"), index[layer.continues], 1, 1, 0, 0))
    output, readout = len(names), len(names) - 1
    needs.append(Need(output, readout, readout, 1, 1, 0, 0))
    if plan.program.adds_image or plan.program.passes > 1:  # the next pass reads the image, too
        needs.append(Need(output, 0, 0, 1, 1, 0, 0))
    creators = tuple(index[s.name] for s in plan.streams.values())
    heights = tuple(plan.sources[name].height for name in names)
    groups = (1, *(layer.group for layer in plan.layers))
    return Schedule(
        buffers=tuple(buffers),
        creators=creators,
        needs=tuple(needs),
        groups=groups,
        heights=heights,
        fixed=plan.fixed,
        mirrored=plan.unit[1],
    )
