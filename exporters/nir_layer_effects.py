"""Layers without state by their values: convolutions, pools, flattening and affine maps in each importer."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from snn_tool.exporters.nir_effects import (
    CHANGED,
    Effect,
    Effects,
    changed_unless,
    refused_unless,
    told,
)

Rule = Callable[[Any, float], Effects]


def _strided_same(node: Any) -> Effects:
    padding = node.padding
    strided = isinstance(padding, str) and padding == "same" and bool((np.ravel(node.stride) != 1).any())
    why = f"padding 'same' with stride {_text(node.stride)}: torch has it with stride 1 only"
    yield from refused_unless(not strided, why)


def _text(values: Any) -> str:
    return " x ".join(str(int(n)) for n in np.ravel(values))


def grouped_conv(node: Any, dt: float) -> Effects:
    """A convolution of torch that is told weight.shape[1] input channels, the channels of one group."""
    groups, per_group = int(node.groups), int(node.weight.shape[1])
    why = f"groups is {groups}: it takes {per_group} for the input channels, which {groups} does not divide"
    yield from refused_unless(groups > 0 and per_group % groups == 0, why)
    yield from _strided_same(node)


def dense_conv(node: Any, dt: float) -> Effects:
    """A convolution behind spikingjelly's own check."""
    groups = int(node.groups)
    yield from refused_unless(groups == 1, f"groups is {groups}, but must be 1")
    yield from _strided_same(node)


def unpadded_pool(node: Any, dt: float) -> Effects:
    """A pool that is made without padding."""
    padding = _text(node.padding)
    yield from changed_unless(not np.any(node.padding), f"padding is {padding}, but is dropped")


def flatten_with_batch(node: Any, dt: float) -> Effects:
    """Flatten of torch with NIR's dimensions, which do not count the batch in front."""
    start, end = int(node.start_dim), int(node.end_dim)
    if start == end or (start < 0 and end < 0):
        return
    shape = node.input_type["input"]
    if shape is not None:
        ranks = len(np.ravel(shape)) + 1
        meant = [n % ranks if n < 0 else n + 1 for n in (start, end)]
        if meant == [n % ranks for n in (start, end)]:
            return
    why = f"flattens {start} to {end} counting from the batch, which NIR's dimensions leave out"
    yield Effect(CHANGED, why)


def random_bias(node: Any, dt: float) -> Effects:
    """A map that stores the bias where nothing reads it, so that torch's random one stays."""
    yield Effect(CHANGED, f"bias is {told(node.bias)}, but a random one is used")


_TORCH = {
    "Conv1d": grouped_conv,
    "Conv2d": grouped_conv,
    "Flatten": flatten_with_batch,
    "SumPool2d": unpadded_pool,
}
LAYERS: Mapping[str, Mapping[str, Rule]] = {
    "norse": _TORCH,
    "snntorch": _TORCH,
    "spikingjelly": {"Conv1d": dense_conv, "Conv2d": dense_conv, "SumPool2d": unpadded_pool},
    "sinabs": {"Conv2d": grouped_conv, "SumPool2d": unpadded_pool},
    "nirtorch": {**_TORCH, "Affine": random_bias},
}
"""Rules by simulator and NIR type; a type without a rule is held whatever its values are."""
