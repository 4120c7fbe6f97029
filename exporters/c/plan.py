"""What a C program of a network keeps and in which types, proved before a line of it is written.

Rows stream through. Every population keeps a ring of rows of its spikes, one byte each, for the convolutions
that read it, or one bit of `lif`. A sum of convolutions that later populations continue (a membrane shortcut)
is a ring of rows of currents. Two populations of which one continues the other's sum, and nobody else does,
share its rows: each adds its part in place, so that no convolution is computed twice. What is equal at all
timesteps may stay a row of its own, which neurons add to that of the timestep.

    image      x = low + 2^split high, a plane of bytes each, so that products stay small; one plane if x has
               five bits or fewer
    sums       of products fit 32 bits, whatever the image: from the weights and the range of every source
    rings      of sums take 2, 3 or 4 bytes for each, as bounds of the currents prove, without low bits that
               are 0 because of the weights' exponents
    16 bits    kernels add products in 16 bits as long as those hold them for any input (`Conv.taps` etc.)
"""

from collections.abc import Mapping, Sequence
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
    Held,
    bounds_of,
    check_conv,
    fitting,
    fitting_rows,
    held_sums,
)
from snn_tool.exporters.c.rows import BLOCK, Source, image_source, population_source, up
from snn_tool.exporters.c.schedule import Need, Schedule, ring_rows
from snn_tool.exporters.loihi.bounds import Bounds, bound, stream_interval
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

LANES = 8
"""Outputs are padded to multiples."""

SEGMENT, SEGMENT_LANES = 64, 48
"""Pixels that are computed at a time, fewer where there are more lanes than these: sums of both are kept."""


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
        return up(int(self.mantissa.shape[0]), LANES)

    @property
    def segment(self) -> int:
        """Output pixels that are computed at a time."""
        return max(BLOCK, min(SEGMENT, SEGMENT * SEGMENT_LANES // self.lanes // BLOCK * BLOCK))

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
        held: how each sum is.
    """

    name: str
    channels: int
    width: int
    planes: int
    members: tuple[str, ...]
    held: Held


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A population and what is done for one group of its rows.

    Attributes:
        node: of the program.
        source: its spikes; of the read-out what would be.
        convs: what is added to the sum that it continues, or that it begins.
        continues: population whose sum it continues, empty if none.
        beside: population whose sum, the same at all timesteps, its neurons add to this one; empty if none.
        stream: name of the ring that holds its own sum; empty if nobody continues it.
        planes: 1, or a timestep each, of its sum.
        held: how each sum is, if no ring holds them.
        group: rows that are made together, more than one after a pixel-shuffle.
        bias: int64 [C].
        wraps, clips: of its current, and of its membrane.
    """

    node: PopulationNode
    source: Source
    convs: tuple[Conv, ...]
    continues: str
    beside: str
    stream: str
    planes: int
    held: Held
    group: int
    bias: Integers
    wraps: bool
    clips: bool

    @property
    def name(self) -> str:
        """Of the node."""
        return self.node.name

    @property
    def stepwise(self) -> bool:
        """Timesteps follow each other with one plane of sums, which nobody wants afterwards."""
        return not self.stream and self.planes > 1 and all(conv.planes > 1 for conv in self.convs)


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

    def stream_of(self, population: str) -> Stream:
        """The ring that holds a population's sum."""
        return next(stream for stream in self.streams.values() if population in stream.members)

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
    sources = {IMAGE: image_source(program, unit)}
    sources |= {node.name: population_source(program, node, unit) for node in program.populations}
    maker = _Maker(program, bounds, sources, density)
    layers = tuple(maker.layer(node) for node in program.populations)
    return Plan(program, unit, fixed, sources, layers, maker.streams, _exponent(program), bounds)


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
        self._beside: dict[str, str] = {}

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
        self._check_sums(node)
        apart = bool(begun) and self._planes[begun] < planes and self._is_apart(node, begun)
        self._beside[node.name] = beside = begun if apart else self._beside.get(begun, "")
        sums = self._held(self._family(node, planes), beside)
        readers = [name for name, earlier in self._continued.items() if earlier == node.name]
        source, group = self.sources[node.name], lcm(1, *(conv.node.upsample for conv in convs))
        held = next((one for one in self.streams.values() if begun and begun in one.members), None)
        alone = begun and sum(earlier == begun for earlier in self._continued.values()) == 1
        stream = ""
        if held and alone and held.planes == planes and held.members[-1] == begun:
            self.streams[held.name] = Stream(
                held.name, held.channels, held.width, planes, (*held.members, node.name), held.held
            )
            stream = held.name
        elif readers:
            shape = (node.channels, source.width, planes)
            self.streams[node.name] = Stream(node.name, *shape, (node.name,), sums)
            stream = node.name
        bias = self.program.bias(node)
        place = ("" if apart else begun, beside, stream, planes, sums)
        return Layer(node, source, convs, *place, group, bias, *self._registers(node))

    def _family(self, node: PopulationNode, planes: int) -> list[PopulationNode]:
        """A population and those that continue its sum, as far as they have as many planes."""
        known, found = len(node.inputs), []
        for one in self.program.populations:
            timed = any(self.program.conv[name].source != IMAGE for name in one.inputs)
            if one.inputs[:known] == node.inputs and planes == (self.program.timesteps if timed else 1):
                found.append(one)
        return found

    def _held(self, family: Sequence[PopulationNode], beside: str) -> Held:
        """What holds each sum of some populations, without what another one's row holds."""
        known = len(self.program.population[beside].inputs) if beside else 0
        currents = [stream_interval(self.program, self.bounds, node.inputs[known:]) for node in family]
        names = {name for node in family for name in node.inputs[known:]}
        return held_sums(
            min(int(current.low.min()) for current in currents),
            max(int(current.high.max()) for current in currents),
            min(self.program.conv[name].mantissa_exponent for name in names),
        )

    def _is_apart(self, node: PopulationNode, begun: str) -> bool:
        """Whether a sum that all timesteps share takes fewer bytes as a row than in each of their planes."""
        planes, once = self._planes[node.name], self._family(self.program.population[begun], 1)
        family = self._family(node, planes)
        saved = self._held(family, "").size - self._held(family, begun).size
        return planes * saved > self._held(once, "").size

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
            held = plan.stream_of(layer.continues)
            needs.append(Need(reader, buffers.index(f"sum {held.name}"), index[layer.continues], 1, 1, 0, 0))
        if layer.beside:
            held = plan.stream_of(layer.beside)
            needs.append(Need(reader, buffers.index(f"sum {held.name}"), index[layer.beside], 1, 1, 0, 0))
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
