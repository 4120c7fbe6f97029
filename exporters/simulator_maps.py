"""Our own maps from NIR nodes onto neurons, where an importer cannot express them; loads torch when asked.

nirtorch gets a plain torch neuron of NIR's equations, sinabs its own layers with one spike per step and a
reset, snntorch its Leaky with beta = 1 for an IF (its importer sets 0.9). All hold u (`simulator_encoding`).
"""

from collections.abc import Callable, Mapping
from typing import Any

import nir
import numpy as np
import torch
from torch import Tensor, nn

Maps = Mapping[type, Callable[[Any], nn.Module]]


class PlainNeuron(nn.Module):
    """u = kept u + x, fires above the threshold, then takes the reset's value; the state is u."""

    def __init__(self, kept: float, threshold: float, reset: float) -> None:
        super().__init__()
        self.kept, self.threshold, self.reset = kept, threshold, reset

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Spikes and membranes after the reset, of the input's shape."""
        u = x if state is None else self.kept * state + x
        fired = u > self.threshold
        return fired.to(x.dtype), torch.where(fired, torch.full_like(u, self.reset), u)


class SinabsNeuron(nn.Module):
    """A sinabs layer as a module of one timestep with an explicit state."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer: Any = layer

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Spikes and membranes after the reset, of the input's shape."""
        self.layer.v_mem = torch.zeros_like(x) if state is None else state
        spikes = self.layer(x[:, None])[:, 0]
        return spikes, self.layer.v_mem


def conv2d(node: nir.Conv2d) -> nn.Module:
    """A torch convolution in float64."""
    weight, bias = (torch.from_numpy(np.asarray(a, dtype=np.float64)) for a in (node.weight, node.bias))
    outputs, inputs, *kernel = weight.shape
    stride, padding, dilation = (_pair(value) for value in (node.stride, node.padding, node.dilation))
    rows, columns = kernel
    module = nn.Conv2d(inputs, outputs, (rows, columns), stride, padding, dilation, dtype=torch.float64)
    module.weight.data, module.bias.data = weight, bias  # type: ignore[union-attr]
    return module


def _pair(value: Any) -> tuple[int, int]:
    rows, columns = np.broadcast_to(value, 2)
    return int(rows), int(columns)


def plain_maps() -> Maps:
    """For nirtorch itself."""
    return {nir.Conv2d: conv2d, nir.LIF: _plain, nir.IF: _plain}


def sinabs_maps() -> Maps:
    """Onto sinabs' LIF and IAF."""
    return {nir.Conv2d: conv2d, nir.LIF: _sinabs, nir.IF: _sinabs}


def _first(values: Any) -> float:
    return float(np.asarray(values).flat[0])


def _kept(node: nir.LIF | nir.IF, dt_s: float) -> float:
    return 1 - dt_s / _first(node.tau) if isinstance(node, nir.LIF) else 1.0


def _plain(node: nir.LIF | nir.IF) -> nn.Module:
    return PlainNeuron(_kept(node, 1.0), _first(node.v_threshold), _first(node.v_reset))


def _sinabs(node: nir.LIF | nir.IF) -> nn.Module:
    import sinabs.activation as sa
    import sinabs.layers as sl

    options = {
        "spike_threshold": torch.tensor(_first(node.v_threshold), dtype=torch.float64),
        "spike_fn": sa.SingleSpike,
        "reset_fn": sa.MembraneReset(_first(node.v_reset)),
    }
    if isinstance(node, nir.IF):
        return SinabsNeuron(sl.IAF(**options))
    layer = sl.LIF(tau_mem=1.0, norm_input=False, **options)
    # The constructor cuts tau to float32, which moves exp(-1 / tau) by more than a membrane's unit allows.
    steps = -1 / np.log(_kept(node, 1.0))
    layer.tau_mem = nn.Parameter(torch.tensor(steps, dtype=torch.float64), requires_grad=False)
    return SinabsNeuron(layer)


def snntorch_leaky(node: nir.IF) -> nn.Module:
    """An IF as snntorch's Leaky without a leak."""
    import snntorch

    return snntorch.Leaky(  # type: ignore[no-any-return]
        beta=1.0,
        threshold=_first(node.v_threshold),
        reset_mechanism="zero",
        init_hidden=True,
        reset_delay=False,
    )
