"""What a counter of the `thop` family reports for a network: its rules, stated anew and applied to shapes.

Papers quote such figures. The rules are those of `profile` in pytorch-OpCounter ("thop") 0.1.1, as its source
has them; nothing of it is used here, and tests hold both against each other.

1. Only modules whose class is exactly one of a list are hooked; any other, a subclass too, counts as 0.
2. A hooked module's parameters are all of its own; parameters that belong to any other module count as 0.
3. Operations that are no module (functional calls, matrix products, attention) count as 0.
4. A convolution costs outputs * (C_in / groups) * K; a transposed one likewise, although each of its outputs
   receives about K / stride^2 of these products. A norm costs 2 per input, 4 with an affine map.
5. The tree is walked by children: a module that hangs in it at k places is hooked k times and met k times, so
   that its MACs count k^2 times and its parameters k times.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

Rule = Callable[[Any, Tensor, Tensor], int]


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


UPSAMPLING = {"nearest": 1, "linear": 5, "bilinear": 11, "bicubic": 259}


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
