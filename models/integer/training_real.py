"""A network that was trained elsewhere as a torch module which computes with the integers' rounding.

Weights, biases, thresholds and decays of every forward pass are those of `quantize_real` of the weights as
they are; gradients reach the unrounded weights and biases unchanged (straight-through), and spikes by the
surrogate of `LifNeuron`. Feed-forward networks whose synaptic currents do not last.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from snn_tool.errors import UnsupportedLayerError
from snn_tool.models.integer.network import InputGrid, IntegerNetwork
from snn_tool.models.integer.neurons import DECAY_STEPS
from snn_tool.models.integer.quantize_real import RealNetwork, quantize_real
from snn_tool.models.neurons import LifNeuron
from snn_tool.models.topology import IMAGE, Synapse
from torch import Tensor, nn
from torch.nn import functional


class RoundedNetwork(nn.Module):
    """Trainable weights of a real network, seen through the integers.

    Args:
        network: gives wiring, decays and the first weights.
        timesteps: T.
        grid: of its inputs.

    Raises:
        UnsupportedLayerError: it is recurrent, or a synaptic current lasts; the population is named.
    """

    def __init__(self, network: RealNetwork, timesteps: int, grid: InputGrid) -> None:
        super().__init__()
        for one in network.populations:
            late = [s.wiring.name for s in network.incoming(one) if s.wiring.delay]
            if late or one.current_decay < 1:
                raise UnsupportedLayerError(
                    f"{one.wiring.name}: "
                    f"{'a recurrent connection' if late else 'a synaptic current that lasts'} "
                    "is not fine-tuned; use 'snn-tool import', which rounds it as it is"
                )
        self.network, self.timesteps, self.grid = network, timesteps, grid
        self.weights = nn.ParameterList(_parameter(one.weight) for one in network.synapses)
        self.biases = nn.ParameterList(_parameter(one.bias) for one in network.populations)

    def real(self) -> RealNetwork:
        """The network with the weights as they are, unrounded."""
        synapses = (
            replace(one, weight=held.detach().double().numpy())
            for one, held in zip(self.network.synapses, self.weights, strict=True)
        )
        populations = (
            replace(one, bias=held.detach().double().numpy())
            for one, held in zip(self.network.populations, self.biases, strict=True)
        )
        return replace(self.network, synapses=tuple(synapses), populations=tuple(populations))

    def integers(self) -> IntegerNetwork:
        """The integers of the weights as they are; raises as `quantize_real` does."""
        return quantize_real(self.real(), self.timesteps, 1, self.grid)

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs [N, C, h, w] of integers of the grid, float32 [N, C, H, W] or [N, T, C, H, W]."""
        made = self.integers()
        weights, biases = self._rounded(made)
        steps = inputs.transpose(0, 1) if self.grid.over_time else inputs[None]
        emitted: dict[str, Tensor] = {IMAGE: steps}
        total = steps
        for population, whole in zip(self.network.populations, made.populations, strict=True):
            name, decay = population.wiring.name, made.decay_of(whole) / DECAY_STEPS
            total = biases[name][:, None, None]
            for synapse in self.network.incoming(population):
                total = total + _current(
                    emitted[synapse.wiring.source], weights[synapse.wiring.name], synapse.wiring
                )
            total = total.expand(self.timesteps, *total.shape[1:])
            if whole.threshold:
                emitted[name] = _neuron(decay)(total.contiguous())
        kept = torch.tensor([(1 - decay) ** (len(total) - 1 - t) for t in range(len(total))])
        return (total * kept[:, None, None, None, None]).sum(dim=0) / self.timesteps

    def _rounded(self, made: IntegerNetwork) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
        """Weights by synapse, per integer of the source, and biases by population, as rounded."""
        weights, biases, names = {}, {}, [one.wiring.name for one in self.network.synapses]
        for index, whole in enumerate(made.populations):
            unit = 1 / whole.threshold if whole.threshold else 2.0**whole.lsb_exponent
            bias = np.zeros(whole.wiring.channels)
            for name in whole.wiring.inputs:
                synapse = made.by_name[name]
                bias += synapse.bias * unit
                real = self.weights[names.index(name)]
                if synapse.wiring.source == IMAGE:
                    real = real * 2.0**self.grid.exponent
                mantissa = torch.from_numpy(synapse.mantissa.astype(np.float64))
                weights[name] = _through(real, mantissa * (2.0**synapse.exponent * unit))
            biases[whole.wiring.name] = _through(self.biases[index], torch.from_numpy(bias))
        return weights, biases


def _parameter(values: np.ndarray) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(values.astype(np.float32)))


def _through(real: Tensor, rounded: Tensor) -> Tensor:
    """The rounded values; gradients go to the real ones."""
    return real + (rounded.to(real.dtype) - real).detach()


def _neuron(decay: float) -> LifNeuron:
    made = LifNeuron(decay)
    made.log_threshold.requires_grad_(False)  # 1: weights and biases are in its units
    return made


def _current(source: Tensor, weight: Tensor, wiring: Synapse) -> Tensor:
    """Currents [T or 1, N, C, h, w] of a synapse."""
    made = functional.conv2d(
        source.flatten(0, 1), weight, None, wiring.stride, wiring.padding, wiring.dilation
    )
    return torch.unflatten(made, 0, source.shape[:2])
