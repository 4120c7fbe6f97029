"""The networks that `audit params` takes: an architecture's name, a file, or a user's factory."""

from pathlib import Path

import torch
from snn_tool.errors import ArtifactError, ConfigError
from snn_tool.networks.code import build_from_factory, names_factory
from snn_tool.models.neurons import ReluNeuron
from snn_tool.models.student_file import load_student
from snn_tool.models.teachers.registry import TEACHERS, build_teacher, load_teacher
from torch import nn


def audited_module(named: str) -> nn.Module:
    """The network that a command line names.

    Raises:
        ConfigError: it is none of the three, or a factory fails.
        ArtifactError: a file is damaged.
    """
    if named in TEACHERS:
        return build_teacher(named, {})
    path = Path(named)
    if path.suffix == ".safetensors":
        return _from_file(path)
    if names_factory(named):
        with torch.device("cpu"):
            return build_from_factory(named)
    raise ConfigError(
        f"{named}: neither an architecture ({', '.join(TEACHERS)}), a .safetensors file of train or distill, "
        "nor package.module:factory"
    )


def _from_file(path: Path) -> nn.Module:
    """A teacher's file or a student's; the student's error stands if it is neither.

    A student's neurons stand as ReLU with the threshold that they have: products do not depend on the neuron.
    """
    try:
        return load_teacher(path)[0]
    except ArtifactError:
        student = load_student(path)[0]
    for name, neuron in student.neurons.items():
        student.neurons[name] = _Standing(neuron)
    return student


class _Standing(ReluNeuron):
    """In the place of a spiking neuron."""

    def __init__(self, neuron: nn.Module) -> None:
        super().__init__()
        self.log_threshold = neuron.log_threshold
