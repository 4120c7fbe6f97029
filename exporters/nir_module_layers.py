"""NIR's nodes without state as torch modules in float64; shapes are NIR's, with the batch in front."""

from collections.abc import Callable, Mapping
from typing import Any

import nir
import numpy as np
import torch
from snn_tool.errors import ArtifactError
from snn_tool.exporters.nir.reading import MAX_QUOTED
from torch import Tensor, nn
from torch.nn import functional


class Scaled(nn.Module):
    """Times constants; a single factor is a number, which the next layer's weights can absorb."""

    def __init__(self, scale: Tensor) -> None:
        super().__init__()
        uniform = bool((scale == scale.flatten()[0]).all())
        self.factor = float(scale.flatten()[0]) if uniform else None
        self.scale = nn.Parameter(scale, requires_grad=False) if not uniform else None

    def forward(self, x: Tensor) -> Tensor:
        """Of the input's shape [N, ...]; factors that differ must have the shape of one item."""
        if self.scale is None:
            assert self.factor is not None
            return x * self.factor
        if self.scale.shape != x.shape[1:]:
            raise ValueError(f"scale has shape {list(self.scale.shape)}, but {list(x.shape[1:])} arrives")
        return x * self.scale


class Pool(nn.Module):
    """Sums [N, C, H, W] over windows, zeros of the padding included, by `divisor` (0: the window's area)."""

    def __init__(self, node: Any, divisor: int) -> None:
        super().__init__()
        self.window, self.stride, self.padding = map(_pair, (node.kernel_size, node.stride, node.padding))
        self.divisor = divisor or self.window[0] * self.window[1]

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H', W']."""
        return functional.avg_pool2d(x, self.window, self.stride, self.padding, divisor_override=self.divisor)


class Flat(nn.Module):
    """Flattens dimensions that NIR counts without the batch."""

    def __init__(self, node: nir.Flatten) -> None:
        super().__init__()
        self.first, self.last = (int(n) + (int(n) >= 0) for n in (node.start_dim, node.end_dim))

    def forward(self, x: Tensor) -> Tensor:
        """[N, ...]."""
        return x.flatten(self.first, self.last)


def convolution(node: Any, dimensions: int) -> nn.Module:
    """A torch convolution of the node's weight [Co, Ci / groups, ...]."""
    weight = _array(node.weight)
    outputs, inputs, *kernel = weight.shape
    if len(kernel) != dimensions:
        raise ValueError(f"a weight of {weight.dim()} dimensions")
    spread = {name: _spread(getattr(node, name), dimensions) for name in ("stride", "padding", "dilation")}
    groups = int(node.groups)
    kind: Any = nn.Conv1d if dimensions == 1 else nn.Conv2d
    made = kind(inputs * groups, outputs, kernel, groups=groups, bias=False, dtype=torch.float64, **spread)
    return _with_weights(made, weight, node.bias)


def linear(node: Any) -> nn.Module:
    """A torch linear layer; Affine has a bias, Linear none."""
    weight = _array(node.weight)
    made = nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=torch.float64)
    return _with_weights(made, weight, getattr(node, "bias", None))


def _with_weights(made: Any, weight: Tensor, bias: Any) -> nn.Module:
    """Exporters write zeros for a bias that is not there; zeros are no bias, so that none is charged."""
    made.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None and np.any(bias):
        values = _array(bias)
        if values.shape != weight.shape[:1]:
            raise ValueError(f"bias {list(values.shape)} does not fit weight {list(weight.shape)}")
        made.bias = nn.Parameter(values, requires_grad=False)
    module: nn.Module = made
    return module


def _array(values: Any) -> Tensor:
    array = np.array(values, dtype=np.float64)
    if not np.isfinite(array).all() or array.size == 0:
        raise ValueError("values that are not finite, or none")
    return torch.from_numpy(array)


def _spread(value: Any, dimensions: int) -> Any:
    return value if isinstance(value, str) else tuple(int(n) for n in np.broadcast_to(value, dimensions))


def _pair(value: Any) -> tuple[int, int]:
    rows, columns = np.broadcast_to(value, 2)
    return int(rows), int(columns)


LAYERS: Mapping[type, Callable[[Any], nn.Module]] = {
    nir.Affine: linear,
    nir.AvgPool2d: lambda node: Pool(node, 0),
    nir.Conv1d: lambda node: convolution(node, 1),
    nir.Conv2d: lambda node: convolution(node, 2),
    nir.Flatten: Flat,
    nir.Linear: linear,
    nir.Scale: lambda node: Scaled(_array(node.scale)),
    nir.SumPool2d: lambda node: Pool(node, 1),
}


def layer(node: Any, where: str) -> nn.Module:
    """The module of a node.

    Raises:
        ArtifactError: its values contradict each other; `where` stands at the head.
    """
    try:
        return LAYERS[type(node)](node)
    except (IndexError, RuntimeError, TypeError, ValueError) as error:
        line = str(error).partition("\n")[0][:MAX_QUOTED]
        raise ArtifactError(f"{where}: {type(node).__name__} cannot be read ({line})") from error
