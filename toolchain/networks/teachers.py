"""Every teacher that `--teacher` can name: trained here, published, somebody's torch code, or an ONNX file.

teacher.safetensors               from `snn-tool train`
nafnet --weights FILE             a published checkpoint of an architecture that is built in
package.module:factory            a user's torch network; --weights FILE fills it
model.onnx                        run by onnxruntime
spandrel --weights FILE           an architecture that spandrel recognises (extra `teachers`)
"""

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from snn_tool.errors import ArtifactError, ConfigError
from snn_tool.files.artifacts import sha256_bytes, sha256_file
from snn_tool.images.files import Pixels
from snn_tool.images.metrics import to_uint8
from snn_tool.images.tiling import pad_to_multiple, through_colour
from snn_tool.models.network import Network
from snn_tool.models.neurons import ReluNeuron
from snn_tool.models.student import load_student
from snn_tool.models.teachers.onnx import OnnxTeacher
from snn_tool.models.teachers.probe import check_finite, check_restored, run_teacher
from snn_tool.models.teachers.registry import TEACHERS, build_teacher, load_teacher, recognise, size_options
from snn_tool.models.teachers.tapped import TappedTeacher
from snn_tool.models.teachers.weights import fitting_names, load_strictly, read_weights
from snn_tool.networks.code import SPANDREL, build_from_factory, names_factory, recognise_by_spandrel
from torch import Tensor, nn

NO_TEACHER = "none"
FORMS = (
    "teacher.safetensors, model.onnx, package.module:factory, or with --weights 'spandrel' or an architecture"
)


@dataclass(frozen=True, slots=True)
class TeacherSource:
    """What the command line says of a teacher.

    Attributes:
        named: one of the forms above.
        weights: file of `--weights`, or None.
    """

    named: str
    weights: Path | None = None


def source_from_options(teacher: str, weights: Path | None) -> TeacherSource | None:
    """What `--teacher` and `--weights` say; None for `none`.

    Raises:
        ConfigError: weights for no teacher.
    """
    if teacher != NO_TEACHER:
        return TeacherSource(teacher, weights)
    if weights:
        raise ConfigError(f"--weights {weights} needs --teacher package.module:factory or an architecture")
    return None


@dataclass(frozen=True, slots=True)
class OpenedTeacher:
    """A frozen teacher.

    Attributes:
        network: has `forward_features`, `feature_channels` and `feature_scales`.
        title: for reports.
        sha256: of the file with its weights, or of the weights themselves where no file holds them.
        description: JSON values that say where it is from; empty for a teacher of this tool.
        trained_for: `describe()` of the degradation that a teacher of this tool was trained with, else empty.
    """

    network: nn.Module
    title: str
    sha256: str
    description: Mapping[str, Any]
    trained_for: Mapping[str, Any] = field(default_factory=dict)


def open_teacher(source: TeacherSource, hints: tuple[str, ...] = ()) -> OpenedTeacher:
    """Load a teacher, frozen and in evaluation mode.

    Args:
        source: where it is.
        hints: modules or tensors to tap, unless the teacher names features by itself.

    Raises:
        ConfigError: no such teacher (the forms are listed), a factory fails, or `--weights` of a file that
            has them inside.
        ArtifactError: a file is missing, damaged, refused, or does not fit the network.
        TeacherError: an ONNX file has no such tensor.
    """
    named, weights = source.named, source.weights
    if named in TEACHERS or named == SPANDREL:
        return _published(named, weights, hints)
    if named.endswith((".safetensors", ".onnx")):
        if weights:
            raise ConfigError(f"--teacher {named} has its weights inside; leave --weights out")
        return _from_onnx(Path(named), hints) if named.endswith(".onnx") else _from_file(Path(named), hints)
    if names_factory(named):
        return _from_factory(named, weights, hints)
    raise ConfigError(f"--teacher {named}: use {FORMS}")


def _from_file(path: Path, hints: tuple[str, ...]) -> OpenedTeacher:
    network, description = load_teacher(path)
    if isinstance(network, Network) and hints:
        network.tap(hints)
    options = ", ".join(f"{key} {value}" for key, value in description["options"].items())
    title = f"{description['architecture']}, {options}" if options else description["architecture"]
    trained_for = description.get("training", {}).get("task", {})
    return OpenedTeacher(_tapped(network, hints), title, sha256_file(path), {}, trained_for)


def _from_onnx(path: Path, hints: tuple[str, ...]) -> OpenedTeacher:
    return OpenedTeacher(OnnxTeacher(path, hints), path.name, sha256_file(path), {"onnx": path.name})


def _from_factory(named: str, weights: Path | None, hints: tuple[str, ...]) -> OpenedTeacher:
    network = build_from_factory(named)
    if weights:
        load_strictly(network, read_weights(weights), weights)
    digest = sha256_file(weights) if weights else _hash(network.state_dict())
    file = {"weights": weights.name} if weights else {}
    return OpenedTeacher(_tapped(network, hints), named, digest, {"factory": named, **file})


def _published(named: str, weights: Path | None, hints: tuple[str, ...]) -> OpenedTeacher:
    if weights is None:
        raise ConfigError(f"--teacher {named} needs --weights FILE, or train one with 'snn-tool train'")
    tensors = read_weights(weights)
    if named == SPANDREL:
        network: nn.Module = TappedTeacher(recognise_by_spandrel(tensors, weights), hints, inside="network")
    else:
        found = recognise(named, tensors, _fits)
        if found is None:
            raise ArtifactError(
                f"{weights}: fits no named size of {named}; give a factory, package.module:function, "
                "that builds it"
            )
        load_strictly(found, tensors, weights)
        network = _tapped(found, hints)
    description = {"architecture": named, "weights": weights.name}
    return OpenedTeacher(network, f"{named}, {weights.name}", sha256_file(weights), description)


def _tapped(network: nn.Module, hints: tuple[str, ...]) -> nn.Module:
    """The network as it is if it names its features, as ours do, and has the hints; else tapped."""
    scales = getattr(network, "feature_scales", None)
    own = hasattr(network, "forward_features") and hasattr(network, "feature_channels")
    if own and isinstance(scales, Mapping) and set(hints) <= set(scales):
        return network.eval().requires_grad_(False)
    return TappedTeacher(network, hints)


def _fits(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> bool:
    found = fitting_names(tensors, expected)
    return found.keys() == expected.keys() and all(found[n].shape == expected[n].shape for n in expected)


def _hash(tensors: Mapping[str, Tensor]) -> str:
    """One hash of names and values, where no file has the weights."""
    parts = [name.encode() + tensor.detach().cpu().numpy().tobytes() for name, tensor in tensors.items()]
    return sha256_bytes(b"".join(parts))


def parse_teacher_options(architecture: str, given: list[str], size: str | None = None) -> dict[str, Any]:
    """JSON values by keyword; tuples are written as lists, e.g. `blocks=[1,1,2,4]`.

    Args:
        architecture: a key of `TEACHERS`.
        given: `key=value`, which override the size's.
        size: a named size of the architecture.

    Raises:
        ConfigError: unknown architecture, size or key (the valid ones are listed), or no JSON value.
    """
    if architecture not in TEACHERS:
        raise ConfigError(f"--arch {architecture} is unknown; use one of {', '.join(TEACHERS)}")
    known = inspect.signature(TEACHERS[architecture]).parameters
    options = size_options(architecture, size)
    for item in given:
        key, separator, text = item.partition("=")
        if not separator or key not in known:
            raise ConfigError(
                f"--option {item}: {architecture} takes {', '.join(f'{name}=…' for name in known)}"
            )
        options[key] = _value(item, text)
    return options


def _value(item: str, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        if text.isidentifier():
            return text
        raise ConfigError(f"--option {item}: the value must be a number, a list or a name") from None


CROP = "crop the images to sides that it can take"
FINITE = "give other weights, or leave out images that hold NaN"


@dataclass(frozen=True, slots=True, eq=False)
class RestoringTeacher:
    """An opened teacher, ready to restore.

    Attributes:
        title: for reports.
        network: frozen, with `forward_features`.
        sha256: of its weights.
        trained_for: `describe()` of the degradation that it was trained with; empty if nobody wrote it down.
    """

    title: str
    network: nn.Module
    sha256: str
    trained_for: Mapping[str, Any]
    kind: ClassVar[str] = "teacher"

    @property
    def parameters(self) -> int:
        """Trainable values; 0 for a graph of ONNX."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    def restore(self, image: NDArray[np.float32], tile: int) -> NDArray[np.float32]:
        """A restored image [H, W, 3] or [H, W, 1] of any size.

        It is never cut into tiles: attention and pooled statistics, as NAFNet and Restormer have, depend on
        the whole image, so that cuts would show.

        Args:
            image: [H, W, 3] or [H, W, 1] in [0, 1].
            tile: not used; a student's `restore` takes it.

        Raises:
            TeacherError: it fails, or gives NaN or another shape.
        """
        batch = np.ascontiguousarray(image.transpose(2, 0, 1)[None], dtype=np.float32)
        padded = pad_to_multiple(batch, int(getattr(self.network, "multiple", 1)))
        output = through_colour(self._run, padded)[0, :, : image.shape[0], : image.shape[1]]
        return np.ascontiguousarray(output.transpose(1, 2, 0))

    def restore_8_bits(self, image: NDArray[np.float32], tile: int) -> Pixels:
        """As `restore`, rounded to uint8."""
        return to_uint8(self.restore(image, tile))

    def _run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        given = torch.from_numpy(batch)
        restored, _ = run_teacher(self.network, given, CROP)
        check_restored(restored, given)
        check_finite(restored, {}, remedy=FINITE)
        output: NDArray[np.float32] = restored.float().numpy()
        return output


def open_restoring_teacher(source: TeacherSource) -> RestoringTeacher:
    """Load a teacher that restores images.

    Raises:
        ConfigError, ArtifactError, TeacherError: as `open_teacher` does.
    """
    opened = open_teacher(source)
    return RestoringTeacher(opened.title, opened.network, opened.sha256, opened.trained_for)


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
        return _module_from_file(path)
    if names_factory(named):
        with torch.device("cpu"):
            return build_from_factory(named)
    raise ConfigError(
        f"{named}: neither an architecture ({', '.join(TEACHERS)}), a .safetensors file of train or distill, "
        "nor package.module:factory"
    )


def _module_from_file(path: Path) -> nn.Module:
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
