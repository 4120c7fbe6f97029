"""The shapes of the frontier benchmark: a student, its ANN twin, or a change of its wiring."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from snn_tool.errors import ConfigError
from snn_tool.models.config import LEAK_STEPS, StudentConfig, default_config
from snn_tool.models.network import Network
from snn_tool.models.neurons import GradedNeuron, LifNeuron, ReluNeuron
from snn_tool.models.student import build_topology
from snn_tool.models.topology import IMAGE, Topology

LARGEST = 87_000
"""Trainable values that a student may have; a shape beyond it would win by size."""


def plain_head(topology: Topology) -> Topology:
    """The first convolution without the constraint that each of its kernels sums to zero."""
    return replace(topology, synapses=tuple(replace(s, zero_mean=False) for s in topology.synapses))


def dense_readout(topology: Topology) -> Topology:
    """The read-out reads every population at the image's resolution, not the last alone, by a 3x3 each."""
    (tail,) = (s for s in topology.synapses if s.name == "tail")
    further = tuple(
        replace(tail, name=f"tail_{population.name}", source=population.name)
        for population in topology.spiking
        if population.downscale == 1 and population.name != tail.source
    )
    readout = replace(topology.readout, inputs=(*topology.readout.inputs, *(s.name for s in further)))
    return replace(
        topology,
        synapses=(*topology.synapses, *further),
        populations=(*topology.spiking, readout),
    )


CHANGES: Mapping[str, Callable[[Topology], Topology]] = {
    "plain-head": plain_head,
    "dense-readout": dense_readout,
}


@dataclass(frozen=True, slots=True)
class Shape:
    """One shape.

    Attributes:
        config: the student, or the student whose twin it is.
        twin: ReLU in place of spikes.
        change: a key of `CHANGES`, or None.
    """

    name: str
    config: StudentConfig
    twin: bool = False
    change: str | None = None

    @property
    def topology(self) -> Topology:
        """The wiring, with its change."""
        topology = build_topology(self.config)
        return CHANGES[self.change](topology) if self.change else topology

    @property
    def kind(self) -> str:
        """`ANN twin`, `graded`, or `lif`, for the legend."""
        return "ANN twin" if self.twin else self.config.neuron

    def build(self) -> Network:
        """A fresh network with weights from torch's global generator."""
        if self.twin:
            return Network(self.topology, ReluNeuron)
        if self.config.neuron == "lif":
            neuron = partial(LifNeuron, self.config.leak / LEAK_STEPS)
            return Network(self.topology, neuron, self.config.timesteps)
        return Network(self.topology, partial(GradedNeuron, self.config.levels, self.config.signed))

    def describe(self) -> dict[str, Any]:
        """JSON values that define the shape."""
        return {**asdict(self.config), "twin": self.twin, "change": self.change}


def shape(name: str, table: Mapping[str, Any]) -> Shape:
    """A shape from its table.

    Raises:
        ConfigError: an unknown key or change, a value that no student can have, or too many parameters.
    """
    values = dict(table)
    twin, change = bool(values.pop("twin", False)), values.pop("change", None)
    if change is not None and change not in CHANGES:
        raise ConfigError(f"{name}: change = '{change}' is not known; use {', '.join(CHANGES)}")
    try:
        default = default_config(values.pop("neuron", "graded"), values.pop("body", "unet"))
        made = Shape(name, replace(default, **values), twin, change)
    except TypeError as error:
        raise ConfigError(f"{name}: {error}") from error
    if made.topology.parameters > LARGEST:
        raise ConfigError(f"{name}: has {made.topology.parameters:,} parameters, more than {LARGEST:,}")
    return made


def head_macs(topology: Topology, timesteps: int) -> int:
    """Multiply-accumulates per pixel of the synapses that read the image, which no spike gates."""
    return timesteps * sum(
        s.out_channels * s.in_channels * s.kernel**2 // s.stride**2
        for s in topology.synapses
        if s.source == IMAGE
    )
