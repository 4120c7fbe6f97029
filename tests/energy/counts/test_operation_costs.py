"""The price of each operation against brute force, or against a formula written out here."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from snn_tool.energy.counts.dense import MacReport, count_macs
from snn_tool.energy.counts.operation_costs import (
    ELEMENTWISE,
    FREE,
    PER_OUTPUT,
    PRODUCTS,
    merge_comparisons,
    operation_cost,
    selection_comparisons,
)
from snn_tool.errors import UnsupportedLayerError
from torch import Tensor, nn
from torch.nn import functional

SHAPE = (2, 4, 6, 5)
SIZE = 2 * 4 * 6 * 5


class Apply(nn.Module):
    """A function of the image as a module."""

    def __init__(self, function: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.function = function

    def forward(self, image: Tensor) -> object:
        return self.function(image)


def counted(function: Callable[[Tensor], object], shape: tuple[int, ...] = SHAPE) -> MacReport:
    return count_macs(Apply(function), shape)


def totals(report: MacReport) -> tuple[int, int, int]:
    return report.padded_macs, report.exact_macs, report.elementwise_ops


@dataclass(frozen=True)
class Conv:
    """A random two-dimensional convolution; every pair is (vertical, horizontal)."""

    size: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    output_padding: tuple[int, int]
    groups: int
    inputs: int
    outputs: int
    batch: int
    bias: bool


def pairs(low: int, high: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(low, high), st.integers(low, high))


def convolutions() -> st.SearchStrategy[Conv]:
    few = st.integers(1, 3)
    return st.builds(
        Conv,
        pairs(1, 9),
        pairs(1, 4),
        pairs(1, 3),
        pairs(0, 4),
        pairs(1, 3),
        pairs(0, 2),
        few,
        few,
        few,
        st.integers(1, 2),
        st.booleans(),
    )


def fits(conv: Conv) -> bool:
    lines = zip(conv.size, conv.kernel, conv.padding, conv.dilation, strict=True)
    return all(size + 2 * p > d * (k - 1) for size, k, p, d in lines)


@pytest.mark.slow
@given(convolutions().filter(fits))
@settings(max_examples=150, deadline=None)
def test_a_convolution_equals_an_integer_convolution_of_ones(conv: Conv) -> None:
    channels, outputs = conv.groups * conv.inputs, conv.groups * conv.outputs
    layer = nn.Conv2d(
        channels, outputs, conv.kernel, conv.stride, conv.padding, conv.dilation, conv.groups, conv.bias
    )
    image = torch.ones(conv.batch, channels, *conv.size, dtype=torch.int64)
    weight = torch.ones(outputs, conv.inputs, *conv.kernel, dtype=torch.int64)
    products = functional.conv2d(image, weight, None, conv.stride, conv.padding, conv.dilation, conv.groups)
    report = count_macs(layer, tuple(image.shape))
    assert report.exact_macs == int(products.sum())
    # Conventional: every output sums a full kernel over the channels of its group.
    assert report.padded_macs == products.numel() * conv.inputs * conv.kernel[0] * conv.kernel[1]
    assert report.exact_macs <= report.padded_macs
    assert report.elementwise_ops == (products.numel() if conv.bias else 0)
    assert {row.kind for row in report.rows} == {"convolution"}


@pytest.mark.slow
@given(convolutions())
@settings(max_examples=150, deadline=None)
def test_a_transposed_convolution_equals_one_of_ones(conv: Conv) -> None:
    lines = list(
        zip(
            conv.size, conv.kernel, conv.stride, conv.padding, conv.dilation, conv.output_padding, strict=True
        )
    )
    extra = tuple(min(o, max(s, d) - 1) for _, _, s, _, d, o in lines)
    reach = [(n - 1) * s - 2 * p + d * (k - 1) + 1 for n, k, s, p, d, _ in lines]
    if any(r + o < 1 for r, o in zip(reach, extra, strict=True)):
        return
    channels, outputs = conv.groups * conv.inputs, conv.groups * conv.outputs
    layer = nn.ConvTranspose2d(
        channels,
        outputs,
        conv.kernel,
        conv.stride,
        conv.padding,
        extra,
        conv.groups,
        conv.bias,
        conv.dilation,
    )
    image = torch.ones(conv.batch, channels, *conv.size, dtype=torch.float64)
    weight = torch.ones(channels, conv.outputs, *conv.kernel, dtype=torch.float64)
    products = functional.conv_transpose2d(
        image, weight, None, conv.stride, conv.padding, extra, conv.groups, conv.dilation
    )
    report = count_macs(layer, tuple(image.shape))
    assert report.exact_macs == int(products.sum())
    # Conventional: every input meets a full kernel, also where that lands in the cropped border.
    assert report.padded_macs == image.numel() * conv.outputs * conv.kernel[0] * conv.kernel[1]
    assert report.exact_macs <= report.padded_macs
    assert report.elementwise_ops == (products.numel() if conv.bias else 0)
    assert {row.kind for row in report.rows} == {"transposed convolution"}


@pytest.mark.parametrize(
    ("layer", "shape", "padded", "exact"),
    [
        # 3 taps on 5 positions lose one product at each end: 2 + 3 + 3 + 3 + 2 = 13 along each padded axis.
        (nn.Conv2d(3, 7, 3, padding=1), (1, 3, 5, 5), 7 * 3 * 9 * 25, 7 * 3 * 13 * 13),
        (nn.Conv2d(4, 4, 3, padding=1, groups=4), (1, 4, 5, 5), 4 * 9 * 25, 4 * 13 * 13),
        (nn.Conv2d(6, 4, 3, padding=1, groups=2), (1, 6, 5, 5), 4 * 3 * 9 * 25, 4 * 3 * 13 * 13),
        # Stride 2 leaves outputs at 0, 2, 4 with 2 + 3 + 2 real taps.
        (nn.Conv2d(1, 1, 3, stride=2, padding=1), (1, 1, 5, 5), 9 * 9, 7 * 7),
        # Dilation 2: outputs 0, 1, 3, 4 lose one of three taps: 2 + 2 + 3 + 2 + 2.
        (nn.Conv2d(1, 1, 3, padding=2, dilation=2), (1, 1, 5, 5), 9 * 25, 11 * 11),
        # Zeros that another operation writes are values like any others: exact is an upper bound here.
        (nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(1, 1, 3)), (1, 1, 5, 5), 9 * 25, 9 * 25),
        # A border that holds real values is multiplied: replicated padding leaves nothing out.
        (nn.Conv2d(2, 3, 3, padding=1, padding_mode="replicate"), (1, 2, 5, 5), 6 * 9 * 25, 6 * 9 * 25),
        (nn.Conv1d(2, 3, 3, padding=1), (1, 2, 5), 3 * 2 * 3 * 5, 3 * 2 * 13),
        (nn.Conv3d(1, 2, 3, padding=1), (1, 1, 5, 5, 5), 2 * 27 * 125, 2 * 13**3),
        # Stride 2, kernel 4, padding 1 on 3 inputs: they reach 3, 4 and 3 of the 6 outputs.
        (nn.ConvTranspose2d(2, 5, 4, stride=2, padding=1), (1, 2, 3, 3), 2 * 5 * 16 * 9, 2 * 5 * 10 * 10),
    ],
)
def test_convolutions_by_hand(layer: nn.Module, shape: tuple[int, ...], padded: int, exact: int) -> None:
    report = count_macs(layer, shape)
    assert (report.padded_macs, report.exact_macs) == (padded, exact)


def brute_force_products(rows: int, inner: int, columns: int, batch: int = 1) -> int:
    return sum(1 for _ in range(batch) for _ in range(rows) for _ in range(columns) for _ in range(inner))


@pytest.mark.parametrize(
    ("function", "shape", "macs", "added"),
    [
        (nn.Linear(5, 7), (3, 5), brute_force_products(3, 5, 7), 3 * 7),
        (nn.Linear(5, 7, bias=False), (3, 5), brute_force_products(3, 5, 7), 0),
        (nn.Linear(5, 7), (2, 3, 5), brute_force_products(6, 5, 7), 6 * 7),
        (nn.Linear(5, 7, bias=False), (2, 3, 5), brute_force_products(6, 5, 7), 0),
        (lambda x: x @ x.transpose(-1, -2), (2, 3, 4, 5), brute_force_products(4, 5, 4, batch=6), 0),
        (lambda x: x @ torch.ones(5), (3, 5), brute_force_products(3, 5, 1), 0),
        (lambda x: torch.ones(5) @ x, (5,), brute_force_products(1, 5, 1), 0),
        (
            lambda x: torch.einsum("bchw,dc->bdhw", x, torch.ones(9, 4)),
            SHAPE,
            brute_force_products(9, 4, 30, batch=2),
            0,
        ),
        (lambda x: torch.baddbmm(x, x, torch.ones(2, 3, 3)), (2, 3, 3), brute_force_products(3, 3, 3, 2), 18),
    ],
)
def test_matrix_products_by_brute_force(
    function: Callable[[Tensor], object], shape: tuple[int, ...], macs: int, added: int
) -> None:
    assert totals(counted(function, shape)) == (macs, macs, added)


def softmax_ops(rows: int, length: int) -> int:
    """Per row: n - 1 comparisons, n differences, n exponentials, n - 1 sums, n quotients."""
    return rows * ((length - 1) + length + length + (length - 1) + length)


def test_scaled_dot_product_attention() -> None:
    """5 queries on 5 keys of 6 values: Q K^T and the product with V, 5 x 5 x 6 each; 2 images, 4 heads."""
    report = counted(lambda x: functional.scaled_dot_product_attention(x, x, x), (2, 4, 5, 6))
    products = 2 * 4 * 2 * brute_force_products(5, 6, 5)
    scaled = 2 * 4 * 5 * 5
    assert totals(report) == (products, products, scaled + softmax_ops(2 * 4 * 5, 5))


class SelfAttention(nn.Module):
    def __init__(self, weights: bool) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.weights = weights

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.attention(x, x, x, need_weights=self.weights)[0]
        return out


@pytest.mark.parametrize("weights", [False, True])
def test_multi_head_attention_as_a_layer(weights: bool) -> None:
    """Three projections and one back, 3 tokens of 8 values in 2 heads of 4, for a batch of 2.

    torch has fused kernels for it at inference; however it is called, it costs the same products.
    """
    report = count_macs(SelfAttention(weights), (2, 3, 8))
    projections = 2 * 4 * brute_force_products(3, 8, 8)
    heads = 2 * 2 * (brute_force_products(3, 4, 3) + brute_force_products(3, 3, 4))
    assert report.of_kind("matrix product") == report.exact_macs == projections + heads
    assert report.parameters == 4 * (8 * 8 + 8)


def adaptive_bins(size: int, bins: int) -> int:
    """Values in all bins along one axis, each bin [floor(i n / m), ceil((i + 1) n / m)), by enumeration."""
    return sum(
        sum(1 for x in range(size) if i * size // bins <= x < -(-(i + 1) * size // bins)) for i in range(bins)
    )


NORMALISED = 5 * SIZE  # sum, difference, square, sum of squares, product with 1 / sigma


@pytest.mark.parametrize(
    ("function", "operations"),
    [
        # Normalisations: 5 per value, epsilon and root per group, affine 1 product and 1 sum per value.
        (nn.LayerNorm(5), NORMALISED + 2 * (2 * 4 * 6) + 2 * SIZE),
        (nn.LayerNorm((6, 5), elementwise_affine=False), NORMALISED + 2 * (2 * 4)),
        (nn.GroupNorm(2, 4), NORMALISED + 2 * (2 * 2) + 2 * SIZE),
        (nn.InstanceNorm2d(4), NORMALISED + 2 * (2 * 4)),
        (nn.BatchNorm2d(4), 2 * SIZE),  # at inference one scale and one shift
        # Pooling: an average of n takes n - 1 sums and a scale, a maximum n - 1 comparisons.
        (nn.AvgPool2d(3, 1), 2 * 4 * (4 * 3) * 9),
        (nn.AvgPool2d((2, 3), 2), 2 * 4 * (3 * 2) * 6),
        (nn.MaxPool2d(2), 2 * 4 * (3 * 2) * 3),
        (nn.AdaptiveAvgPool2d(1), SIZE),
        (nn.AdaptiveAvgPool2d((4, 2)), 2 * 4 * adaptive_bins(6, 4) * adaptive_bins(5, 2)),
        # Reductions.
        (lambda x: x.sum(1), SIZE - 2 * 6 * 5),
        (lambda x: x.mean((2, 3)), SIZE),
        (lambda x: x.amax(1), SIZE - 2 * 6 * 5),
        (lambda x: x.softmax(2), softmax_ops(2 * 4 * 5, 6)),
        (lambda x: torch.ops.aten._safe_softmax(x, 2), softmax_ops(2 * 4 * 5, 6)),
        # Activations and gates.
        (nn.ReLU(), SIZE),
        (nn.ReLU(inplace=True), SIZE),
        (nn.GELU(), 5 * SIZE),
        (nn.Sigmoid(), 4 * SIZE),
        (nn.SiLU(), 5 * SIZE),
        (nn.LeakyReLU(), 2 * SIZE),
        (nn.PReLU(), 2 * SIZE),
        (lambda x: x * 2 + 1, 2 * SIZE),
        (lambda x: x.clamp(0, 1), 2 * SIZE),
        (lambda x: x[:, :2] * x[:, 2:], SIZE // 2),
        (lambda x: x * x.mean((2, 3), keepdim=True), 2 * SIZE),  # broadcast: one product per output
        (lambda x: functional.normalize(x, dim=-1), 2 * SIZE + 2 * 4 * 6 + SIZE),  # norm, floor, quotient
    ],
)
def test_scalar_operations_by_formula(function: Callable[[Tensor], object], operations: int) -> None:
    assert totals(counted(function)) == (0, 0, operations)


def merging(n: int) -> int:
    """Comparisons of a merge sort in the worst case: two halves, and one less than n to merge them."""
    return 0 if n < 2 else merging(n // 2) + merging(n - n // 2) + n - 1


def selecting(n: int, k: int) -> int:
    """k maxima in turn, each of what is left, or a whole sort."""
    return min(sum(left - 1 for left in range(n, n - k, -1)), merging(n))


LINES = 2 * 4 * 5  # of 6 values, along dimension 2


@pytest.mark.parametrize(
    ("function", "operations"),
    [
        # n - 1 operations make one value of n, along a dimension or of all.
        (lambda x: x.max(2).values, LINES * 5),
        (lambda x: x.max(2, keepdim=True)[0], LINES * 5),
        (lambda x: x.max(), SIZE - 1),
        (lambda x: x.min(2).values, LINES * 5),
        (lambda x: x.min(), SIZE - 1),
        (lambda x: x.amin((2, 3)), SIZE - 8),
        (lambda x: x.argmax(2), LINES * 5),
        (lambda x: x.argmin(), SIZE - 1),
        (lambda x: x.any(2), LINES * 5),
        (lambda x: x.all(), SIZE - 1),
        (lambda x: x.prod(2), LINES * 5),
        (lambda x: x.aminmax(dim=2), LINES * 2 * 5),
        (lambda x: x.count_nonzero(2), LINES * (6 + 5)),
        (lambda x: torch.var_mean(x, 2), 4 * SIZE),
        (lambda x: torch.std_mean(x, 2), 4 * SIZE + LINES),
        # maximum 5, differences 6, exponentials 6, sums 5, logarithm, plus the maximum
        (lambda x: x.logsumexp(2), LINES * (5 + 6 + 6 + 5 + 2)),
        (lambda x: x.cummax(2), LINES * 5),
        (lambda x: x.cumprod(2), LINES * 5),
        # Orders: a merge sort in the worst case; single ranks by maxima in turn where that is cheaper.
        (lambda x: x.sort(2), LINES * merging(6)),
        (lambda x: torch.sort(x, dim=2, stable=True), LINES * merging(6)),
        (lambda x: x.argsort(2), LINES * merging(6)),
        (lambda x: x.topk(1, 2), LINES * 5),
        (lambda x: x.topk(2, 2), LINES * (5 + 4)),
        (lambda x: x.topk(5, 2), LINES * merging(6)),
        (lambda x: x.kthvalue(2, 2), LINES * (5 + 4)),
        (lambda x: x.kthvalue(5, 2), LINES * (5 + 4)),  # the second from the other end
        (lambda x: x.median(2), LINES * selecting(6, 3)),
        (lambda x: x.median(), selecting(SIZE, SIZE // 2)),
        (lambda x: x.nanmedian(3), 2 * 4 * 6 * selecting(5, 3)),
        (lambda x: x.mode(2), LINES * (merging(6) + 3 * 5)),
        # Pools whose windows follow from the sizes: of b values b - 1 comparisons.
        (nn.AdaptiveMaxPool2d((4, 2)), 2 * 4 * (adaptive_bins(6, 4) * adaptive_bins(5, 2) - 4 * 2)),
        (nn.AdaptiveMaxPool2d((None, 5)), 0),
    ],
)
def test_reductions_and_orders_by_formula(function: Callable[[Tensor], object], operations: int) -> None:
    assert totals(counted(function)) == (0, 0, operations)


@given(st.integers(1, 40), st.data())
def test_no_order_costs_more_than_a_sort(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, n))
    assert merge_comparisons(n) == merging(n)
    assert selection_comparisons(n, k) == selecting(n, k)
    assert selection_comparisons(n, 1) == n - 1  # as `max`


VOLUME = (2, 3, 6, 4, 5)
VOXELS = 2 * 3 * 6 * 4 * 5


@pytest.mark.parametrize(
    ("function", "operations"),
    [
        (nn.AvgPool3d(2), 2 * 3 * (3 * 2 * 2) * 8),
        (nn.AvgPool3d((3, 2, 1), 1), 2 * 3 * (4 * 3 * 5) * 6),
        (nn.MaxPool3d(2), 2 * 3 * (3 * 2 * 2) * 7),
        (nn.AdaptiveAvgPool3d(1), VOXELS),
        (nn.AdaptiveAvgPool3d((4, 2, 5)), 2 * 3 * adaptive_bins(6, 4) * adaptive_bins(4, 2) * 5),
        (
            nn.AdaptiveMaxPool3d((4, 2, 5)),
            2 * 3 * (adaptive_bins(6, 4) * adaptive_bins(4, 2) * 5 - 4 * 2 * 5),
        ),
        (nn.ReflectionPad3d(1), 0),
        (nn.ReplicationPad3d(1), 0),
        (nn.Upsample(scale_factor=2, mode="nearest"), 0),
    ],
)
def test_volumes_by_formula(function: Callable[[Tensor], object], operations: int) -> None:
    assert totals(counted(function, VOLUME)) == (0, 0, operations)


@pytest.mark.parametrize(
    ("function", "operations"),
    [
        (nn.MaxPool1d(2), 2 * 4 * 3),
        (nn.AvgPool1d(3), 2 * 4 * 2 * 3),
        (nn.AdaptiveMaxPool1d(4), 2 * 4 * (adaptive_bins(6, 4) - 4)),
        (nn.AdaptiveAvgPool1d(4), 2 * 4 * adaptive_bins(6, 4)),
        (nn.MaxPool2d(2), 2 * (2 * 3) * 3),  # no batch: [C, H, W] = [2, 4, 6]
        (nn.AvgPool2d(2), 2 * (2 * 3) * 4),
    ],
)
def test_pools_of_three_dimensions_by_formula(function: Callable[[Tensor], object], operations: int) -> None:
    assert totals(counted(function, (2, 4, 6))) == (0, 0, operations)


@pytest.mark.parametrize(
    "function",
    [
        nn.PixelShuffle(2),
        nn.Upsample(scale_factor=2, mode="nearest"),
        nn.Upsample(scale_factor=2, mode="nearest-exact"),
        nn.ReplicationPad2d(1),
        nn.ReflectionPad2d(1),
        nn.ZeroPad2d(1),
        nn.Dropout(0.5),
        nn.Identity(),
        lambda x: functional.pixel_unshuffle(x[..., :4], 2),
        lambda x: torch.cat([x, x], 1).flatten(1).view(2, -1),
        lambda x: torch.stack(x.chunk(2, 1)).permute(1, 0, 2, 3, 4).contiguous(),
        lambda x: x.roll(1, -1).repeat(1, 2, 1, 1).flip(2),
    ],
)
def test_moving_data_costs_no_arithmetic(function: Callable[[Tensor], object]) -> None:
    report = counted(function)
    assert totals(report) == (0, 0, 0)
    assert report.rows == ()


@pytest.mark.slow
def test_interpolations_count_their_taps() -> None:
    for mode, taps in (("bilinear", 4), ("bicubic", 16)):
        macs = taps * 4 * SIZE
        report = counted(nn.Upsample(scale_factor=2, mode=mode))
        assert totals(report) == (macs, macs, 0)
        assert report.of_kind("interpolation") == macs
    assert totals(counted(nn.Upsample(scale_factor=2, mode="trilinear"), VOLUME))[0] == 8 * 8 * VOXELS


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (torch.fft.rfft2, "_fft_r2c"),
        (torch.linalg.qr, "linalg_qr"),
        (lambda x: torch.cdist(x, x), "_cdist_forward"),
    ],
)
def test_an_operation_without_a_price_is_an_error_that_names_it(
    function: Callable[[Tensor], object], name: str
) -> None:
    network = nn.Sequential(nn.Identity(), nn.Sequential(Apply(function)))
    with pytest.raises(UnsupportedLayerError, match=rf"^1\.0: the operation aten\.{name} ") as refused:
        count_macs(network, SHAPE)
    assert "\n" not in str(refused.value)


def test_an_unknown_name_is_never_free() -> None:
    with pytest.raises(UnsupportedLayerError, match="aten.wishful"):
        operation_cost("wishful", {}, torch.ones(1))


@pytest.mark.parametrize(("training", "operations"), [(False, 2 * SIZE), (True, 7 * SIZE + 2 * 4)])
def test_batch_norm_costs_the_same_on_a_gpu(training: bool, operations: int) -> None:
    """cuDNN's operation has the arguments of a CPU's: a scale and a shift, or statistics per channel."""
    schema = torch.ops.aten.cudnn_batch_norm.default._schema
    names = [argument.name for argument in schema.arguments]
    values = [torch.ones(SHAPE), *[torch.ones(4)] * 4, training, 0.1, 1e-5]
    cost = operation_cost("cudnn_batch_norm", dict(zip(names, values, strict=True)), (values[0],))
    assert cost is not None
    assert cost.elementwise_ops == operations


def test_no_operation_is_in_two_tables() -> None:
    tables = [FREE, PER_OUTPUT.keys(), ELEMENTWISE.keys(), PRODUCTS.keys()]
    assert len(frozenset().union(*tables)) == sum(len(table) for table in tables)
