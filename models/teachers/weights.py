"""Weights of somebody else's network: .safetensors, or a torch file read as data alone; nothing is unpickled.

Training frameworks wrap the state dictionary. BasicSR, with which Restormer and NAFNet were published, saves
`{"params": ..., "params_ema": ...}`; Lightning saves `state_dict`, others `model`, `net_g`, `generator` or
`weights`. Whatever the key, the only dictionary of tensors is taken; of a network and its running average
(`params_ema`, `model_ema`, `ema`) the average, because it is what is published. Of several networks none is
guessed. DistributedDataParallel puts `module.` before each name, torch.compile `_orig_mod.`.
"""

import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from snn_tool.errors import ArtifactError
from torch import Tensor, nn

WRAPPERS = ("params_ema", "params", "state_dict", "model_state_dict", "model", "module", "net")
AVERAGE = re.compile(r"(^|[_.-])ema($|[_.-])")
NO_WEIGHTS = re.compile(r"optim|sched|scaler|_extra_state$", re.IGNORECASE)
COMPILED = "_orig_mod"
Keys = tuple[str, ...]
DEPTH, LISTED, REASON = 5, 4, 160
ALWAYS_ALLOWED, EXPANSION = 1 << 30, 20
"""Tensors take at most 1 GiB or 20 times their file: with stride 0 or zipped a kilobyte declares any size."""

PLAIN = (
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool, torch.complex64),
)
"""What a network's tensors are; others, as float8, have hardly any arithmetic."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name, on the CPU, out of the wrapper that they were saved in.

    `_orig_mod` is left out of the names.

    Raises:
        ArtifactError: the file is missing, damaged, holds pickled objects, no tensors or several networks, or
            a tensor has no plain values or one that is not finite.
    """
    limit = _limit(path)
    tensors = _unwrapped(_read(path, limit), path)
    _check_size(sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()), limit, path)
    for name, tensor in tensors.items():
        _check_plain(tensor, f"{path}: tensor '{name}'")
    plain = {_plain(name): tensor for name, tensor in tensors.items()}
    return plain if len(plain) == len(tensors) else tensors


def _check_plain(tensor: Tensor, where: str) -> None:
    """Refuse what torch's arithmetic does not take, before anything is computed with it."""
    kind = str(tensor.dtype).removeprefix("torch.")
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.device.type == "meta":
        form = "without values" if tensor.device.type == "meta" else "sparse or quantised"
        raise ArtifactError(f"{where} is {form}; save the network's dense state_dict()")
    if tensor.dtype not in PLAIN:
        raise ArtifactError(f"{where} is {kind}; convert it to float32 before saving")
    if (tensor.is_floating_point() or tensor.is_complex()) and not bool(torch.isfinite(tensor).all()):
        raise ArtifactError(f"{where} holds NaN or infinity; use another checkpoint")


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
    """The tensors, with wrappers' prefixes dropped from their names until they are as expected."""
    wanted = {_plain(name): name for name in expected}
    fitted = _without_prefix({_plain(name): tensor for name, tensor in tensors.items()}, wanted.keys())
    return {wanted.get(name, name): tensor for name, tensor in fitted.items()}


def _without_prefix(tensors: Mapping[str, Tensor], expected: Set[str]) -> Mapping[str, Tensor]:
    if tensors.keys() == expected:
        return tensors
    firsts = dict.fromkeys(name.partition(".")[0] for name in tensors)
    wrappers = list(WRAPPERS) if set(firsts) <= set(WRAPPERS) else list(firsts) if len(firsts) == 1 else []
    for prefix in (f"{wrapper}." for wrapper in wrappers):
        # `params.` beside `params_ema.`: a file of both, of which one is taken.
        inner = {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
        if inner and (stripped := _without_prefix(inner, expected)).keys() & expected:
            return stripped
    return tensors


def _plain(name: str) -> str:
    """A parameter's name without what torch.compile puts into it, at whatever depth."""
    return ".".join(part for part in name.split(".") if part != COMPILED)


def _limit(path: Path) -> int:
    """Bytes that the tensors of a file may take; torch stores them as they are, so it is about as large."""
    try:
        return max(ALWAYS_ALLOWED, EXPANSION * path.stat().st_size)
    except OSError:
        return ALWAYS_ALLOWED  # whoever opens it says why it cannot be read


def _check_size(total: int, limit: int, path: Path) -> None:
    if total > limit:
        raise ArtifactError(
            f"{path}: its tensors would take {total:,} bytes, far more than the file holds; "
            "save the network's state_dict() uncompressed, expanded tensors as .contiguous()"
        )


def _unpacked(path: Path) -> int:
    """Bytes that a zip declares; 0 of what is no zip that Python reads."""
    try:
        with zipfile.ZipFile(path) as file:
            return sum(member.file_size for member in file.infolist())
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return 0


def _read(path: Path, limit: int) -> Any:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        _check_size(_unpacked(path), limit, path)
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
    except (ArtifactError, MemoryError):
        raise  # memory that runs out is no fault of the file
    except Exception as error:  # foreign readers: what damaged bytes make them raise has no end
        if "TorchScript" in str(error):
            raise ArtifactError(
                f"{path}: refused, a TorchScript archive holds code; save torch.jit.load(...).state_dict()"
            ) from error
        reason = reason_of(error)
        raise ArtifactError(f"{path}: not a readable file of weights ({reason}); copy it again") from error


def reason_of(error: Exception) -> str:
    """An error's first line if it says something; torch's advice to trust a file is never passed on."""
    text = str(error).partition("\n")[0][:REASON]
    return text if " " in text and "weights_only" not in text else type(error).__name__


def _refused(error: pickle.UnpicklingError) -> str:
    """What torch's reader refused; its message is a page of advice on how to trust the file."""
    found = re.search(r"GLOBAL (\S+)", str(error))
    return found[1] if found else "of no known kind"


def _unwrapped(document: Any, path: Path) -> dict[str, Tensor]:
    """The tensors of the one network in a document.

    Raises:
        ArtifactError: there is none, or there are several.
    """
    found = dict(_networks(document, ())) if isinstance(document, Mapping) else {}
    if not found:
        raise ArtifactError(f"{path}: holds no tensors; save the network's state_dict()")
    averages = [key for key in found if AVERAGE.search(".".join(key))]
    names = {frozenset(tensors) for tensors in found.values()}
    known = [key for wrapper in WRAPPERS for key in found if key[:1] == (wrapper,)]
    if len(found) > 1 and len(names) == 1 and len(averages) == 1:
        return found[averages[0]]
    if len(found) > 1 and not known:
        listed = ", ".join(f"{'.'.join(key) or 'the top'} ({len(t)} tensors)" for key, t in found.items())
        chosen = "".join(f"[{part!r}]" for part in max(found, key=lambda key: len(found[key])))
        raise ArtifactError(
            f"{path}: holds several networks: {listed}; save the one you mean alone, as in "
            f"torch.save(torch.load({path.name!r}, weights_only=True){chosen}, 'weights.pth')"
        )
    return found[known[0] if known else next(iter(found))]


def _networks(document: Mapping[Any, Any], at: tuple[str, ...]) -> Iterator[tuple[Keys, dict[str, Tensor]]]:
    """Each dictionary of tensors in a document with the keys that lead to it; a counter beside it is none.

    Not entered: what optimizers and schedulers keep, and `_extra_state`, a module's own within a state_dict.
    """
    entered = [
        (key, value)
        for key, value in document.items()
        if isinstance(key, str) and isinstance(value, Mapping) and not NO_WEIGHTS.search(key)
    ]
    deeper = entered if len(at) < DEPTH else []
    inner = [found for key, value in deeper for found in _networks(value, (*at, key))]
    own = {name: v for name, v in document.items() if isinstance(name, str) and isinstance(v, Tensor)}
    if own and (not inner or any(tensor.dim() for tensor in own.values())):
        yield at, own
    yield from inner


def _shapes(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    both = (name for name in expected if name in found and expected[name].shape != found[name].shape)
    return [f"{name} {tuple(found[name].shape)}, not {tuple(expected[name].shape)}" for name in both]


def _some(what: str, names: list[str]) -> str:
    """`missing: a, b and 3 more`, or nothing."""
    if not names:
        return ""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"{what}: {', '.join(names[:LISTED])}{more}"
