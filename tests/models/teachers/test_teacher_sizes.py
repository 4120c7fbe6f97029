"""The named sizes: figures in docs/guides/teachers.md, training in bf16, and hints for every student."""

import re
from pathlib import Path

import pytest
import torch
from snn_tool.energy.counts.dense import count_macs
from snn_tool.errors import ConfigError
from snn_tool.models.config import BODIES, default_config
from snn_tool.models.losses import HintLoss, pair_hints
from snn_tool.models.student import build_student
from snn_tool.models.teachers.probe import Probe, check_pairs
from snn_tool.models.teachers.registry import (
    SIZES,
    TEACHERS,
    build_teacher,
    parse_teacher_options,
    size_options,
)
from torch import nn

PAGE = Path(__file__).parents[3] / "docs/guides/teachers.md"
EVERY = [(architecture, size) for architecture in SIZES for size in SIZES[architecture]]


def built(architecture: str, size: str) -> nn.Module:
    return build_teacher(architecture, size_options(architecture, size))


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "size"), EVERY)
def test_the_documented_figures(architecture: str, size: str) -> None:
    """MACs per pixel on 128x128, a multiple of every grid."""
    row = re.search(
        rf"^\| `{architecture}` \| `{size}` \| ([\d,]+) \| ([\d,.]+) k \| (\d+) \|",
        PAGE.read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
    assert row, f"{architecture} {size} is not on the page"
    with torch.device("meta"):
        teacher = built(architecture, size)
    counted = count_macs(teacher, (1, 3, 128, 128))
    assert int(row[1].replace(",", "")) == counted.parameters
    assert float(row[2].replace(",", "")) == round(counted.padded_macs / 128**2 / 1000, 1)
    assert int(row[3]) == teacher.multiple
    documented = re.findall(r"^\| `(\w+)` \| `([\w-]+)` \|", PAGE.read_text(encoding="utf-8"), flags=re.M)
    assert documented == EVERY


@pytest.mark.slow
@pytest.mark.parametrize("architecture", SIZES)
def test_sizes_grow(architecture: str) -> None:
    with torch.device("meta"):
        macs = [
            count_macs(built(architecture, size), (1, 3, 32, 32)).padded_macs
            for size in ("small", "medium", "large")
        ]
    assert macs == sorted(macs) and len(set(macs)) == 3


@pytest.mark.slow
@pytest.mark.parametrize("architecture", TEACHERS)
def test_a_small_teacher_learns_in_bf16(architecture: str) -> None:
    """Overfits one batch: no NaN in any gradient, every parameter learns, and the error falls."""
    torch.manual_seed(0)
    teacher = built(architecture, "small").to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    clean = torch.rand(2, 3, 16, 16).mean((2, 3), keepdim=True).expand(2, 3, 16, 16)
    degraded = clean + 0.1 * torch.randn(2, 3, 16, 16)
    optimizer = torch.optim.AdamW(teacher.parameters(), 1e-3)
    losses, learned = [], set()
    for _ in range(12):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = nn.functional.l1_loss(teacher(degraded).float(), clean)
        loss.backward()
        for name, parameter in teacher.named_parameters():
            assert parameter.grad is not None and bool(torch.isfinite(parameter.grad).all()), name
            if bool((parameter.grad != 0).any()):
                learned.add(name)
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]
    assert learned == {name for name, _ in teacher.named_parameters()}


@pytest.mark.parametrize("architecture", TEACHERS)
@pytest.mark.parametrize("body", BODIES)
def test_every_teacher_has_hints_for_every_student(architecture: str, body: str) -> None:
    """Features of other widths and grids reach the student's weights as finite, non-zero gradients."""
    torch.manual_seed(1)
    teacher, student = built(architecture, "small").eval(), build_student(default_config("graded", body))
    image = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        features = teacher.forward_features(image)[1]
    pairs = pair_hints(student.feature_scales, teacher.feature_scales, ())
    sizes = {name: tuple(feature.shape[1:]) for name, feature in features.items()}
    assert len(check_pairs(pairs, student.feature_scales, Probe(sizes, 30, 20), image)) == 2  # type: ignore[arg-type]
    loss = HintLoss(pairs, student.feature_channels, teacher.feature_channels)
    loss(student.forward_features(image)[1], features).backward()
    gradient = next(iter(student.synapses.values())).raw_weight.grad
    assert gradient is not None and bool(torch.isfinite(gradient).all()) and bool((gradient != 0).any())


def test_an_option_overrides_its_size_and_unknown_sizes_are_listed() -> None:
    assert parse_teacher_options("unet", ["width=40"], "medium") == {"width": 40}
    assert parse_teacher_options("unet", [], "medium") == {"width": 56}
    assert parse_teacher_options("unet", []) == {}
    with pytest.raises(
        ConfigError, match="--size tiny: nafnet has small, medium, large, sidd, sidd64, gopro"
    ):
        parse_teacher_options("nafnet", [], "tiny")
