"""A spiking network trained elsewhere, in real numbers and in the shape in which it is deployed.

A population's unit of membrane is its threshold: a neuron that resets to 0 computes the same with weights,
bias and threshold multiplied by any number, so that every threshold is 1 here. Per timestep and population

    v  = (1 - decay) v + sum of conv(z) + bias        z = [v > 1], v = 0 where it fires

The read-out does not fire; what it holds after T timesteps, divided by T, is the output in its own units.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from snn_tool.models.topology import Population, Synapse

Reals = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class RealSynapse:
    """A convolution's weights [out, in, kh, kw], in units of the target's membrane.

    From the image they are per unit of an image in [0, 1], from a population per spike.
    """

    wiring: Synapse
    weight: Reals


@dataclass(frozen=True, slots=True, eq=False)
class RealPopulation:
    """Neurons that share one decay, and a threshold of 1.

    Attributes:
        wiring: inputs, channels and name.
        bias: [C], added at every timestep.
        decay: fraction of the membrane that is lost per timestep, 0 to 1.
    """

    wiring: Population
    bias: Reals
    decay: float


@dataclass(frozen=True, slots=True, eq=False)
class RealNetwork:
    """Synapses and populations in execution order, the read-out last.

    Attributes:
        adds_image: the output is the image plus the read-out.
        image_size: (H, W) of the only images that fit, or None.
    """

    synapses: tuple[RealSynapse, ...]
    populations: tuple[RealPopulation, ...]
    adds_image: bool
    image_size: tuple[int, int] | None

    def incoming(self, population: RealPopulation) -> tuple[RealSynapse, ...]:
        """The synapses of a population, in the order of its inputs."""
        by_name = {synapse.wiring.name: synapse for synapse in self.synapses}
        return tuple(by_name[name] for name in population.wiring.inputs)
