"""The demo's photographs: colour pictures that ship inside scikit-image and scikit-learn, split by picture.

Licences are those of the two packages' data folders (public domain, CC0 or CC BY; see their README files).
"""

from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image
from snn_tool.errors import DataError
from snn_tool.images.files import Pixels, read_image, write_image
from snn_tool.files.ownership import claim, owned_path

SCIKIT_IMAGE, SCIKIT_LEARN = "skimage.data", "sklearn.datasets.images"
TRAINING = (
    (SCIKIT_IMAGE, "chelsea.png"),
    (SCIKIT_IMAGE, "rocket.jpg"),
    (SCIKIT_IMAGE, "motorcycle_left.png"),
    (SCIKIT_IMAGE, "hubble_deep_field.jpg"),
    (SCIKIT_IMAGE, "ihc.png"),
    (SCIKIT_LEARN, "china.jpg"),
    (SCIKIT_LEARN, "flower.jpg"),
)
TEST = ((SCIKIT_IMAGE, "astronaut.png"), (SCIKIT_IMAGE, "coffee.png"))
LONGEST_SIDE = 640


def read_photograph(package: str, name: str) -> Pixels:
    """A shipped photograph, uint8 [H, W, 3], shrunk to at most LONGEST_SIDE pixels on its longer side."""
    image = read_image(Path(str(files(package).joinpath(name))))
    factor = LONGEST_SIDE / max(image.shape[:2])
    if factor >= 1:
        return image
    size = (round(image.shape[1] * factor), round(image.shape[0] * factor))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


def demo_photographs(out: Path) -> dict[Path, tuple[str, str]]:
    """Where `write_demo_folders` puts each photograph, which is given by package and name."""
    parts = (("train", TRAINING), ("test", TEST))
    return {
        out / part / f"{Path(name).stem}.png": (package, name) for part, of in parts for package, name in of
    }


def claim_demo_folders(out: Path) -> None:
    """Make sure that only these photographs stand where they will be written.

    Raises:
        ConfigError: other files do; they are named.
    """
    sources = demo_photographs(out)

    def is_the_photograph(path: Path) -> bool:
        try:
            return np.array_equal(read_image(path), read_photograph(*sources[path]))
        except DataError:
            return False

    claim(sources, is_the_photograph)


def write_demo_folders(out: Path) -> tuple[Path, Path]:
    """Write PNG copies to `out`/train and `out`/test and return the two folders.

    Raises:
        ConfigError: another file has the name of one.
    """
    claim_demo_folders(out)
    for path, (package, name) in demo_photographs(out).items():
        write_image(path, read_photograph(package, name), opener=owned_path)
    return out / "train", out / "test"
