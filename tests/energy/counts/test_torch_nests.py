"""The nests of torch operations compute the MACs that are counted otherwise, or there are none."""

from collections.abc import Callable

import pytest
import torch
from snn_tool.energy.counts.dense import count_macs
from snn_tool.energy.report.columns import twin_load
from snn_tool.models.bodies import flat, unet
from snn_tool.models.loop_nest import LoopNest
from snn_tool.models.teachers.registry import build_teacher
from snn_tool.models.topology import Topology
from torch import Tensor, nn


def nests_of(module: nn.Module, shape: tuple[int, ...]) -> tuple[LoopNest, ...]:
    return tuple(nest for call in count_macs(module, shape).calls for nest in call.nests)


class Products(nn.Module):
    """Attention over positions: [4, 6, 64] times its transpose, and the result times it again."""

    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(4, 6, 64)
        return torch.bmm(torch.bmm(flat, flat.transpose(1, 2)), flat).reshape(x.shape)


def test_convolutions_by_hand() -> None:
    grouped = nn.Conv2d(8, 12, (3, 5), stride=2, padding=2, dilation=1, groups=4)
    assert nests_of(grouped, (2, 8, 16, 16)) == (LoopNest(4, 3, 2, 9, 8, 3, 5, 2, 1, 2),) * 2
    depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
    assert nests_of(depthwise, (1, 6, 4, 8)) == (LoopNest(6, 1, 1, 4, 8, 3, 3, padding=1),)


def test_a_transposed_convolution_without_overlap_is_one_of_kernel_one() -> None:
    """2x2 taps of stride 2: each of 4 x 4 positions makes 2 * 2 * 5 values out of 3."""
    assert nests_of(nn.ConvTranspose2d(3, 5, 2, stride=2), (1, 3, 4, 4)) == (LoopNest(1, 20, 3, 4, 4),)


def test_attention_has_a_nest_for_each_product() -> None:
    first, second = nests_of(Products(), (1, 24, 8, 8))
    assert first == LoopNest(4, 6, 64, 3, 2)
    assert second == LoopNest(4, 6, 6, 16, 4)
    assert first.macs == second.macs == 4 * 6 * 6 * 64


@pytest.mark.parametrize(
    "module",
    [
        nn.ConvTranspose2d(3, 5, 3, stride=2, padding=1),
        nn.Conv2d(3, 5, 3, stride=(1, 2)),
        nn.Upsample(scale_factor=2, mode="bilinear"),
    ],
)
def test_what_has_no_nest_is_counted_and_not_silent(module: nn.Module) -> None:
    report = count_macs(module, (1, 3, 8, 8))
    assert report.padded_macs > 0 and not any(call.nests for call in report.calls)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["restormer", "nafnet", "unet"])
def test_every_product_of_a_teacher_has_its_nests(name: str) -> None:
    with torch.device("meta"):
        calls = count_macs(build_teacher(name, {}), (1, 3, 32, 32)).calls
    assert any(nest.is_depthwise for call in calls for nest in call.nests) == (name != "unet")
    for call in calls:
        assert sum(nest.macs for nest in call.nests) == call.padded_macs, call.name


@pytest.mark.parametrize("make", [unet, flat])
def test_a_twins_nests_are_its_padded_macs(make: Callable[[int], Topology]) -> None:
    load = twin_load(make(8), 16, 24)
    assert load.padded_macs == sum(nest.macs for layer in load.layers for nest in layer.nests) > 0
    for layer in load.layers:
        if layer.nests:
            assert (layer.weights, layer.outputs) == (layer.nests[0].weights, layer.nests[0].outputs)
