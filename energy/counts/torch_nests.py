"""The loops of a PyTorch operation's products, from the shapes of its arguments."""

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

from snn_tool.energy.counts.operation_costs import Call, spread
from snn_tool.models.loop_nest import LoopNest, matrix_nest

Nests = tuple[LoopNest, ...]


def torch_nests(name: str, call: Call, out: Any) -> Nests:
    """The loop nests that compute `out`, whose MACs sum to the operation's padded ones.

    Empty for operations without products, and for products that have no such form: transposed convolutions
    whose taps overlap, interpolations, convolutions of one or three dimensions or of unequal geometry.
    """
    return NESTS[name](call, out) if name in NESTS else ()


def _convolution(call: Call, out: Any) -> Nests:
    source, weight = call["input"], call["weight"]
    if weight.dim() != 4:
        return ()
    strides, paddings, dilations = (spread(call[key], 2) for key in ("stride", "padding", "dilation"))
    if any(len(set(values)) > 1 for values in (strides, paddings, dilations)):
        return ()
    if call["transposed"]:
        return _transposed(call, (strides[0], paddings[0], dilations[0]))
    groups, height, width = call["groups"], out.shape[2], out.shape[3]
    per_group = LoopNest(
        groups=groups,
        out_channels=weight.shape[0] // groups,
        in_channels=weight.shape[1],
        rows=height,
        columns=width,
        kernel_rows=weight.shape[2],
        kernel_columns=weight.shape[3],
        stride=strides[0],
        dilation=dilations[0],
        padding=paddings[0],
    )
    return (per_group,) * int(source.shape[0])


def _transposed(call: Call, geometry: tuple[int, int, int]) -> Nests:
    """Where taps do not overlap it is a convolution of kernel one with k^2 times the channels, shuffled."""
    source, weight, groups = call["input"], call["weight"], call["groups"]
    taps = tuple(weight.shape[2:])
    if set(taps) != {geometry[0]} or geometry[1:] != (0, 1) or any(call["output_padding"]):
        return ()
    channels = weight.shape[1] * prod(taps)
    nest = LoopNest(groups, channels, weight.shape[0] // groups, source.shape[2], source.shape[3])
    return (nest,) * int(source.shape[0])


def _batched(left: str, right: str) -> Callable[[Call, Any], Nests]:
    def nests(call: Call, out: Any) -> Nests:
        batch, rows, inner = call[left].shape
        return (matrix_nest(batch, rows, inner, call[right].shape[2]),)

    return nests


def _matrix(left: str, right: str) -> Callable[[Call, Any], Nests]:
    def nests(call: Call, out: Any) -> Nests:
        rows, inner = call[left].shape
        return (matrix_nest(1, rows, inner, call[right].shape[1]),)

    return nests


def _attention(call: Call, out: Any) -> Nests:
    """Q K^T, then its result times V, for every head of every image."""
    query, key, value = call["query"], call["key"], call["value"]
    heads = prod(query.shape[:-2])
    rows, inner, scores = query.shape[-2], query.shape[-1], key.shape[-2]
    return matrix_nest(heads, rows, inner, scores), matrix_nest(heads, rows, scores, value.shape[-1])


NESTS: Mapping[str, Callable[[Call, Any], Nests]] = {
    "convolution": _convolution,
    "mm": _matrix("self", "mat2"),
    "addmm": _matrix("mat1", "mat2"),
    "bmm": _batched("self", "mat2"),
    "baddbmm": _batched("batch1", "batch2"),
    "_scaled_dot_product_flash_attention_for_cpu": _attention,
}
