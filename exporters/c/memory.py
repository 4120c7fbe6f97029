"""Where everything lies in the caller's buffer, and the bytes that a program takes, before it is compiled."""

from collections.abc import Mapping
from dataclasses import dataclass

from snn_tool.exporters.c.plan import BLOCK, LANES, QUAD, SEGMENT, Layer, Plan, Source
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
        pixel: bytes of a pixel.
    """

    name: str
    offset: tuple[int, int]
    plane: tuple[int, int]
    planes: int
    rows: int
    left: int
    pixel: int

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

    def ring(self, name: str, plane: tuple[int, int], planes: int, rows: int, left: int, pixel: int) -> None:
        ring = Ring(name, self.at, plane, planes, rows, left, pixel)
        self.rings[name] = ring
        self.at = self.at[0] + ring.size[0], self.at[1] + ring.size[1]

    def scratch(self, name: str, unit: int, fixed: int) -> None:
        """Room for one row of words at most."""
        self.ring(f"ring_{name}", (unit, fixed), 1, 1, 0, WORD_BYTES)

    def align(self) -> None:
        self.at = -(-self.at[0] // QUAD) * QUAD, -(-self.at[1] // QUAD) * QUAD


def lay_out(plan: Plan) -> Memory:
    """Give every ring and scratch area its place: words first, then bytes, what only taps need at the end."""
    room, rows, last = _Room(), plan.rows, plan.layers[-1]
    for stream in plan.streams.values():
        pixel = WORD_BYTES * stream.channels
        held = rows[f"sum {stream.name}"]
        room.ring(stream_ring(plan, stream.name), (pixel * stream.width, 0), stream.planes, held, 0, pixel)
    room.ring(source_ring(plan, last.name), _words(last), 1, rows[last.name], 0, WORD_BYTES)
    loose = [layer for layer in plan.layers if not layer.stream]
    if loose:
        room.scratch("sums", max(layer.group * layer.planes * _words(layer)[0] for layer in loose), 0)
    room.scratch("products", 0, _products(plan))
    lif = [layer for layer in plan.layers if isinstance(layer.node, LifNode)]
    if lif:
        room.scratch("membranes", max(_words(layer)[0] for layer in lif), 0)
    _bytes(plan, room)
    room.align()
    total = room.at
    graded = [layer for layer in plan.layers if isinstance(layer.node, GradedNode)]
    if graded:
        room.scratch("tapped", max(_words(layer)[0] for layer in graded), 0)
    spare = ALIGNMENT - 1
    return Memory(room.rings, (total[0], total[1] + spare), (room.at[0], room.at[1] + spare))


def _bytes(plan: Plan, room: _Room) -> None:
    """Rings of spikes, and the rows of zeros that stand for what lies above and below them."""
    spiking = [layer.source for layer in plan.layers[:-1]]
    planes = {source.name: _plane(source) for source in (plan.sources[IMAGE], *spiking)}
    for source in (plan.sources[IMAGE], *spiking):
        place = (source.planes, plan.rows[source.name], source.left, source.pixel)
        room.ring(source_ring(plan, source.name), planes[source.name], *place)
    image = room.rings[source_ring(plan, IMAGE)]
    room.ring("ring_nothing_image", image.plane, image.planes, 1, image.left, image.pixel)
    sizes = [planes[source.name] for source in spiking]
    if sizes:
        room.ring("ring_nothing", (max(s[0] for s in sizes), max(s[1] for s in sizes)), 1, 1, 0, 1)


def _plane(source: Source) -> tuple[int, int]:
    """Bytes of one plane of a row."""
    return source.pixel * source.width, source.pixel * (source.left + source.right)


def _words(layer: Layer) -> tuple[int, int]:
    """Bytes of one row of a layer in words."""
    return WORD_BYTES * layer.node.channels * layer.source.width, 0


def _products(plan: Plan) -> int:
    """Bytes for the sums of a segment, in words and in half words behind them."""
    lanes = max((conv.lanes for conv in plan.convs), default=LANES)
    return (SEGMENT + BLOCK) * lanes * WORD_BYTES + SEGMENT * lanes * 2


def place_of(plan: Plan, name: str) -> int:
    """0 for the image, then 1 for the first population, and so on."""
    return 0 if name == IMAGE else 1 + [layer.name for layer in plan.layers].index(name)


def stream_ring(plan: Plan, name: str) -> str:
    """Name in C of the ring of a stream; `name` is that of its first population."""
    return f"ring_sum_{place_of(plan, name)}"


def source_ring(plan: Plan, name: str) -> str:
    """Name in C of the ring of a source's rows."""
    return f"ring_{place_of(plan, name) or IMAGE}"
