"""The demo's photographs: colour pictures that ship inside scikit-image and scikit-learn, split by picture.

Licences are those of the two packages' data folders (public domain, CC0 or CC BY; see their README files).
"""

from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image
from snn_tool.images import Pixels, read_image, write_image

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


def write_demo_folders(out: Path) -> tuple[Path, Path]:
    """Write PNG copies to `out`/train and `out`/test and return the two folders."""
    for folder, photographs in (("train", TRAINING), ("test", TEST)):
        for package, name in photographs:
            write_image(out / folder / f"{Path(name).stem}.png", read_photograph(package, name))
    return out / "train", out / "test"
