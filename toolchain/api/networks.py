"""Networks that are ready for use: students and teachers, opened by whatever names them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from snn_tool.api.images import Image, restored_like
from snn_tool.degradations.pairs import unit_range
from snn_tool.degradations.tasks import task_text
from snn_tool.models.config import StudentConfig
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.network import Network
from snn_tool.networks.locate import TEACHERS, Located, Spec, locate
from snn_tool.networks.open import (
    FloatStudent,
    IntegerStudent,
    OpenedTeacher,
    open_network,
    open_student,
    open_teacher,
)
from snn_tool.networks.running import RestoringStudent, RestoringTeacher
from torch import nn

TILE = 512


@dataclass(frozen=True, repr=False, eq=False)
class Student:
    """A spiking student, float or in integers, and the file that holds it.

    Attributes:
        name: for people.
        path: `student.safetensors` or `student.int.safetensors`.
        network: torch's network in evaluation mode, or the integers.
        config: of a float student; None of integers.
        trained_for: the degradation that it learned to undo, as JSON values; empty if nobody wrote it down.
        training: how it was trained, as JSON values.
        opened: as the command line opens it.
    """

    name: str
    path: Path
    network: Network | IntegerNetwork
    config: StudentConfig | None
    trained_for: Mapping[str, Any]
    training: Mapping[str, Any]
    opened: IntegerStudent | FloatStudent

    def restore(self, image: Image, *, tile: int = TILE) -> Image:
        """A restored image of the kind that `image` has: numpy or torch, its shape, dtype and device.

        Floats are clipped to [0, 1]; torch tensors carry no gradient (for one, call `network`). Grey stays
        grey: a student for colour is given the same picture three times, and the mean comes out. A student
        for grey restores each colour alone.

        Args:
            image: numpy [H, W, 3], grey [H, W] or [H, W, 1], torch [3, H, W], grey [H, W] or [1, H, W]; a
                batch has one axis more in front. uint8, or floats in [0, 1] before noise. Any size.
            tile: larger images are cut into tiles of this side in pixels; the cuts do not show.

        Raises:
            ConfigError: neither numpy nor torch, or a tile that does not fit the network's grid.
            DataError: another dtype, range, layout or number of channels; NaN; or empty.
        """

        def restore_one(picture: NDArray[Any]) -> NDArray[Any]:
            run = self._ready.restore_8_bits if picture.dtype == "uint8" else self._ready.restore
            return run(picture, tile)

        return restored_like(image, restore_one)

    @cached_property
    def _ready(self) -> RestoringStudent:
        return RestoringStudent.of(self.opened)

    @property
    def kind(self) -> str:
        """`integer` or `float`."""
        return "integer" if isinstance(self.network, IntegerNetwork) else "float"

    @property
    def neuron(self) -> str:
        """`graded` or `lif`."""
        found = self.network if isinstance(self.network, IntegerNetwork) else self.config
        assert found is not None
        return str(found.neuron)

    @property
    def timesteps(self) -> int:
        """T; 1 of `graded`."""
        return int(self.network.timesteps)

    @property
    def parameters(self) -> int:
        """Trainable values: weights, biases and thresholds."""
        return self.network.topology.parameters

    def __repr__(self) -> str:
        return (
            f"Student {self.name} ({self.kind})\n"
            f"  neuron {self.neuron}, T = {self.timesteps}, {self.parameters:,} parameters\n"
            f"  trained for {_purpose(self.trained_for)}"
        )


@dataclass(frozen=True, repr=False, eq=False)
class Teacher:
    """A network that restores and teaches; frozen, in evaluation mode.

    Attributes:
        name: for people.
        source: what names it, for `distill` and `audit`, and its weights.
        opened: as the command line opens it.
        training: how it was trained, as JSON values; empty of networks from elsewhere.
    """

    name: str
    source: Located
    opened: RestoringTeacher
    training: Mapping[str, Any]

    @property
    def network(self) -> nn.Module:
        """Torch's module, with `forward_features`, `feature_channels` and `feature_scales`."""
        return self.opened.network

    @property
    def parameters(self) -> int:
        """Trainable values; 0 of an ONNX graph."""
        return self.opened.parameters

    @property
    def trained_for(self) -> Mapping[str, Any]:
        """The degradation that it learned to undo, as JSON values; empty if nobody wrote it down."""
        return self.opened.provenance.trained_for.described

    def restore(self, image: Image) -> Image:
        """A restored image of the kind that `image` has, as `Student.restore`; never cut into tiles.

        Raises:
            ConfigError, DataError: as `Student.restore`.
            TeacherError: it fails, or gives NaN or another shape.
        """

        def restore_one(picture: NDArray[Any]) -> NDArray[Any]:
            if picture.dtype == "uint8":
                return self.opened.restore_8_bits(unit_range(picture), TILE)
            return self.opened.restore(picture, TILE)

        return restored_like(image, restore_one)

    def __repr__(self) -> str:
        return (
            f"Teacher {self.name}\n  {self.parameters:,} parameters\n"
            f"  trained for {_purpose(self.trained_for)}"
        )


def _purpose(trained_for: Mapping[str, Any]) -> str:
    return task_text(trained_for) if trained_for else "what nobody wrote down"


def load(spec: str | os.PathLike[str], *, weights: str | os.PathLike[str] | None = None) -> Student | Teacher:
    """Open a network.

    Args:
        spec: the name of a student or a teacher that comes along, as `denoise-25`; `student.safetensors`,
            `student.int.safetensors` or `teacher.safetensors`; a run folder, of which the integers come
            first, then the float student, then the teacher; `model.onnx`; `package.module:factory`; or an
            architecture or `spandrel` with `weights`. `x8:` before any of them gives a teacher: its mean over
            eight orientations of the image.
        weights: file that fills an architecture or a factory's network.

    Raises:
        ConfigError: nothing has that name; what there is is named.
        ArtifactError: a file is missing, damaged, of another schema, or does not fit.
    """
    found = locate(Path(spec) if isinstance(spec, os.PathLike) else spec, Path(weights) if weights else None)
    opened = open_network(found)
    if isinstance(opened, OpenedTeacher):
        return _teacher(opened, found)
    return _student(opened, str(spec))


def student_of(path: Path, name: str) -> Student:
    """The student of a file."""
    return _student(open_student(path), name)


def load_teacher(spec: Spec) -> Teacher:
    """The teacher that a command line names."""
    found = locate(spec, accept=TEACHERS)
    return _teacher(open_teacher(found), found)


def _student(opened: IntegerStudent | FloatStudent, name: str) -> Student:
    origin, config = opened.provenance, opened.config if isinstance(opened, FloatStudent) else None
    assert origin.path
    described = origin.trained_for.described
    return Student(name, origin.path, opened.network, config, described, origin.account, opened)


def _teacher(opened: OpenedTeacher, found: Located) -> Teacher:
    return Teacher(opened.provenance.title, found, RestoringTeacher.of(opened), opened.provenance.account)
