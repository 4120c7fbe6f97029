"""Students of one channel: their shape, their files, and older files that say nothing of channels."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from snn_tool.errors import ArtifactError, ConfigError
from snn_tool.files.artifacts import sha256_bytes
from snn_tool.models.checkpoints import function_sha256, sidecar_of
from snn_tool.models.config import StudentConfig
from snn_tool.models.student import build_student, build_topology, load_student, save_student
from snn_tool.models.teachers.registry import build_teacher

SMALL = StudentConfig(width=4)


@pytest.mark.parametrize(("body", "width"), [("unet", 24), ("flat", 28), ("chain", 40)])
def test_grey_takes_the_weights_of_two_channels_away(body: str, width: int) -> None:
    """The head loses 2 of 3 kernels 5x5 per output, the tail 2 of 3 outputs of 9 width + 1 values."""
    colour, grey = (build_topology(StudentConfig(body=body, width=width, channels=c)) for c in (3, 1))
    assert colour.parameters - grey.parameters == 2 * 25 * width + 2 * (9 * width + 1)
    assert (grey.image_channels, grey.readout.channels, grey.restores) == (1, 1, True)


def test_two_channels_are_refused() -> None:
    with pytest.raises(ConfigError, match="channels is 2; use 3 for images of colour or 1 for grey"):
        StudentConfig(channels=2)
    with pytest.raises(ConfigError, match="nafnet: channels is 2"):
        build_teacher("nafnet", {"channels": 2, "width": 4})


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ("unet", {"width": 4}),
        ("nafnet", {"width": 4, "encoder_blocks": [1], "middle_blocks": 1, "decoder_blocks": [1]}),
        ("restormer", {"dim": 8, "blocks": [1, 1, 1, 1], "refinement_blocks": 1}),
    ],
)
def test_teachers_of_grey_restore_grey(architecture: str, options: dict[str, object]) -> None:
    teacher = build_teacher(architecture, {**options, "channels": 1}).eval()
    with torch.inference_mode():
        assert teacher(torch.rand(2, 1, 16, 16)).shape == (2, 1, 16, 16)
    assert teacher.image_channels == 1


def test_a_grey_student_comes_back_from_its_file(tmp_path: Path) -> None:
    config = replace(SMALL, channels=1)
    torch.manual_seed(0)
    student = build_student(config).eval()
    save_student(tmp_path / "s.safetensors", student, config, {})
    loaded, found, _ = load_student(tmp_path / "s.safetensors")
    image = torch.rand(1, 1, 8, 8)
    assert found == config
    with torch.inference_mode():
        assert torch.equal(loaded(image), student(image))


def test_a_file_of_before_opens_as_colour(tmp_path: Path) -> None:
    """Colour is written as before channels were known: older versions read it, and trainings go on."""
    torch.manual_seed(0)
    path = tmp_path / "s.safetensors"
    save_student(path, build_student(SMALL), SMALL, {})
    assert "channels" not in json.loads(sidecar_of(path).read_bytes())["config"]
    assert load_student(path)[1].channels == 3


def test_weights_of_other_channels_than_the_sidecar_says_are_refused(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "s.safetensors"
    save_student(path, build_student(SMALL), SMALL, {})
    sidecar = json.loads(sidecar_of(path).read_bytes())
    sidecar["config"]["channels"] = 1
    sidecar["function_sha256"] = function_sha256(
        sha256_bytes(path.read_bytes()), {"config": sidecar["config"]}
    )
    sidecar_of(path).write_text(json.dumps(sidecar))
    with pytest.raises(ArtifactError, match=r"head\.raw_weight"):
        load_student(path)
