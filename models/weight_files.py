"""Weights of somebody else's network: .safetensors, or a torch file read as data alone; nothing is unpickled.

Training frameworks wrap the state dictionary. BasicSR, with which Restormer and NAFNet were published, saves
`{"params": ..., "params_ema": ...}`; Lightning saves `state_dict`, others `model` or `net`; and
DistributedDataParallel puts `module.` before each name. The average (`params_ema`) is preferred where both
are there, because it is what is published.
"""

import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from snn_tool.errors import ArtifactError
from torch import Tensor, nn

WRAPPERS = ("params_ema", "params", "state_dict", "model_state_dict", "model", "module", "net")
LISTED = 4


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name, on the CPU, out of the wrapper that they were saved in.

    Raises:
        ArtifactError: the file is missing, damaged, holds pickled objects or no tensors, or a tensor holds a
            value that is not finite.
    """
    tensors = _tensors(_read(path))
    if not tensors:
        raise ArtifactError(f"{path}: holds no tensors; save the network's state_dict()")
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ArtifactError(f"{path}: tensor '{name}' holds NaN or infinity; use another checkpoint")
    return tensors


def load_strictly(network: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Fill a network whose names and shapes must be exactly those of the file.

    A prefix that every name of the file has, like `module.` or `params.`, is dropped where that helps.

    Raises:
        ArtifactError: names are missing or too many, or shapes differ; the first of them are listed.
    """
    expected = network.state_dict()
    found = fitting_names(tensors, expected)
    problems = [
        _some("missing", sorted(expected.keys() - found.keys())),
        _some("unexpected", sorted(found.keys() - expected.keys())),
        _some("of another shape", _shapes(expected, found)),
    ]
    if any(problems):
        raise ArtifactError(
            f"{path}: does not fit {type(network).__name__}; tensors {'; '.join(p for p in problems if p)}; "
            "give the factory's network the options that the weights were trained with"
        )
    network.load_state_dict(dict(found))


def fitting_names(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The tensors, with a wrapper's prefix dropped from their names until they are as expected."""
    if tensors.keys() == expected.keys():
        return tensors
    for wrapper in WRAPPERS:
        prefix = f"{wrapper}."
        inner = {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
        # `params.` beside `params_ema.`: a file of both, of which one is taken.
        rest = {name.partition(".")[0] for name in tensors} - set(WRAPPERS)
        if inner and not rest and (stripped := fitting_names(inner, expected)).keys() & expected.keys():
            return stripped
    return tensors


def _read(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", UserWarning
            )  # of a pickle's protocol: it is read as data or not at all
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror or 'no such file'})") from error
    except pickle.UnpicklingError as error:
        raise ArtifactError(
            f"{path}: refused, it holds pickled objects ({_refused(error)}), which could run code, or is "
            "no torch file; save the weights alone, torch.save(network.state_dict(), ...), or as .safetensors"
        ) from error
    except (SafetensorError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ArtifactError(f"{path}: not a readable file of weights ({reason}); copy it again") from error


def _refused(error: pickle.UnpicklingError) -> str:
    """What torch's reader refused; its message is a page of advice on how to trust the file."""
    found = re.search(r"GLOBAL (\S+)", str(error))
    return found[1] if found else "of no known kind"


def _tensors(document: Any) -> dict[str, Tensor]:
    """The tensors of a document, or of the first wrapper in it."""
    if not isinstance(document, Mapping):
        return {}
    for wrapper in WRAPPERS:
        if isinstance(inner := document.get(wrapper), Mapping):
            return _tensors(inner)
    return {str(name): value for name, value in document.items() if isinstance(value, Tensor)}


def _shapes(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    both = (name for name in expected if name in found and expected[name].shape != found[name].shape)
    return [f"{name} {tuple(found[name].shape)}, not {tuple(expected[name].shape)}" for name in both]


def _some(what: str, names: list[str]) -> str:
    """`missing: a, b and 3 more`, or nothing."""
    if not names:
        return ""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"{what}: {', '.join(names[:LISTED])}{more}"
