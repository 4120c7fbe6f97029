"""The sheet of photographs of cameras: where its parts lie, what it shows, where it may be written."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.data import coffee
from snn_tool.cli.app import run
from snn_tool.images.files import write_image

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import real_noise  # noqa: E402
from real_noise import CROP, detail, main, parts, places  # noqa: E402


def test_parts_are_the_middle_the_most_detailed_and_the_flattest() -> None:
    """Noise on the left weighs less than a checkerboard of 32 pixels on the right; between them nothing."""
    rng = np.random.default_rng(0)
    picture = np.full((CROP, 3 * CROP, 3), 128, np.uint8)
    picture[:, :CROP] = rng.integers(118, 139, (CROP, CROP, 3))
    rows, columns = np.mgrid[:CROP, :CROP] // 32
    picture[:, 2 * CROP :] = (96 + 64 * ((rows + columns) % 2))[..., None]
    assert detail(picture[:, :CROP]) < 2 < detail(picture[:, 2 * CROP :])
    found = parts("x", {"as it is": picture, "other": picture // 2})
    assert [row.title for row in found] == ["x, middle", "x, most detail"], "the flattest is the middle"
    for row, at in zip(found, (slice(CROP, 2 * CROP), slice(2 * CROP, None)), strict=True):
        np.testing.assert_array_equal(row.pictures[0][0], picture[:, at])
        np.testing.assert_array_equal(row.pictures[1][0], picture[:, at] // 2)
    assert places(picture[:40, :50]) == [(slice(0, 40), slice(0, 50))]


@pytest.mark.slow
def test_the_sheet_shows_what_restore_makes(tmp_path: Path) -> None:
    """A grey photograph and one of colour, by a student for colour and one for grey; read from its pixels."""
    names = ["denoise-blind", "denoise-gray-blind"]
    write_image(tmp_path / "in" / "a.png", coffee()[:48, :64].copy())
    write_image(tmp_path / "in" / "b.png", coffee()[:48, :64, :1].copy())
    main(["--images", str(tmp_path / "in"), "--out", str(tmp_path / "sheet.jpg"), *names])
    with Image.open(tmp_path / "sheet.jpg") as image:
        page = np.asarray(image).astype(int)
    assert page.shape == (2 * (48 + 36 + 6), 3 * (64 + 6) + 6, 3)
    for column, name in enumerate(names, 1):
        out = tmp_path / name
        assert run(["-q", "restore", str(tmp_path / "in"), "--student", name, "--out", str(out)]) == 0
        for row, photograph in enumerate("ab"):
            with Image.open(out / f"{photograph}.png") as image:
                expected = np.asarray(image.convert("RGB")).astype(int)
            top, left = row * (48 + 42) + 18, 6 + column * (64 + 6)
            shown = page[top : top + 48, left : left + 64]
            assert np.abs(shown - expected).mean() < 2, "JPEG of the best quality"


def test_it_is_not_written_into_the_repository_nor_over_a_file(tmp_path: Path) -> None:
    inside = real_noise.REPOSITORY / "docs" / "sheet.jpg"
    for out, said in ((inside, "not ours to keep in this repository"), (tmp_path / "s.jpg", "exists")):
        (tmp_path / "s.jpg").touch()
        with pytest.raises(SystemExit, match=f"error: .*{said}"):
            main(["--images", str(tmp_path), "--out", str(out), "denoise-blind"])
    assert not inside.exists()
