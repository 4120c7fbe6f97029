"""Exact fan-out against direct enumeration and against torch convolutions of ones, in integers."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from snn_tool.energy.counts.fan_out import (
    conv_fan_out,
    conv_output_size,
    conv_synops,
    transposed_conv_fan_out,
)
from snn_tool.errors import DataError
from torch.nn import functional


@dataclass(frozen=True)
class Line:
    """One dimension of a convolution."""

    size: int
    kernel: int
    stride: int
    padding: int
    dilation: int

    @property
    def geometry(self) -> tuple[int, int, int, int]:
        return self.kernel, self.stride, self.padding, self.dilation


def lines() -> st.SearchStrategy[Line]:
    small = st.integers(1, 4)
    made = st.builds(Line, st.integers(1, 12), st.integers(1, 5), small, st.integers(0, 5), small)
    return made.filter(lambda x: x.size + 2 * x.padding > x.dilation * (x.kernel - 1))


def enumerate_conv(line: Line) -> list[int]:
    """Walk outputs and taps; count every product with an input that exists."""
    reached = [0] * line.size
    for output in range(
        (line.size + 2 * line.padding - line.dilation * (line.kernel - 1) - 1) // line.stride + 1
    ):
        for tap in range(line.kernel):
            source = output * line.stride - line.padding + tap * line.dilation
            if 0 <= source < line.size:
                reached[source] += 1
    return reached


def test_the_defaults_are_a_plain_convolution() -> None:
    """Five inputs, three taps, three outputs: no stride, no padding, no dilation."""
    assert conv_fan_out(5, 3, 3).tolist() == [1, 2, 3, 2, 1]
    assert transposed_conv_fan_out(3, 5, 3).tolist() == [3, 3, 3]
    assert conv_output_size(5, 3) == 3


def test_hand_counted_borders() -> None:
    # 5 inputs, 3 taps, padding 1: the outer inputs miss one output.
    assert conv_fan_out(5, 5, 3, 1, 1, 1).tolist() == [2, 3, 3, 3, 2]
    # stride 2: outputs centred on 0, 2, 4; odd inputs lie between two of them.
    assert conv_fan_out(5, 3, 3, 2, 1, 1).tolist() == [1, 2, 1, 2, 1]
    # 2x2 stride 2 on five inputs: the last one is never read.
    assert conv_fan_out(5, 2, 2, 2, 0, 1).tolist() == [1, 1, 1, 1, 0]
    assert transposed_conv_fan_out(3, 6, 4, 2, 1, 1).tolist() == [3, 4, 3]


@given(lines())
@settings(max_examples=200, deadline=None)
def test_conv_equals_enumeration(line: Line) -> None:
    size_out = conv_output_size(line.size, *line.geometry)
    found = conv_fan_out(line.size, size_out, *line.geometry)
    assert found.dtype == np.int64
    assert found.tolist() == enumerate_conv(line)


@pytest.mark.slow
@given(lines(), st.integers(0, 3))
@settings(max_examples=200, deadline=None)
def test_transposed_conv_equals_torch(line: Line, extra: int) -> None:
    """The gradient of sum(output) with respect to each input is its fan-out."""
    extra = min(extra, max(line.stride, line.dilation) - 1)
    size_out = (
        (line.size - 1) * line.stride - 2 * line.padding + line.dilation * (line.kernel - 1) + extra + 1
    )
    if size_out < 1:
        return
    ones = torch.ones(1, 1, line.size, dtype=torch.float64, requires_grad=True)
    taps = torch.ones(1, 1, line.kernel, dtype=torch.float64)
    output = functional.conv_transpose1d(ones, taps, None, line.stride, line.padding, extra, 1, line.dilation)
    assert output.shape[-1] == size_out
    output.sum().backward()
    assert ones.grad is not None
    assert transposed_conv_fan_out(line.size, size_out, *line.geometry).tolist() == ones.grad[0, 0].tolist()


@pytest.mark.slow
@given(lines(), lines(), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_synops_equal_an_integer_convolution_of_ones(
    down: Line, across: Line, groups: int, inputs: int, outputs: int, seed: int
) -> None:
    shape = (groups * inputs, down.size, across.size)
    spikes = np.random.default_rng(seed).integers(0, 9, shape)
    geometry = [tuple(pair) for pair in zip(down.geometry, across.geometry, strict=True)]
    kernel, stride, padding, dilation = geometry
    ones = torch.ones(groups * outputs, inputs, *kernel, dtype=torch.int64)
    reached = functional.conv2d(torch.from_numpy(spikes)[None], ones, None, stride, padding, dilation, groups)
    found = conv_synops(spikes, groups * outputs, kernel, stride, padding, dilation, groups)
    assert found == int(reached.sum())


def test_counts_beyond_int64_stay_exact() -> None:
    spikes = np.full((2, 3, 3), 2**61, dtype=np.int64)
    # 3x3 kernel, padding 1 on 3x3: sum of f_h f_w is (2 + 3 + 2)^2 = 49.
    assert conv_synops(spikes, 5, 3, 1, 1) == 5 * 2 * 49 * 2**61


@pytest.mark.parametrize(
    ("spikes", "groups", "words"),
    [
        (np.zeros((1, 4, 4), dtype=np.int32), 1, "int64"),
        (np.zeros((4, 4), dtype=np.int64), 1, "int64"),
        (-np.ones((1, 4, 4), dtype=np.int64), 1, "negative"),
        (np.zeros((3, 4, 4), dtype=np.int64), 2, "2 groups"),
        (np.zeros((1, 1, 4), dtype=np.int64), 1, "does not fit"),
    ],
)
def test_unusable_maps_are_refused(spikes: np.ndarray, groups: int, words: str) -> None:
    with pytest.raises(DataError, match=words):
        conv_synops(spikes, 4, 3, groups=groups)
