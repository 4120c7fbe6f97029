"""A budget of synaptic operations per pixel as a loss term.

    events(z) = clamp(|z|, 0, 1)        S = (1 / pixels) sum over populations of fan_out sum events
    synops    = max(0, S / budget - 1)

A graded spike of any level is one event. fan_out is the interior's, sum of C_out k^2 / s^2 over the synapses
that read a population; borders and the lowering of the shortcuts are the business of `energy report`. The
gradient of the clamp reaches spikes of one level alone: those that a slightly higher threshold would save.
"""

from functools import partial

import torch
from snn_tool.models.network import Network
from torch import Tensor, nn

WEIGHT = 0.05
"""Of the term in the loss, of which L1 is 0.02 to 0.03 at sigma 25. There 500 steps with a budget of 20,000
end at 19,106 synops per pixel, and without one at 31,380."""


class SynopMeter:
    """Counts a student's synaptic operations while it runs.

    Args:
        student: its neurons are hooked; the hooks last as long as the network.
    """

    def __init__(self, student: Network) -> None:
        self._fan_out = fan_outs(student)
        self._synops: dict[str, Tensor] = {}
        for name, neuron in student.neurons.items():
            neuron.register_forward_hook(partial(self._count, name, float(neuron.amplitude)))  # type: ignore[arg-type]

    def _count(
        self, name: str, amplitude: float, module: nn.Module, inputs: tuple[Tensor], spikes: Tensor
    ) -> None:
        events = (spikes / amplitude).abs().clamp(0, 1)
        self._synops[name] = events.sum(dtype=torch.float32) * self._fan_out[name]

    def per_pixel(self, images: Tensor) -> Tensor:
        """Synaptic operations per pixel of the last run, which was on `images` [N, 3, H, W]; a scalar."""
        total = torch.stack(list(self._synops.values())).sum()
        self._synops.clear()
        return total / (images.shape[0] * images.shape[2] * images.shape[3])


def fan_outs(student: Network) -> dict[str, float]:
    """Interior fan-out of one spike of each population, in synaptic operations."""
    return {
        population.name: sum(
            synapse.out_channels * (synapse.kernel / synapse.stride) ** 2
            for synapse in student.topology.synapses
            if synapse.source == population.name
        )
        for population in student.topology.spiking
    }


def over_budget(synops_per_pixel: Tensor, budget: float) -> Tensor:
    """By what fraction the budget is exceeded; 0 within it."""
    return (synops_per_pixel / budget - 1).clamp(min=0)
