"""The student's configuration, and the networks built from it: student, ANN twin, `unet` teacher."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta
from snn_tool.errors import ConfigError
from snn_tool.files.artifacts import Opener, atomic_path
from snn_tool.files.documents import check_fields, convert, one_of
from snn_tool.models.accounts import Training
from snn_tool.models.checkpoints import Sidecar, load_into, read_tensors, write_tensors
from snn_tool.models.network import Network
from snn_tool.models.neurons import GradedNeuron, LifNeuron, ReluNeuron
from snn_tool.models.topology import Timesteps, Topology, chain, flat, unet

BODIES = ("unet", "flat", "chain")
_TOPOLOGIES: dict[str, Callable[[int], Topology]] = {"unet": unet, "flat": flat, "chain": chain}
NEURONS = ("graded", "lif")
LEAK_STEPS = 4096
"""Loihi's decay is a 12-bit fraction; a leak is a whole number of 4096ths, so that nothing is lost later."""


@dataclass(frozen=True, slots=True)
class StudentConfig:
    """What defines a student's function, apart from its weights.

    Attributes:
        body: `unet` (encoder-decoder with pixel-shuffle), `flat` (one resolution, dilated, residual) or
            `chain` (one resolution, dilated, no skip).
        neuron: `graded` (integer levels, one step) or `lif` (binary, T steps).
        width: channels at full resolution.
        timesteps: T of `lif`; `graded` has one step.
        levels: largest magnitude of a graded spike.
        signed: graded spikes may be negative.
        leak: 4096ths of the membrane that `lif` loses per timestep.
        input_step: grey levels (of 255) per integer input unit; `lif` needs a coarse grid, because Lava's
            stock LIF leaves 17 bits for a current and the first layer multiplies the image by 8-bit weights.
    """

    body: Annotated[str, one_of(*BODIES)] = "unet"
    neuron: Annotated[str, one_of(*NEURONS)] = "graded"
    width: Annotated[int, Meta(ge=4, le=256)] = 24
    timesteps: Timesteps = 1
    levels: Annotated[int, Meta(ge=1, le=127)] = 4
    signed: bool = True
    leak: Annotated[int, Meta(ge=1, lt=LEAK_STEPS)] = 64
    input_step: Annotated[int, Meta(ge=1, le=16)] = 1

    def __post_init__(self) -> None:
        """Refuse what no student can be.

        Raises:
            ConfigError: names the key, its value and what is allowed.
        """
        check_fields(self, "", prefix=("student",))
        if self.neuron == "graded" and self.timesteps != 1:
            raise ConfigError(
                f"student.timesteps = {self.timesteps} is not allowed; use 1 with graded neurons"
            )


def default_config(neuron: str, body: str = "unet") -> StudentConfig:
    """The defaults of a neuron kind and a body; every default keeps the student under 87,000 parameters."""
    width = 28 if body == "flat" else 40 if body == "chain" else 24
    if neuron == "lif":
        return StudentConfig(body=body, neuron="lif", width=width, timesteps=4, input_step=4)
    return StudentConfig(body=body, neuron=neuron, width=width)


def build_topology(config: StudentConfig) -> Topology:
    """The wiring that a configuration names."""
    return _TOPOLOGIES[config.body](config.width)


def build_student(config: StudentConfig) -> Network:
    """A spiking student with fresh weights from torch's global generator."""
    topology = build_topology(config)
    if config.neuron == "lif":
        return Network(topology, partial(LifNeuron, config.leak / LEAK_STEPS), config.timesteps)
    return Network(topology, partial(GradedNeuron, config.levels, config.signed))


def build_twin(config: StudentConfig) -> Network:
    """The ANN twin: the student's wiring with ReLU; the control that separates spikes from mere size."""
    return Network(build_topology(config), ReluNeuron)


KIND, SCHEMA = "student", 1


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
    defining = {"config": asdict(config)}
    write_tensors(path, KIND, SCHEMA, student.state_dict(), defining, {"training": dict(training)}, opener)


def load_student(path: Path) -> tuple[Network, StudentConfig, dict[str, Any]]:
    """Read a student in evaluation mode, its configuration, and how it was trained.

    Raises:
        ArtifactError: not a student of this schema, or damaged.
    """
    pair = read_tensors(path, KIND, {SCHEMA: StudentSidecar}, "training")
    student = build_student(pair.sidecar.config)
    load_into(student, pair.tensors, path)
    return student.eval(), pair.sidecar.config, pair.document.get("training", {})


def parse_config(path: Path, values: object, keys: tuple[str, ...]) -> StudentConfig:
    """A configuration from the account of a training, which stands at `keys` of the sidecar.

    Raises:
        ArtifactError: keys are missing or unknown, or a value is not allowed.
    """
    return convert(values, StudentConfig, str(path), prefix=keys)
