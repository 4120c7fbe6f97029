"""Open a network, whatever it is, and tell what it is and what it was trained for.

    opened = open_network("denoise-25")       # or any other form of `locate`
    opened.network                            # torch's, or the integers
    opened.provenance.trained_for.task        # "denoise"

It is the only way in: what restores, trains, quantises, exports or audits a network opens it here.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from snn_tool.degradations.tasks import TrainedFor
from snn_tool.errors import ArtifactError, ConfigError
from snn_tool.files.artifacts import sha256_bytes, sha256_file
from snn_tool.models.accounts import Training
from snn_tool.models.checkpoints import kind_of
from snn_tool.models.config import StudentConfig
from snn_tool.models.integer.file import INTEGER_KIND, load_integer_network
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.network import Network
from snn_tool.models.student import STUDENT_KIND, load_student
from snn_tool.models.teachers.registry import TEACHER_KIND, build_teacher, load_teacher, recognise
from snn_tool.models.teachers.tapped import TappedTeacher
from snn_tool.models.teachers.weights import fitting_names, load_strictly, read_weights
from snn_tool.models.topology import COLOUR
from snn_tool.networks.code import build_from_factory, recognise_by_spandrel
from snn_tool.networks.ensemble import IntegerRestorer, SelfEnsemble
from snn_tool.networks.locate import ANY, ENSEMBLE, STUDENTS, TEACHERS, Form, Kind, Located, Spec, locate
from torch import Tensor, nn

FILE_KINDS = {
    INTEGER_KIND: Kind.INTEGER,
    STUDENT_KIND: Kind.FLOAT,
    TEACHER_KIND: Kind.TEACHER,
}
"""What a tensor file is by the kind that its sidecar says."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a network is from.

    Attributes:
        kind: integers, a student in float, or a network that teaches.
        title: for reports: of a student its file's name.
        sha256: of the file with its weights, or of the weights where no file holds them; empty of an
            untrained architecture.
        path: the file that was opened; None where code or an architecture was.
        trained_for: what it learned to undo; its task is None where nobody wrote it down.
        training: the account of its training, checked.
        account: the whole account as it stands in the file, for those who copy it; JSON values.
        origin: JSON values that say where a network of others is from; empty for one of this tool.
    """

    kind: Kind
    title: str
    sha256: str
    path: Path | None = None
    trained_for: TrainedFor = TrainedFor()
    training: Training = Training()
    account: Mapping[str, Any] = field(default_factory=dict)
    origin: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class IntegerStudent:
    """`student.int.safetensors`: integers, as `IntegerEngine` and the exporters take them.

    Attributes:
        network: the integers.
        provenance: where they are from.
        dt_s: timestep in seconds that an imported network's file was read with.
        resets: what spikes did to its neurons, for all, or by node.
    """

    network: IntegerNetwork
    provenance: Provenance
    dt_s: float | None = None
    resets: str | Mapping[str, str] = "zero"


@dataclass(frozen=True, slots=True, eq=False)
class FloatStudent:
    """`student.safetensors`: a spiking network of torch in evaluation mode, and its configuration."""

    network: Network
    config: StudentConfig
    provenance: Provenance


@dataclass(frozen=True, slots=True, eq=False)
class OpenedTeacher:
    """A network that teaches: of torch, or a graph of ONNX; frozen, in evaluation mode.

    Attributes:
        network: has `forward_features`, `feature_channels` and `feature_scales`.
        provenance: where it is from.
        built: `architecture` and `options` that rebuild a teacher of this tool; else empty.
    """

    network: nn.Module
    provenance: Provenance
    built: Mapping[str, Any] = field(default_factory=dict)

    @property
    def module(self) -> nn.Module:
        """The network itself, without what taps its features."""
        network = self.network
        return network.network if isinstance(network, TappedTeacher) else network


def channels_of(network: nn.Module) -> int:
    """Channels of the images that a network restores, as ours say it; 3 of others."""
    return int(getattr(network, "image_channels", COLOUR))


Opened = IntegerStudent | FloatStudent | OpenedTeacher


def open_network(
    spec: Spec,
    weights: Path | None = None,
    hints: tuple[str, ...] = (),
    accept: Sequence[Kind] = ANY,
    untrained: bool = False,
) -> Opened:
    """Open the network that `spec` names, in any form of `networks.locate`.

    Args:
        spec: a name, a path, or what `locate` found.
        weights: file that fills an architecture or a factory's network.
        hints: modules or tensors of a teacher to tap, unless it names features by itself.
        accept: the kinds that are of use.
        untrained: open an architecture without weights; they are drawn by torch's generator.

    Raises:
        ConfigError: nothing of that name, a factory fails, or weights are missing or too many.
        ArtifactError: a file is missing, damaged, refused, of another kind, or does not fit the network.
        TeacherError: an ONNX file has no such tensor.
    """
    found = locate(spec, weights, accept, untrained)
    if found.ensemble:
        return _ensemble(open_network(replace(found, ensemble=False)))
    if found.form is not Form.FILE:
        return _OPENERS[found.form](found, hints)
    kind = _kind_of(found.path, accept)
    if kind is Kind.INTEGER:
        return _integers(found.path)
    return _float(found.path) if kind is Kind.FLOAT else _teacher(found.path, hints)


def open_integers(spec: Spec) -> IntegerStudent:
    """Open a student in integers, as `open_network` does."""
    opened = open_network(spec, accept=(Kind.INTEGER,))
    assert isinstance(opened, IntegerStudent)
    return opened


def open_float(spec: Spec) -> FloatStudent:
    """Open a student in float, as `open_network` does."""
    opened = open_network(spec, accept=(Kind.FLOAT,))
    assert isinstance(opened, FloatStudent)
    return opened


def open_student(spec: Spec) -> IntegerStudent | FloatStudent:
    """Open a student, as `open_network` does; of a run folder the integers, if it has them."""
    opened = open_network(spec, accept=STUDENTS)
    assert not isinstance(opened, OpenedTeacher)
    return opened


def open_teacher(
    spec: Spec, weights: Path | None = None, hints: tuple[str, ...] = (), untrained: bool = False
) -> OpenedTeacher:
    """Open a teacher, as `open_network` does."""
    opened = open_network(spec, weights, hints, TEACHERS, untrained)
    assert isinstance(opened, OpenedTeacher)
    return opened


def _kind_of(path: Path, accept: Sequence[Kind]) -> Kind:
    """What a file is by its sidecar.

    Raises:
        ArtifactError: no sidecar, or of a kind that is of no use here.
    """
    said = kind_of(path)
    kind = FILE_KINDS.get(said)
    if kind is None or kind not in accept:
        wanted = " or ".join(f"'{name}'" for name, known in FILE_KINDS.items() if known in accept)
        raise ArtifactError(f"{path}: expected a file of kind {wanted}, found '{said}'")
    return kind


def _of_file(
    path: Path,
    kind: Kind,
    account: Mapping[str, Any],
    title: str = "",
    noise: Mapping[str, Any] | None = None,
) -> Provenance:
    """Provenance of a file of this tool.

    What a network was trained for is the task of its training. Integers that came from elsewhere have none;
    for them it is the degradation of the images that they were made with.
    """
    return Provenance(
        kind,
        title or path.name,
        sha256_file(path),
        path,
        TrainedFor.of(account.get("task") or noise or {}),
        msgspec.convert(account, Training),
        account,
    )


def _integers(path: Path) -> IntegerStudent:
    network, described = load_integer_network(path)
    account = described.get("training", {})
    origin = _of_file(path, Kind.INTEGER, account, noise=described.get("noise"))
    return IntegerStudent(network, origin, described.get("dt_s"), described.get("reset", "zero"))


def _float(path: Path) -> FloatStudent:
    network, config, account = load_student(path)
    return FloatStudent(network, config, _of_file(path, Kind.FLOAT, account))


def _teacher(path: Path, hints: tuple[str, ...]) -> OpenedTeacher:
    network, description = load_teacher(path)
    if isinstance(network, Network) and hints:
        network.tap(hints)
    options = ", ".join(f"{key} {value}" for key, value in description["options"].items())
    title = ", ".join(filter(None, (description["architecture"], options)))
    provenance = _of_file(path, Kind.TEACHER, description.get("training", {}), title)
    built = {key: description[key] for key in ("architecture", "options")}
    return OpenedTeacher(_tapped(network, hints), provenance, built)


def _ensemble(opened: Opened) -> OpenedTeacher:
    """A network of any kind as a teacher that restores in eight orientations."""
    origin = opened.provenance
    network: nn.Module
    if isinstance(opened, OpenedTeacher):
        network, multiple = opened.network, int(getattr(opened.network, "multiple", 1))
    elif not opened.network.topology.restores:
        raise ConfigError(f"{ENSEMBLE}{origin.path}: restores no image of any size; it cannot teach")
    else:
        multiple = opened.network.topology.multiple
        network = IntegerRestorer(opened.network) if isinstance(opened, IntegerStudent) else opened.network
    described = replace(
        origin,
        kind=Kind.TEACHER,
        title=f"{ENSEMBLE}{origin.title}",
        sha256=sha256_bytes(f"{ENSEMBLE}{origin.sha256}".encode()),
        origin={"self_ensemble": origin.title, "sha256": origin.sha256, **origin.origin},
    )
    return OpenedTeacher(SelfEnsemble(network, multiple), described)


_of_others = partial(Provenance, Kind.TEACHER)
"""Provenance of a network that this tool did not train."""


def _onnx(found: Located, hints: tuple[str, ...]) -> OpenedTeacher:
    # onnx takes as long to import as an image to restore
    from snn_tool.models.teachers.onnx import OnnxTeacher

    path = found.path
    origin = {"onnx": path.name}
    return OpenedTeacher(
        OnnxTeacher(path, hints), _of_others(path.name, sha256_file(path), path=path, origin=origin)
    )


def _factory(found: Located, hints: tuple[str, ...]) -> OpenedTeacher:
    network, weights = build_from_factory(found.named), found.weights
    if weights:
        load_strictly(network, read_weights(weights), weights)
    digest = sha256_file(weights) if weights else _hash(network.state_dict())
    origin = {"factory": found.named, **({"weights": weights.name} if weights else {})}
    return OpenedTeacher(_tapped(network, hints), _of_others(found.named, digest, origin=origin))


def teacher_of_module(module: nn.Module, hints: tuple[str, ...] = ()) -> OpenedTeacher:
    """A network that is at hand as a teacher: a frozen copy of it, in evaluation mode.

    Args:
        module: maps RGB images [N, 3, H, W] in [0, 1] to restored images.
        hints: modules to tap, unless it names features by itself.
    """
    name, digest = type(module).__name__, _hash(module.state_dict())
    frozen = _tapped(copy.deepcopy(module), hints)
    return OpenedTeacher(frozen, _of_others(name, digest, origin={"module": name}))


def _architecture(found: Located, hints: tuple[str, ...]) -> OpenedTeacher:
    name, weights = found.named, found.weights
    if weights is None:
        network = _tapped(build_teacher(name, {}), hints)
        return OpenedTeacher(
            network, _of_others(f"{name}, untrained, at its default size", "", origin={"architecture": name})
        )
    tensors = read_weights(weights)
    recognised = recognise(name, tensors, _fits)
    if recognised is None:
        raise ArtifactError(
            f"{weights}: fits no named size of {name}; give a factory, package.module:function, "
            "that builds it"
        )
    load_strictly(recognised, tensors, weights)
    return _published(found, weights, _tapped(recognised, hints))


def _spandrel(found: Located, hints: tuple[str, ...]) -> OpenedTeacher:
    weights = found.weights
    assert weights is not None
    network = recognise_by_spandrel(read_weights(weights), weights)
    return _published(found, weights, TappedTeacher(network, hints, inside="network"))


def _published(found: Located, weights: Path, network: nn.Module) -> OpenedTeacher:
    origin = {"architecture": found.named, "weights": weights.name}
    return OpenedTeacher(
        network, _of_others(f"{found.named}, {weights.name}", sha256_file(weights), origin=origin)
    )


_OPENERS = {
    Form.ONNX: _onnx,
    Form.ARCHITECTURE: _architecture,
    Form.SPANDREL: _spandrel,
    Form.FACTORY: _factory,
}


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
