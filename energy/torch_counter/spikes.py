"""`count_spikes`: exact operations of any torch SNN while its user runs it over the timesteps as usual.

The operations that torch performs are watched one by one (`counter`) and booked on the innermost
running module. Outputs of neuron modules are spikes (`neurons`); what later operations make of them
follows from the operations (`rules`). Inside of a neuron only products are booked, e.g. of a recurrent
weight: its other arithmetic is one neuron update.
"""

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

import torch
from snn_tool.energy.torch_counter.counter import SpikeCounter
from snn_tool.energy.torch_counter.hooks import LEVELS, Hooks
from snn_tool.energy.torch_counter.kinds import Spikes
from snn_tool.errors import ConfigError
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel


class DenseNetworkWarning(UserWarning):
    """Nothing in the network is known to emit spikes."""


@contextmanager
def count_spikes(
    module: nn.Module,
    inputs: Literal["real", "spikes"] = "real",
    spiking: Mapping[type, Spikes] | None = None,
    integrators: Iterable[type] = (),
) -> Iterator[SpikeCounter]:
    """Count what `module` computes until the block ends; `counter.result()` gives the counts at any time.

        with count_spikes(network) as counter:
            for image in frames:
                network(image)
        print(counter.result().synops)

    The network runs as it is, on its own device, in single-step or multi-step mode, and its results are
    unchanged. Operations count while a module of the network runs; those on weights alone do not. Call
    `network.eval()` and reset its neurons first: dropout would make real values of spikes.

    Args:
        module: of neurons of norse, snntorch, spikingjelly, sinabs, or of this package.
        inputs: what the caller passes to the outermost modules: real values, or whole numbers of spikes.
        spiking: neuron classes of your own with what they emit, e.g. `{MyNeuron: Spikes()}`.
        integrators: classes of your own that emit a membrane.

    A network without a spiking neuron is counted as dense, with a `DenseNetworkWarning`.

    Raises:
        UnsupportedLayerError: an operation, a library's neuron, or weights inside of a neuron have no
            counting rule; it and the module's path are named.
        DataError: a neuron, or the caller, passed on something other than spikes.
        ConfigError: `inputs` is neither `real` nor `spikes`.
    """
    if inputs not in ("real", "spikes"):
        raise ConfigError(f"inputs = '{inputs}' is not allowed; use 'real' or 'spikes'")
    counter = SpikeCounter(module)
    hooks = Hooks(counter, spiking or {}, tuple(integrators), LEVELS if inputs == "spikes" else None)
    if inputs == "real" and not any(role.spiking for role in hooks.roles.values()):
        warnings.warn(_without_neurons(module), DenseNetworkWarning, stacklevel=3)  # of the caller's `with`
    with _separate_attention(), hooks.attached(), counter:
        yield counter


def _without_neurons(module: nn.Module) -> str:
    return (
        f"{type(module).__name__} has no spiking neuron that count_spikes knows: everything is counted as "
        "multiply-accumulates; name your neurons, spiking={MyNeuron: Spikes()}, or say inputs='spikes'"
    )


@contextmanager
def _separate_attention() -> Iterator[None]:
    """Attention in single products: fused kernels would hide which of them read spikes."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
