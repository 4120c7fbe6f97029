"""Published networks are called as spandrel calls them: padded, with what they need, cropped back."""

import copy
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from snn_tool.energy.counts.dense import count_macs
from snn_tool.errors import ArtifactError, TeacherError
from snn_tool.models.teachers.tapped import TappedTeacher
from snn_tool.networks import code as spandrel_teacher
from snn_tool.networks.code import recognise_by_spandrel
from snn_tool.networks.open import open_teacher
from snn_tool.networks.running import RestoringTeacher
from torch import Tensor, nn
from torch.nn import functional

pytestmark = pytest.mark.skipif(find_spec("spandrel") is None, reason="pip install --no-deps spandrel einops")
NOISE = 15 / 255
"""What spandrel's DRUNet tells the network of the noise, as a fourth channel."""


@pytest.fixture(scope="module")
def drunet() -> nn.Module:
    """DRUNet of 8 and 16 channels: sides in multiples of 8, and a map of the noise beside the image."""
    spandrel_teacher._imported()
    from spandrel.architectures.DRUNet import DRUNet

    torch.manual_seed(0)
    options = {"act_mode": "R", "downsample_mode": "strideconv", "upsample_mode": "convtranspose"}
    network: nn.Module = DRUNet(in_nc=4, out_nc=3, nc=[8, 8, 16, 16], nb=4, **options).eval()
    return network


def by_hand(network: nn.Module, image: Tensor) -> Tensor:
    """Mirrored at the right and below to multiples of 8, beside the noise, clamped, cropped."""
    height, width = image.shape[2:]
    padded = functional.pad(image, (0, -width % 8, 0, -height % 8), "reflect")
    noise = torch.full((len(image), 1, *padded.shape[2:]), NOISE)
    with torch.no_grad():
        restored: Tensor = network(torch.cat([padded, noise], 1))
    return restored.clamp(0, 1)[..., :height, :width]


@pytest.mark.parametrize("size", [(16, 24), (13, 21), (9, 8)])
def test_an_image_of_any_size_is_padded_and_cropped(
    drunet: nn.Module, tmp_path: Path, size: tuple[int, int]
) -> None:
    path = tmp_path / "drunet.pth"
    torch.save(drunet.state_dict(), path)
    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(1))
    expected = by_hand(drunet, image)
    teacher = RestoringTeacher.of(open_teacher("spandrel", path))
    restored = teacher.restore(np.ascontiguousarray(image[0].permute(1, 2, 0).numpy()), 0)
    assert restored.shape == (*size, 3)
    torch.testing.assert_close(torch.from_numpy(restored).permute(2, 0, 1)[None], expected)


def test_a_network_of_one_image_at_a_time_restores_a_batch(drunet: nn.Module) -> None:
    """spandrel makes the map of the noise for one image, which no batch can be joined with."""
    batch = torch.rand(3, 3, 8, 16)
    teacher = recognise_by_spandrel(drunet.state_dict(), Path("w.pth"))
    torch.testing.assert_close(teacher(batch), by_hand(drunet, batch))
    assert teacher.single
    with pytest.raises(RuntimeError):
        teacher(torch.rand(2, 5, 8, 8))  # what no image can do is still an error


def test_its_modules_keep_their_published_names(drunet: nn.Module) -> None:
    teacher = TappedTeacher(recognise_by_spandrel(drunet.state_dict(), Path("w.pth")), ("m_head",), "network")
    image = torch.rand(1, 3, 16, 16)
    _, features = teacher.forward_features(image)
    noisy = torch.cat([image, torch.full((1, 1, 16, 16), NOISE)], 1)
    torch.testing.assert_close(features["m_head"], drunet.m_head(noisy))
    assert not features["m_head"].is_inference()
    assert "m_head (8, 16, 16)" in teacher.fitting(image)
    assert not any(name.startswith("named") for name in teacher.state_dict())


def test_it_can_be_copied_and_counted(drunet: nn.Module) -> None:
    teacher = recognise_by_spandrel(drunet.state_dict(), Path("w.pth"))
    copied = copy.deepcopy(teacher)
    assert copied.descriptor.model is copied.network is not teacher.network
    counted, plain = count_macs(teacher, (1, 3, 16, 24)), count_macs(drunet, (1, 4, 16, 24))
    assert counted.exact_macs == plain.exact_macs > 0
    assert counted.elementwise_ops == plain.elementwise_ops + 2 * 3 * 16 * 24  # the clamp


MISFITS: dict[str, tuple[Callable[[dict[str, Tensor]], Any], str]] = {
    "one more": (lambda t: {**t, "m_tail.extra": torch.ones(1)}, 'Unexpected key.*"m_tail.extra"'),
    "another shape": (lambda t: {**t, "m_tail.weight": torch.ones(3, 9, 3, 3)}, "size mismatch for m_tail"),
    "one less": (lambda t: {k: v for k, v in t.items() if k != "m_down1.1.res.0.weight"}, "Missing key"),
    "no dimensions": (lambda t: {**t, "m_head.weight": torch.ones(())}, "tuple index out of range"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_tensors_that_do_not_fit_are_one_line(drunet: nn.Module, name: str) -> None:
    change, reason = MISFITS[name]
    with pytest.raises(ArtifactError, match=rf"^w\.pth: .*the tensors do not fit \(.*{reason}") as refused:
        recognise_by_spandrel(change(drunet.state_dict()), Path("w.pth"))
    assert "\n" not in str(refused.value) and "package.module:factory" in str(refused.value)


def test_memory_that_runs_out_is_no_fault_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    class Loader:
        def __init__(self, device: str) -> None:
            pass

        def load_from_state_dict(self, tensors: Any) -> Any:
            raise torch.OutOfMemoryError("CUDA out of memory")

    module = SimpleNamespace(ModelLoader=Loader, UnsupportedModelError=KeyError)
    with pytest.raises(torch.OutOfMemoryError):
        spandrel_teacher._loaded(module, {}, Path("w.pth"))


def test_a_network_that_needs_a_mask_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    masked = SimpleNamespace(
        scale=1, input_channels=3, output_channels=3, architecture=SimpleNamespace(name="LaMa")
    )
    monkeypatch.setattr(spandrel_teacher, "_loaded", lambda *_: masked)
    with pytest.raises(TeacherError, match="LaMa fills in masked areas; a teacher restores RGB images"):
        recognise_by_spandrel({}, Path("w.pth"))
    assert "torchvision" not in sys.modules
