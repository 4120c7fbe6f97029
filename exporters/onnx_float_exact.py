"""Sums of a float network in float64, and how far float32 may be off them.

With u = 2^-24 a float32 sum of n products in any order differs from the exact one by at most

    n u / (1 - n u)  *  sum |weight| |source|        Higham, Accuracy and Stability, 2nd ed., section 3.1
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from snn_tool.models.network import Network, SynapticConv
from snn_tool.models.neurons import LifNeuron
from snn_tool.models.topology import Population
from torch.nn import functional

UNIT = 2.0**-24
FURTHER = 4
"""Roundings besides those of products and streams: of the bias, and of a leak's factor, product and sum."""

Reals = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ExactSum:
    """A population's membrane input.

    Attributes:
        total: in float64 [N, C, H, W].
        bound: of the magnitude of float32's error, of the same shape.
    """

    total: Reals
    bound: Reals


def exact_sum(
    network: Network, population: Population, sources: Mapping[str, NDArray[Any]], past: NDArray[Any] | None
) -> ExactSum:
    """A population's membrane before its neuron answers.

    Args:
        network: the weights.
        population: one of its populations.
        sources: what image and populations gave in this step, float32 [N, C, H, W], by name.
        past: its membrane after the step before; None at rest and of neurons without memory.
    """
    named = (network.synapses[name] for name in population.inputs)
    modules = [module for module in named if isinstance(module, SynapticConv)]
    total = sum(_convolved(m, sources[m.synapse.source], False) for m in modules)
    magnitude = sum(_convolved(m, sources[m.synapse.source], True) for m in modules)
    if past is not None:
        kept = 1 - _leak(network, population)
        total = total + kept * past.astype(np.float64)
        magnitude = magnitude + kept * np.abs(past.astype(np.float64))
    products = max(m.synapse.in_channels * m.synapse.kernel**2 for m in modules)
    rounded = (products + len(modules) + FURTHER) * UNIT
    return ExactSum(np.asarray(total), rounded / (1 - rounded) * np.asarray(magnitude))


def _leak(network: Network, population: Population) -> float:
    """0 of the read-out, which has no neurons."""
    if population.name not in network.neurons:
        return 0.0
    neuron = network.neurons[population.name]
    return neuron.leak if isinstance(neuron, LifNeuron) else 0.0


def _convolved(module: SynapticConv, source: NDArray[Any], magnitudes: bool) -> Reals:
    """A synapse's currents, or the sums of their products' magnitudes."""
    wiring = module.synapse
    given, weight = torch.from_numpy(source).double(), module.weight.detach().double()
    bias = None if module.bias is None else module.bias.detach().double()
    if magnitudes:
        given, weight, bias = given.abs(), weight.abs(), None if bias is None else bias.abs()
    sums = functional.conv2d(given, weight, bias, wiring.stride, wiring.padding, wiring.dilation)
    shuffled: Reals = functional.pixel_shuffle(sums, wiring.upsample).numpy()
    return shuffled
