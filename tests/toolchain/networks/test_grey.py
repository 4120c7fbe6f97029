"""Grey pictures and students for grey: which one restores which picture, what comes out, how it is scored."""

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import snn_tool as st
import torch
from PIL import Image
from snn_tool.cli import use
from snn_tool.cli.app import run
from snn_tool.degradations.noise import GaussianNoise
from snn_tool.degradations.pairs import degrade, read_source
from snn_tool.degradations.tasks import image_rng
from snn_tool.energy.counts.activity import count_network
from snn_tool.errors import ConfigError
from snn_tool.files.artifacts import sha256_file
from snn_tool.images.files import in_grey, is_grey, write_image
from snn_tool.images.metrics import psnr_db, to_uint8
from snn_tool.models.config import StudentConfig
from snn_tool.models.integer.engine import quantize_image
from snn_tool.models.integer.file import save_integer_network
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.network import Network
from snn_tool.models.student import in_grey as student_in_grey
from snn_tool.models.student import save_student
from snn_tool.networks.evaluation import EvaluationFiles, run_evaluation
from snn_tool.networks.open import open_student
from snn_tool.networks.restoring import plan_outputs, restore_files
from snn_tool.networks.running import RestoringStudent
from snn_tool.networks.shipped import DEFAULT, DEFAULT_OF_GREY, Card, read_card, shipped_for
from snn_tool.training.runs import read_initial

MakeNetwork = Callable[..., IntegerNetwork]
MakeStudent = Callable[..., tuple[Network, StudentConfig]]
RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (16, 24, 3)).astype(np.uint8)
GREYS = RNG.integers(0, 256, (16, 24, 1)).astype(np.uint8)


def untracked(paths: list[Path], _: str) -> list[Path]:
    return paths


@pytest.fixture
def students(tmp_path: Path, make_network: MakeNetwork) -> dict[int, Path]:
    """A student for colour and one for grey."""
    found = {}
    for channels in (3, 1):
        found[channels] = tmp_path / f"of-{channels}.int.safetensors"
        trained = {"training": {"task": {"task": "denoise", "sigma": [25.0, 25.0]}, "seed": 0}}
        save_integer_network(found[channels], make_network("graded", "flat", channels=channels), trained)
    return found


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A grey file, a grey file in three channels, one of colour."""
    folder = tmp_path / "in"
    write_image(folder / "a-grey.png", GREYS)
    write_image(folder / "b-equal.png", np.repeat(GREYS, 3, axis=2))
    write_image(folder / "c-colour.png", COLOURS)
    return folder


def test_luma_is_matlabs_rgb2gray_and_keeps_grey() -> None:
    """0.299 * 10 + 0.587 * 200 + 0.114 * 30 = 123.81; and of 256 equal colours each is itself."""
    one = np.array([[[10, 200, 30]]], np.uint8)
    assert in_grey(one).tolist() == [[[124]]]
    levels = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None], 3, axis=2)
    np.testing.assert_array_equal(in_grey(levels), levels[..., :1])
    assert is_grey(levels) and is_grey(GREYS) and not is_grey(COLOURS)


def test_noise_comes_after_luma_on_one_channel(mixed: Path) -> None:
    """Of 384 draws of one channel; noise before the luma would have a standard deviation of 0.67 sigma."""
    noise = GaussianNoise(25.0, 25.0)
    stack = read_source(mixed / "c-colour.png", noise, 1)
    degraded, clean = degrade(stack, noise, image_rng(0, "c"))
    assert degraded.shape == clean.shape == (16, 24, 1)
    np.testing.assert_array_equal(to_uint8(clean), in_grey(COLOURS))
    assert 22 < float((degraded - clean).std()) * 255 < 28


def test_a_mixed_folder_goes_through_two_students(
    mixed: Path, students: dict[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: object
) -> None:
    """Each picture is what its student makes of it, with as many channels as it had; both are named."""
    card = read_card(DEFAULT)

    def for_picture(task: str, grey: bool = False) -> Card:
        return _At(students[1 if grey else 3], card, grey)  # type: ignore[return-value]

    monkeypatch.setattr(use, "shipped_for", for_picture)
    out = tmp_path / "out"
    assert run(["--json", "restore", str(mixed), "--out", str(out)]) == 0
    document = json.loads(capsys.readouterr().out)  # type: ignore[attr-defined]
    by_hash = {each["student_sha256"]: {*each["images"]} for each in document["students"]}
    assert by_hash == {
        sha256_file(students[1]): {str(mixed / "a-grey.png"), str(mixed / "b-equal.png")},
        sha256_file(students[3]): {str(mixed / "c-colour.png")},
    }
    grey, colour = (st.load(students[channels]).restore for channels in (1, 3))
    for name, expected, mode in (
        ("a-grey.png", grey(GREYS), "L"),
        ("b-equal.png", np.repeat(grey(GREYS), 3, axis=2), "RGB"),
        ("c-colour.png", colour(COLOURS), "RGB"),
    ):
        with Image.open(out / name) as image:
            assert image.mode == mode
            np.testing.assert_array_equal(np.asarray(image), expected.squeeze())
    again = run(["-q", "restore", str(mixed), "--out", str(out), "--overwrite"])
    assert again == 0, "the ledger knows all three files as ours"


class _At:
    """A card whose student lies elsewhere."""

    def __init__(self, path: Path, card: Card, grey: bool) -> None:
        self.path, self.name, self.summary = path, card.name, card.summary
        self.channels = 1 if grey else 3


def test_a_grey_student_takes_each_colour_alone_and_says_so(
    mixed: Path,
    students: dict[int, Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logging.getLogger("snn_tool"), "propagate", True)
    caplog.set_level(logging.WARNING, logger="snn_tool")
    student = RestoringStudent.of(open_student(students[1]))
    outputs = plan_outputs([mixed], tmp_path / "out", overwrite=False)
    restore_files(lambda _: student, outputs, 8, untracked)
    with Image.open(tmp_path / "out" / "c-colour.png") as image:
        found = np.asarray(image)
    alone = [student.restore_8_bits(COLOURS[..., c : c + 1], 64) for c in range(3)]
    np.testing.assert_array_equal(found, np.concatenate(alone, axis=2))
    said = [record.getMessage() for record in caplog.records]
    wanted = "c-colour.png: of colour, but of-1.int.safetensors was trained on grey"
    assert len(said) == 1 and wanted in said[0]


@pytest.mark.parametrize("shape", [(16, 24), (16, 24, 1), (2, 16, 24, 1), (16, 24, 3)])
def test_python_restores_arrays_of_grey(students: dict[int, Path], shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    student = st.load(students[1])
    restored = student.restore(image)
    assert restored.shape == shape and (restored != image).any()
    first = image.reshape(-1, 16, 24, shape[-1] if len(shape) > 2 else 1)[0, :, :, :1]
    np.testing.assert_array_equal(
        restored.reshape(-1, 16, 24, shape[-1] if len(shape) > 2 else 1)[0, :, :, :1], student.restore(first)
    )


def test_evaluate_scores_luma_with_a_grey_student(mixed: Path, students: dict[int, Path]) -> None:
    made = run_evaluation(students[1], mixed, (None, None, 3), 64, EvaluationFiles(), untracked)
    assert "grey, files of colour by their luma (0.299 R + 0.587 G + 0.114 B, rounded)" in made.protocol
    assert [score.channels for score in made.scores] == [1, 1, 1]
    stack = read_source(mixed / "c-colour.png", GaussianNoise(25.0, 25.0), 1)
    degraded, _ = degrade(stack, GaussianNoise(25.0, 25.0), image_rng(3, "c-colour.png"))
    restored = RestoringStudent.of(open_student(students[1])).restore_8_bits(degraded, 64)
    assert made.scores[2].psnr_db == psnr_db(restored, in_grey(COLOURS))


def test_a_set_for_colour_has_its_grey_files_in_three_channels_of_their_own_noise(
    mixed: Path, students: dict[int, Path]
) -> None:
    made = run_evaluation(
        students[3], mixed, (None, None, 3), 64, EvaluationFiles(), untracked, in_colour=True
    )
    assert made.protocol.endswith("; grey files: three equal channels, degraded each by itself")
    assert [score.channels for score in made.scores] == [3, 3, 3]
    values = np.repeat(GREYS, 3, axis=2).astype(np.float32) / 255
    noisy = GaussianNoise(25.0, 25.0).apply(values, image_rng(3, "a-grey.png"))
    assert made.scores[0].degraded_psnr_db == psnr_db(to_uint8(noisy), np.repeat(GREYS, 3, axis=2))
    with pytest.raises(ConfigError, match="--in-colour: .* takes grey images; leave it out"):
        run_evaluation(students[1], mixed, (None, None, 3), 64, EvaluationFiles(), untracked, in_colour=True)


def test_a_grey_start_is_the_colour_student_where_colours_are_equal(
    make_student: MakeStudent, tmp_path: Path
) -> None:
    """Sum over the colours that a kernel reads, mean over those that it makes: the same function of grey."""
    student, config = make_student("graded", "unet")
    grey, changed = student_in_grey(student, config)
    image = torch.from_numpy(GREYS.transpose(2, 0, 1)[None].astype(np.float32) / 255)
    with torch.inference_mode():
        expected = student(image.expand(1, 3, -1, -1)).mean(1, keepdim=True)
        torch.testing.assert_close(grey(image), expected, atol=1e-5, rtol=0)
    save_student(tmp_path / "colour.safetensors", student, config, {})
    started = read_initial(tmp_path / "colour.safetensors", changed)
    torch.testing.assert_close(dict(started.weights), dict(grey.state_dict()))
    with pytest.raises(ConfigError, match="width is 4, not 8"):
        read_initial(tmp_path / "colour.safetensors", replace(changed, width=8))
    save_student(tmp_path / "grey.safetensors", grey, changed, {})
    with pytest.raises(ConfigError, match="channels is 1, not 3"):
        read_initial(tmp_path / "grey.safetensors", config)


def test_the_first_layer_of_grey_costs_a_third(make_network: MakeNetwork) -> None:
    """Its kernels read one channel where those of colour read three; nothing else is counted on the image."""
    images = {3: COLOURS, 1: GREYS}
    macs = {
        channels: count_network(network, [quantize_image(image[None], network)[0]]).images[0].macs_uncached
        for channels in (3, 1)
        for network in (make_network("graded", "flat", channels=channels),)
        for image in (images[channels].transpose(2, 0, 1).astype(np.float32) / 255,)
    }
    assert macs[3] == 3 * macs[1] > 0


def test_a_card_says_for_which_images_its_student_is(tmp_path: Path) -> None:
    card = read_card(DEFAULT)
    for name, channels in ((DEFAULT, 3), ("denoise-gray-25", 1), (DEFAULT_OF_GREY, 1)):
        document = json.loads((card.path.parent / f"{DEFAULT}.card.json").read_bytes())
        document |= {"channels": channels} if channels == 1 else {}
        (tmp_path / f"{name}.card.json").write_text(json.dumps(document))
    assert shipped_for("denoise", tmp_path).name == DEFAULT
    assert shipped_for("denoise", tmp_path, grey=True).name == DEFAULT_OF_GREY
    (tmp_path / f"{DEFAULT_OF_GREY}.card.json").unlink()
    assert shipped_for("denoise", tmp_path, grey=True).name == "denoise-gray-25"
    (tmp_path / "denoise-gray-25.card.json").unlink()
    assert shipped_for("denoise", tmp_path, grey=True).name == DEFAULT


@pytest.mark.slow
def test_a_grey_student_is_distilled_and_needs_a_grey_teacher(tmp_path: Path) -> None:
    """From images of colour; a teacher of the other kind is refused with the command that makes one."""
    images = np.random.default_rng(2).integers(0, 256, (3, 24, 24, 3)).astype(np.uint8)
    short = {"max_steps": 2, "batch": 2, "patch": 16, "loss_hints": 0.0}
    build = {"width": 4, "channels": 1}
    teacher = st.train_teacher(images, arch="unet", build=build, max_steps=1, batch=2, patch=16)
    made = st.distill(images, teacher=teacher, width=4, channels=1, out=tmp_path / "run", **short)
    assert made.student.restore(images[0, :, :, 0]).shape == (24, 24)
    assert json.loads((tmp_path / "run/settings.json").read_text())["student"]["channels"] == 1
    with pytest.raises(ConfigError, match="grey images and cannot teach .* 'snn-tool train --channels 3'"):
        st.distill(images, teacher=teacher, width=4, **short)
