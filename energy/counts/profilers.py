"""Real parameters and MACs of a network beside what a hook-based counter reports, and why they differ."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

import torch
from snn_tool.energy.counts.dense import MacRow, count_macs
from snn_tool.results import Result
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

Rule = Callable[[Any, Tensor, Tensor], int]
UPSAMPLING = {"nearest": 1, "linear": 5, "bilinear": 11, "bicubic": 259}
SUBCLASS = "a subclass of {}: only exact classes are hooked"
OWN_PARAMETERS = "parameters of its own, outside any hooked layer"
FUNCTIONAL = "operations that are no module: functional calls, matrix products"
TRANSPOSED = "a transposed convolution: products counted per output, stride^2 times too many"
OWN = "parameters and operations of its own, outside any hooked layer"
SHARED = "hangs in the tree {} times: parameters counted that often, MACs its square"
NORM = "scalar operations reported as MACs"
ROOT = "the network is a single layer, whose parameters are not asked for"


@dataclass(frozen=True, slots=True)
class Reported:
    """What such a counter says of one module.

    Attributes:
        path: of the module where the walk meets it; a shared module has several.
        class_name: of the module.
        macs: what it calls MACs.
        parameters: what it calls parameters.
    """

    path: str
    class_name: str
    macs: int
    parameters: int


def _convolution(module: _ConvNd, source: Tensor, out: Tensor) -> int:
    return int(out.numel()) * (int(source.shape[1]) // module.groups) * prod(module.weight.shape[2:])


def _norm(module: Any, source: Tensor, out: Tensor) -> int:
    affine = getattr(module, "affine", False) or getattr(module, "elementwise_affine", False)
    return (4 if affine else 2) * source.numel()


def _softmax(module: Any, source: Tensor, out: Tensor) -> int:
    features = int(source.shape[module.dim])
    return source.numel() // features * (3 * features - 1)


def _adaptive_average(module: Any, source: Tensor, out: Tensor) -> int:
    window = prod(n / m for n, m in zip(source.shape[2:], out.shape[2:], strict=True))
    return int((window + 1) * out.numel())


def _upsample(module: Any, source: Tensor, out: Tensor) -> int:
    return UPSAMPLING.get(module.mode, 0) * out.numel()


def _nothing(module: Any, source: Tensor, out: Tensor) -> int:
    return 0


RULES: Mapping[type[nn.Module], Rule] = {
    **dict.fromkeys((nn.Conv1d, nn.Conv2d, nn.Conv3d), _convolution),
    **dict.fromkeys((nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d), _convolution),
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm, nn.LayerNorm), _norm),
    **dict.fromkeys((nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d), _norm),
    nn.Linear: lambda module, source, out: module.in_features * out.numel(),
    nn.PReLU: lambda module, source, out: source.numel(),
    nn.Softmax: _softmax,
    **dict.fromkeys((nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d), lambda module, source, out: out.numel()),
    **dict.fromkeys((nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d), _adaptive_average),
    **dict.fromkeys((nn.Upsample, nn.UpsamplingBilinear2d, nn.UpsamplingNearest2d), _upsample),
    **dict.fromkeys((nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.Dropout, nn.PixelShuffle, nn.ZeroPad2d), _nothing),
    **dict.fromkeys((nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d), _nothing),
    **dict.fromkeys((nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d), _nothing),
    nn.Sequential: _nothing,
}
"""By exact class. Recurrent layers, which the list of thop has too, are not among ours."""


def hook_counts(module: nn.Module, image: Tensor) -> tuple[Reported, ...]:
    """Run `module` on `image` [N, C, H, W] and report what a counter of this family would.

    Returns:
        One entry for each module that is met, in the order of the walk; sums over them are its totals.
    """
    macs: dict[nn.Module, int] = {}
    handles = []
    for part in _visits(module):
        if rule := RULES.get(type(part)):
            macs[part] = 0
            handles.append(part.register_forward_hook(_booking(macs, rule)))
    try:
        with torch.no_grad():
            module(image)
    finally:
        for handle in handles:
            handle.remove()
    # The network itself is never asked for its parameters, not even if it is a single layer.
    root = Reported(type(module).__name__, type(module).__name__, macs.get(module, 0), 0)
    return root, *_walk(module, "", macs)


def _visits(module: nn.Module) -> Iterator[nn.Module]:
    """Every module once for each place where it hangs, as `nn.Module.apply` goes."""
    for child in module.children():
        yield from _visits(child)
    yield module


def _booking(macs: dict[nn.Module, int], rule: Rule) -> Callable[[nn.Module, Any, Any], None]:
    def book(part: nn.Module, sources: Any, out: Any) -> None:
        macs[part] += rule(part, sources[0], out)

    return book


def _walk(module: nn.Module, prefix: str, macs: Mapping[nn.Module, int]) -> Iterator[Reported]:
    for name, child in module.named_children():
        path = f"{prefix}{name}"
        if child in macs and not isinstance(child, nn.Sequential):
            parameters = sum(parameter.numel() for parameter in child.parameters())
            yield Reported(path, type(child).__name__, macs[child], parameters)
        else:
            yield Reported(path, type(child).__name__, 0, 0)
            yield from _walk(child, f"{path}.", macs)


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One module.

    Attributes:
        path, class_name: of the module.
        parameters, macs: real ones of its own, MACs by the conventional (padded) count.
        reported_parameters, reported_macs: of the hook-based counter, over all places where it meets it.
        reason: why the two differ; empty where they agree.
    """

    path: str
    class_name: str
    parameters: int
    macs: int
    reported_parameters: int
    reported_macs: int
    reason: str


@dataclass(frozen=True, slots=True)
class ParameterAudit(Result):
    """All modules that have or compute something, and the totals.

    Attributes:
        image_shape: [N, C, H, W] of the image.
        rows: in the order of the modules.
        parameters, macs, exact_macs: real totals; `exact_macs` leaves out products with padding.
        reported_parameters, reported_macs: the counter's totals.
    """

    image_shape: tuple[int, ...]
    rows: tuple[AuditRow, ...]
    parameters: int
    macs: int
    exact_macs: int
    reported_parameters: int
    reported_macs: int

    @property
    def reasons(self) -> dict[str, tuple[int, int, int]]:
        """For each reason the modules, the parameters and the MACs that the counter has too few (or many)."""
        found: dict[str, tuple[int, int, int]] = {}
        for row in self.rows:
            if row.reason:
                modules, parameters, macs = found.get(row.reason, (0, 0, 0))
                missing = row.parameters - row.reported_parameters
                found[row.reason] = (
                    modules + 1,
                    parameters + missing,
                    macs + row.macs - row.reported_macs,
                )
        return found

    def to_dict(self) -> dict[str, Any]:
        """JSON values; `docs/guides/audit-params.md` lists them."""
        reasons = [
            {"reason": reason, "modules": modules, "parameters": parameters, "macs": macs}
            for reason, (modules, parameters, macs) in self.reasons.items()
        ]
        return {**asdict(self), "image_shape": list(self.image_shape), "reasons": reasons}


def audit_parameters(module: nn.Module, image_shape: tuple[int, ...]) -> ParameterAudit:
    """Count a network both ways on one image.

    Args:
        module: takes one image tensor; it runs once, in evaluation mode, on its own device.
        image_shape: [N, C, H, W].

    Raises:
        UnsupportedLayerError: an operation has no known cost; it and the module are named.
    """
    real = count_macs(module, image_shape)
    training = module.training
    parameter = next(module.parameters(), None)
    device, dtype = (parameter.device, parameter.dtype) if parameter is not None else ("cpu", torch.float32)
    try:
        reported = hook_counts(module.eval(), torch.zeros(image_shape, device=device, dtype=dtype))
    finally:
        module.train(training)
    return ParameterAudit(
        image_shape=image_shape,
        rows=tuple(_rows(module, real.rows, reported)),
        parameters=real.parameters,
        macs=real.padded_macs,
        exact_macs=real.exact_macs,
        reported_parameters=sum(one.parameters for one in reported),
        reported_macs=sum(one.macs for one in reported),
    )


def _rows(module: nn.Module, real: Sequence[MacRow], reported: Sequence[Reported]) -> Iterator[AuditRow]:
    by_path = _by_module(module)
    macs, parameters = Counter[str](), Counter[str]()
    for row in real:
        macs[row.name] += row.padded_macs
        parameters[row.name] += row.parameters
    places = Counter[int]()
    said_macs, said_parameters = Counter[str](), Counter[str]()
    for one in reported:
        part = _at(module, one.path)
        path = by_path[id(part)]
        places[id(part)] += 1
        said_macs[path] += one.macs
        said_parameters[path] += one.parameters
    for path, part in _paths(module):
        figures = (parameters[path], macs[path], said_parameters[path], said_macs[path])
        if any(figures):
            differs = figures[:2] != figures[2:]
            reason = _reason(module, part, path, figures, places[id(part)]) if differs else ""
            yield AuditRow(path, type(part).__name__, *figures, reason)


def _paths(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Every module once, at its first path; the network itself by its class, as in `macs`."""
    for path, part in module.named_modules():
        yield path or type(module).__name__, part


def _by_module(module: nn.Module) -> Mapping[int, str]:
    return {id(part): path for path, part in _paths(module)}


def _at(module: nn.Module, path: str) -> nn.Module:
    return module if path == type(module).__name__ else module.get_submodule(path)


def _reason(
    module: nn.Module, part: nn.Module, path: str, figures: tuple[int, int, int, int], places: int
) -> str:
    parameters, macs, said_parameters, said_macs = figures
    if part is module and type(part) in RULES:
        return ROOT
    if places > 1:
        return SHARED.format(places)
    if type(part) in RULES and not isinstance(part, nn.Sequential):
        if isinstance(part, _ConvTransposeNd):
            return TRANSPOSED
        return NORM if said_macs > macs else FUNCTIONAL
    for known in RULES:
        if isinstance(part, known) and known is not nn.Sequential:
            return SUBCLASS.format(known.__name__)
    if parameters:
        return OWN if macs else OWN_PARAMETERS
    return FUNCTIONAL
