"""Synops of random layers behind given spikes against plain loops over outputs and kernel taps."""

from dataclasses import dataclass
from itertools import product
from math import prod

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from snn_tool.energy import count_spikes
from snn_tool.energy.torch_counter.kinds import Spikes
from snn_tool.energy.torch_counter.result import SpikeRow
from torch import Tensor, nn

UNIT = Spikes()
GRADED = Spikes(0.25, unit=False, signed=True)
LARGEST = 3  # level


class Emitter(nn.Module):
    """A neuron that fires what it is given."""

    def forward(self, spikes: Tensor) -> Tensor:
        return spikes.clone()


def counted(spikes: Tensor, kind: Spikes, *layers: nn.Module) -> SpikeRow:
    """The row of the last of `layers` behind an emitter."""
    network = nn.Sequential(Emitter(), *layers)
    with count_spikes(network, spiking={Emitter: kind}) as counter:
        network(spikes)
    return counter.result().of(str(len(layers)))


def levels(shape: tuple[int, ...], kind: Spikes, seed: int) -> Tensor:
    """Random levels, int64; some maps are silent."""
    generator = torch.Generator().manual_seed(seed)
    low, high = (0, 1) if kind.unit else (-LARGEST, LARGEST)
    drawn = torch.randint(low, high + 1, shape, generator=generator)
    return drawn * (torch.rand(shape, generator=generator) < torch.rand((), generator=generator))


def emitted(levels: Tensor, kind: Spikes) -> Tensor:
    assert kind.amplitude is not None
    return levels.float() * kind.amplitude


@dataclass(frozen=True)
class Geometry:
    """Of a convolution; each axis has size, kernel, stride, padding, dilation and output padding."""

    axes: tuple[tuple[int, int, int, int, int, int], ...]
    groups: int
    inputs: int  # per group; with one input and one output per group it is depthwise
    outputs: int
    batch: int
    seed: int


def geometries() -> st.SearchStrategy[Geometry]:
    few = st.integers(1, 3)
    axis = st.tuples(st.integers(1, 7), st.integers(1, 4), few, st.integers(0, 3), few, st.integers(0, 2))
    axes = st.integers(1, 2).flatmap(lambda n: st.tuples(*[axis] * n))
    return st.builds(Geometry, axes, few, few, few, st.integers(1, 2), st.integers(0, 2**30))


def is_a_conv(geometry: Geometry) -> bool:
    return all(n + 2 * p > d * (k - 1) for n, k, _, p, d, _ in geometry.axes)


def is_a_transposed_conv(geometry: Geometry) -> bool:
    return all(reach(axis) > 0 for axis in geometry.axes)


def reach(axis: tuple[int, int, int, int, int, int]) -> int:
    size, kernel, stride, padding, dilation, extra = axis
    return (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1 + allowed(stride, dilation, extra)


def allowed(stride: int, dilation: int, extra: int) -> int:
    """torch wants less output padding than stride or dilation."""
    return min(extra, max(stride, dilation) - 1)


def conv_by_loops(levels: Tensor, geometry: Geometry, outputs: tuple[int, ...]) -> tuple[int, int]:
    """Every output sums the taps that lie inside of the input: |levels| and nonzero ones."""
    per_position, per_event = levels.abs().sum((0, 1)), (levels != 0).sum((0, 1))
    total = events = 0
    for output in product(*map(range, outputs)):
        for tap in product(*(range(axis[1]) for axis in geometry.axes)):
            at = tuple(
                s * o + d * k - p for o, k, (_, _, s, p, d, _) in zip(output, tap, geometry.axes, strict=True)
            )
            if all(0 <= a < axis[0] for a, axis in zip(at, geometry.axes, strict=True)):
                total += int(per_position[at])
                events += int(per_event[at])
    return total * geometry.outputs, events * geometry.outputs


def transposed_by_loops(levels: Tensor, geometry: Geometry, outputs: tuple[int, ...]) -> tuple[int, int]:
    """Every input writes its taps; those cropped from the output do not count."""
    total = events = 0
    for at in product(*(range(axis[0]) for axis in geometry.axes)):
        here = levels[(slice(None), slice(None), *at)]
        for tap in product(*(range(axis[1]) for axis in geometry.axes)):
            to = [s * i + d * k - p for i, k, (_, _, s, p, d, _) in zip(at, tap, geometry.axes, strict=True)]
            if all(0 <= o < n for o, n in zip(to, outputs, strict=True)):
                total += int(here.abs().sum())
                events += int((here != 0).sum())
    return total * geometry.outputs, events * geometry.outputs


def spikes_for(geometry: Geometry, kind: Spikes) -> Tensor:
    channels = geometry.groups * geometry.inputs
    return levels((geometry.batch, channels, *(axis[0] for axis in geometry.axes)), kind, geometry.seed)


@pytest.mark.slow
@given(geometries().filter(is_a_conv), st.sampled_from([UNIT, GRADED]))
@settings(max_examples=200, deadline=None)
def test_convolutions(geometry: Geometry, kind: Spikes) -> None:
    _, kernel, stride, padding, dilation, _ = zip(*geometry.axes, strict=True)
    make = nn.Conv1d if len(geometry.axes) == 1 else nn.Conv2d
    channels, outputs = geometry.groups * geometry.inputs, geometry.groups * geometry.outputs
    layer = make(channels, outputs, kernel, stride, padding, dilation, geometry.groups)
    fired = spikes_for(geometry, kind)
    row = counted(emitted(fired, kind), kind, layer)
    shape = tuple(layer(fired.float()).shape[2:])
    assert (row.synops_levels, row.synops_events) == conv_by_loops(fired, geometry, shape)
    everywhere, _ = conv_by_loops(torch.ones_like(fired), geometry, shape)
    assert (row.dense_exact_macs, row.exact_macs, row.padded_macs) == (everywhere, 0, 0)
    assert row.dense_padded_macs == geometry.batch * outputs * prod(shape) * geometry.inputs * prod(kernel)
    assert (row.source, row.kind) == ("spikes", "convolution")


@pytest.mark.slow
@given(geometries().filter(is_a_transposed_conv), st.sampled_from([UNIT, GRADED]))
@settings(max_examples=200, deadline=None)
def test_transposed_convolutions(geometry: Geometry, kind: Spikes) -> None:
    _, kernel, stride, padding, dilation, extra = zip(*geometry.axes, strict=True)
    extra = tuple(allowed(s, d, e) for _, _, s, _, d, e in geometry.axes)
    make = nn.ConvTranspose1d if len(geometry.axes) == 1 else nn.ConvTranspose2d
    channels, outputs = geometry.groups * geometry.inputs, geometry.groups * geometry.outputs
    layer = make(channels, outputs, kernel, stride, padding, extra, geometry.groups, True, dilation)
    fired = spikes_for(geometry, kind)
    row = counted(emitted(fired, kind), kind, layer)
    shape = tuple(layer(fired.float()).shape[2:])
    assert (row.synops_levels, row.synops_events) == transposed_by_loops(fired, geometry, shape)
    everywhere, _ = transposed_by_loops(torch.ones_like(fired), geometry, shape)
    assert (row.dense_exact_macs, row.exact_macs, row.padded_macs) == (everywhere, 0, 0)
    assert row.dense_padded_macs == fired.numel() * geometry.outputs * prod(kernel)
    assert (row.source, row.kind) == ("spikes", "transposed convolution")


@pytest.mark.slow
@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=3),
    st.integers(1, 9),
    st.integers(1, 9),
    st.booleans(),
    st.sampled_from([UNIT, GRADED]),
    st.integers(0, 2**30),
)
@settings(max_examples=100, deadline=None)
def test_linear_layers(
    leading: list[int], inputs: int, outputs: int, bias: bool, kind: Spikes, seed: int
) -> None:
    fired = levels((*leading, inputs), kind, seed)
    row = counted(emitted(fired, kind), kind, nn.Linear(inputs, outputs, bias))
    total = events = 0
    for level in fired.flatten().tolist():
        for _ in range(outputs):
            total += abs(level)
            events += level != 0
    assert (row.synops_levels, row.synops_events) == (total, events)
    assert row.dense_exact_macs == row.dense_padded_macs == fired.numel() * outputs
    assert row.elementwise_ops == (prod(leading) * outputs if bias else 0)


@dataclass(frozen=True)
class Pooling:
    """A square pooling window in front of a 3 x 3 convolution of two outputs."""

    height: int
    width: int
    window: int
    stride: int
    padding: int
    channels: int
    seed: int


def poolings() -> st.SearchStrategy[Pooling]:
    window = st.integers(1, 3)
    size = st.integers(5, 9)
    return st.builds(
        Pooling, size, size, window, window, st.integers(0, 1), st.integers(1, 3), st.integers(0, 2**30)
    ).filter(lambda pool: pool.padding <= pool.window // 2)


def windows(fired: Tensor, pool: Pooling) -> list[list[list[list[int]]]]:
    """The levels under each window by pooled row and column, all channels in one list per channel."""
    _, channels, height, width = fired.shape
    sides = [(n + 2 * pool.padding - pool.window) // pool.stride + 1 for n in (height, width)]
    corner = range(-pool.padding, pool.window - pool.padding)
    pooled = []
    for row, column in product(*map(range, sides)):
        at = [(row * pool.stride + y, column * pool.stride + x) for y, x in product(corner, repeat=2)]
        inside = [(y, x) for y, x in at if 0 <= y < height and 0 <= x < width]
        pooled.append([[int(fired[0, c, y, x]) for y, x in inside] for c in range(channels)])
    return [pooled[row * sides[1] : (row + 1) * sides[1]] for row in range(sides[0])]


def behind_a_pool(pooled: list[list[list[int]]]) -> int:
    """Synops of a 3 x 3 convolution with padding 1 and two outputs: 9 taps, less those beyond the border."""
    rows, columns = len(pooled), len(pooled[0])
    total = 0
    for row, column in product(range(rows), range(columns)):
        reached = product((row - 1, row, row + 1), (column - 1, column, column + 1))
        outputs = sum(0 <= y < rows and 0 <= x < columns for y, x in reached)
        total += 2 * outputs * sum(pooled[row][column])
    return total


@pytest.mark.slow
@given(poolings(), st.sampled_from(["sum", "average", "max"]))
@settings(max_examples=120, deadline=None)
def test_pools_are_read_through(pool: Pooling, how: str) -> None:
    fired = levels((1, pool.channels, pool.height, pool.width), UNIT, pool.seed)
    layer: nn.Module = {
        "sum": nn.AvgPool2d(pool.window, pool.stride, pool.padding, divisor_override=1),
        "average": nn.AvgPool2d(pool.window, pool.stride, pool.padding),
        "max": nn.MaxPool2d(pool.window, pool.stride, pool.padding),
    }[how]
    row = counted(fired.float(), UNIT, layer, nn.Conv2d(pool.channels, 2, 3, padding=1))
    under = windows(fired, pool)
    combine = max if how == "max" else sum
    by_level = [[[combine(one) for one in cell] for cell in line] for line in under]
    by_event = [[[min(1, sum(one)) for one in cell] for cell in line] for line in under]
    assert row.synops_levels == behind_a_pool(by_level)
    assert row.synops_events == behind_a_pool(by_event)
    assert row.exact_macs == 0
