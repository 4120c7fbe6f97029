"""How many spikes a tensor holds, exact in int64, and whether a neuron's output is spikes at all."""

from math import prod

import torch
from snn_tool.energy.torch_counter.kinds import Spikes
from snn_tool.errors import DataError
from torch import Tensor

EXACT_FLOAT = 1 << 24
"""A float32 holds every whole number up to here, so that sums of fewer unit spikes are exact."""


def event_sum(values: Tensor, spikes: Spikes, dimensions: list[int]) -> Tensor:
    """Nonzero spikes, summed over `dimensions`, int64.

    Sums of floats are several times as fast as `count_nonzero`, and whole numbers of this size are exact.
    """
    terms = prod(values.shape[d] for d in dimensions)
    dtype = torch.float32 if terms < EXACT_FLOAT else torch.float64
    if not (spikes.unit and spikes.amplitude == 1.0):
        values = values.sign()
    values = values.abs() if spikes.signed else values
    return (values.sum(dimensions, dtype=dtype) if dimensions else values).to(torch.int64)


def level_sum(values: Tensor, spikes: Spikes, dimensions: list[int]) -> Tensor:
    """Magnitudes in units of the amplitude, summed over `dimensions`, int64."""
    if spikes.unit:
        return event_sum(values, spikes, dimensions)
    if spikes.amplitude is None:
        raise AssertionError("levels have an amplitude")
    levels = (values.abs().to(torch.float64) / spikes.amplitude).round()
    return (levels.sum(dimensions) if dimensions else levels).to(torch.int64)


def check_multiples(values: Tensor, spikes: Spikes, path: str) -> None:
    """Refuse a neuron whose output is not what its class emits, e.g. a surrogate that returns real values.

    Rounding of the values' own type is allowed, two of its steps.

    Raises:
        DataError: a value is no multiple of the amplitude, or has the wrong sign or more than one level.
    """
    if spikes.amplitude is None:
        return
    if spikes == Spikes() and torch.equal(values, values.to(torch.bool).to(values.dtype)):
        return  # the usual case, six times as fast
    steps = torch.finfo(values.dtype).eps if values.is_floating_point() else 0.0
    scaled = values.to(torch.float64) / spikes.amplitude
    levels = scaled.sign() if spikes.unit else scaled.round()
    if not spikes.signed:
        levels = levels.relu()
    if not torch.allclose(scaled, levels, rtol=2 * steps, atol=2 * steps):
        raise DataError(
            f"{path}: a value is no multiple of {spikes.amplitude:g} as spikes are; let the neuron emit "
            "spikes, or name its class in count_spikes(integrators=...)"
        )
