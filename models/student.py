"""The networks that a configuration names, student, ANN twin and topology, and the file of a student."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from snn_tool.files.artifacts import Opener, atomic_path
from snn_tool.files.documents import convert
from snn_tool.models.accounts import Training
from snn_tool.models.bodies import chain, flat, unet
from snn_tool.models.checkpoints import Sidecar, load_into, read_tensors, write_tensors
from snn_tool.models.config import LEAK_STEPS, StudentConfig
from snn_tool.models.network import Network
from snn_tool.models.neurons import GradedNeuron, LifNeuron, ReluNeuron
from snn_tool.models.topology import COLOUR, GREY, IMAGE, Topology
from torch import Tensor

_TOPOLOGIES: dict[str, Callable[[int, int, int, int], Topology]] = {
    "unet": unet,
    "flat": flat,
    "chain": chain,
}
STUDENT_KIND, SCHEMA = "student", 1


def build_topology(config: StudentConfig) -> Topology:
    """The wiring that a configuration names."""
    return _TOPOLOGIES[config.body](config.width, config.channels, config.channels, config.passes)


def build_student(config: StudentConfig, topology: Topology | None = None) -> Network:
    """A spiking student with fresh weights from torch's global generator.

    Args:
        config: neuron, timesteps, levels; and body and width, unless a topology is given.
        topology: a wiring of your own.
    """
    topology = topology or build_topology(config)
    if config.neuron == "lif":
        return Network(topology, partial(LifNeuron, config.leak / LEAK_STEPS), config.timesteps)
    return Network(topology, partial(GradedNeuron, config.levels, config.signed))


def in_grey(student: Network, config: StudentConfig) -> tuple[Network, StudentConfig]:
    """A student for grey images that answers as one for colour does where red = green = blue.

    Kernels that read the image are summed over its colours, those that make the residual are averaged over
    them, and so is the residual's bias; every other parameter stays. It is a start and no end: noise that is
    the same in all three colours is not what the colour student has learnt.

    Args:
        student: for colour images.
        config: its configuration.
    """
    changed = replace(config, channels=GREY)
    grey = build_student(changed)
    last = set(student.topology.readout.inputs)
    with torch.no_grad():
        for name, parameter in grey.named_parameters():
            values: torch.Tensor = student.get_parameter(name)
            part, _, kind = name.removeprefix("synapses.").partition(".")
            if part in last:
                values = torch.unflatten(values, 0, (-1, COLOUR)).mean(1)
            if kind == "raw_weight" and grey.synapses[part].synapse.source == IMAGE:  # type: ignore[union-attr]
                values = torch.unflatten(values, 1, (-1, COLOUR)).sum(2)
            parameter.copy_(values)
    return grey.train(student.training), changed


def with_passes(weights: Mapping[str, Tensor], wanted: Topology) -> dict[str, Tensor]:
    """The weights of a student that runs once as those of one that runs more often and starts as the same.

    The kernels that read a previous result are zero, so that every pass gives what the first one does.

    Args:
        weights: its state, by name.
        wanted: the same wiring, but for its passes.
    """
    extended = dict(weights)
    for synapse in wanted.synapses:
        name = f"synapses.{synapse.name}.raw_weight"
        if synapse.source == IMAGE:
            extended[name] = torch.cat([weights[name], torch.zeros_like(weights[name])], dim=1)
    return extended


def build_twin(config: StudentConfig) -> Network:
    """The ANN twin: the student's wiring with ReLU; the control that separates spikes from mere size."""
    return Network(build_topology(config), ReluNeuron)


class StudentSidecar(Sidecar, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The sidecar of a float student."""

    config: StudentConfig
    training: Training = Training()


def save_student(
    path: Path,
    student: Network,
    config: StudentConfig,
    training: Mapping[str, Any],
    opener: Opener = atomic_path,
) -> None:
    """Write a student; `training` says how it was made (task, seed, hashes, validation figures)."""
    defining = {"config": config.describe()}
    write_tensors(
        path, STUDENT_KIND, SCHEMA, student.state_dict(), defining, {"training": dict(training)}, opener
    )


def load_student(path: Path) -> tuple[Network, StudentConfig, dict[str, Any]]:
    """Read a student in evaluation mode, its configuration, and how it was trained.

    Raises:
        ArtifactError: not a student of this schema, or damaged.
    """
    pair = read_tensors(path, STUDENT_KIND, {SCHEMA: StudentSidecar}, "training")
    student = build_student(pair.sidecar.config)
    load_into(student, pair.tensors, path)
    return student.eval(), pair.sidecar.config, pair.document.get("training", {})


def parse_config(path: Path, values: object, keys: tuple[str, ...]) -> StudentConfig:
    """A configuration from the account of a training, which stands at `keys` of the sidecar.

    Raises:
        ArtifactError: keys are missing or unknown, or a value is not allowed.
    """
    return convert(values, StudentConfig, str(path), prefix=keys)
