"""What SANA-FE reports of one tile: energies by component, and the counts that they are made of."""

from dataclasses import dataclass
from typing import Annotated

import msgspec
from snn_tool.files.documents import Count

Joules = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
"""What a file may state: a number that is finite, not negative and not absurd; a tile takes µJ and ms."""


@dataclass(frozen=True, slots=True)
class ChipEnergy:
    """Joules of one tile, dynamic energy only; `total` is the sum of the four parts.

    Attributes:
        synapse: every connection that a spike is processed at.
        dendrite: 0 in SANA-FE's Loihi, whose synapses include it.
        soma: every neuron's access at every step, updates, and spikes.
        network: packets out, and hops between tiles of the mesh.
    """

    total: Joules
    synapse: Joules
    dendrite: Joules
    soma: Joules
    network: Joules


@dataclass(frozen=True, slots=True)
class ChipActivity:
    """One tile on the chip, from rest to the read-out's last step.

    Attributes:
        energy_j: see `ChipEnergy`.
        synaptic_events: connections that a spike was processed at, hence synops.
        neurons_fired: spikes sent, the relays' included.
        neuron_updates: neuron-steps with a current, a bias or a membrane other than 0.
        packets: messages from a neuron to a core; one for each core that it reaches.
        hops: between tiles of the mesh.
        time_s: the chip's time by SANA-FE's detailed timing model.
    """

    energy_j: ChipEnergy
    synaptic_events: Count
    neurons_fired: Count
    neuron_updates: Count
    packets: Count
    hops: Count
    time_s: Seconds
