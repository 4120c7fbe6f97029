"""What onnxruntime computes in a student's file: every spike and membrane, by name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from snn_tool.exporters.contract.traces import RecordedTrace
from snn_tool.exporters.onnx.student import IMAGE_INPUT, NEXT, STATE, Form
from snn_tool.models.teachers.onnx import start_session, with_outputs
from snn_tool.models.topology import Topology

Image = NDArray[np.float32]
Values = dict[str, NDArray[Any]]


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
        kinds = {given.name: given.type for given in self._session.get_inputs()}
        self.number: Any = np.int32 if "tensor(int32)" in kinds.values() else np.float32
        self.outputs = tuple(made.name for made in self._session.get_outputs())

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> Values:
        """All outputs by name."""
        return dict(zip(self.outputs, self._session.run(None, dict(inputs)), strict=True))


def run_steps(run: FileRun, topology: Topology, form: Form, timesteps: int, image: Image) -> list[Values]:
    """The outputs of one run of an unrolled file, or of every step of a stateful one from rest."""
    if not form.stateful:
        return [run({IMAGE_INPUT: image})]
    states = {f"{STATE}.{name}": zeros for name, zeros in rest_states(topology, image, run.number).items()}
    found = []
    for _ in range(timesteps):
        found.append(run({IMAGE_INPUT: image, **states}))
        states = {name: found[-1][name.replace(STATE, NEXT, 1)] for name in states}
    return found


def rest_states(topology: Topology, image: Image, kind: Any) -> Values:
    """Zeros for every population of an image [N, C, H, W] of any size."""
    multiple = 1 if topology.image_size else topology.multiple
    height, width = (-(-side // multiple) * multiple for side in image.shape[2:])
    sizes = topology.sizes(height, width)
    return {p.name: np.zeros((len(image), p.channels, *sizes[p.name]), kind) for p in topology.populations}


def trace_file(
    model: Any, path: Path, topology: Topology, form: Form, timesteps: int, image: Image
) -> RecordedTrace:
    """Run images [N, C, H, W] through a student's file and keep every population at every timestep.

    Those of further passes follow along the first axis. The read-out's spikes are zeros: it has none.

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
