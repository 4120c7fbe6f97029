"""What SANA-FE reports of one tile: energies by component, and the counts that they are made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ChipEnergy:
    """Joules of one tile, dynamic energy only; `total` is the sum of the four parts.

    Attributes:
        synapse: every connection that a spike is processed at.
        dendrite: 0 in SANA-FE's Loihi, whose synapses include it.
        soma: every neuron's access at every step, updates, and spikes.
        network: packets out, and hops between tiles of the mesh.
    """

    total: float
    synapse: float
    dendrite: float
    soma: float
    network: float


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
    synaptic_events: int
    neurons_fired: int
    neuron_updates: int
    packets: int
    hops: int
    time_s: float


def activity_of(entry: Mapping[str, Any]) -> ChipActivity:
    """One tile's activity from JSON.

    Raises:
        KeyError, TypeError, ValueError: something is missing or of another kind.
    """
    energy = entry["energy_j"]
    return ChipActivity(
        ChipEnergy(
            float(energy["total"]),
            float(energy["synapse"]),
            float(energy["dendrite"]),
            float(energy["soma"]),
            float(energy["network"]),
        ),
        int(entry["synaptic_events"]),
        int(entry["neurons_fired"]),
        int(entry["neuron_updates"]),
        int(entry["packets"]),
        int(entry["hops"]),
        float(entry["time_s"]),
    )
