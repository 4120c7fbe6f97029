"""Tells a counter which module is running, and which tensors enter as weights and leave neurons as spikes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from snn_tool.energy.counts.torch_calls import tensors
from snn_tool.energy.torch_counter.counter import SpikeCounter
from snn_tool.energy.torch_counter.kinds import Plain, Spikes, check_multiples, event_sum, level_sum
from snn_tool.energy.torch_counter.neurons import NeuronRole, role_of
from snn_tool.energy.torch_counter.recurrence import RECURRENT, REMEDY, Feedback
from snn_tool.energy.torch_counter.result import INTEGRATOR, NEURON
from snn_tool.errors import UnsupportedLayerError
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes

_STATES = ("mem", "syn", "syn_exc", "syn_inh", "spk", "v_mem", "i_syn", "b", "v")
"""Attributes that hold state in snntorch, sinabs and spikingjelly's integrators."""

LEVELS = Spikes(1.0, unit=False, signed=True)
"""What a caller's own spikes are taken as: whole numbers of either sign, as of an event camera's frames."""


def neuron_updates(module: nn.Module, args: tuple[Any, ...], output: Any) -> int:
    """Neurons times timesteps of one call: one per output value.

    spikingjelly's integrators return a list over time, or, if they `decode` it, one value for all timesteps.
    """
    if getattr(module, "decode", None) is not None:
        return int(args[0].numel())
    return sum(t.numel() for t in tensors(output[0] if isinstance(output, tuple) else output))


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


class Hooks:
    """Hooks on every module of a counter's network.

    Args:
        counter: to tell.
        spiking, integrators: the user's own neuron classes, as in `count_spikes`.
        inputs: what the first argument of an outermost call carries if it is spikes; None for real values.
    """

    def __init__(
        self,
        counter: SpikeCounter,
        spiking: Mapping[type, Spikes],
        integrators: tuple[type, ...],
        inputs: Spikes | None,
    ) -> None:
        self.counter, self.inputs = counter, inputs
        self.roles: dict[str, NeuronRole] = {}
        self.paths = {part: path or type(part).__name__ for path, part in counter.module.named_modules()}
        for part, path in self.paths.items():
            role = role_of(part, spiking, integrators, path)
            if role is not None:
                self.roles[path] = role

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Marks weights and constants, then keeps the hooks until the block ends."""
        handles = []
        for part, path in self.paths.items():
            self._mark_stored(part)
            handles.append(part.register_forward_pre_hook(partial(self._enter, path), with_kwargs=True))
            handles.append(part.register_forward_hook(partial(self._leave, path), always_call=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _mark_stored(self, part: nn.Module) -> None:
        """Parameters, buffers and plain attributes reach no input: what is made of them alone is constant."""
        own = [*part.parameters(recurse=False), *part.buffers(recurse=False), *vars(part).values()]
        for stored in own:
            if isinstance(stored, Tensor):
                self.counter.kinds[stored] = Plain.CONSTANT

    def _enter(self, path: str, part: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        counter = self.counter
        given = [*tensors((*args, *kwargs.values()))]
        if not counter.running:
            counter.calls += part is counter.module
            self._receive(path, given)
        elif counter.neurons and path.rpartition(".")[2] in RECURRENT:
            self._receive_own(counter.running[-1], given)
        counter.running.append(path)
        if path in self.roles:
            counter.neurons.append(self.roles[path].spiking)

    def _receive(self, path: str, given: list[Tensor]) -> None:
        """An outermost call's tensors; what the network itself made in an earlier call stays that."""
        kinds = self.counter.kinds
        for tensor in given:
            if kinds[tensor] is Plain.CONSTANT:
                kinds[tensor] = Plain.REAL  # a module keeps a reference to its last input, say
        if self.inputs is not None and given and kinds[given[0]] is Plain.REAL:
            with _disable_current_modes(), torch.no_grad():
                check_multiples(given[0], self.inputs, f"the input of {path}")
            kinds[given[0]] = self.inputs

    def _receive_own(self, neuron: str, given: list[Tensor]) -> None:
        """A recurrent weight inside of a neuron reads the neuron's own spikes, unmarked until it returns."""
        role = self.roles.get(neuron)
        if role is not None and role.spiking and given:
            self.counter.kinds[given[0]] = role.spikes

    def _leave(self, path: str, part: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        counter = self.counter
        if path not in counter.running:
            return  # refused at its entry
        left = None
        while left != path:  # an error left submodules without this call
            left = counter.running.pop()
            if left in self.roles:
                counter.neurons.pop()
        role = self.roles.get(path)
        if role is not None and output is not None:
            with _disable_current_modes(), torch.no_grad():
                self._mark_emitted(path, role, output)
                if not counter.neurons:
                    self._emit(path, part, role, args, output)
        if not counter.neurons:
            counter.feedback = Feedback()

    def _mark_emitted(self, path: str, role: NeuronRole, output: Any) -> None:
        """What a neuron returns is what its class emits, also inside of another neuron."""
        for emitted in tensors(output[0] if isinstance(output, tuple) else output):
            if role.spiking:
                check_multiples(emitted, role.spikes, path)
                self._refuse_feedback(path, emitted)
            self.counter.kinds[emitted] = role.spikes if role.spiking else Plain.REAL

    def _refuse_feedback(self, path: str, emitted: Tensor) -> None:
        counter = self.counter
        if counter.kinds[emitted] is Plain.REAL and counter.feedback.reaches(emitted):
            raise UnsupportedLayerError(
                f"{path}: weights inside of it read its own output before it is known to be spikes, and "
                f"would be counted as multiply-accumulates; {REMEDY}"
            )

    def _emit(self, path: str, part: nn.Module, role: NeuronRole, args: tuple[Any, ...], output: Any) -> None:
        tally = self.counter.tally(path, NEURON if role.spiking else INTEGRATOR)
        tally.calls += 1
        tally.updates += neuron_updates(part, args, output)
        tally.state = max(tally.state, state_bytes(part, output))
        if role.spiking:
            for emitted in tensors(output[0] if isinstance(output, tuple) else output):
                every = list(range(emitted.dim()))
                tally.spikes += int(event_sum(emitted, role.spikes, every))
                tally.levels += int(level_sum(emitted, role.spikes, every))
