"""Scores by formula, noise by file name, and documents that any JSON reader takes."""

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage import data
from snn_tool.degradations.noise import GaussianNoise
from snn_tool.degradations.tasks import TrainedFor
from snn_tool.errors import ConfigError, DataError, TeacherError
from snn_tool.files.artifacts import read_json, sha256_bytes, sha256_file
from snn_tool.images.files import read_image, write_image
from snn_tool.images.metrics import to_uint8
from snn_tool.models.integer.file import save_integer_network
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.teachers.registry import build_teacher, load_teacher, save_teacher
from snn_tool.networks import evaluation
from snn_tool.networks.evaluation import (
    Evaluation,
    EvaluationFiles,
    ImageScore,
    Pair,
    evaluation_text,
    load_pair,
    run_evaluation,
    score,
)
from snn_tool.networks.open import open_student, open_teacher
from snn_tool.networks.running import RestoringStudent, RestoringTeacher

NOISE = GaussianNoise(25, 25)


def untracked(paths: list[Path], _: str) -> Iterable[Path]:
    return paths


def item(name: str, *figures: float | None) -> ImageScore:
    before, after, *similarities = figures
    return ImageScore(name, "a" * 64, 8, 9, before, after, *similarities)  # type: ignore[arg-type]


def scored(*items: ImageScore) -> Evaluation:
    return Evaluation("s.safetensors", "integer", "00", NOISE.describe(), 4, items)


def test_means_and_spreads_by_hand() -> None:
    """The spread is over images, divided by their number: of 28, 30 and 35 sqrt((9 + 1 + 16) / 3)."""
    made = scored(
        item("a", 20.0, 28.0, 0.5, 0.75), item("b", 20.0, 30.0, 0.25, None), item("c", 23.0, 35.0, 0.0, 0.25)
    )
    assert made.mean("degraded_psnr_db") == pytest.approx(21)
    assert made.mean("psnr_db") == pytest.approx(31)
    assert made.spread("psnr_db") == pytest.approx(math.sqrt(26 / 3))
    assert made.mean("ssim") == pytest.approx(0.5), "images without SSIM do not count"
    assert made.spread("ssim") == pytest.approx(0.25)
    document = made.document()
    assert document["mean"]["psnr_db"] == 31 and document["standard_deviation"]["psnr_db"] == 2.9439
    assert document["images"][1] == {
        "name": "b",
        "sha256": "a" * 64,
        "height": 8,
        "width": 9,
        "degraded_psnr_db": 20.0,
        "psnr_db": 30.0,
        "degraded_ssim": 0.25,
        "ssim": None,
        "channels": 3,
    }


@pytest.mark.filterwarnings("error")
def test_infinite_and_missing_figures_become_null() -> None:
    made = scored(item("a", math.inf, 30.0, None, None), item("b", 20.0, 30.0, None, None))
    document = json.loads(json.dumps(made.document(), allow_nan=False))
    assert document["images"][0]["degraded_psnr_db"] is None
    assert document["mean"]["degraded_psnr_db"] is None and document["mean"]["ssim"] is None
    assert document["standard_deviation"]["degraded_psnr_db"] is None
    assert document["mean"]["psnr_db"] == 30 and document["standard_deviation"]["psnr_db"] == 0


def test_an_image_is_scored_after_rounding() -> None:
    """Degraded by 10.4 grey levels everywhere, restored to 0.4: rounded that is 10 off, and identical."""
    clean = np.full((16, 16, 3), 100, np.uint8)
    restored = to_uint8((clean + np.float32(0.4)) / 255)
    made = score(Pair("x", clean, (clean + np.float32(10.4)) / 255), restored)
    assert made.degraded_psnr_db == pytest.approx(20 * math.log10(255 / 10), abs=1e-5)
    assert made.psnr_db == math.inf and made.ssim == pytest.approx(1)
    assert scored(made).document()["images"][0]["psnr_db"] is None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    image = data.coffee()
    for name, part in (
        ("b.png", image[:24, :40]),
        ("a.png", image[50:83, 60:91]),
        ("sub/a.png", image[:9, :9]),
    ):
        write_image(tmp_path / "test" / name, part)
    return tmp_path / "test"


def test_noise_depends_on_the_name_and_not_on_the_company(folder: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "alone" / "b.png", read_image(folder / "b.png"))
    among = load_pair(folder / "b.png", folder, NOISE, seed=4)
    alone = load_pair(tmp_path / "alone" / "b.png", tmp_path / "alone", NOISE, seed=4)
    single = load_pair(folder / "b.png", folder / "b.png", NOISE, seed=4)
    assert among.name == alone.name == single.name == "b.png"
    np.testing.assert_array_equal(among.degraded, alone.degraded)
    np.testing.assert_array_equal(among.degraded, single.degraded)
    other = load_pair(folder / "b.png", folder, NOISE, seed=5)
    assert (other.degraded != among.degraded).mean() > 0.9
    below = load_pair(folder / "sub" / "a.png", folder, NOISE, seed=4)
    assert below.name == "sub/a.png"
    noise = [(pair.degraded - pair.clean / 255)[:9, :9] for pair in (among, below)]
    assert np.abs(noise[0] - noise[1]).max() > 0.05


@pytest.fixture
def student(tmp_path: Path, make_network: Callable[..., IntegerNetwork]) -> Path:
    path = tmp_path / "student.int.safetensors"
    save_integer_network(path, make_network("graded", "unet"), {"training": {"task": NOISE.describe()}})
    return path


def psnr(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    return 10 * math.log10(255**2 / float(np.mean((first.astype(float) - second) ** 2)))


def test_a_run_leaves_scores_and_images_that_agree(folder: Path, student: Path, tmp_path: Path) -> None:
    files = EvaluationFiles(tmp_path / "scores.json", tmp_path / "restored")
    made = run_evaluation(student, folder, (None, None, 4), 16, files, untracked)
    assert [score.name for score in made.scores] == ["a.png", "b.png", "sub/a.png"]
    assert made.task == NOISE.describe() and made.sha256 == sha256_file(student)
    document = read_json(tmp_path / "scores.json", evaluation.KIND, evaluation.SCHEMA)
    assert document["seed"] == 4 and document["student_kind"] == "integer"
    for found, entry in zip(made.scores, document["images"], strict=True):
        pair = load_pair(folder / found.name, folder, NOISE, seed=4)
        restored = read_image(tmp_path / "restored" / found.name)
        np.testing.assert_array_equal(
            restored, to_uint8(RestoringStudent.of(open_student(student)).restore(pair.degraded, 1024))
        )
        assert found.psnr_db == pytest.approx(psnr(restored, pair.clean), abs=1e-5)
        assert found.degraded_psnr_db == pytest.approx(psnr(to_uint8(pair.degraded), pair.clean), abs=1e-5)
        assert (entry["height"], entry["width"]) == pair.clean.shape[:2]
        assert entry["psnr_db"] == pytest.approx(found.psnr_db, abs=5e-5)
        assert (entry["ssim"] is None) == (min(pair.clean.shape[:2]) < 11)
    again = run_evaluation(student, folder, (None, None, 4), 1024, EvaluationFiles(), untracked)
    assert again.document() == made.document()


def test_grey_is_scored_on_its_one_channel(folder: Path, student: Path, tmp_path: Path) -> None:
    """One draw of noise, one restored channel, and figures of that channel; colour beside it is as ever."""
    grey = np.asarray(data.camera()[100:130, 200:240, None])
    write_image(folder / "grey.png", grey)
    files = EvaluationFiles(tmp_path / "scores.json", tmp_path / "restored")
    made = run_evaluation(student, folder, (None, None, 4), 16, files, untracked)
    found = {score.name: score for score in made.scores}
    assert [score.channels for score in made.scores] == [3, 3, 1, 3]
    pair = load_pair(folder / "grey.png", folder, NOISE, seed=4)
    assert pair.degraded.shape == (30, 40, 1)
    colour = RestoringStudent.of(open_student(student)).restore(np.repeat(pair.degraded, 3, axis=2), 64)
    restored = to_uint8(colour.mean(axis=2, keepdims=True))
    assert found["grey.png"].psnr_db == pytest.approx(psnr(restored, grey), abs=1e-9)
    assert found["grey.png"].sha256 == sha256_bytes(grey.tobytes())
    np.testing.assert_array_equal(read_image(tmp_path / "restored" / "grey.png")[..., :1], restored)
    document = read_json(tmp_path / "scores.json", evaluation.KIND, evaluation.SCHEMA)
    assert [image["channels"] for image in document["images"]] == [3, 3, 1, 3]
    assert "grey files: their one channel" in document["protocol"]


def test_one_image_of_the_folder_scores_the_same_alone(folder: Path, student: Path) -> None:
    together = run_evaluation(student, folder, (None, "15-25", 1), 64, EvaluationFiles(), untracked)
    alone = run_evaluation(student, folder / "b.png", (None, "15-25", 1), 64, EvaluationFiles(), untracked)
    assert alone.scores == together.scores[1:2]


def test_images_without_noise_have_no_figure_before(folder: Path, student: Path, tmp_path: Path) -> None:
    files = EvaluationFiles(scores=tmp_path / "scores.json")
    made = run_evaluation(student, folder / "b.png", ("denoise", "0", 0), 64, files, untracked)
    assert made.scores[0].degraded_psnr_db == math.inf
    document = json.loads((tmp_path / "scores.json").read_text(), parse_constant=pytest.fail)
    assert document["images"][0]["degraded_psnr_db"] is None and document["images"][0]["psnr_db"] > 0


def test_the_text_shows_every_image_and_the_means(folder: Path, student: Path) -> None:
    made = run_evaluation(student, folder, (None, None, 4), 64, EvaluationFiles(), untracked)
    lines = evaluation_text(made).splitlines()
    assert len(lines) == 1 + 3 + 1
    assert lines[3].startswith("sub/a.png") and lines[3].endswith("-")
    assert f"{made.mean('degraded_psnr_db'):.2f} -> {made.mean('psnr_db'):.2f} dB" in lines[-1]


def test_the_worst_three_of_many_are_shown(folder: Path, student: Path) -> None:
    made = run_evaluation(student, folder, (None, None, 4), 64, EvaluationFiles(), untracked)
    scores = (replace(made.scores[0], name=f"{n}.png", psnr_db=n) for n in (9, 3, 7, 5, 8))
    many = replace(made, scores=tuple(scores))
    lines = evaluation_text(many).splitlines()
    assert lines[0] == "the worst 3 of 5 images (--per-image shows all)"
    assert [line.split()[0] for line in lines[2:5]] == ["3.png", "5.png", "7.png"]
    assert lines[5].startswith("5 images, ") and " 6.40 dB" in lines[5]  # (9 + 3 + 7 + 5 + 8) / 5
    whole = evaluation_text(many, per_image=True).splitlines()
    assert [line.split()[0] for line in whole[1:6]] == [f"{n}.png" for n in (9, 3, 7, 5, 8)]


def test_files_are_refused_before_anything_is_computed(folder: Path, student: Path, tmp_path: Path) -> None:
    (tmp_path / "scores.json").write_text("old")
    files = EvaluationFiles(scores=tmp_path / "scores.json")
    with pytest.raises(ConfigError, match="scores.json: exists; choose another --out or pass --overwrite"):
        run_evaluation(tmp_path / "absent", folder, (None, None, 0), 64, files, untracked)
    with pytest.raises(ConfigError, match="test: exists and is not empty"):
        run_evaluation(student, folder, (None, None, 0), 64, EvaluationFiles(restored=folder), untracked)
    assert (tmp_path / "scores.json").read_text() == "old"


def test_a_damaged_image_is_named_and_no_scores_are_left(folder: Path, student: Path, tmp_path: Path) -> None:
    (folder / "c.png").write_bytes(b"no picture")
    files = EvaluationFiles(scores=tmp_path / "scores.json")
    with pytest.raises(DataError, match="c.png: not a PNG"):
        run_evaluation(student, folder, (None, None, 0), 64, files, untracked)
    assert not (tmp_path / "scores.json").exists()


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "teacher.safetensors"
    save_teacher(path, build_teacher("unet", {"width": 2}), "unet", {"width": 2}, {"task": NOISE.describe()})
    return path


def test_a_teacher_is_scored_as_it_was_trained_for(folder: Path, teacher: Path, tmp_path: Path) -> None:
    """Its output is that of the network on the image with mirrored edges, whatever the tile."""
    files = EvaluationFiles(scores=tmp_path / "scores.json")
    made = run_evaluation(teacher, folder, (None, None, 4), 16, files, untracked)
    network, _ = load_teacher(teacher)
    for found in made.scores:
        pair = load_pair(folder / found.name, folder, NOISE, seed=4)
        height, width = pair.clean.shape[:2]
        mirrored = np.pad(pair.degraded, ((0, height % 2), (0, width % 2), (0, 0)), mode="reflect")
        with torch.no_grad():
            restored = network(torch.from_numpy(mirrored.transpose(2, 0, 1)[None].copy()))[0].numpy()
        expected = psnr(to_uint8(restored.transpose(1, 2, 0)[:height, :width]), pair.clean)
        assert found.psnr_db == pytest.approx(expected, abs=1e-3)
    document = read_json(tmp_path / "scores.json", evaluation.KIND, evaluation.SCHEMA)
    assert document["teacher"] == "unet, width 2" and document["teacher_sha256"] == sha256_file(teacher)
    assert document["task"] == NOISE.describe() and not [key for key in document if key.startswith("student")]
    assert evaluation_text(made).splitlines()[-1].startswith("3 images, teacher unet, width 2, ")


class Fails(torch.nn.Module):
    """Gives NaN, another shape, or no image at all."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        if self.how == "raises":
            raise RuntimeError("sides must be\nmultiples of 8")
        return image * math.nan if self.how == "nan" else image[:, :, ::2]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("nan", "NaN or infinity in its output; give other weights"),
        ("halves", "returns .* a restorer keeps the shape"),
        (
            "raises",
            r"RuntimeError: sides must be multiples of 8\); crop the images to",
        ),
    ],
)
def test_a_teacher_that_fails_is_told_in_a_line(
    how: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snn_tool.networks.open.build_from_factory", lambda named: Fails(how))
    opened = RestoringTeacher.of(open_teacher("my.package:network"))
    assert opened.provenance.trained_for == TrainedFor() and opened.provenance.title == "my.package:network"
    with pytest.raises(TeacherError, match=message) as caught:
        opened.restore(np.zeros((9, 7, 3), np.float32), 64)
    assert "\n" not in str(caught.value)
