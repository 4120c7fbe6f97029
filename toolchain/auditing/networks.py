"""The networks of an audit: how each is loaded, restores an image, and is scored."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from snn_tool.degradations.crops import Crop, channels_first
from snn_tool.energy.report.columns import Cnn, Teacher
from snn_tool.energy.report.networks import Quality
from snn_tool.errors import ConfigError
from snn_tool.files.artifacts import sha256_file
from snn_tool.images.metrics import psnr_db, ssim, to_uint8
from snn_tool.images.tiling import through_channels
from snn_tool.models.integer.engine import IntegerEngine, restore_integers
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.network import Network
from snn_tool.models.neurons import ReluNeuron
from snn_tool.models.topology import Topology
from snn_tool.networks.locate import NO_TEACHER, Form, Kind, Located, Spec, locate, locate_teacher
from snn_tool.networks.open import (
    FloatStudent,
    OpenedTeacher,
    channels_of,
    open_integers,
    open_network,
    open_teacher,
    teacher_of_module,
)
from snn_tool.networks.rivals import CNN, TWIN, rivals_of
from snn_tool.ranks import shared
from torch import nn

Restore = Callable[[NDArray[np.float32]], NDArray[np.floating]]


@dataclass(frozen=True, slots=True)
class DenseRivals:
    """Networks without spikes that a student is compared with, as files; None for what there is not.

    Attributes:
        twin: a trained ANN of the student's shape, in float.
        int8_twin: the same in int8; `twin` goes before it.
        cnn: an int8 CNN of the student's quality.
        qann: the quantised twin of a `lif` student.
    """

    twin: Path | None = None
    int8_twin: Path | None = None
    cnn: Path | None = None
    qann: Path | None = None

    @property
    def hashes(self) -> dict[str, str]:
        """SHA-256 of each file by its column."""
        files = {"twin": self.twin or self.int8_twin, "cnn": self.cnn, "qann": self.qann}
        return {column: sha256_file(path) for column, path in files.items() if path}


def dense_rivals(student: Path, twin: Path | None, cnn: Path | None, qann: Path | None) -> DenseRivals:
    """What was named, and beside it what comes with a shipped student."""
    shipped = {role: rival.path for role, rival in rivals_of(student).items()}
    return DenseRivals(twin, None if twin else shipped.get(TWIN), cnn or shipped.get(CNN), qann)


def audited_cnn(path: Path | None) -> Cnn | None:
    """The int8 CNN as a column, or None without one.

    Raises:
        ConfigError: it spikes, its activations are no int8, or it restores no image.
    """
    if path is None:
        return None
    network = _int8(path, "--cnn")
    title = (
        f"int8 CNN of the student's quality: {len(network.synapses)} convolutions, 8-bit weights, and "
        "activations that saturate at 8 bits"
    )
    return Cnn(title, network.topology)


def restorers(
    network: IntegerNetwork, teacher: Teacher | None = None, rivals: DenseRivals = DenseRivals()
) -> dict[str, Restore]:
    """Everything that can restore an image, by column.

    Args:
        network: the student.
        teacher: a trained one, or None.
        rivals: dense ones.

    Raises:
        ConfigError: a twin has another shape than the student, or is no such twin; or a CNN is none.
    """
    found: dict[str, Restore] = {"student": _by_integers(network)}
    if teacher is not None:
        found["teacher"] = _by_module(teacher.module)
    if rivals.twin is not None:
        found["twin"] = _by_module(_twin(rivals.twin, network))
    elif rivals.int8_twin is not None:
        found["twin"] = _by_integers(_int8(rivals.int8_twin, "--twin", network.topology.image_channels))
    if rivals.cnn is not None:
        found["cnn"] = _by_integers(_int8(rivals.cnn, "--cnn", network.topology.image_channels))
    if rivals.qann is not None:
        found["qann"] = _by_integers(_qann(rivals.qann, network))
    return found


def audited_teacher(
    named: str | nn.Module | None, weights: Path | None = None
) -> tuple[Teacher | None, dict[str, str]]:
    """The teacher and the hash of its weights; an architecture's name alone gives an untrained one.

    A module is copied: what is audited does not change with it.

    Raises:
        ConfigError: no such teacher, a factory that fails, or ONNX, whose operations are not counted.
        ArtifactError: a file is damaged, refused, or does not fit.
    """
    if isinstance(named, nn.Module):
        return _audited(teacher_of_module(named))
    found = locate_teacher(named or NO_TEACHER, weights, untrained=True)
    if found is None:
        return None, {}
    _refuse_ensemble(found)
    if found.form is Form.ONNX:
        raise ConfigError(
            f"--teacher {named}: operations of ONNX graphs are not counted; give the network as "
            "package.module:factory"
        )
    is_untrained = found.form is Form.ARCHITECTURE and found.weights is None
    with torch.device("meta") if is_untrained else nullcontext():
        opened = open_teacher(found)
    teacher, hashes = _audited(opened)
    return teacher, {} if is_untrained else hashes


def _refuse_ensemble(found: Located) -> None:
    if found.ensemble:
        raise ConfigError(
            f"{found.spec}: is a network in eight orientations, each at its full cost; audit {found.named}"
        )


def _audited(opened: OpenedTeacher) -> tuple[Teacher, dict[str, str]]:
    return Teacher(opened.provenance.title, opened.module), {"teacher": opened.provenance.sha256}


def audited_module(named: Spec) -> nn.Module:
    """The network whose parameters and products are counted: a teacher in any form, or a student in float.

    A student's neurons stand as ReLU with the threshold that they have: products do not depend on the neuron.

    Raises:
        ConfigError: there is no network of that name, or a factory fails.
        ArtifactError: a file is damaged.
    """
    found = locate(named, accept=(Kind.FLOAT, Kind.TEACHER), untrained=True)
    _refuse_ensemble(found)
    opened = open_network(found)
    if isinstance(opened, OpenedTeacher):
        return opened.module
    assert isinstance(opened, FloatStudent)
    student = opened.network
    for name, neuron in student.neurons.items():
        student.neurons[name] = _Standing(neuron)
    return student


class _Standing(ReluNeuron):
    """In the place of a spiking neuron."""

    def __init__(self, neuron: nn.Module) -> None:
        super().__init__()
        self.log_threshold = neuron.log_threshold


def _wiring(topology: Topology) -> tuple[object, ...]:
    """What a twin has in common with its student."""
    return topology.synapses, topology.passes


def _twin(path: Path, network: IntegerNetwork) -> nn.Module:
    module = open_teacher(path).module
    if not isinstance(module, Network) or _wiring(module.topology) != _wiring(network.topology):
        raise ConfigError(
            f"{path}: not the student's ANN twin, of the same synapses; train one with 'snn-tool train "
            "--arch unet' (or flat, chain) and the student's width and passes"
        )
    return module


LEAST_LEVELS = 64
"""Of an int8 activation: seven bits and a sign."""


def _int8(path: Path, option: str, channels: int | None = None) -> IntegerNetwork:
    """A network of one step whose graded neurons are the saturation of int8, for images of `channels`."""
    given = open_integers(path).network
    if given.neuron != "graded" or given.levels < LEAST_LEVELS:
        has = f"{given.levels} levels" if given.neuron == "graded" else "binary spikes"
        raise ConfigError(
            f"{option} {path}: no int8 CNN, it has {has}; distil one with --neuron graded --levels 127, and "
            "quantise it"
        )
    if not given.topology.restores:
        raise ConfigError(f"{option} {path}: restores no image of any size; name a CNN that does")
    takes = given.topology.image_channels
    if channels not in (None, takes):
        raise ConfigError(
            f"{option} {path}: restores images of {takes} channels, the student those of {channels}; name a "
            "CNN for the same images"
        )
    return given


def _qann(path: Path, network: IntegerNetwork) -> IntegerNetwork:
    """The bit-matched quantised twin of a `lif` student: as many levels as it has timesteps, no sign."""
    if network.neuron != "lif":
        raise ConfigError(
            f"--qann {path}: a graded student computes the same integers as its quantised twin, so that "
            "their quality is the same; leave the option out"
        )
    given = open_integers(path).network
    if given.neuron != "graded" or given.signed or given.levels != network.timesteps:
        raise ConfigError(
            f"--qann {path}: not the student's quantised twin; distil one with neuron graded, unsigned, "
            f"levels {network.timesteps} (the student's T), and quantise it"
        )
    if _wiring(given.topology) != _wiring(network.topology):
        raise ConfigError(
            f"--qann {path}: not of the student's synapses; use the same body, width and passes"
        )
    return given


def _by_integers(network: IntegerNetwork) -> Restore:
    engine = IntegerEngine(network)
    return lambda image: restore_integers(engine, image[None])[0]


def _by_module(module: nn.Module) -> Restore:
    def run(batch: NDArray[np.float32]) -> NDArray[np.floating]:
        with torch.inference_mode():
            return np.asarray(module(torch.from_numpy(batch)))

    return lambda image: through_channels(run, image[None], channels_of(module))[0]


def measure(
    run: Restore, crops: Sequence[Crop], watch: Callable[[Sequence[Crop]], Iterable[Crop]] = iter
) -> Quality:
    """Mean PSNR and SSIM over the crops, by the protocol of `evaluate`; processes of torchrun share them."""

    def figures(crop: Crop) -> tuple[float, float | None]:
        restored = to_uint8(run(channels_first(crop.degraded)).transpose(1, 2, 0))
        return psnr_db(restored, crop.clean), ssim(restored, crop.clean)

    found = shared(crops, figures, tuple[float, float | None], watch)
    measured = [similarity for _, similarity in found if similarity is not None]
    mean_psnr = float(np.mean([psnr for psnr, _ in found]))
    return Quality(
        mean_psnr if np.isfinite(mean_psnr) else None, float(np.mean(measured)) if measured else None
    )
