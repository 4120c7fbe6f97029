"""`x8:NAME`: any network as a teacher that restores in eight orientations."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from snn_tool.cli.app import run
from snn_tool.degradations.crops import read_photograph
from snn_tool.errors import ConfigError
from snn_tool.models.integer.engine import IntegerEngine, restore_integers
from snn_tool.networks.ensemble import SelfEnsemble
from snn_tool.networks.locate import TEACHERS, Kind, locate
from snn_tool.networks.open import open_integers, open_teacher
from torch import Tensor, nn

Capture = pytest.CaptureFixture[str]


class Shifted(nn.Module):
    """Each pixel becomes its right neighbour; the edge stays."""

    def forward_features(self, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return torch.cat([image[..., 1:], image[..., -1:]], -1), {}


def test_a_shift_becomes_the_mean_of_the_neighbours() -> None:
    """Of eight orientations two look each way, so that an inner pixel is the mean of its four neighbours."""
    image = torch.rand(1, 3, 5, 7, generator=torch.Generator().manual_seed(1))
    made = SelfEnsemble(Shifted(), 1)(image)[0, :, 1:-1, 1:-1]
    x = image[0]
    wanted = (x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:]) / 4
    torch.testing.assert_close(made, wanted)


@pytest.mark.slow
def test_integers_are_averaged_in_float() -> None:
    """Against numpy's own flips and turns of the integer student's answers."""
    opened, teacher = open_integers("denoise-25"), open_teacher("x8:denoise-25")
    picture = read_photograph("skimage.data", "coffee.png")[100:116, 150:174]
    image = picture.transpose(2, 0, 1)[None].astype(np.float32) / 255
    engine, wanted = IntegerEngine(opened.network), np.zeros(image.shape)
    for swap, up, left in product((False, True), repeat=3):
        seen = image.swapaxes(2, 3) if swap else image
        rows, columns = slice(None, None, -1 if up else 1), slice(None, None, -1 if left else 1)
        given = np.ascontiguousarray(seen[:, :, rows, columns])
        back = restore_integers(engine, given)[:, :, rows, columns]
        wanted += (back.swapaxes(2, 3) if swap else back) / 8
    made = teacher.network.forward_features(torch.from_numpy(image))[0]  # type: ignore[operator]
    np.testing.assert_allclose(made.numpy(), wanted, atol=1e-6)
    assert teacher.provenance.sha256 != opened.provenance.sha256
    assert teacher.provenance.trained_for.task == "denoise"


def test_names() -> None:
    assert locate("x8:denoise-25", accept=TEACHERS).ensemble
    assert locate("x8:denoise-25", accept=TEACHERS).spec.startswith("x8:")
    with pytest.raises(ConfigError, match="leave the other out"):
        locate("x8:x8:denoise-25", accept=TEACHERS)
    with pytest.raises(ConfigError, match="no student|neither"):
        locate("x8:denoise-25", accept=(Kind.INTEGER,))
    with pytest.raises(ConfigError, match="a student; x8:denoise-25 teaches"):
        locate("denoise-25", accept=TEACHERS)


@pytest.mark.slow
def test_distill_takes_its_output_and_no_hints(tmp_path: Path, capsys: Capture) -> None:
    for index, name in enumerate(("chelsea.png", "coffee.png")):
        crop = read_photograph("skimage.data", name)[100:140, 120:168]
        Image.fromarray(np.ascontiguousarray(crop)).save(tmp_path / f"{index}.png")
    sizes = "--patch 16 --batch 2 --max-steps 2 --validate-every 2 --width 4 --teacher x8:denoise-25"
    asked = ["-q", "distill", "--data", str(tmp_path), *sizes.split(), "--out", str(tmp_path / "run")]
    assert run(asked) == 1
    assert "a self-ensemble (x8:) has an output and no features" in capsys.readouterr().err
    assert run([*asked, "--loss-hints", "0"]) == 0
    settings = json.loads((tmp_path / "run" / "settings.json").read_text())
    assert settings["teacher"] == open_teacher("x8:denoise-25").provenance.sha256
    assert settings["teacher_source"]["self_ensemble"] == "denoise-25.int.safetensors"
    report = f"energy report --student denoise-25 --teacher x8:denoise-25 --images {tmp_path}"
    assert run(["-q", *report.split()]) == 1
    assert "in eight orientations, each at its full cost" in capsys.readouterr().err
