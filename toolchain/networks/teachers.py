"""Every teacher that `--teacher` can name: trained here, published, somebody's torch code, or an ONNX file.

teacher.safetensors               from `snn-tool train`
nafnet --weights FILE             a published checkpoint of an architecture that is built in
package.module:factory            a user's torch network; --weights FILE fills it
model.onnx                        run by onnxruntime
spandrel --weights FILE           an architecture that spandrel recognises (extra `teachers`)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snn_tool.files.artifacts import sha256_bytes, sha256_file
from snn_tool.errors import ArtifactError, ConfigError
from snn_tool.networks.code import build_from_factory, names_factory
from snn_tool.models.network import Network
from snn_tool.models.teachers.onnx import OnnxTeacher
from snn_tool.models.teachers.tapped import TappedTeacher
from snn_tool.models.teacher_sizes import recognise
from snn_tool.models.teachers.registry import TEACHERS, load_teacher
from snn_tool.models.teachers.weights import fitting_names, load_strictly, read_weights
from snn_tool.spandrel_teacher import SPANDREL, recognise_by_spandrel
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
