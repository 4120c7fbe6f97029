"""What one PyTorch operation costs: multiply-accumulates and scalar operations, from shapes alone.

Adding an operation is one line of a table, or one small function and its line. An operation in no table is an
error that names it, never zero. Names are those of ATen without the underscore of the in-place variants.

The unit of `elementwise_ops` is one scalar addition, multiplication, division, comparison, selection or
elementary function (exp, erf, tanh, square root). Elementary functions cost more than that on real hardware,
so the count of a conventional network is low rather than high.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from snn_tool.energy.counts.fan_out import conv_fan_out, transposed_conv_fan_out
from snn_tool.errors import UnsupportedLayerError

Call = Mapping[str, Any]
"""The arguments of an operation by the names of its schema."""

_GEOMETRY = ("stride", "padding", "dilation")
FREE = frozenset(
    """
    alias arange as_strided cat channel_shuffle clone constant_pad_nd contiguous copy detach diagonal
    embedding empty empty_like expand eye fill flip full full_like gather im2col index index_select lift_fresh
    max_unpool2d max_unpool3d native_dropout new_empty new_full new_ones new_zeros ones ones_like permute
    pixel_shuffle pixel_unshuffle reflection_pad1d reflection_pad2d reflection_pad3d repeat
    replication_pad1d replication_pad2d replication_pad3d reshape roll scalar_tensor select slice split
    split_with_sizes squeeze stack t transpose unbind unfold unsqueeze upsample_nearest1d upsample_nearest2d
    upsample_nearest3d view zero zeros zeros_like _reshape_alias _to_copy _unsafe_index _unsafe_view
    _upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d
    """.split()
)
"""Moves, copies, constants and permutations: no arithmetic on values. Explicit padding makes real values."""

PER_OUTPUT: dict[str, int] = {
    **dict.fromkeys(
        "add sub rsub mul div reciprocal neg abs sqrt rsqrt exp log erf tanh sin cos pow square".split(), 1
    ),
    **dict.fromkeys(
        "maximum minimum relu clamp_min clamp_max eq ne lt le gt ge where masked_fill sign".split(), 1
    ),
    **dict.fromkeys("fmax fmin isnan isinf floor ceil round trunc frac heaviside".split(), 1),
    **dict.fromkeys("logical_not logical_and logical_or logical_xor".split(), 1),
    **dict.fromkeys("bitwise_not bitwise_and bitwise_or bitwise_xor".split(), 1),
    **dict.fromkeys("clamp hardtanh leaky_relu _prelu_kernel addcmul addcdiv".split(), 2),
    "lerp": 3,  # a + w (b - a)
    "elu": 4,  # compare, exp, - 1, scale
    "sigmoid": 4,  # negate, exp, + 1, reciprocal
    "hardsigmoid": 4,  # + 3, two clamps, / 6
    "softplus": 3,  # exp, + 1, log
    "silu": 5,
    "hardswish": 5,
}
"""Scalar operations per output value."""


@dataclass(frozen=True, slots=True)
class OperationCost:
    """The cost of one call.

    Attributes:
        kind: `convolution`, `transposed convolution`, `matrix product`, `interpolation` or `elementwise`.
        padded_macs: products including those with the zeros of a convolution's own padding.
        exact_macs: products with a real input and a real output only.
        elementwise_ops: scalar operations outside of these products.
    """

    kind: str
    padded_macs: int = 0
    exact_macs: int = 0
    elementwise_ops: int = 0


def operation_cost(name: str, call: Call, out: Any) -> OperationCost | None:
    """The cost of the operation `name` that returned `out`; None if it moves data without computing.

    Raises:
        UnsupportedLayerError: no table knows the operation.
    """
    if name in FREE:
        return None
    if name in PER_OUTPUT:
        return OperationCost("elementwise", elementwise_ops=PER_OUTPUT[name] * int(out.numel()))
    if name in ELEMENTWISE:
        return OperationCost("elementwise", elementwise_ops=ELEMENTWISE[name](call, out))
    if name in PRODUCTS:
        return PRODUCTS[name](call, out)
    raise UnsupportedLayerError(
        f"the operation aten.{name} has no known cost; replace it in the network, "
        "or add it to operation_costs"
    )


def is_known(name: str) -> bool:
    """Whether a table knows the operation."""
    return name in FREE or name in PER_OUTPUT or name in ELEMENTWISE or name in PRODUCTS


def _convolution(call: Call, out: Any) -> OperationCost:
    """Padded: N C_out (C_in / g) K N_out positions; exact: each input's fan-out in place of K N_out."""
    source, weight, transposed = call["input"], call["weight"], bool(call["transposed"])
    fan_out = transposed_conv_fan_out if transposed else conv_fan_out
    kernel = weight.shape[2:]
    geometry = zip(
        source.shape[2:],
        out.shape[2:],
        kernel,
        *(spread(call[k], len(kernel)) for k in _GEOMETRY),
        strict=True,
    )
    reached = prod(int(fan_out(*line).sum()) for line in geometry)
    # weight is [C_out, C_in / g, ...], transposed [C_in, C_out / g, ...]: the product of both is needed.
    pairs = int(source.shape[0] * weight.shape[0] * weight.shape[1])
    positions = prod(source.shape[2:] if transposed else out.shape[2:])
    bias = 0 if call["bias"] is None else int(out.numel())
    kind = "transposed convolution" if transposed else "convolution"
    return OperationCost(kind, pairs * positions * prod(kernel), pairs * reached, bias)


def spread(values: Sequence[int], dimensions: int) -> Sequence[int]:
    """A geometry that names one number for all dimensions, as a number for each."""
    return list(values) * dimensions if len(values) == 1 else values


def _matrix(inner: Callable[[Call], int], added: int = 0) -> Callable[[Call, Any], OperationCost]:
    """Outputs times the summed dimension, and `added` additions per output."""

    def cost(call: Call, out: Any) -> OperationCost:
        outputs = int(out.numel())
        macs = outputs * inner(call)
        return OperationCost("matrix product", macs, macs, added * outputs)

    return cost


def _attention(call: Call, out: Any) -> OperationCost:
    """Q K^T, scale, mask, softmax, times V: scores (d + d_v) MACs; a causal mask saves none of them."""
    query, key, value = call["query"], call["key"], call["value"]
    rows = prod(query.shape[:-1])
    scores = rows * key.shape[-2]
    macs = int(scores * (query.shape[-1] + value.shape[-1]))
    masked = scores if call.get("attn_mask", call.get("attn_bias")) is not None else 0
    return OperationCost("matrix product", macs, macs, int(scores + masked + 5 * scores - 2 * rows))


def _interpolation(taps: int) -> Callable[[Call, Any], OperationCost]:
    """One MAC per output and tap."""

    def cost(call: Call, out: Any) -> OperationCost:
        macs = taps * int(out.numel())
        return OperationCost("interpolation", macs, macs)

    return cost


def single_input(call: Call) -> Any:
    """The one input, which schemas name differently."""
    return call["self"] if "self" in call else call["input"]


def _inputs(call: Call) -> int:
    return int(single_input(call).numel())


def _first(out: Any) -> Any:
    """The result, or the first of several, e.g. values before their positions."""
    return out[0] if isinstance(out, tuple | list) else out


def _reduced(call: Call, out: Any) -> int:
    """N values become one by n - 1 operations: additions of a sum, comparisons of a maximum."""
    return _inputs(call) - int(_first(out).numel())


def _extremes(call: Call, out: Any) -> int:
    return 2 * _reduced(call, out)


def _log_sum_exp(call: Call, out: Any) -> int:
    """N - 1 comparisons, n differences, n exponentials, n - 1 sums, a logarithm, a sum: 4 n."""
    return 4 * _inputs(call)


def _count_nonzero(call: Call, out: Any) -> int:
    """N comparisons, n - 1 sums."""
    return 2 * _inputs(call) - int(out.numel())


def _line(call: Call) -> int:
    """Values among which an operation orders: those along its dimension, or all of them."""
    source = single_input(call)
    sizes = source.shape or (1,)
    return int(sizes[call["dim"]] if call.get("dim") is not None else source.numel())


def _lines(call: Call) -> int:
    return _inputs(call) // max(1, _line(call))


def merge_comparisons(n: int) -> int:
    """Comparisons of a merge sort of n values in the worst case: n L - 2^L + 1 with L = ceil(log2 n)."""
    levels = (n - 1).bit_length() if n > 1 else 0
    return int(n * levels - (1 << levels) + 1)


def selection_comparisons(n: int, k: int) -> int:
    """Comparisons for the k largest of n: k maxima in turn, of n, n - 1, ... values, or a sort if cheaper."""
    return min(k * n - k * (k + 1) // 2, merge_comparisons(n))


def _sort(call: Call, out: Any) -> int:
    return _lines(call) * merge_comparisons(_line(call))


def _largest(call: Call, out: Any) -> int:
    return _lines(call) * selection_comparisons(_line(call), int(call["k"]))


def _ranked(rank: Callable[[Call], int]) -> Callable[[Call, Any], int]:
    """The value of one rank, found from the nearer end."""

    def cost(call: Call, out: Any) -> int:
        n, k = _line(call), rank(call)
        return _lines(call) * selection_comparisons(n, min(k, n - k + 1))

    return cost


def _mode(call: Call, out: Any) -> int:
    """A sort, then for each neighbour a comparison, a count, and a comparison with the longest run."""
    return _lines(call) * (merge_comparisons(_line(call)) + 3 * (_line(call) - 1))


def _running(call: Call, out: Any) -> int:
    """The first value of each line is taken as it is."""
    return _inputs(call) - _lines(call)


def _softmax(call: Call, out: Any) -> int:
    """Maximum, difference, exponential, sum, quotient: 5 per value, less one maximum and one sum per row."""
    return 5 * _inputs(call) - 2 * (_inputs(call) // int(out.shape[call["dim"]]))


def _normalise(call: Call, groups: int) -> int:
    """Mean, difference, square, mean, product: 5 per value; + epsilon, root: 2 per group; then the affine."""
    affine = sum(call[name] is not None for name in ("weight", "bias"))
    return (5 + affine) * _inputs(call) + 2 * groups


def _layer_norm(call: Call, out: Any) -> int:
    return _normalise(call, _inputs(call) // prod(call["normalized_shape"]))


def _group_norm(call: Call, out: Any) -> int:
    return _normalise(call, int(call["N"] * call["group"]))


def _batch_norm(call: Call, out: Any) -> int:
    """With running statistics one scale and one shift per value; otherwise (instance norm) as layer norm."""
    if call.get("training", call.get("running_mean") is None):
        return _normalise(call, int(call["input"].shape[1]))
    return 2 * _inputs(call)


def _pool(dimensions: int, work: Callable[[int], int]) -> Callable[[Call, Any], int]:
    """`work` scalar operations per output, of the number of values in the window."""

    def cost(call: Call, out: Any) -> int:
        return work(prod(spread(call["kernel_size"], dimensions))) * int(_first(out).numel())

    return cost


def _adaptive_pool(per_output: int) -> Callable[[Call, Any], int]:
    """Of b values in a bin an average takes b - 1 sums and 1 scale, a maximum b - 1 comparisons.

    The bins [floor(i n / m), ceil((i + 1) n / m)) may overlap.
    """

    def cost(call: Call, out: Any) -> int:
        source, result = single_input(call), _first(out)
        dimensions = len(call["output_size"])
        binned: int = prod(
            sum(-(-(i + 1) * n // m) - i * n // m for i in range(m))
            for n, m in zip(source.shape[-dimensions:], result.shape[-dimensions:], strict=True)
        )
        return int(prod(source.shape[:-dimensions])) * binned + per_output * int(result.numel())

    return cost


ELEMENTWISE: dict[str, Callable[[Call, Any], int]] = {
    # x Phi(x): x / sqrt 2, erf, + 1, half, times x; with tanh x^3 takes two more products, and its sum two.
    "gelu": lambda call, out: (9 if call["approximate"] == "tanh" else 5) * int(out.numel()),
    **dict.fromkeys("sum prod amax amin max min argmax argmin any all".split(), _reduced),
    "aminmax": _extremes,
    "logsumexp": _log_sum_exp,
    "count_nonzero": _count_nonzero,
    "sort": _sort,
    "topk": _largest,
    "kthvalue": _ranked(lambda call: int(call["k"])),
    **dict.fromkeys(("median", "nanmedian"), _ranked(lambda call: (_line(call) + 1) // 2)),
    "mode": _mode,
    **dict.fromkeys(("cummax", "cummin", "cumprod"), _running),
    "mean": lambda call, out: _inputs(call),
    **dict.fromkeys(("var", "var_mean"), lambda call, out: 4 * _inputs(call)),
    **dict.fromkeys(("std", "std_mean"), lambda call, out: 4 * _inputs(call) + int(_first(out).numel())),
    "linalg_vector_norm": lambda call, out: 2 * _inputs(call),
    "cumsum": lambda call, out: _inputs(call),
    "col2im": lambda call, out: _inputs(call),
    "_softmax": _softmax,
    "_log_softmax": _softmax,
    "_safe_softmax": _softmax,
    "native_layer_norm": _layer_norm,
    "native_group_norm": _group_norm,
    "native_batch_norm": _batch_norm,
    "cudnn_batch_norm": _batch_norm,
    "_native_batch_norm_legit": _batch_norm,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "avg_pool1d": _pool(1, lambda window: window),
    "avg_pool2d": _pool(2, lambda window: window),
    "avg_pool3d": _pool(3, lambda window: window),
    "max_pool2d_with_indices": _pool(2, lambda window: window - 1),
    "max_pool3d_with_indices": _pool(3, lambda window: window - 1),
    **dict.fromkeys(("_adaptive_avg_pool2d", "_adaptive_avg_pool3d"), _adaptive_pool(0)),
    **dict.fromkeys(("adaptive_max_pool2d", "adaptive_max_pool3d"), _adaptive_pool(-1)),
}
"""Scalar operations by formula: reductions, normalisations, pooling."""

PRODUCTS: dict[str, Callable[[Call, Any], OperationCost]] = {
    "convolution": _convolution,
    "mm": _matrix(lambda call: int(call["self"].shape[1])),
    "bmm": _matrix(lambda call: int(call["self"].shape[2])),
    "mv": _matrix(lambda call: int(call["self"].shape[1])),
    "dot": _matrix(lambda call: int(call["self"].shape[0])),
    "addmm": _matrix(lambda call: int(call["mat1"].shape[1]), added=1),
    "baddbmm": _matrix(lambda call: int(call["batch1"].shape[2]), added=1),
    "_scaled_dot_product_flash_attention_for_cpu": _attention,
    "upsample_linear1d": _interpolation(2),
    "upsample_bilinear2d": _interpolation(4),
    "upsample_bicubic2d": _interpolation(16),
    "upsample_trilinear3d": _interpolation(8),
}
"""Multiply-accumulates."""
