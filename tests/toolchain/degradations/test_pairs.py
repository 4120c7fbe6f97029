"""Recorded pairs: matched by name, cut and turned together, hashed together, and every fault in one line."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import color, data
from snn_tool.cli.app import run
from snn_tool.degradations.crops import load_crop
from snn_tool.degradations.pairs import (
    RECORD,
    Pairs,
    degrade,
    match_pairs,
    open_pairs,
    record_degradation,
    source_for,
)
from snn_tool.degradations.tasks import TrainedFor, degradation_from_options, image_rng
from snn_tool.errors import ConfigError, DataError
from snn_tool.images.files import read_image, write_image
from snn_tool.images.metrics import luma, to_uint8
from snn_tool.networks.degrading import GAP, THUMBNAIL, contact_sheet, thumbnail
from snn_tool.networks.evaluation import load_pair, score
from snn_tool.training.data import ImageSet, PatchBatches
from snn_tool.training.patches import stages_of
from snn_tool.training.runs import TaskOptions


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pairs; the degraded one is the negative, so that any mismatch shows."""
    image = data.coffee()
    for index, (name, suffix) in enumerate((("a", ".png"), ("b", ".png"), ("sub/c", ".tif"))):
        clean = np.ascontiguousarray(image[index * 60 : index * 60 + 40, 50 : 98 + index])
        write_image(tmp_path / "pairs" / "clean" / f"{name}.png", clean)
        write_image(tmp_path / "pairs" / "rainy" / f"{name}{suffix}", 255 - clean)
    return tmp_path / "pairs"


def test_partners_are_found_by_name_whatever_their_suffix(folder: Path) -> None:
    pairs = open_pairs(folder)
    named = {path.name: partner.name for path, partner in pairs.partners.items()}
    assert named == {"a.png": "a.png", "b.png": "b.png", "c.png": "c.tif"}
    assert match_pairs(folder / "rainy", folder / "clean") == pairs
    assert source_for(pairs, None, None, TrainedFor("derain")).describe() == {
        "task": "derain",
        "images": "pairs",
    }


def test_patches_crops_and_images_show_the_same_window_of_both(folder: Path) -> None:
    """Clean and negative add up to one wherever they are cut and however they are turned."""
    pairs = open_pairs(folder)
    images = ImageSet.load(list(pairs.partners), 16, pairs.read)
    degraded, clean = PatchBatches(images, stages_of(16, 8, 1), pairs, seed=0).draw(0)
    assert degraded.shape == clean.shape == (8, 3, 16, 16)
    np.testing.assert_allclose((degraded + clean).numpy(), 1, atol=1e-6)
    for path in pairs.partners:
        crop = load_crop(path, folder / "clean", pairs, 24, 8)
        assert crop and crop.clean.shape == crop.degraded.shape == (24, 24, 3)
        whole = load_pair(path, folder / "clean", pairs, 0)
        for part in (crop, whole):
            np.testing.assert_allclose(part.degraded + part.clean / np.float32(255), 1, atol=1e-6)
        np.testing.assert_array_equal(whole.clean, read_image(path))


def test_the_digest_covers_both_halves(folder: Path) -> None:
    pairs = open_pairs(folder)
    before = ImageSet.load(list(pairs.partners), 16, pairs.read).digests
    for half in ("clean", "rainy"):
        image = read_image(folder / half / "b.png")
        write_image(folder / half / "b.png", image ^ np.uint8(1))
        after = ImageSet.load(list(pairs.partners), 16, pairs.read).digests
        assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, True]
        write_image(folder / half / "b.png", image)


def test_faults_are_named(folder: Path) -> None:
    with pytest.raises(ConfigError, match="name it with --task"):
        source_for(open_pairs(folder), None, None, TrainedFor())
    with pytest.raises(ConfigError, match="^--task rain is unknown"):
        source_for(open_pairs(folder), "rain", None, TrainedFor())
    with pytest.raises(ConfigError, match="^--strength 1: pairs have the strength that they have"):
        source_for(open_pairs(folder), "derain", "1", TrainedFor())
    write_image(folder / "rainy" / "a.png", np.zeros((40, 47, 3), np.uint8))
    pairs = open_pairs(folder)
    with pytest.raises(DataError, match=r"rainy.a.png: 47x40 pixels, but .*clean.a.png has 48x40"):
        pairs.read(folder / "clean" / "a.png")
    (folder / "rainy" / "b.png").unlink()
    with pytest.raises(DataError, match=r"rainy: no partner for b \(2 degraded, 3 clean images\)"):
        open_pairs(folder)
    write_image(folder / "rainy" / "a.tif", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(DataError, match="has the same name; pairs are matched without suffix"):
        open_pairs(folder)
    (folder / "noisy").mkdir()
    with pytest.raises(DataError, match="it has both rainy/ and noisy/"):
        open_pairs(folder)
    with pytest.raises(DataError, match="one folder named degraded or rainy or .* in it; it lacks one"):
        open_pairs(folder / "clean")


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ([], 2, "give either --data DIR, of clean images, or --pairs DIR"),
        (["--pairs", "{}", "--data", "{}"], 2, "give either"),
        (["--pairs", "{}", "--degraded", "{}"], 2, "--degraded goes with --data"),
        (["--pairs", "{}"], 1, "name it with --task"),
        (["--pairs", "{}", "--task", "snow"], 1, "--task snow is unknown"),
        (["--pairs", "{}/clean", "--task", "derain"], 1, "it lacks one"),
        (["--data", "{}/clean", "--task", "dehaze", "--strength", "9"], 1, "use 0 to 4"),
    ],
)
def test_the_command_line_says_what_is_wrong(
    folder: Path, capsys: pytest.CaptureFixture[str], options: list[str], code: int, message: str
) -> None:
    given = [option.format(folder) for option in options]
    assert run(["-q", "train", "--out", str(folder.parent / "run"), *given]) == code
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_luma_is_that_of_scikit_image() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    image[0, :2] = [[0, 0, 0], [255, 255, 255]]
    expected = color.rgb2ycbcr(image)[..., :1]
    np.testing.assert_allclose(luma(image), expected, atol=0.5 + 1e-9)
    assert luma(image)[0, :2, 0].tolist() == [16, 235]


def test_grey_pairs_are_scored_in_grey_and_trained_in_colour(tmp_path: Path) -> None:
    """If only one of the two is grey, both are colour."""
    grey = np.random.default_rng(0).integers(0, 256, (16, 24, 1), np.uint8)
    for name, clean, degraded in (("a", grey, 255 - grey), ("b", grey, np.repeat(255 - grey, 3, axis=2))):
        write_image(tmp_path / "clean" / f"{name}.png", clean)
        write_image(tmp_path / "noisy" / f"{name}.png", degraded)
    pairs = open_pairs(tmp_path)
    for name, channels in (("a", 1), ("b", 3)):
        path = tmp_path / "clean" / f"{name}.png"
        pair = load_pair(path, tmp_path / "clean", pairs, 0)
        assert pair.clean.shape == pair.degraded.shape == (16, 24, channels)
        np.testing.assert_array_equal(pair.clean[..., :1], grey)
        np.testing.assert_array_equal(to_uint8(pair.degraded)[..., :1], 255 - grey)
        stack = pairs.read(path)
        np.testing.assert_array_equal(stack, np.concatenate([grey] * 3 + [255 - grey] * 3, axis=2))


def test_degrade_writes_grey_pairs_and_no_copies_of_copies(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", np.full((16, 24, 1), 90, np.uint8))
    for _ in range(2):
        command = ["-q", "degrade", "--images", str(tmp_path), "--out", str(tmp_path / "out"), "--overwrite"]
        assert run(command) == 0
        written = sorted(path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*.png"))
        assert written == [Path("clean/a.png"), Path("contact-sheet.png"), Path("degraded/a.png")]
    for folder in ("clean", "degraded"):
        with Image.open(tmp_path / "out" / folder / "a.png") as image:
            assert image.mode == "L"


def test_deraining_is_scored_on_luma_by_formula(folder: Path) -> None:
    """The luma of a pair that differs by d grey levels everywhere differs by about 219 / 255 d."""
    pair = load_pair(folder / "clean" / "a.png", folder / "clean", open_pairs(folder), 0)
    figures = score(pair, to_uint8(pair.degraded), with_luma=True)
    planes = [color.rgb2ycbcr(image)[..., 0].round() for image in (255 - pair.clean, pair.clean)]
    expected = 10 * math.log10(255**2 / np.mean((planes[0] - planes[1]) ** 2))
    assert figures.psnr_y_db == pytest.approx(expected, abs=0.01)
    assert figures.degraded_psnr_y_db == figures.psnr_y_db
    assert score(pair, to_uint8(pair.degraded)).psnr_y_db is None


def test_training_data_of_pairs_is_split_by_the_seed_like_clean_images(folder: Path) -> None:
    from snn_tool.training.runs import load_training_data
    from snn_tool.training.settings import load_settings

    settings = load_settings(None, {"training": {"patch": 16, "seed": 3}})
    clean = load_training_data(TaskOptions(folder / "clean", "denoise", "25"), settings)
    paired = load_training_data(TaskOptions(folder / "clean", "derain", None, open_pairs(folder)), settings)
    assert clean.validation.names == paired.validation.names
    assert clean.training.names == paired.training.names
    stack = paired.validation.images[0]
    np.testing.assert_array_equal(stack[..., :3], clean.validation.images[0])
    degraded, _ = degrade(stack, paired.degradation, image_rng(0, "x"))
    np.testing.assert_allclose(degraded, 1 - stack[..., :3] / 255, atol=1e-6)


def test_a_contact_sheet_shows_both_rows() -> None:
    large, small = np.zeros((300, 400, 3), np.uint8), np.full((10, 20, 3), 9, np.uint8)
    large[150, 200] = 77
    assert thumbnail(large)[THUMBNAIL // 2, THUMBNAIL // 2].tolist() == [77] * 3
    assert (thumbnail(small) == 9).all(axis=2).sum() == 200
    sheet = contact_sheet([(thumbnail(large), thumbnail(small))] * 3)
    assert sheet.shape == (2 * THUMBNAIL + GAP, 3 * THUMBNAIL + 2 * GAP, 3)
    np.testing.assert_array_equal(sheet[-THUMBNAIL:, -THUMBNAIL:], thumbnail(small))


def test_what_degrade_recorded_names_the_task(tmp_path: Path) -> None:
    for name in ("clean", "degraded"):
        write_image(tmp_path / name / "a.png", np.full((8, 8, 3), 7, np.uint8))
    assert open_pairs(tmp_path).task == ""
    record_degradation(tmp_path, degradation_from_options("derain"), 3)
    found = open_pairs(tmp_path)
    assert found.task == "derain"
    named = [source_for(found, task, None, TrainedFor("denoise")) for task in (None, "dehaze")]
    assert [one.task for one in named if isinstance(one, Pairs)] == ["derain", "dehaze"]
    record = json.loads((tmp_path / RECORD).read_text())
    (tmp_path / RECORD).write_text(json.dumps({**record, "degradation": {"task": "defog"}}))
    with pytest.raises(ConfigError, match="--task defog"):
        open_pairs(tmp_path)
    (tmp_path / RECORD).write_text('{"task": "of another tool"}')
    assert open_pairs(tmp_path).task == ""
