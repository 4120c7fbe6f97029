"""A plan as neurons and single connections on Loihi cores: what SANA-FE (TCAD 2025) takes.

SANA-FE has no shared kernels that know padding, dilation or pixel-shuffle, so every tap inside its source is
one connection. Neurons are numbered like a (W, H, C) array, n = (x H + y) C + c. A core holds at most 1024
neurons of one population; populations follow each other in execution order from core to core.

Time. A spike that is sent in step s is integrated in step s + 1. The image needs no hop, because its currents
are biases; so a population at hop depth d lives in steps d .. d + T - 1, one less than in Lava, and an image
takes T + D - 1 steps. Biases act in a population's own window and are 0 outside of it.

Arithmetic. SANA-FE's `leaky_integrate_fire` computes in double precision what Lava's LIF does in integers:
leak (4096 - dv) / 4096 is exact, the membrane is cut toward zero to 64ths after it, the threshold is strict,
the reset hard and to 0. It neither wraps nor saturates at 24 bits; a network that does on its tile will
differ. Spikes are binary, so graded neurons and accumulators cannot be expressed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from snn_tool.exporters.loihi_layout import Shape
from snn_tool.exporters.sanafe_connections import Connections, Integers

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
