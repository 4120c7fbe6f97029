"""Patches of images whose pixels say where they are from: red is the row, green the column, blue the file."""

import logging
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from snn_tool.degradations.noise import GaussianNoise
from snn_tool.degradations.tasks import image_rng
from snn_tool.errors import DataError
from snn_tool.files.artifacts import sha256_bytes
from snn_tool.training.data import (
    Batch,
    Draw,
    ImageSet,
    PatchBatches,
    ValidationSet,
    chances,
    evenly,
    split_validation,
)
from snn_tool.training.patches import stage_at, stages_of

PATCH, COUNT = 16, 8
CLEAN, NOISY = GaussianNoise(0, 0), GaussianNoise(5, 50)
SIZES = ((16, 16), (40, 24), (17, 200))


def located(height: int, width: int, index: int) -> NDArray[np.uint8]:
    image = np.empty((height, width, 3), np.uint8)
    image[..., 0], image[..., 1], image[..., 2] = np.arange(height)[:, None], np.arange(width), index
    return image


def image_set(*images: NDArray[np.uint8]) -> ImageSet:
    names = tuple(f"{index}.png" for index in range(len(images)))
    return ImageSet(names, images, tuple(sha256_bytes(image.tobytes()) for image in images))


LOCATED = image_set(*(located(height, width, index) for index, (height, width) in enumerate(SIZES)))


def pixels(batch: Batch) -> NDArray[np.int64]:
    """The clean half as integers [N, P, P, 3]."""
    return np.rint(batch[1].permute(0, 2, 3, 1).numpy() * 255).astype(np.int64)


def equal(first: Batch, second: Batch) -> bool:
    return all(np.array_equal(a.numpy(), b.numpy()) for a, b in zip(first, second, strict=True))


def orientation_of(patch: NDArray[np.int64]) -> str:
    """How row and column numbers run along the patch's own axes, e.g. `+row+column` for an upright one."""
    signs = []
    for step in (patch[1, 0] - patch[0, 0], patch[0, 1] - patch[0, 0]):
        assert sorted(np.abs(step).tolist()) == [0, 0, 1]
        signs.append(f"{'+' if step.sum() > 0 else '-'}{('row', 'column')[int(np.abs(step).argmax())]}")
    return "".join(signs)


@pytest.mark.slow
def test_every_patch_is_a_square_of_one_image_in_one_of_eight_orientations() -> None:
    seen: dict[str, int] = {}
    images, corners = set(), set()
    for batch in PatchBatches(LOCATED, stages_of(PATCH, COUNT, 60), CLEAN, seed=0):
        for patch in pixels(batch):
            seen[name] = seen.get(name := orientation_of(patch), 0) + 1
            index = int(patch[0, 0, 2])
            top, left = (int(patch[..., channel].min()) for channel in (0, 1))
            expected = located(*SIZES[index], index)[top : top + PATCH, left : left + PATCH]
            assert expected.shape == (PATCH, PATCH, 3)
            assert sorted(map(tuple, patch.reshape(-1, 3))) == sorted(map(tuple, expected.reshape(-1, 3)))
            assert np.abs(np.diff(patch, axis=0)).sum(axis=2).max() == 1
            images.add(index)
            corners.add((index, top, left))
    assert len(seen) == 8
    # 480 draws, 60 expected of each: standard deviation 7.2, five of them is 36.
    assert all(24 < count < 96 for count in seen.values())
    assert images == {0, 1, 2}
    assert {top for index, top, _ in corners if index == 2} == {0, 1}, "both ends of the range occur"
    assert max(left for index, _, left in corners if index == 2) > 170


def test_a_batch_depends_on_seed_and_step_alone() -> None:
    whole = list(PatchBatches(LOCATED, stages_of(PATCH, COUNT, 6), NOISY, seed=5))
    resumed = list(PatchBatches(LOCATED, stages_of(PATCH, COUNT, 6), NOISY, seed=5, start_step=4))
    assert len(whole) == 6 and len(resumed) == 2
    assert equal(resumed[0], whole[4]) and equal(resumed[1], whole[5])
    again = PatchBatches(LOCATED, stages_of(PATCH, COUNT, 100), NOISY, seed=5)
    assert equal(again.draw(3), whole[3]) and equal(again.draw(0), whole[0])
    assert not equal(whole[0], whole[1])
    assert not equal(PatchBatches(LOCATED, stages_of(PATCH, COUNT, 6), NOISY, seed=6).draw(0), whole[0])


def test_patches_grow_and_a_resumed_run_draws_those_of_a_whole_one() -> None:
    large = image_set(located(40, 48, 0), located(64, 40, 1))
    stages = stages_of("16:2,24:2,40", 5, 6)
    # 5 patches of 16 pixels are 1280 pixels: 2.2 of 24, and 0.8 of 40, of which there is at least one.
    assert [(stage.side, stage.batch) for stage in stages] == [(16, 5), (24, 2), (40, 1)]
    whole = list(PatchBatches(large, stages, NOISY, seed=5))
    assert [tuple(clean.shape) for _, clean in whole] == [
        *[(5, 3, 16, 16)] * 2,
        *[(2, 3, 24, 24)] * 2,
        *[(1, 3, 40, 40)] * 2,
    ]
    for start in range(7):
        resumed = list(PatchBatches(large, stages, NOISY, seed=5, start_step=start))
        assert len(resumed) == 6 - start and all(map(equal, resumed, whole[start:]))
    assert stage_at(stages, 6) == stages[-1]
    constant = PatchBatches(large, stages_of(16, 5, 6), NOISY, seed=5)
    assert equal(constant.draw(1), whole[1]), "the first stage is what it would be without the others"


FOLDERS = ("a",) * 100 + ("b",) * 25 + ("c",)


@pytest.mark.parametrize(
    ("balance", "shares"),
    # of 126 images: each its own; roots 10, 5 and 1; a third each
    [
        ("images", (100 / 126, 25 / 126, 1 / 126)),
        ("sqrt", (10 / 16, 5 / 16, 1 / 16)),
        ("folders", (1 / 3,) * 3),
    ],
)
def test_folders_share_the_patches_by_the_rule(balance: str, shares: tuple[float, ...]) -> None:
    chance, folders = chances(FOLDERS, balance), np.array(FOLDERS)
    for folder, share in zip("abc", shares, strict=True):
        own = chance[folders == folder]
        assert np.ptp(own) == 0 and own.sum() == pytest.approx(share, rel=1e-12)
    draw, rng = Draw(FOLDERS, balance), np.random.default_rng(0)
    drawn = folders[[draw.index(rng) for _ in range(4000)]]
    for folder, share in zip("abc", shares, strict=True):
        # five standard deviations of a binomial share
        assert abs((drawn == folder).mean() - share) < 5 * np.sqrt(share * (1 - share) / 4000)


def test_batches_follow_the_balance_and_without_it_are_what_they_were() -> None:
    images = ImageSet(LOCATED.names, LOCATED.images, LOCATED.digests, ("a", "a", "b"))
    stages = stages_of(PATCH, 64, 4)
    plain = PatchBatches(LOCATED, stages, CLEAN, seed=0)
    assert equal(PatchBatches(images, stages, CLEAN, seed=0).draw(1), plain.draw(1))
    drawn = [
        pixels(batch)[:, 0, 0, 2] for batch in PatchBatches(images, stages, CLEAN, seed=0, balance="folders")
    ]
    share = float((np.concatenate(drawn) == 2).mean())
    # 256 draws, half of them of the one image of b: five standard deviations are 0.16.
    assert abs(share - 0.5) < 0.16


def test_validation_crops_are_of_all_folders() -> None:
    """The first 32 of the list, as it was, would all be of the first folder."""
    folders = ("a",) * 40 + ("b",) * 20 + ("c",) * 3
    images = ImageSet(tuple(map(str, range(63))), (located(8, 8, 0),) * 63, ("",) * 63, folders)
    crops = ValidationSet(images, CLEAN, seed=0)
    # c has 3; 29 are left for two, of which the first takes the odd one.
    assert [crops.folders.count(folder) for folder in "abc"] == [15, 14, 3]
    assert evenly(folders, 32) == [*range(15), *range(40, 54), 60, 61, 62]
    assert evenly(folders[:40], 32) == list(range(32)) and evenly(folders, 100) == list(range(63))


def test_the_same_patch_comes_clean_and_degraded() -> None:
    degraded, clean = PatchBatches(LOCATED, stages_of(PATCH, COUNT, 1), GaussianNoise(25, 25), seed=0).draw(0)
    assert degraded.shape == clean.shape == (COUNT, 3, PATCH, PATCH)
    assert 0 <= clean.min() and clean.max() <= 1
    noise = (degraded - clean).numpy() * 255
    # 6144 samples: the standard error of 25 is 25 / sqrt(12288) = 0.23.
    assert abs(noise.std() - 25) < 1.2


@pytest.mark.parametrize("count", [2, 3, 10, 14, 16, 25, 100])
def test_the_split_is_disjoint_complete_and_never_empty(count: int) -> None:
    paths = [Path(f"{index:03}.png") for index in range(count)]
    training, validation = split_validation(paths, seed=1)
    assert sorted(training + validation) == paths
    assert training and len(validation) == max(1, round(count / 10))
    assert split_validation(paths, seed=1) == (training, validation)
    assert training == sorted(training)


def test_the_split_depends_on_the_seed() -> None:
    paths = [Path(f"{index:03}.png") for index in range(50)]
    assert len({tuple(split_validation(paths, seed)[1]) for seed in range(10)}) == 10


def test_one_image_cannot_be_split() -> None:
    with pytest.raises(DataError, match="^only.png: the only image; training needs at least 2"):
        split_validation([Path("only.png")], seed=0)


def test_validation_crops_are_the_same_each_time() -> None:
    first, second = (ValidationSet(LOCATED, NOISY, seed=2) for _ in range(2))
    assert len(first) == len(list(first)) == 3
    for once, twice, anew in zip(first, first, second, strict=True):
        assert equal(once, twice) and equal(once, anew)
    other = ValidationSet(LOCATED, NOISY, seed=3)
    assert not equal(next(iter(first)), next(iter(other)))


def test_a_validation_crop_does_not_depend_on_its_neighbours() -> None:
    alone = ImageSet(LOCATED.names[1:2], LOCATED.images[1:2], LOCATED.digests[1:2])
    (crop,) = ValidationSet(alone, NOISY, seed=2)
    assert equal(crop, next(islice(ValidationSet(LOCATED, NOISY, seed=2), 1, None)))


@pytest.mark.parametrize(
    ("size", "top", "left", "shape"),
    [
        ((16, 16), 0, 0, (16, 16)),
        ((17, 200), 0, 36, (16, 128)),
        ((131, 150), 1, 11, (128, 128)),
        ((39, 31), 3, 3, (32, 24)),
    ],
)
def test_validation_crops_are_centred_multiples_of_eight(
    size: tuple[int, int], top: int, left: int, shape: tuple[int, int]
) -> None:
    (crop,) = ValidationSet(image_set(located(*size, 7)), CLEAN, seed=0)
    expected = located(*size, 7)[top : top + shape[0], left : left + shape[1]]
    np.testing.assert_array_equal(pixels(crop)[0], expected)


def test_the_noise_of_a_validation_crop_is_seeded_by_its_name() -> None:
    ((degraded, clean),) = ValidationSet(image_set(located(16, 24, 0)), NOISY, seed=9)
    expected = NOISY.apply(clean.permute(0, 2, 3, 1).numpy(), image_rng(9, "0.png"))
    np.testing.assert_array_equal(degraded.permute(0, 2, 3, 1).numpy(), expected)


def test_at_most_32_crops_are_validated() -> None:
    assert len(ValidationSet(image_set(*[located(8, 8, 0)] * 40), CLEAN, seed=0)) == 32


@pytest.fixture
def folder(tmp_path: Path) -> list[Path]:
    paths = []
    for name, size in (("large.png", (48, 64)), ("low.png", (15, 64)), ("narrow.png", (64, 15))):
        Image.fromarray(located(*size, 0)).save(tmp_path / name)
        paths.append(tmp_path / name)
    return paths


def test_images_smaller_than_the_patch_are_left_out(
    folder: list[Path], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("snn_tool"), "propagate", True)
    with caplog.at_level(logging.WARNING, logger="snn_tool"):
        images = ImageSet.load(folder, smallest_side=16)
    assert images.names == ("large.png",)
    assert [record.getMessage() for record in caplog.records] == [
        f"{folder[1]}: left out, 64x15 is smaller than a patch of 16 pixels",
        f"{folder[2]}: left out, 15x64 is smaller than a patch of 16 pixels",
    ]
    assert len(ImageSet.load(folder, smallest_side=15).images) == 3


def test_folders_are_told_apart_below_the_root(folder: list[Path]) -> None:
    (folder[0].parent / "deep/er").mkdir(parents=True)
    moved = folder[1].rename(folder[0].parent / "deep/er/low.png")
    found = ImageSet.load([folder[0], moved], 15, root=folder[0].parent)
    assert found.folders == (".", "deep/er")
    assert ImageSet.load([folder[0], moved], 15).folders == ("", "")


def test_no_image_large_enough(folder: list[Path]) -> None:
    with pytest.raises(DataError) as caught:
        ImageSet.load(folder, smallest_side=49)
    assert str(caught.value) == (
        f"{folder[0].parent}: no image of at least 49x49 pixels among 3; add larger ones or lower --patch"
    )


def test_the_digest_covers_name_and_pixels(folder: list[Path]) -> None:
    (before,) = ImageSet.load(folder[:1], 16).digests
    changed = located(48, 64, 0)
    changed[0, 0, 0] ^= 1
    Image.fromarray(changed).save(folder[0])
    assert ImageSet.load(folder[:1], 16).digests != (before,)
    Image.fromarray(located(48, 64, 0)).save(folder[0])
    assert ImageSet.load(folder[:1], 16).digests == (before,)
    renamed = folder[0].rename(folder[0].with_name("other.png"))
    assert ImageSet.load([renamed], 16).digests != (before,)
