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

from snn_tool.energy.fan_out import conv_fan_out, transposed_conv_fan_out
from snn_tool.errors import UnsupportedLayerError

Call = Mapping[str, Any]
"""The arguments of an operation by the names of its schema."""


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


_GEOMETRY = ("stride", "padding", "dilation")


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


def _source(call: Call) -> Any:
    return call["self"] if "self" in call else call["input"]


def _inputs(call: Call) -> int:
    return int(_source(call).numel())


def _sum(call: Call, out: Any) -> int:
    return _inputs(call) - int(out.numel())


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


def _pool(work: Callable[[int], int]) -> Callable[[Call, Any], int]:
    """`work` scalar operations per output, of the number of values in the window."""

    def cost(call: Call, out: Any) -> int:
        first = out[0] if isinstance(out, tuple) else out
        window = call["kernel_size"]
        return work(prod(window) if len(window) > 1 else window[0] ** (first.ndim - 2)) * int(first.numel())

    return cost


def _adaptive_pool(call: Call, out: Any) -> int:
    """The bins [floor(i n / m), ceil((i + 1) n / m)) may overlap; b values in a bin: b - 1 sums, 1 scale."""
    source = _source(call)
    dimensions = len(call["output_size"])
    bins: int = prod(
        sum(-(-(i + 1) * n // m) - i * n // m for i in range(m))
        for n, m in zip(source.shape[-dimensions:], out.shape[-dimensions:], strict=True)
    )
    return int(prod(source.shape[:-dimensions])) * bins


FREE = frozenset(
    """
    alias arange as_strided cat channel_shuffle clone constant_pad_nd contiguous copy detach diagonal
    embedding empty empty_like expand eye fill flip full full_like gather im2col index index_select lift_fresh
    native_dropout new_empty new_full new_ones new_zeros ones ones_like permute pixel_shuffle pixel_unshuffle
    reflection_pad1d reflection_pad2d repeat replication_pad1d replication_pad2d reshape roll scalar_tensor
    select slice split split_with_sizes squeeze stack t transpose unbind unfold unsqueeze upsample_nearest1d
    upsample_nearest2d view zero zeros zeros_like _reshape_alias _to_copy _unsafe_index _unsafe_view
    _upsample_nearest_exact1d _upsample_nearest_exact2d
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
    **dict.fromkeys("floor ceil round logical_not logical_and logical_or bitwise_not".split(), 1),
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

ELEMENTWISE: dict[str, Callable[[Call, Any], int]] = {
    # x Phi(x): x / sqrt 2, erf, + 1, half, times x; with tanh x^3 takes two more products, and its sum two.
    "gelu": lambda call, out: (9 if call["approximate"] == "tanh" else 5) * int(out.numel()),
    "sum": _sum,
    "amax": _sum,
    "amin": _sum,
    "mean": lambda call, out: _inputs(call),
    "var": lambda call, out: 4 * _inputs(call),
    "std": lambda call, out: 4 * _inputs(call) + int(out.numel()),
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
    "avg_pool1d": _pool(lambda window: window),
    "avg_pool2d": _pool(lambda window: window),
    "max_pool2d_with_indices": _pool(lambda window: window - 1),
    "_adaptive_avg_pool2d": _adaptive_pool,
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
}
"""Multiply-accumulates."""
