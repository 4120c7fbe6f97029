"""Where everything lies in the caller's buffer, and the bytes that a program takes, before it is compiled."""

from collections.abc import Mapping
from dataclasses import dataclass

from snn_tool.exporters.c.plan import Conv, Layer, Plan, Stream
from snn_tool.exporters.c.rows import QUAD, Source, up
from snn_tool.exporters.nir.program import IMAGE, GradedNode, LifNode

WORD_BYTES, ALIGNMENT = 4, 16


@dataclass(frozen=True, slots=True)
class Ring:
    """Rows in the buffer; sizes are `unit` times the width in units plus `fixed` bytes.

    Attributes:
        name: in C.
        offset: (unit, fixed) where it begins.
        plane: (unit, fixed) bytes of a plane.
        planes, rows: of a row, of the ring.
        left: columns before the first pixel.
        pixel: bytes of a pixel; of sums, of each.
        share, steps: pixels that share a byte, with so many bits each; 0 if every value is a byte.
    """

    name: str
    offset: tuple[int, int]
    plane: tuple[int, int]
    planes: int
    rows: int
    left: int
    pixel: int
    share: int = 0
    steps: int = 0

    @property
    def size(self) -> tuple[int, int]:
        """(unit, fixed) bytes of all rows."""
        count = self.planes * self.rows
        return self.plane[0] * count, self.plane[1] * count


@dataclass(frozen=True, slots=True)
class Memory:
    """The caller's buffer.

    Attributes:
        rings: in the order in which they lie, by name.
        total: (unit, fixed) bytes of a build without taps, alignment included.
        taps: (unit, fixed) bytes of one with taps.
    """

    rings: Mapping[str, Ring]
    total: tuple[int, int]
    taps: tuple[int, int]

    def bytes_for(self, width: int, unit: int) -> int:
        """Bytes for images of a width; what `BUFFER_BYTES` gives."""
        return self.total[0] * -(-width // unit) + self.total[1]


class _Room:
    """Hands out room behind what was handed out before."""

    def __init__(self) -> None:
        self.at = (0, 0)
        self.rings: dict[str, Ring] = {}

    def ring(self, name: str, plane: tuple[int, int], planes: int, rows: int, pixel: int) -> None:
        """Rows without margins."""
        self._take(Ring(name, self.at, plane, planes, rows, 0, pixel))

    def source(self, name: str, source: Source, rows: int) -> None:
        """Rows of a source."""
        place = (source.plane, source.held_planes, rows, source.left, source.pixel)
        self._take(Ring(name, self.at, *place, source.share, source.planes if source.share else 0))

    def scratch(self, name: str, unit: int, fixed: int) -> None:
        """Room for one row of words at most."""
        self.ring(f"ring_{name}", (unit, fixed), 1, 1, WORD_BYTES)

    def _take(self, ring: Ring) -> None:
        self.rings[ring.name] = ring
        self.at = self.at[0] + ring.size[0], self.at[1] + ring.size[1]

    def align(self) -> None:
        self.at = -(-self.at[0] // QUAD) * QUAD, -(-self.at[1] // QUAD) * QUAD


def lay_out(plan: Plan) -> Memory:
    """Give every ring and scratch area its place: words first, then bytes, what only taps need at the end."""
    room, rows, last = _Room(), plan.rows, plan.layers[-1]
    for stream in plan.streams.values():
        held, plane = rows[f"sum {stream.name}"], (stream_plane(stream), 0)
        room.ring(stream_ring(plan, stream.name), plane, stream.planes, held, stream.held.size)
    room.ring(source_ring(plan, last.name), (_words(last), 0), 1, rows[last.name], WORD_BYTES)
    loose = [layer for layer in plan.layers if not layer.stream]
    if loose:
        room.scratch("sums", max(layer.group * loose_planes(layer) * sum_plane(layer) for layer in loose), 0)
    room.scratch("products", 0, max((_products(conv) for conv in plan.convs), default=0))
    lif = [layer for layer in plan.layers if isinstance(layer.node, LifNode)]
    if lif:
        room.scratch("membranes", max(_words(layer) * membrane_rows(layer) for layer in lif), 0)
    _bytes(plan, room)
    room.align()
    total = room.at
    graded = [layer for layer in plan.layers if isinstance(layer.node, GradedNode)]
    if graded:
        room.scratch("tapped", max(_words(layer) for layer in graded), 0)
    if lif:
        room.scratch("seen", max(layer.source.pixel * layer.source.width for layer in lif), 0)
    spare = ALIGNMENT - 1
    return Memory(room.rings, (total[0], total[1] + spare), (room.at[0], room.at[1] + spare))


def _bytes(plan: Plan, room: _Room) -> None:
    """Rings of spikes, and the rows of zeros that stand for what lies above and below them."""
    spiking = [layer.source for layer in plan.layers[:-1]]
    for source in (plan.sources[IMAGE], *spiking):
        room.source(source_ring(plan, source.name), source, plan.rows[source.name])
    room.source("ring_nothing_image", plan.sources[IMAGE], 1)
    sizes = [source.plane for source in spiking if not source.share]
    if sizes:
        room.ring("ring_nothing", (max(s[0] for s in sizes), max(s[1] for s in sizes)), 1, 1, 1)


def _words(layer: Layer) -> int:
    """Bytes of one row of a layer in words, by unit of width."""
    return WORD_BYTES * layer.node.channels * layer.source.width


def _products(conv: Conv) -> int:
    """Bytes for the sums of a segment, in words and in half words, and for its inputs if these are bits."""
    rows, columns = conv.mantissa.shape[2:]
    taken = (conv.segment - 1) * conv.node.stride + (columns - 1) * conv.node.dilation + 1
    loose = rows * taken * conv.source.pixel if conv.source.share else 0
    return up(conv.segment * conv.lanes * (WORD_BYTES + 2) + loose, WORD_BYTES)


def stream_plane(stream: Stream) -> int:
    """Bytes of a plane of sums in a ring, by unit of width."""
    return up(stream.held.size * stream.channels * stream.width, WORD_BYTES)


def sum_plane(layer: Layer) -> int:
    """The same of sums that no ring holds."""
    return up(layer.held.size * layer.node.channels * layer.source.width, WORD_BYTES)


def loose_planes(layer: Layer) -> int:
    """Planes of sums that no ring holds."""
    return 1 if layer.stepwise else layer.planes


def membrane_rows(layer: Layer) -> int:
    """Rows of membranes that live at a time."""
    return layer.group if layer.stepwise else 1


def place_of(plan: Plan, name: str) -> int:
    """0 for the image, then 1 for the first population, and so on."""
    return 0 if name == IMAGE else 1 + [layer.name for layer in plan.layers].index(name)


def stream_ring(plan: Plan, name: str) -> str:
    """Name in C of the ring of a stream; `name` is that of its first population."""
    return f"ring_sum_{place_of(plan, name)}"


def source_ring(plan: Plan, name: str) -> str:
    """Name in C of the ring of a source's rows."""
    return f"ring_{place_of(plan, name) or IMAGE}"
