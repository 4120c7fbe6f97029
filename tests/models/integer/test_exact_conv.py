"""Convolutions in bytes and floats against int64, and what happens where bytes cannot be trusted."""

from dataclasses import replace
from typing import cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from snn_tool.errors import QuantizationError
from snn_tool.models.integer import conv as int8_conv
from snn_tool.models.integer.conv import PAIR_SAFE, ExactConv, Int8Conv, has_int8
from snn_tool.models.integer.network import WRAP, IntegerNetwork, IntegerSynapse
from snn_tool.models.topology import Synapse


class Emitting:
    """All that a convolution asks of its network: what the source emits, here more than a network may."""

    def __init__(self, levels: int) -> None:
        self.levels = levels

    def source_range(self, _: str) -> tuple[int, int]:
        return -self.levels, self.levels


def network(levels: int) -> IntegerNetwork:
    return cast("IntegerNetwork", Emitting(levels))


def synapse(
    seed: int, channels: int = 6, kernel: int = 3, stride: int = 1, dilation: int = 1, exponent: int = 0
) -> IntegerSynapse:
    wiring = Synapse("conv", "source", channels, 8, kernel, stride, dilation)
    mantissa = np.random.default_rng(seed).integers(-128, 128, (8, channels, kernel, kernel)).astype(np.int8)
    return IntegerSynapse(wiring, mantissa, exponent, np.zeros(8, dtype=np.int32))


def by_loops(synapse: IntegerSynapse, values: NDArray[np.int64]) -> NDArray[np.int64]:
    """One product per kernel tap in int64, cut to 24 bits."""
    wiring, pad = synapse.wiring, synapse.wiring.padding
    padded = np.pad(values, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    height, width = (-(-side // wiring.stride) for side in values.shape[2:])
    total = np.zeros((len(values), wiring.out_channels, height, width), dtype=np.int64)
    for y in range(wiring.kernel):
        for x in range(wiring.kernel):
            rows = slice(y * wiring.dilation, y * wiring.dilation + height * wiring.stride, wiring.stride)
            columns = slice(x * wiring.dilation, x * wiring.dilation + width * wiring.stride, wiring.stride)
            taps = synapse.mantissa[:, :, y, x].astype(np.int64)
            total += np.einsum("oc,nchw->nohw", taps, padded[:, :, rows, columns])
    return ((total << synapse.exponent) + WRAP) % (2 * WRAP) - WRAP


def check(conv: ExactConv, synapse: IntegerSynapse, levels: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(-levels, levels + 1, (2, synapse.wiring.in_channels, 9, 12))
    dtype = torch.uint8 if 2 * levels <= 255 else torch.int64
    found = conv(torch.from_numpy(values + levels).to(dtype))
    assert found.dtype is torch.float32
    np.testing.assert_array_equal(found.to(torch.int64).numpy(), by_loops(synapse, values))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**31),
    st.sampled_from((1, 4, 63, 64, 127, 1000, 10**6)),
    st.sampled_from(((1, 1, 1), (3, 1, 1), (3, 2, 1), (3, 1, 4), (5, 2, 1))),
    st.integers(0, 8),
)
def test_every_arithmetic_equals_int64(
    seed: int, levels: int, geometry: tuple[int, int, int], exponent: int
) -> None:
    kernel, stride, dilation = geometry
    made = synapse(seed, 6, kernel, stride, dilation, exponent)
    check(ExactConv(made, network(levels)), made, levels, seed)


def test_the_arithmetic_follows_from_the_bound() -> None:
    if not has_int8():
        pytest.skip("this torch or processor has no exact convolution of bytes")
    made = synapse(0)
    largest = int(np.abs(made.mantissa.astype(np.int64)).sum(axis=(1, 2, 3)).max())
    chosen = {levels: ExactConv(made, network(levels)).arithmetic for levels in (4, PAIR_SAFE // 2, 64)}
    assert chosen == {4: "int8", PAIR_SAFE // 2: "int8", 64: "float32"}
    last = (2**24 - 1) // largest
    assert ExactConv(made, network(last)).arithmetic == "float32"
    assert ExactConv(made, network(last + 1)).arithmetic == "float64"
    with pytest.raises(QuantizationError, match=r"conv: .*exceeds 2\^53"):
        ExactConv(made, network(2**53 // largest + 1))


def test_wide_sums_wrap_as_in_lava() -> None:
    made = synapse(3, exponent=10)
    conv = ExactConv(made, network(60))
    assert conv.wraps
    values = np.full((1, 6, 9, 12), 60)
    sums = by_loops(replace(made, exponent=0), values) << 10
    assert np.abs(sums).max() > WRAP, "nothing wraps, so nothing is shown"
    np.testing.assert_array_equal(
        conv(torch.from_numpy(values + 60).to(torch.uint8)).to(torch.int64).numpy(), by_loops(made, values)
    )


def test_bytes_that_are_not_exact_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator that saturates, as pairs of products do on older processors, is found out by the probe."""
    exact = Int8Conv.__call__

    def saturating(self: Int8Conv, source: torch.Tensor) -> torch.Tensor:
        return exact(self, source).clamp(-(2**17), 2**17)

    has_int8.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr(Int8Conv, "__call__", saturating)
        assert not has_int8()
        made = synapse(5)
        conv = ExactConv(made, network(4))
        assert conv.arithmetic == "float32"
        check(conv, made, 4, 0)
    has_int8.cache_clear()


def test_an_operator_that_is_missing_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*args: object) -> None:
        raise AttributeError("no operator of this name")

    has_int8.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr(int8_conv.torch.ops.onednn, "qconv2d_pointwise", missing)
        assert not has_int8()
    has_int8.cache_clear()
