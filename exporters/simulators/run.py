"""A loaded network, run step by step: what its own neurons emit and hold, read by hooks on their modules.

Between two timesteps the host may rewrite a membrane (`Register`), as a chip does that keeps it in a register
of whole units; without, the simulator's own floating-point state goes on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray
from snn_tool.exporters.simulators.encoding import Readout
from snn_tool.exporters.simulators.load import Loaded

Floats = NDArray[np.float64]
Register = Callable[[Floats], Floats]
"""From a population's u after the reset to the u with which it goes on."""


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """Of T timesteps.

    Attributes:
        output: float64 [T, N, C, H, W], what reaches the Output, before any read-out on the host.
        spikes: for each population float64 [T, N, C, H, W].
        membranes: likewise, u after the reset.
        currents: likewise, what entered the population.
    """

    output: Floats
    spikes: Mapping[str, Floats]
    membranes: Mapping[str, Floats]
    currents: Mapping[str, Floats]


def run_steps(loaded: Loaded, frames: Floats, registers: Mapping[str, Register] | None = None) -> Recording:
    """Run frames [T, N, C, H, W] from rest.

    Args:
        loaded: of `load`; its hidden states are reset first.
        frames: one input for each timestep.
        registers: for some populations, what happens to the membrane between timesteps.
    """
    import torch

    recorders = {
        name: _Recorder(loaded, name, (registers or {}).get(name)) for name in loaded.encoded.neurons
    }
    modules = dict(loaded.module.named_children())
    handles = [modules[name].register_forward_hook(recorder) for name, recorder in recorders.items()]
    outputs: list[Floats] = []
    handles.append(modules[_last(loaded)].register_forward_hook(_listener(outputs)))
    state = None
    try:
        _reset(loaded)
        with torch.no_grad():
            for frame in frames:
                _, state = loaded.module(torch.from_numpy(frame.copy()), state)
    finally:
        for handle in handles:
            handle.remove()
    return Recording(
        np.stack(outputs),
        {name: np.stack(recorder.spikes) for name, recorder in recorders.items()},
        {name: np.stack(recorder.membranes) for name, recorder in recorders.items()},
        {name: np.stack(recorder.currents) for name, recorder in recorders.items()},
    )


def integrate(readout: Readout | None, output: Floats) -> Floats:
    """The host's read-out [T, N, C, H, W] of an output of that shape; the output itself without one."""
    if readout is None:
        return output
    membrane, held = np.zeros_like(output[0]), np.zeros_like(output)
    for step, frame in enumerate(output):
        membrane = readout.kept * membrane + readout.gain * frame + readout.leak
        held[step] = membrane
    return held


def _last(loaded: Loaded) -> str:
    """The node before the Output; the last but one of the order in nirtorch's `load` need not be it."""
    graph = loaded.encoded.graph
    outputs = [name for name, node in graph.nodes.items() if isinstance(node, nir.Output)]
    return next(str(source) for source, target in graph.edges if target == outputs[0])


def _listener(outputs: list[Floats]) -> Callable[[Any, Any, Any], None]:
    def hear(_: Any, __: Any, output: Any) -> None:
        values = output[0] if isinstance(output, tuple) else output
        outputs.append(values.numpy().astype(np.float64))

    return hear


class _Recorder:
    """A forward hook on one population's module; the state lies where each library keeps it."""

    def __init__(self, loaded: Loaded, name: str, register: Register | None) -> None:
        self.simulator, self.unit = loaded.simulator.name, loaded.encoded.unit[name]
        self.register = register
        self.spikes: list[Floats] = []
        self.membranes: list[Floats] = []
        self.currents: list[Floats] = []

    def __call__(self, module: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Record, and give the output back with the register's membrane."""
        import torch

        spikes = output if self.simulator == "snntorch" else output[0]
        u = self._membrane(module, output).detach().numpy() * self.unit
        self.spikes.append(spikes.detach().numpy().astype(np.float64))
        self.membranes.append(u)
        self.currents.append(inputs[0].detach().numpy().copy())
        # snntorch and sinabs emit 0 and 1 in float32 whatever the membrane's type is.
        emitted, membrane = spikes.to(inputs[0].dtype), self._membrane(module, output)
        if self.register is not None:
            membrane = torch.from_numpy(self.register(u) / self.unit)
        return self._state(module, output, emitted, membrane)

    def _membrane(self, module: Any, output: Any) -> Any:
        if self.simulator == "snntorch":
            return module.mem
        if self.simulator == "norse":
            return output[1].v
        return output[1][0] if self.simulator == "spikingjelly" else output[1]

    def _state(self, module: Any, output: Any, emitted: Any, membrane: Any) -> Any:
        if self.simulator == "snntorch":
            module.mem = membrane
            return emitted
        if self.simulator == "norse":
            return emitted, output[1]._replace(v=membrane)
        return emitted, ((membrane,) if self.simulator == "spikingjelly" else membrane)


def _reset(loaded: Loaded) -> None:
    if loaded.simulator.name == "snntorch":
        from snntorch import utils

        utils.reset(loaded.module)
