"""Networks on disk: safetensors for the numbers, a JSON sidecar for everything else; nothing is unpickled.

`student.safetensors` has the sidecar `student.json`. The sidecar carries the schema, what rebuilds the
network, and the SHA-256 of the tensors, so that a mixed-up pair is found at once.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from snn_tool.artifacts import (
    Opener,
    atomic_path,
    read_json,
    sha256_bytes,
    sha256_file,
    write_bytes,
    write_json,
)
from snn_tool.errors import ArtifactError
from snn_tool.ownership import is_kind, refuse_existing_file


def sidecar_of(path: Path) -> Path:
    """The JSON file beside a tensor file."""
    return path.with_suffix(".json")


def kind_of(path: Path) -> str:
    """What a pair is by its sidecar, e.g. `student`.

    Raises:
        ArtifactError: the sidecar is missing or is none.
    """
    sidecar = sidecar_of(path)
    try:
        document = json.loads(sidecar.read_text(encoding="utf-8"))
        return str(document["kind"])
    except OSError as error:
        raise ArtifactError(
            f"{sidecar}: cannot be read ({error.strerror}); it belongs beside {path.name}"
        ) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ArtifactError(f"{sidecar}: is not the sidecar of {path.name}; copy both files again") from error


def write_tensors(
    path: Path,
    kind: str,
    schema: int,
    tensors: Mapping[str, torch.Tensor],
    description: Mapping[str, Any],
    opener: Opener = atomic_path,
) -> None:
    """Write tensors and sidecar, each atomically, the sidecar last.

    Args:
        path: ends in `.safetensors`.
        kind: what the pair is, e.g. `student`.
        schema: version of `description`.
        tensors: any dtypes; stored contiguously.
        description: JSON values that rebuild the network.
        opener: how both are written.
    """
    data = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    write_bytes(path, data, opener)
    write_json(sidecar_of(path), kind, schema, {"sha256": sha256_bytes(data), **description}, opener)


def is_pair(path: Path, kind: str) -> bool:
    """Whether tensors and sidecar, of which one is named, are there, of a kind, and belong together."""
    tensors, sidecar = path.with_suffix(".safetensors"), sidecar_of(path)
    if not tensors.is_file() or not is_kind(sidecar, kind):
        return False
    return bool(json.loads(sidecar.read_bytes()).get("sha256") == sha256_file(tensors))


def refuse_existing_pair(path: Path, overwrite: bool, kind: str, what: str) -> None:
    """Refuse to write a pair where a file is, unless `overwrite` and the sidecar that is there is of a kind.

    Raises:
        ConfigError: tensors or sidecar exist, and `overwrite` is false or they are something else.
    """
    for file in (path, sidecar_of(path)):
        refuse_existing_file(file, overwrite, lambda _: is_kind(sidecar_of(path), kind), what)


def read_tensors(
    path: Path, kind: str, schema: int | tuple[int, ...]
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read a pair written by `write_tensors`, in one schema or one of several.

    Raises:
        ArtifactError: a file is missing, truncated, of another kind or schema, does not match its hash, or
            holds a value that is not finite (the tensor is named).
    """
    if path.suffix != ".safetensors":
        raise ArtifactError(f"{path}: expected a .safetensors file; pickled checkpoints are never loaded")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror})") from error
    description = read_json(sidecar_of(path), kind, schema)
    if sha256_bytes(data) != description.get("sha256"):
        raise ArtifactError(
            f"{path}: does not match the hash in {sidecar_of(path).name}; copy both files again"
        )
    try:
        tensors = load(data)
    except SafetensorError as error:
        raise ArtifactError(f"{path}: not a readable safetensors file ({error})") from error
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ArtifactError(
                f"{path}: tensor '{name}' holds NaN or infinity; train again with a smaller --lr"
            )
    return tensors, description


def load_into(network: torch.nn.Module, tensors: dict[str, torch.Tensor], path: Path) -> None:
    """Fill a network's parameters.

    Raises:
        ArtifactError: names or shapes differ; the first difference is named.
    """
    expected = network.state_dict()
    for name in sorted(expected.keys() | tensors.keys()):
        here, there = expected.get(name), tensors.get(name)
        if here is None or there is None or here.shape != there.shape:
            shapes = [None if t is None else tuple(t.shape) for t in (here, there)]
            raise ArtifactError(
                f"{path}: tensor '{name}' should have shape {shapes[0]}, the file has {shapes[1]}"
            )
    network.load_state_dict(tensors)
