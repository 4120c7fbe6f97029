"""Registration on pictures whose shift is known, and pairs whose degraded images share a clean one."""

import json
from pathlib import Path

import numpy as np
import pytest
from skimage import data
from snn_tool.cli.app import run
from snn_tool.degradations.pairs import match_pairs
from snn_tool.errors import DataError
from snn_tool.images.files import write_image
from snn_tool.images.metrics import psnr_db
from snn_tool.images.registration import border_of, inner, registered

CLEAN = np.ascontiguousarray(data.camera()[100:180, 150:240, None])


@pytest.mark.parametrize("shift", [(0, 0), (3, -2), (-5, 5)])
def test_whole_shifts_are_undone_exactly(shift: tuple[int, int]) -> None:
    there = registered(np.roll(CLEAN, shift, (0, 1)), CLEAN, 5)
    np.testing.assert_array_equal(there, inner(CLEAN, 5))


def test_a_half_pixel_is_undone_as_well_as_two_means_allow() -> None:
    """Half a pixel to the right by bilinear means, and back: each pixel then is (1, 2, 1) / 4 of its row."""
    values = CLEAN.astype(np.float64)
    half = np.floor((values + np.roll(values, 1, 1)) / 2 + 0.5).astype(np.uint8)
    there = registered(half, CLEAN, 3)
    smooth = (np.roll(values, 1, 1) + 2 * values + np.roll(values, -1, 1)) / 4
    assert np.abs(there - smooth[15:-15, 15:-15]).max() <= 1.01
    assert psnr_db(there, inner(CLEAN, 3)) > psnr_db(inner(half, 3), inner(CLEAN, 3)) + 3


def test_a_shift_beyond_the_reach_is_not_undone() -> None:
    there = registered(np.roll(CLEAN, 4, 0), CLEAN, 2)
    assert (
        psnr_db(there, inner(CLEAN, 2))
        < 30
        < psnr_db(registered(np.roll(CLEAN, 4, 0), CLEAN, 4), inner(CLEAN, 4))
    )


def test_borders_are_left_out_and_small_images_are_named() -> None:
    assert border_of(3) == 15 and border_of(20) == 21 and inner(CLEAN, 3).shape == (50, 60, 1)
    with pytest.raises(DataError, match="^lake.png: 90x40 pixels, of which --register 3 leaves 15 out"):
        inner(CLEAN[:40], 3, "lake.png")


@pytest.mark.slow
def test_blurred_images_that_share_a_clean_one_are_pairs_and_scored_at_the_best_shift(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for index, shift in enumerate((2, -3)):
        write_image(tmp_path / "blurry" / f"im_{index}.png", np.roll(CLEAN, shift, 0))
    write_image(tmp_path / "clean" / "im.png", CLEAN)
    pairs = match_pairs(tmp_path / "blurry", tmp_path / "clean")
    assert pairs.clean == tmp_path / "blurry" and len(pairs.partners) == 2
    assert {pairs.original(path) for path in pairs.partners} == {tmp_path / "clean" / "im.png"}
    command = ["-q", "--json", "evaluate", "--student", "deblur", "--pairs", str(tmp_path)]
    assert run([*command, "--register", "3"]) == 0
    scored = json.loads(capsys.readouterr().out)
    assert [image["name"] for image in scored["images"]] == ["im_0.png", "im_1.png"]
    assert [image["degraded_psnr_db"] for image in scored["images"]] == [None, None]  # identical
    assert "best shift within 3 pixels in quarters, 15 pixels of border left out" in scored["protocol"]
    write_image(tmp_path / "blurry" / "pond.png", CLEAN)
    with pytest.raises(DataError, match="no partner for im"):
        match_pairs(tmp_path / "blurry", tmp_path / "clean")
