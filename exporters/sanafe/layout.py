"""A plan laid out on the cores of one chip, connection by connection."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import TargetLimitError, UnsupportedLayerError
from snn_tool.exporters.loihi.chips import expanded_synapses, positions
from snn_tool.exporters.loihi.deployment import Deployment, size_multiple
from snn_tool.exporters.loihi.report import largest_side
from snn_tool.exporters.loihi.specs import ConvSpec, LifSpec, Plan, Shape
from snn_tool.exporters.nir.program import Program, refuse_time
from snn_tool.models.streams import FANOUT

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
    position = positions(conv, axis)
    output, tap = np.nonzero((position >= 0) & (position < conv.input_shape[axis]))
    return output, tap, position[output, tap]


def _shuffled(
    conv: ConvSpec, column: Integers, row: Integers, channel: Integers
) -> tuple[Integers, Integers, Integers]:
    """Where the plan's virtual ports send an output (`loihi.plan`)."""
    part, channel = np.divmod(channel, conv.output_shape[2])
    part_x, part_y = np.divmod(part, conv.upsample)
    return column * conv.upsample + part_x, row * conv.upsample + part_y, channel


def _numbers(shape: Shape, column: Integers, row: Integers, channel: Integers) -> Integers:
    return (column * shape[1] + row) * shape[2] + channel


NEURONS_PER_CORE = 1024
"""Of Loihi (Davies et al. 2018), and of the architecture file that SANA-FE ships."""

LEAK_ONE = 4096


@dataclass(frozen=True, slots=True)
class ChipGroup:
    """The neurons of one population or relay.

    Attributes:
        shape: (W, H, C).
        first_core: cores follow without a gap.
        threshold: in LSB; it fires above.
        leak: 4096ths of the membrane that a step keeps.
        depth: hop depth, the first step of its window.
        is_relay: holds spikes for a later reader.
    """

    name: str
    shape: Shape
    first_core: int
    threshold: int
    leak: int
    depth: int
    is_relay: bool

    @property
    def neurons(self) -> int:
        """W H C."""
        width, height, channels = self.shape
        return width * height * channels

    @property
    def cores(self) -> int:
        """Cores that it fills."""
        return -(-self.neurons // NEURONS_PER_CORE)


@dataclass(frozen=True, slots=True, eq=False)
class ChipNetwork:
    """A whole deployment on one chip.

    Attributes:
        groups: in execution order, relays among them.
        connections: of all convolutions whose source spikes.
        image_connections: of the others; they become biases.
        biases: of each group int64 [neurons], without the image.
        timesteps: T.
        depth: hop depth D of the read-out.
    """

    groups: tuple[ChipGroup, ...]
    connections: tuple[Connections, ...]
    image_connections: tuple[Connections, ...]
    biases: dict[str, Integers]
    timesteps: int
    depth: int

    @property
    def steps(self) -> int:
        """Steps that one image takes."""
        return self.timesteps + self.depth - 1

    @property
    def neurons(self) -> int:
        """Neurons of all groups."""
        return sum(group.neurons for group in self.groups)

    @property
    def cores(self) -> int:
        """Cores in use."""
        return sum(group.cores for group in self.groups)

    @property
    def synapses(self) -> int:
        """Connections between neurons."""
        return sum(len(connections.weights) for connections in self.connections)

    def drives(self, tile: NDArray[np.integer]) -> dict[str, Integers]:
        """Bias of each group int64 [neurons] in LSB while it sees an image, integers [3, H, W]."""
        image = tile.astype(np.int64).transpose(2, 1, 0).ravel()
        drives = {name: bias.copy() for name, bias in self.biases.items()}
        for read in self.image_connections:
            np.add.at(drives[read.target], read.targets, read.weights * image[read.sources])
        return drives


CORES = 128
"""Of one Loihi (Davies et al. 2018), and of the architecture file that SANA-FE ships."""

MAX_CONNECTIONS = 6_000_000
"""SANA-FE 2.2.9 takes about 0.85 kB for a connection, and 1.5 GB for an empty chip (measured)."""


def chip_network(program: Program, lowering: str = FANOUT) -> ChipNetwork:
    """Lay a network out on the cores of one chip, connection by connection.

    Args:
        program: of a NIR file.
        lowering: of membrane shortcuts.

    Raises:
        UnsupportedLayerError: a process has graded neurons; all are named.
        TargetLimitError: more cores or connections than there is room for; says which tile fits.
    """
    refuse_time(program, "SANA-FE")
    deployment = Deployment(program, lowering)
    plan = deployment.plan
    neurons = _lif(plan)
    if excess := _excess(plan):
        raise TargetLimitError(f"{excess}; {_fitting(deployment)}")
    images = {source.name for source in plan.sources}
    groups = _placed(neurons)
    convs = [(conv, connect(conv)) for conv in plan.convs]
    return ChipNetwork(
        groups,
        tuple(edges for conv, edges in convs if conv.source not in images),
        tuple(edges for conv, edges in convs if conv.source in images),
        {n.name: np.broadcast_to(n.bias_mant, n.shape).astype(np.int64).ravel() for n in neurons},
        plan.timesteps,
        plan.depth,
    )


def _lif(plan: Plan) -> list[LifSpec]:
    """The neurons of a plan, if all are LIF."""
    others = [neuron.name for neuron in plan.neurons if not isinstance(neuron, LifSpec)]
    if others:
        raise UnsupportedLayerError(
            f"{', '.join(others)}: graded neurons, but a spike in SANA-FE carries no payload; "
            "take a lif student exported with --lowering fanout"
        )
    return [neuron for neuron in plan.neurons if isinstance(neuron, LifSpec)]


def _placed(neurons: list[LifSpec]) -> tuple[ChipGroup, ...]:
    groups: list[ChipGroup] = []
    core = 0
    for n in neurons:
        groups.append(ChipGroup(n.name, n.shape, core, n.vth, LEAK_ONE - n.dv, n.depth, n.is_relay))
        core += groups[-1].cores
    return tuple(groups)


def _excess(plan: Plan) -> str:
    """What of a plan is more than the chip has, or empty."""
    cores = sum(group.cores for group in _placed(_lif(plan)))
    if cores > CORES:
        return f"{cores} cores of {NEURONS_PER_CORE} neurons are needed and SANA-FE's Loihi has {CORES}"
    images = {source.name for source in plan.sources}
    count = sum(expanded_synapses(conv) for conv in plan.convs if conv.source not in images)
    if count > MAX_CONNECTIONS:
        return f"{count:,} connections exceed the {MAX_CONNECTIONS:,} that SANA-FE is given memory for"
    return ""


def _fitting(deployment: Deployment) -> str:
    """Which tiles of the same network fit: they are counted, not guessed."""
    program = deployment.program
    if not program.fits_any_size:
        return f"the network takes images of {program.width}x{program.height} alone; use a smaller network"

    def fits(side: int) -> bool:
        return not _excess(deployment.plan_of_size(side, side))

    side = largest_side(size_multiple(program), fits)
    if not side:
        return "no tile of this network fits; use a smaller network"
    return f"the largest tile that fits is {side}x{side}: export with --size {side}"
