"""How often a neuron module updated, and what it keeps between timesteps."""

from typing import Any

from snn_tool.energy.counts.torch_calls import tensors
from torch import Tensor, nn


def neuron_updates(module: nn.Module, args: tuple[Any, ...], output: Any) -> int:
    """Neurons times timesteps of one call: one per output value.

    spikingjelly's integrators return a list over time, or, if they `decode` it, one value for all timesteps.
    """
    if getattr(module, "decode", None) is not None:
        return int(args[0].numel())
    return sum(t.numel() for t in tensors(output[0] if isinstance(output, tuple) else output))


_STATES = ("mem", "syn", "syn_exc", "syn_inh", "spk", "v_mem", "i_syn", "b", "v")
"""Attributes that hold state in snntorch, sinabs and spikingjelly's integrators."""


def state_bytes(module: nn.Module, output: Any) -> int:
    """Bytes of what a neuron keeps from one timestep to the next, after a call that returned `output`.

    spikingjelly keeps its state in `_memories`, snntorch and sinabs in buffers, norse in the state that it
    returns; this package's `lif` keeps one membrane [N, C, H, W] inside the call, `graded` none.
    """
    if type(module).__name__ in ("LifNeuron", "GradedNeuron"):
        binary = type(module).__name__ == "LifNeuron"
        return output[0].numel() * output.element_size() if binary else 0
    kept: list[Any] = []
    if isinstance(output, tuple):
        recorded = getattr(module, "record_states", False)  # norse: the states of all timesteps, in one
        kept += [state[-1].clone() if recorded else state for state in tensors(output[1:])]
    memories = getattr(module, "_memories", {})
    kept += [value for key, value in memories.items() if not key.endswith("_seq")]
    kept += [getattr(module, name, None) for name in _STATES]
    held = {id(value): value for value in kept if isinstance(value, Tensor) and value.dim()}
    storages = {t.untyped_storage()._cdata: t.numel() * t.element_size() for t in held.values()}
    return sum(storages.values())
