"""Networks on disk: safetensors for the numbers, a JSON sidecar for everything else; nothing is unpickled.

`student.safetensors` has the sidecar `student.json`. The sidecar carries the schema, what rebuilds the
network, the SHA-256 of the tensors, so that a mixed-up pair is found at once, and one of the tensors and all
numbers that define the function, so that a changed number is.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from snn_tool.errors import ArtifactError, first_line
from snn_tool.files.artifacts import (
    LARGEST_JSON,
    Opener,
    atomic_path,
    parse_json,
    read_json,
    sha256_bytes,
    sha256_file,
    shown,
    write_bytes,
    write_json,
)
from snn_tool.files.documents import Document, Sha256, convert
from snn_tool.files.ownership import is_kind, refuse_existing_file

REMEDY = "copy both files again"


def sidecar_of(path: Path) -> Path:
    """The JSON file beside a tensor file."""
    return path.with_suffix(".json")


class Sidecar(Document, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every sidecar says.

    Attributes:
        sha256: of the tensor file.
        function_sha256: of `sha256` and all values of the sidecar that define what the network computes; a
            changed number is found by it. Files of earlier versions have none and are read without it.
    """

    sha256: Sha256
    function_sha256: Sha256 | None = None


S = TypeVar("S", bound=Sidecar)


def kind_of(path: Path) -> str:
    """What a pair is by its sidecar, e.g. `student`.

    Raises:
        ArtifactError: the sidecar is missing or is none.
    """
    sidecar = sidecar_of(path)
    try:
        with sidecar.open("rb") as stream:
            document = parse_json(stream.read(LARGEST_JSON + 1))
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
    defining: Mapping[str, Any],
    account: Mapping[str, Any],
    opener: Opener = atomic_path,
) -> None:
    """Write tensors and sidecar, each atomically, the sidecar last.

    Args:
        path: ends in `.safetensors`.
        kind: what the pair is, e.g. `student`.
        schema: version of the sidecar.
        tensors: any dtypes; stored contiguously.
        defining: JSON values that rebuild the network; the function's hash covers them.
        account: JSON values that say how it came about.
        opener: how both are written.
    """
    data = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    digest = sha256_bytes(data)
    head = {"sha256": digest, "function_sha256": function_sha256(digest, defining)}
    write_bytes(path, data, opener)
    write_json(sidecar_of(path), kind, schema, {**head, **defining, **account}, opener)


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


def function_sha256(tensors_sha256: str, defining: Mapping[str, Any]) -> str:
    """One hash of the tensors and of the numbers beside them, whatever order or form these are written in."""
    values = {"sha256": tensors_sha256, **defining}
    return sha256_bytes(json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False).encode())


@dataclass(frozen=True, slots=True, eq=False)
class Pair(Generic[S]):
    """A tensor file with its sidecar.

    Attributes:
        tensors: by name.
        sidecar: checked by its schema.
        document: the same as JSON values, with what the schema leaves open.
    """

    tensors: dict[str, torch.Tensor]
    sidecar: S
    document: dict[str, Any]


def read_tensors(path: Path, kind: str, schemas: Mapping[int, type[S]], account: str) -> Pair[S]:
    """Read a pair written by `write_tensors`.

    Args:
        path: ends in `.safetensors`.
        kind: what it must be.
        schemas: by version, what the sidecar must look like.
        account: the key of the sidecar that says how the network came about; all others define it.

    Raises:
        ArtifactError: a file is missing, truncated, of another kind or schema, does not match its hash, or
            holds a value that is not finite (the tensor is named); a key of the sidecar is missing, unknown
            or not allowed, or was changed.
    """
    if path.suffix != ".safetensors":
        raise ArtifactError(f"{path}: expected a .safetensors file; pickled checkpoints are never loaded")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror})") from error
    beside = sidecar_of(path)
    document = read_json(beside, kind, tuple(schemas))
    sidecar = convert(document, schemas[document["schema"]], str(beside), remedy=REMEDY)
    if sha256_bytes(data) != sidecar.sha256:
        raise ArtifactError(f"{path}: does not match the hash in {beside.name}; {REMEDY}")
    _check_function(beside, document, account)
    return Pair(_tensors(path, data), sidecar, document)


def _check_function(beside: Path, document: Mapping[str, Any], account: str) -> None:
    """Hold the numbers of a sidecar against the function's hash, if it has one."""
    apart = {"kind", "schema", "tool_version", "sha256", "function_sha256", account}
    defining = {key: value for key, value in document.items() if key not in apart}
    given = document.get("function_sha256")
    if given is not None and given != function_sha256(document["sha256"], defining):
        raise ArtifactError(
            f"{beside}: function_sha256 does not fit its numbers, so one of {', '.join(defining)} was "
            f"changed; {REMEDY}"
        )


def _tensors(path: Path, data: bytes) -> dict[str, torch.Tensor]:
    try:
        tensors = load(data)
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise ArtifactError(f"{path}: not a readable safetensors file ({first_line(error)})") from error
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor.float()).all()):
            raise ArtifactError(
                f"{path}: tensor {shown(name)} holds NaN or infinity; train again with a smaller --lr"
            )
    return tensors


def load_into(network: torch.nn.Module, tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Fill a network's parameters.

    Raises:
        ArtifactError: names, shapes or kinds of number differ; the first difference is named.
    """
    check_fit(network.state_dict(), tensors, path)
    network.load_state_dict(tensors)


def check_fit(expected: Mapping[str, torch.Tensor], tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Hold a file's tensors against those of the network that its sidecar describes.

    Raises:
        ArtifactError: names, shapes or kinds of number differ; the first difference is named.
    """
    for name in sorted(expected.keys() | tensors.keys()):
        here, there = expected.get(name), tensors.get(name)
        if here is None or there is None or here.shape != there.shape:
            shapes = [None if t is None else tuple(t.shape) for t in (here, there)]
            raise ArtifactError(
                f"{path}: tensor {shown(name)} should have shape {shapes[0]}, the file has {shapes[1]}"
            )
        if here.is_floating_point() != there.is_floating_point():
            raise ArtifactError(
                f"{path}: tensor {shown(name)} should be of {here.dtype}, the file has {there.dtype}"
            )
