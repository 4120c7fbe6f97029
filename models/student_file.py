"""`student.safetensors` and its sidecar."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from snn_tool.artifacts import Opener, atomic_path
from snn_tool.errors import ArtifactError, ConfigError
from snn_tool.models.checkpoints import load_into, read_tensors, write_tensors
from snn_tool.models.network import Network
from snn_tool.models.student import StudentConfig, build_student

KIND, SCHEMA = "student", 1


def save_student(
    path: Path,
    student: Network,
    config: StudentConfig,
    training: Mapping[str, Any],
    opener: Opener = atomic_path,
) -> None:
    """Write a student; `training` says how it was made (task, seed, hashes, validation figures)."""
    description = {"config": asdict(config), "training": dict(training)}
    write_tensors(path, KIND, SCHEMA, student.state_dict(), description, opener)


def load_student(path: Path) -> tuple[Network, StudentConfig, dict[str, Any]]:
    """Read a student in evaluation mode, its configuration, and how it was trained.

    Raises:
        ArtifactError: not a student of this schema, or damaged.
    """
    tensors, description = read_tensors(path, KIND, SCHEMA)
    config = parse_config(path, description.get("config"))
    student = build_student(config)
    load_into(student, tensors, path)
    return student.eval(), config, description.get("training", {})


def parse_config(path: Path, values: object) -> StudentConfig:
    """A configuration from a sidecar.

    Raises:
        ArtifactError: keys are missing or unknown, or a value is not allowed.
    """
    known = {field.name for field in fields(StudentConfig)}
    if not isinstance(values, dict) or set(values) != known:
        raise ArtifactError(f"{path}: its config does not have exactly the keys {', '.join(sorted(known))}")
    try:
        return StudentConfig(**values)
    except (ConfigError, TypeError) as error:
        raise ArtifactError(f"{path}: {error}") from error
