"""The order in which rows are made, and how many rows each ring must hold for that.

Each node, the image first, then the populations, then the output, counts the rows that it has made. A node
makes its next rows when what they need is there and its ring has room. Which of several is made first does
not matter: every node takes and gives fixed numbers of rows, so that if one order comes to the end with rings
of some sizes, every order does (Kahn, The semantics of a simple language for parallel programming, 1974, with
room as a channel in the other direction). The order here is the laziest: nothing is made as long as something
later in the network can be, and an image row is taken only when nothing can. The most rows that it keeps at a
time are the rings' sizes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

UNITS, REMEMBERED = 48, 64
"""Heights up to so many units are played through; the second half of them asks for no more than the first.
Networks of one shape have one schedule, so that answers are kept for so many of them."""


@dataclass(frozen=True, slots=True)
class Need:
    """One node's hold on one buffer.

    Attributes:
        reader: node; the last one is the output.
        buffer: index of the buffer whose rows must stay until they were read.
        after: node whose rows must be there; of spikes the buffer's own node.
        stride, upsample: a row y of the reader belongs to row y / upsample of a convolution, whose place in
            the source is that times stride.
        back, ahead: rows before and after that place.
    """

    reader: int
    buffer: int
    after: int
    stride: int
    upsample: int
    back: int
    ahead: int

    def first(self, row: int) -> int:
        """The first row that a reader which has made `row` rows still needs."""
        return max(0, row // self.upsample * self.stride - self.back)

    def last(self, row: int) -> int:
        """The last row that is needed to make row `row`."""
        return row // self.upsample * self.stride + self.ahead


@dataclass(frozen=True, slots=True)
class Schedule:
    """What `snn_ready` in C decides by.

    Attributes:
        buffers: names; one for each node but the output, then `sum NAME` of streams.
        creators: node that begins a row, for each stream.
        needs: of all nodes.
        groups: rows that a node makes together.
        heights: rows of a node per unit of image height.
        fixed: there is one height, one unit.
        mirrored: image rows of a unit, up to which the last rows are mirrored.
    """

    buffers: tuple[str, ...]
    creators: tuple[int, ...]
    needs: tuple[Need, ...]
    groups: tuple[int, ...]
    heights: tuple[int, ...]
    fixed: bool
    mirrored: int

    def creator(self, buffer: int) -> int:
        """The node that begins a buffer's rows."""
        nodes = len(self.groups)
        return buffer if buffer < nodes else self.creators[buffer - nodes]


@lru_cache(REMEMBERED)
def ring_rows(schedule: Schedule) -> Mapping[str, int]:
    """Rows of each buffer's ring, for images of any height."""
    units = [1] if schedule.fixed else list(range(1, UNITS + 1))
    found = [0] * len(schedule.buffers)
    for unit in units:
        found = [max(pair) for pair in zip(found, _Run(schedule, unit).most, strict=True)]
        if unit == max(1, len(units) // 2):
            halfway = found
    assert found == halfway, "rings would grow with the image"
    # The rows that are mirrored below the image are still in its ring.
    found[0] = max(found[0], 2 * schedule.mirrored if not schedule.fixed else 1)
    return dict(zip(schedule.buffers, found, strict=True))


@lru_cache(REMEMBERED)
def delay_rows(schedule: Schedule, passes: int = 1) -> int:
    """Image rows that are taken before the first row has come out of all passes, of a tall image."""
    taken, rows = _Run(schedule, 1 if schedule.fixed else UNITS * passes).taken, 1
    for _ in range(passes):
        rows = taken[min(rows, len(taken)) - 1]
    return rows


class _Run:
    """One image of a height, row by row."""

    def __init__(self, schedule: Schedule, units: int) -> None:
        self.schedule = schedule
        self.heights = [height * units for height in schedule.heights]
        nodes = len(schedule.groups)
        self.made = [0] * (nodes + 1)
        self.most = [1] * len(schedule.buffers)
        self.finished = False
        self.taken: list[int] = []  # image rows, at each row that comes out
        self.of_reader = [[n for n in schedule.needs if n.reader == node] for node in range(nodes + 1)]
        self.of_buffer = [[n for n in schedule.needs if n.buffer == b] for b in range(len(schedule.buffers))]
        while self._step():
            pass
        assert self.made[:-1] == self.heights, "a network that does not come to its end"

    def _step(self) -> bool:
        nodes = len(self.schedule.groups)
        for node in range(nodes, 0, -1):
            if self._ready(node):
                self._make(node, self.schedule.groups[node] if node < nodes else 1)
                return True
        if self.made[0] < self.heights[0]:
            self._make(0, 1)
            self.finished = self.made[0] == self.heights[0]
            return True
        return False

    def _ready(self, node: int) -> bool:
        nodes = len(self.schedule.groups)
        count = self.schedule.groups[node] if node < nodes else 1
        last = self.made[node] + count - 1
        if self.finished and last >= self.heights[min(node, nodes - 1)]:
            return False
        for need in self.of_reader[node]:
            wanted = need.last(last) + 1
            if self.finished:
                wanted = min(wanted, self.heights[need.after])
            if self.made[need.after] < wanted:
                return False
        return True

    def _make(self, node: int, count: int) -> None:
        if node == len(self.schedule.groups):
            self.taken.append(self.made[0])
        self.made[node] += count
        for buffer, needs in enumerate(self.of_buffer):
            if self.schedule.creator(buffer) == node:
                first = min((need.first(self.made[need.reader]) for need in needs), default=self.made[node])
                self.most[buffer] = max(self.most[buffer], self.made[node] - first)
