"""Images as Python users hold them: arrays of the usual layouts, and folders or lists to learn from.

| | shape | dtype |
|---|---|---|
| numpy | [H, W, 3], grey [H, W] or [H, W, 1], a batch [N, H, W, 3] or [N, H, W, 1] | uint8, or any float |
| torch | [3, H, W], grey [H, W] or [1, H, W], a batch [N, 3, H, W] or [N, 1, H, W] | likewise |

uint8 runs from 0 to 255, floats from 0 to 1 before noise. What looks like a mistake is refused.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from snn_tool.errors import ConfigError, DataError
from snn_tool.files.temporaries import temporary_folder
from snn_tool.images.files import SUFFIXES, Pixels, find_images, write_image
from snn_tool.images.metrics import to_uint8

Array = NDArray[Any] | torch.Tensor
Image = TypeVar("Image", NDArray[Any], torch.Tensor)
Images = str | os.PathLike[str] | Sequence[str | os.PathLike[str] | Array] | Array
"""A folder or a file, a list of paths or of arrays, or a batch."""

LOWEST, HIGHEST = -2.0, 3.0
"""Floats beyond these are no image in [0, 1]: noise of sigma 100 in 255 leaves them once in 10^7 pixels."""
NUMPY, TORCH = "numpy images are [H, W, C]", "torch images are [C, H, W]"


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """An array as pictures, and the way back.

    Attributes:
        pictures: [N, H, W, C], uint8 or float32, C 3 or 1.
        put_back: makes of pictures of the same shape and dtype an array like the one that was given.
    """

    pictures: NDArray[Any]
    put_back: Callable[[NDArray[Any]], Any]


def restored_like(image: Image, restore: Callable[[NDArray[Any]], NDArray[Any]]) -> Image:
    """An array of the kind, shape, dtype and device that `image` has, restored picture by picture.

    Args:
        image: as the table above says.
        restore: maps [H, W, C] of uint8 or float32 to the same; floats are clipped to [0, 1] afterwards.

    Raises:
        ConfigError: neither numpy nor torch.
        DataError: another dtype, range or layout; NaN; or empty.
    """
    stack = stack_of(image)
    restored = np.stack([restore(picture) for picture in stack.pictures])
    if restored.dtype != np.uint8:
        restored = restored.clip(0, 1)
    result: Image = stack.put_back(restored)
    return result


def stack_of(image: object) -> Stack:
    """The pictures of an array.

    Raises:
        ConfigError, DataError: as `restored_like`.
    """
    if isinstance(image, torch.Tensor):
        return _of_torch(image)
    if isinstance(image, np.ndarray):
        return _of_numpy(image)
    given = f"a path, {image}" if isinstance(image, str | os.PathLike) else type(image).__name__
    raise ConfigError(f"an image is a numpy array or a torch tensor, not {given}; read it with Pillow first")


def _of_numpy(image: NDArray[Any]) -> Stack:
    _check_dtype(str(image.dtype), image.dtype == np.uint8, image.dtype.kind == "f")
    pictures, unstack = _pictures(image, 2)
    _check_values(pictures)
    values = pictures if image.dtype == np.uint8 else pictures.astype(np.float32)
    return Stack(values, lambda restored: np.ascontiguousarray(unstack(restored).astype(image.dtype)))


def _of_torch(image: torch.Tensor) -> Stack:
    is_bytes = image.dtype == torch.uint8
    _check_dtype(str(image.dtype).removeprefix("torch."), is_bytes, image.is_floating_point())
    values = image.detach().cpu()
    pictures, unstack = _pictures((values if is_bytes else values.float()).numpy(), 0)
    _check_values(pictures)

    def put_back(restored: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(unstack(restored))).to(image.device, image.dtype)

    return Stack(pictures, put_back)


def _check_dtype(name: str, is_bytes: bool, is_float: bool) -> None:
    if not (is_bytes or is_float):
        raise DataError(f"an image of {name}; give uint8 of 0 to 255, or floats of 0 to 1")


def _pictures(
    array: NDArray[Any], channel_axis: int
) -> tuple[NDArray[Any], Callable[[NDArray[Any]], NDArray[Any]]]:
    """[N, H, W, C] and the way back, from an array whose pictures have their channels at an axis, 2 or 0."""
    shape = list(array.shape)
    if array.size == 0:
        raise DataError(f"an image of shape {shape} is empty")
    if array.ndim == 2:
        return array[None, :, :, None], lambda restored: restored[0, :, :, 0]
    batch = array.ndim - 3
    if batch not in (0, 1):
        raise DataError(
            f"an image of shape {shape}; {NUMPY if channel_axis else TORCH}, grey ones [H, W], and a batch "
            "has one axis more in front"
        )
    _check_channels(shape, batch, channel_axis)
    pictures = np.moveaxis(array if batch else array[None], channel_axis + 1, 3)

    def unstack(restored: NDArray[Any]) -> NDArray[Any]:
        moved = np.moveaxis(restored, 3, channel_axis + 1)
        return moved if batch else moved[0]

    return pictures, unstack


def _check_channels(shape: list[int], batch: int, channel_axis: int) -> None:
    channels, other = shape[batch + channel_axis], shape[batch + 2 - channel_axis]
    if channels in (1, 3):
        return
    layout = NUMPY if channel_axis else TORCH
    if other in (1, 3):
        way = "numpy.moveaxis(image, -3, -1)" if channel_axis else "image.movedim(-1, -3)"
        raise DataError(f"an image of shape {shape} has its channels elsewhere; {layout}: {way}")
    hint = "; drop the alpha channel" if channels == 4 else ""
    raise DataError(
        f"an image of shape {shape} has {channels} channels; {layout} with 3 channels, or 1 of grey{hint}"
    )


def _check_values(pictures: NDArray[Any]) -> None:
    if pictures.dtype == np.uint8:
        return
    low, high = float(pictures.min()), float(pictures.max())
    if not np.isfinite([low, high]).all():
        raise DataError("an image with NaN or infinite values; replace them first")
    if low < LOWEST or high > HIGHEST:
        raise DataError(
            f"an image of floats from {low:g} to {high:g}; floats run from 0 to 1 before noise: divide by "
            "255, or give uint8"
        )


@contextmanager
def folder_of(images: Images) -> Iterator[Path]:
    """Yield a folder (or one file) with clean images; lists and arrays lie in a temporary one.

    Paths keep their names there, which decide about noise and validation split; if two are alike, or for
    arrays, they are numbered. Arrays become PNG files, floats rounded to 8 bits.

    Raises:
        ConfigError: another type.
        DataError: empty, missing, not an image file, or an array that is no image.
    """
    if isinstance(images, str | os.PathLike):
        find_images(Path(images))
        yield Path(images)
        return
    if not isinstance(images, np.ndarray | torch.Tensor | Sequence):
        raise ConfigError(
            f"images are a folder, a list of paths or a list of arrays, not {type(images).__name__}"
        )
    if len(images) == 0:
        raise DataError("no images: the list is empty")
    with temporary_folder("images") as folder:
        if isinstance(images, np.ndarray | torch.Tensor):
            _write(folder, list(_eight_bits(images)))
        else:
            _fill(folder, images)
        yield folder


def _fill(folder: Path, images: Sequence[Any]) -> None:
    paths = [Path(item) for item in images if isinstance(item, str | os.PathLike)]
    if not paths:
        _write(folder, [picture for item in images for picture in _eight_bits(item)])
        return
    if len(paths) < len(images):
        raise ConfigError("images are a list of paths or a list of arrays, not both")
    names = {path.name for path in paths}
    keep = len(names) == len(paths) and not any(name.startswith(".") for name in names)
    for count, path in enumerate(paths, 1):
        if not path.is_file():
            raise DataError(f"{path}: no such file; check the path")
        if path.suffix.lower() not in SUFFIXES:
            raise DataError(f"{path}: not an image file; use {', '.join(SUFFIXES)}")
        (folder / (path.name if keep else f"{count:06}-{path.name}")).symlink_to(path.resolve())


def _eight_bits(image: object) -> Iterator[Pixels]:
    for picture in stack_of(image).pictures:
        yield picture if picture.dtype == np.uint8 else to_uint8(picture)


def _write(folder: Path, pictures: list[Pixels]) -> None:
    for count, picture in enumerate(pictures, 1):
        write_image(folder / f"image-{count:06}.png", np.ascontiguousarray(picture))


@contextmanager
def folders_of(images: Images, degraded: Images | None) -> Iterator[tuple[Path, Path | None]]:
    """Yield the folder of clean images and, if their degraded partners were recorded, the folder of those.

    Raises:
        ConfigError, DataError: as `folder_of`.
    """
    with folder_of(images) as clean:
        if degraded is None:
            yield clean, None
            return
        with folder_of(degraded) as partners:
            yield clean, partners
