"""What onnxruntime computes in a student's file: every spike and membrane, by name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from snn_tool.exporters.contract.traces import RecordedTrace
from snn_tool.exporters.onnx.student import NEXT, STATE, Form
from snn_tool.models.teachers.onnx import start_session, with_outputs
from snn_tool.models.topology import Topology

Image = NDArray[np.float32]
Values = dict[str, NDArray[Any]]
NUMBERS: Mapping[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}
"""Of onnxruntime's types."""


class FileRun:
    """A file in onnxruntime with some of its intermediate tensors as outputs.

    Args:
        model: the file as `onnx` reads it; it stays as it is.
        path: for messages.
        tensors: names that become outputs besides those that are.

    Raises:
        ArtifactError: onnxruntime refuses the file.
        TeacherError: there is no such tensor.
    """

    def __init__(self, model: Any, path: Path, tensors: Sequence[str] = ()) -> None:
        tapped = onnx.ModelProto()
        tapped.CopyFrom(model)
        there = {output.name for output in model.graph.output}
        data = with_outputs(tapped, tuple(name for name in tensors if name not in there), path)
        self._session = start_session(data, path)
        kinds = {given.name: NUMBERS[given.type] for given in self._session.get_inputs()}
        self.states = {name: kind for name, kind in kinds.items() if name.startswith(f"{STATE}.")}
        self.given = next(name for name in kinds if name not in self.states)
        self.ranks = {one.name: len(one.shape) for one in self._session.get_inputs()}
        self.outputs = tuple(made.name for made in self._session.get_outputs())

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> Values:
        """All outputs by name."""
        return dict(zip(self.outputs, self._session.run(None, dict(inputs)), strict=True))


def run_steps(run: FileRun, topology: Topology, form: Form, timesteps: int, given: Image) -> list[Values]:
    """The outputs of one run of an unrolled file, or of every step of a stateful one from rest.

    Args:
        run: the file.
        topology: of the network.
        form: of the file.
        timesteps: T.
        given: images [N, C, H, W], values [N, ...], or [T, N, ...] where each timestep has its own.
    """
    if not form.stateful:
        return [run({run.given: given})]
    over_time = given.ndim > run.ranks[run.given]
    states, found = rest_states(run, topology, given[0] if over_time else given), list[Values]()
    for step in range(timesteps):
        found.append(run({run.given: given[step] if over_time else given, **states}))
        states = {name: found[-1][name.replace(STATE, NEXT, 1)] for name in states}
    return found


def rest_states(run: FileRun, topology: Topology, given: Image) -> Values:
    """Zeros for every state that a file takes beside images [N, C, H, W] of any size, or values [N, ...]."""
    multiple = 1 if topology.image_size else topology.multiple
    sides = topology.image_size or given.shape[2:]
    height, width = (-(-side // multiple) * multiple for side in sides)
    sizes, held = topology.sizes(height, width), {p.name: p for p in topology.populations}
    return {
        name: np.zeros((len(given), held[owner].channels, *sizes[owner]), kind)
        for name, kind in run.states.items()
        for owner in [name.split(".")[1]]
    }


def trace_file(
    model: Any, path: Path, topology: Topology, form: Form, timesteps: int, image: Image
) -> RecordedTrace:
    """Run images [N, C, H, W] through a student's file and keep every population at every timestep.

    Values that are no images, [N, ...] or [T, N, ...], likewise. Populations of further passes follow along
    the first axis. The read-out's spikes are zeros: it has none.

    Raises:
        ArtifactError: onnxruntime refuses the file.
    """
    names = [f"membranes.{topology.readout.name}"]
    names += [f"{kind}.{p.name}" for p in topology.spiking for kind in ("spikes", "membranes")]
    inside = range(topology.passes * form.steps)
    run = FileRun(model, path, [f"{name}.{step}" for name in names for step in inside])
    steps = run_steps(run, topology, form, timesteps, image)
    held = {
        name: np.stack([values[f"{name}.{step}"] for values in steps for step in inside]) for name in names
    }
    membranes = {p.name: held[f"membranes.{p.name}"] for p in topology.populations}
    spikes = {p.name: held[f"spikes.{p.name}"] for p in topology.spiking}
    last = membranes[topology.readout.name]
    return RecordedTrace(last[-1], spikes | {topology.readout.name: np.zeros_like(last)}, membranes)
