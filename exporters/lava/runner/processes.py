"""The processes that Lava does not have: graded neurons, what empties buffers, recorders that write to disk.

Neurons of kind `lif` and all synapses are Lava's own. The compiler executes every .py file in this folder in
search of models, so no file here does anything when it is imported.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort, PyRefPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort, RefPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from numpy.typing import NDArray

Shape = tuple[int, ...]

SATURATION = (1 << 23) - 1
"""Largest membrane of a signed 24-bit register that is symmetric about zero, as Lava's LIF has it."""


class GradedNeuron(AbstractProcess):  # type: ignore[misc]  # Lava has no types
    """Memoryless integrate-and-fire neurons with several spike levels (Loihi 2 graded spikes).

    With the sum a of all currents that arrive in a step, M = 2^23 and integers throughout:

        v = clip(a + bias, -M + 1, M - 1)
        z = sign(v) min(levels, (2 |v| + threshold) // (2 threshold)), and max(z, 0) unless signed

    Args:
        shape: (W, H, C).
        bias: int32 (W, H, C).
        threshold: distance of two levels; the first is reached at half of it.
        levels: largest magnitude of a spike.
        signed: whether negative membranes send negative spikes.
    """

    def __init__(
        self, *, shape: Shape, bias: NDArray[np.int32], threshold: int, levels: int, signed: bool
    ) -> None:
        super().__init__(shape=shape, threshold=threshold, levels=levels, signed=signed)
        self.a_in = InPort(shape=shape)
        self.s_out = OutPort(shape=shape)
        self.v = Var(shape=shape, init=0)
        self.bias = Var(shape=shape, init=bias)


@implements(proc=GradedNeuron, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class GradedNeuronModel(PyLoihiProcessModel):  # type: ignore[misc]
    """The equations of `GradedNeuron` in 64-bit integers."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)
    v: NDArray[np.int32] = LavaPyType(np.ndarray, np.int32, precision=24)
    bias: NDArray[np.int32] = LavaPyType(np.ndarray, np.int32, precision=24)

    def __init__(self, proc_params: Mapping[str, Any]) -> None:
        super().__init__(proc_params)
        self.threshold = int(proc_params["threshold"])
        self.levels = int(proc_params["levels"])
        self.signed = bool(proc_params["signed"])

    def run_spk(self) -> None:
        """One step: receive, saturate, quantise, send."""
        total = self.a_in.recv().astype(np.int64) + self.bias
        membrane = np.clip(total, -SATURATION, SATURATION)
        rungs = (2 * np.abs(membrane) + self.threshold) // (2 * self.threshold)
        spikes = np.sign(membrane) * np.minimum(rungs, self.levels)
        self.v[:] = membrane
        self.s_out.send(spikes if self.signed else np.maximum(spikes, 0))


class Emptier(AbstractProcess):  # type: ignore[misc]
    """Sets a convolution's buffer to zero before each window, as a host resets state between two inputs.

    A Conv sends at step t + 1 what it received at t. One that is recurrent would bring into a window what
    its source did at the end of the window before.

    Args:
        shape: of the buffer.
        first_step: first step (from 1) of the target's first window.
        interval: steps from window to window.
    """

    def __init__(self, *, shape: Shape, first_step: int, interval: int) -> None:
        super().__init__(shape=shape, first_step=first_step, interval=interval)
        self.buffer = RefPort(shape=shape)


@implements(proc=Emptier, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class EmptierModel(PyLoihiProcessModel):  # type: ignore[misc]
    """Writes after all processes have finished the last step before a window."""

    buffer: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: Mapping[str, Any]) -> None:
        super().__init__(proc_params)
        self.first_step: int = proc_params["first_step"]
        self.interval: int = proc_params["interval"]
        self.zeros = np.zeros(proc_params["shape"], dtype=np.int32)

    def post_guard(self) -> bool:
        """Whether a window begins with the next step."""
        into: int = self.time_step + 1 - self.first_step
        return into >= 0 and into % self.interval == 0

    def run_post_mgmt(self) -> None:
        """Write, and wait until it is done: the convolution sends at the next step's start."""
        self.buffer.write(self.zeros)
        self.buffer.wait()


class Recorder(AbstractProcess):  # type: ignore[misc]
    """Writes one population's spikes and membranes, step by step, into two .npy files that already exist.

    Row r of both files is step first_step + r; other steps are not recorded. (Reading a Var from outside
    costs 20 to 40 microseconds for each scalar, minutes for one image.)

    Args:
        shape: (W, H, C) of the population.
        first_step: step (from 1) of row 0.
        rows: number of recorded steps.
        spikes, membranes: paths of int32 arrays (rows, W, H, C).
    """

    def __init__(self, *, shape: Shape, first_step: int, rows: int, spikes: str, membranes: str) -> None:
        super().__init__(shape=shape, first_step=first_step, rows=rows, spikes=spikes, membranes=membranes)
        self.a_in = InPort(shape=shape)
        self.membrane = RefPort(shape=shape)


@implements(proc=Recorder, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class RecorderModel(PyLoihiProcessModel):  # type: ignore[misc]
    """Spikes are taken when they arrive, membranes after all neurons have finished the step."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    membrane: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: Mapping[str, Any]) -> None:
        super().__init__(proc_params)
        self.first_step: int = proc_params["first_step"]
        self.rows: int = proc_params["rows"]
        self.spikes = np.load(proc_params["spikes"], mmap_mode="r+")
        self.membranes = np.load(proc_params["membranes"], mmap_mode="r+")

    def run_spk(self) -> None:
        """Receive in every step, store inside the window."""
        arrived = self.a_in.recv()
        if self.post_guard():
            self.spikes[self.time_step - self.first_step] = arrived

    def post_guard(self) -> bool:
        """Whether this step is recorded."""
        recorded: bool = 0 <= self.time_step - self.first_step < self.rows
        return recorded

    def run_post_mgmt(self) -> None:
        """Read the membranes, after the reset of the neurons that fired."""
        self.membranes[self.time_step - self.first_step] = self.membrane.read()
