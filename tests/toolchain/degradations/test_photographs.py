"""The demo's photographs are on every machine that has the package, and the test ones are not trained on."""

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from snn_tool.degradations.crops import LONGEST_SIDE, TEST, TRAINING, read_photograph, write_demo_folders
from snn_tool.images.files import read_image


def test_no_test_photograph_is_trained_on() -> None:
    assert not set(TEST) & set(TRAINING)
    stems = [Path(name).stem for _, name in TRAINING + TEST]
    assert len(set(stems)) == len(stems), "two of a name would become one file"


@pytest.mark.parametrize(("package", "name"), TRAINING + TEST)
def test_every_photograph_ships_and_keeps_its_shape(package: str, name: str) -> None:
    with Image.open(str(files(package).joinpath(name))) as original:
        width, height = original.size
    image = read_photograph(package, name)
    assert image.dtype == np.uint8 and image.shape[2] == 3
    factor = min(1, LONGEST_SIDE / max(width, height))
    assert abs(image.shape[0] - height * factor) <= 0.5 and abs(image.shape[1] - width * factor) <= 0.5
    assert image.std() > 20, "a photograph is not a flat colour"


def test_a_small_photograph_is_not_resampled() -> None:
    package, name = TEST[0]
    original = np.asarray(Image.open(str(files(package).joinpath(name))).convert("RGB"))
    np.testing.assert_array_equal(read_photograph(package, name), original)


@pytest.mark.slow
def test_the_demo_folders_hold_the_photographs(tmp_path: Path) -> None:
    train, test = write_demo_folders(tmp_path)
    for folder, photographs in ((train, TRAINING), (test, TEST)):
        expected = sorted(f"{Path(name).stem}.png" for _, name in photographs)
        assert sorted(path.name for path in folder.glob("*.png")) == expected
    package, name = TEST[1]
    np.testing.assert_array_equal(read_image(test / f"{Path(name).stem}.png"), read_photograph(package, name))
