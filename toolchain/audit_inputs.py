"""What an audit reads: the images, and the hashes of everything that was given."""

from collections.abc import Mapping
from pathlib import Path

from snn_tool.files.artifacts import sha256_file
from snn_tool.degradations.crops import Crop, load_crop
from snn_tool.errors import ConfigError, DataError
from snn_tool.images.files import find_images
from snn_tool.degradations.pairs import Pairs, Source


def load_crops(
    images: Path, degradation: Source, side: int, limit: int, multiple: int, seed: int
) -> list[Crop]:
    """The degraded centres of the images of a folder, or of one file.

    Args:
        images: folder or file.
        degradation: of the test images.
        side: of the crops in pixels, 0 for whole images.
        limit: largest number of images, 0 for all.
        multiple: of the crops' sides.
        seed: of the noise.

    Raises:
        ConfigError: a negative side or limit.
        DataError: no image is large enough, or one is damaged.
    """
    if side < 0 or limit < 0:
        raise ConfigError("--crop and --limit must not be negative; 0 means no limit")
    paths = find_images(images)
    chosen = paths[:limit] if limit else paths
    found = (load_crop(path, images, degradation, side, multiple, seed) for path in chosen)
    crops = [crop for crop in found if crop]
    if not crops:
        raise DataError(f"{images}: no image of at least {multiple}x{multiple} pixels; add larger ones")
    return crops


def input_hashes(
    files: Mapping[str, Path | None], images: Path, crops: list[Crop], pairs: Pairs | None
) -> dict[str, str]:
    """SHA-256 of every file that was given, by its role, and of every image by its name.

    The degraded image of a pair has the name of its clean partner after `degraded/`.
    """
    hashes = {role: sha256_file(path) for role, path in files.items() if path}
    paths = {crop.name: images / crop.name if images.is_dir() else images for crop in crops}
    if pairs:
        paths |= {f"degraded/{name}": pairs.partners[path] for name, path in paths.items()}
    return hashes | {name: sha256_file(path) for name, path in paths.items()}
