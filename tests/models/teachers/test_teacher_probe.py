"""What a teacher must give, on networks whose outputs are plain."""

from typing import Any

import pytest
import torch
from snn_tool.errors import TeacherError
from snn_tool.models.losses import HintPair, resampling, to_resolution
from snn_tool.models.teachers.probe import Probe, check_pairs, probe
from snn_tool.models.teachers.tapped import TappedTeacher
from torch import Tensor, nn


class Net(nn.Module):
    """The identity, with modules of all kinds on the way."""

    def __init__(self, change: Any = lambda image: image) -> None:
        super().__init__()
        self.change = change
        self.deep = nn.Sequential(nn.AvgPool2d(4), nn.AvgPool2d(2))
        self.wide = nn.Conv2d(3, 5, 1)
        self.token = nn.Flatten(2)
        self.twice = nn.Identity()
        self.unused = nn.Identity()
        self.odd = nn.AdaptiveAvgPool2d(7)
        self.drop = nn.Dropout(0.5)

    def forward(self, image: Tensor) -> Any:
        self.deep(image), self.wide(image), self.token(image), self.odd(image)
        self.twice(self.twice(image))
        return self.change(self.drop(image))


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    """Noise of sigma 0.1 on grey ramps: PSNR 20 dB."""
    generator = torch.Generator().manual_seed(0)
    clean = torch.linspace(0, 1, 16 * 16).reshape(1, 1, 16, 16).repeat(2, 3, 1, 1)
    return clean + 0.1 * torch.randn(clean.shape, generator=generator), clean


def test_tapped_features_are_the_modules_outputs(batch: tuple[Tensor, Tensor]) -> None:
    net = Net()
    teacher = TappedTeacher(net, ("wide", "deep.1"))
    found = probe(teacher.train(), *batch)
    restored, features = teacher.forward_features(batch[0])
    assert torch.equal(restored, batch[0]), "frozen: no dropout"
    assert torch.equal(features["wide"], net.wide(batch[0]))
    torch.testing.assert_close(features["deep.1"], nn.functional.avg_pool2d(batch[0], 8))
    assert found.features == {"wide": (5, 16, 16), "deep.1": (3, 2, 2)}
    assert teacher.feature_channels == {"wide": 5, "deep.1": 3}
    assert teacher.feature_scales == {"wide": 1, "deep.1": 8}
    assert found.degraded_psnr_db == pytest.approx(20, abs=0.7)
    assert found.teacher_psnr_db == found.degraded_psnr_db
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert not any(module._forward_hooks for module in net.modules()), "hooks do not stay"


@pytest.mark.parametrize(
    ("tap", "message"),
    [
        ("decoder", "the teacher has no module 'decoder'"),
        ("twice", "module 'twice' runs 2 times per image"),
        ("unused", "module 'unused' does not run"),
        ("token", r"module 'token' gives a tensor \(2, 3, 256\); a hint is a float tensor"),
        ("odd", r"module 'odd' gives \(2, 3, 7, 7\) for images \(2, 3, 16, 16\)"),
    ],
)
def test_a_tap_that_is_no_feature_lists_those_that_are(
    batch: tuple[Tensor, Tensor], tap: str, message: str
) -> None:
    with pytest.raises(TeacherError, match=message) as refused:
        probe(TappedTeacher(Net(), (tap,)), *batch)
    listed = str(refused.value).partition("modules that fit: ")[2]
    assert listed == "deep (3, 2, 2), wide (5, 16, 16), drop (3, 16, 16), deep.0 (3, 4, 4), deep.1 (3, 2, 2)"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda image: (image, image), "returns tuple, not a tensor"),
        (lambda image: image[..., 1:-1, 1:-1], r"returns \(2, 3, 14, 14\) for images \(2, 3, 16, 16\)"),
        (lambda image: image / image.new_zeros(()), "NaN or infinity in its output"),
        (lambda image: image * 255, "output is -.* to .*, on average .* must restore RGB images in"),
        (lambda image: 2 * image - 1, "output is -1"),
        (lambda image: 0 * image, "not return the noise"),
        (lambda image: image.reshape(7, -1), r"fails on images \(2, 3, 16, 16\) \(RuntimeError: .*--patch"),
    ],
)
def test_outputs_that_are_no_restored_image_are_refused(
    batch: tuple[Tensor, Tensor], change: Any, message: str
) -> None:
    with pytest.raises(TeacherError, match=message) as refused:
        probe(TappedTeacher(Net(change)), *batch)
    assert "\n" not in str(refused.value)


def test_memory_that_runs_out_is_not_the_teachers_fault(batch: tuple[Tensor, Tensor]) -> None:
    def allocate(image: Tensor) -> Tensor:
        return image.new_empty(1 << 53)

    with pytest.raises(RuntimeError, match="DefaultCPUAllocator"):
        probe(TappedTeacher(Net(allocate)), *batch)
    view = TappedTeacher(Net(lambda image: image.transpose(1, 2).view(-1)))
    with pytest.raises(TeacherError, match="fails on images .*stride"):
        probe(view, *batch)


def test_a_bad_restorer_is_still_a_restorer(batch: tuple[Tensor, Tensor]) -> None:
    """Grey, and as far as another dose of the same noise: worse than nothing, but an image in [0, 1]."""
    noise = 0.1 * torch.randn(batch[0].shape, generator=torch.Generator().manual_seed(1))
    assert probe(TappedTeacher(Net(lambda image: image + noise)), *batch).teacher_psnr_db < 20


@pytest.mark.parametrize(
    ("given", "wanted", "way"),
    [
        ((8, 8), (8, 8), "as it is"),
        ((16, 8), (8, 4), "mean over 2x2"),
        ((6, 4), (12, 4), "repeated 2x1"),
        ((7, 7), (16, 16), None),
        ((16, 4), (8, 8), None),
        ((24, 24), (16, 16), None),
    ],
)
def test_whole_blocks_or_nothing(given: tuple[int, int], wanted: tuple[int, int], way: str | None) -> None:
    feature = torch.rand(2, 3, *given)
    assert resampling(given, wanted) == way
    if way is None:
        with pytest.raises(TeacherError, match=f"a hint of {given[0]}x{given[1]} does not fit"):
            to_resolution(feature, wanted)
        return
    found = to_resolution(feature, wanted)
    assert found.shape == (2, 3, *wanted)
    for row in range(wanted[0]):
        for column in range(wanted[1]):
            rows = slice(
                row * given[0] // wanted[0],
                max((row + 1) * given[0] // wanted[0], row * given[0] // wanted[0] + 1),
            )
            columns = slice(
                column * given[1] // wanted[1],
                max((column + 1) * given[1] // wanted[1], column * given[1] // wanted[1] + 1),
            )
            torch.testing.assert_close(found[..., row, column], feature[..., rows, columns].mean((2, 3)))


def test_pairs_are_named_with_both_sizes() -> None:
    pairs = (HintPair("up_in", "a"), HintPair("tail_in", "b"))
    scales, image = {"up_in": 2, "tail_in": 1}, torch.empty(1, 3, 24, 24)
    lines = check_pairs(pairs, scales, Probe({"a": (9, 24, 24), "b": (5, 6, 6)}, 30, 20), image)
    assert lines == ("up_in 12x12 <- a 9x24x24, mean over 2x2", "tail_in 24x24 <- b 5x6x6, repeated 4x4")
    with pytest.raises(TeacherError, match="hint 'b' is 5x16x16 and the student's 'tail_in' 24x24; one must"):
        check_pairs(pairs, scales, Probe({"a": (9, 24, 24), "b": (5, 16, 16)}, 30, 20), image)
