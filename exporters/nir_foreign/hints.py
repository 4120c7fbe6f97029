"""What a NIR file's neurons hint at beside their values: the timestep, and a reset that NIR cannot write.

A file does not say for which timestep it was written. Where a library counts time in steps, an IF has
r = 1 / dt and a LIF r = tau / dt, so that the membrane takes up its input whole in one step. A wrong timestep
shows as a network in which nothing ever fires.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import nir
import numpy as np
import torch
from numpy.typing import NDArray
from snn_tool.errors import SnnToolError
from snn_tool.exporters.nir_foreign.importing import SPIKING
from snn_tool.exporters.nir_foreign.module import NirModule
from snn_tool.exporters.nir_foreign.module_neurons import NirSpiking
from torch import Tensor

NORSE_DT_S = 1e-3
"""What norse writes time constants for, with r = 1."""


def fitting_dt(graph: nir.NIRGraph, file: str, images: Sequence[Tensor], timesteps: int) -> float | None:
    """The first timestep in seconds that the file's neurons hint at under which something fires on an image.

    Args:
        graph: of the file.
        file: its name.
        images: float64 [1, C, H, W], tried in turn.
        timesteps: T.
    """
    for dt_s in dict.fromkeys(hinted(graph.nodes.values())):
        try:
            module = NirModule(graph, file, dt_s).eval()
        except SnnToolError:
            continue  # above a time constant of another neuron
        if any(fires(module, image, timesteps) for image in images):
            return dt_s
    return None


def hinted(nodes: Iterable[Any]) -> Iterator[float]:
    """Timesteps at which a neuron takes up its input whole, then those of time constants with r = 1."""
    spiking = [node for node in nodes if isinstance(node, SPIKING)]
    for node in spiking:
        tau = getattr(node, "tau", getattr(node, "tau_mem", 1.0))
        if isinstance(node, nir.IF) or not _alike(node.r, 1.0):
            yield from _positive(np.asarray(tau, dtype=np.float64) / np.where(node.r, node.r, np.inf))
    for node in spiking:
        if not isinstance(node, nir.IF):
            taus = np.asarray(getattr(node, "tau", getattr(node, "tau_mem", 1.0)), dtype=np.float64)
            yield 1.0 if taus.min() >= 1 else NORSE_DT_S


def _positive(values: NDArray[np.float64]) -> Iterator[float]:
    """The median of values above 0, to six digits: float32 blurs what was round."""
    found = values[values > 0]
    if found.size:
        yield float(f"{np.median(found):.6g}")


def _alike(values: Any, expected: float) -> bool:
    return bool(np.allclose(np.asarray(values, dtype=np.float64), expected))


def fires(module: NirModule, image: Tensor, timesteps: int) -> bool:
    """Whether any neuron fires while an image is presented."""
    found: list[bool] = []
    parts = [part for part in module.neurons.values() if isinstance(part, NirSpiking)]
    hooks = [part.register_forward_hook(lambda _m, _x, z: found.append(bool(z.any()))) for part in parts]
    module.reset()
    with torch.no_grad():
        for _ in range(timesteps):
            module(image)
    for hook in hooks:
        hook.remove()
    module.reset()
    return any(found)


def may_reset_softly(graph: nir.NIRGraph) -> bool:
    """Whether some neuron resets to 0, which is also what exporters write of a reset by subtraction."""
    spiking = [node for node in graph.nodes.values() if isinstance(node, SPIKING)]
    return any(not np.any(node.v_reset) for node in spiking)


def silence_text(silent: Sequence[str], spiking: int, dt_s: float, fitting_s: float | None) -> str:
    """A line for populations that never fired; empty if there is none.

    Args:
        silent: names of those that did not fire on any image.
        spiking: number of all populations.
        dt_s: timestep in seconds that was used.
        fitting_s: another one, under which something fires.
    """
    if not silent:
        return ""
    if len(silent) < spiking:
        return f"warning: no neuron of {', '.join(silent)} fired on any image"
    other = f"; with --dt {fitting_s:g} some do: the file's time may be in other units" if fitting_s else ""
    return f"warning: nothing fires: no neuron of the {spiking} populations did at --dt {dt_s:g}{other}"
