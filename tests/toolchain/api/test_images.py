"""What goes in comes out: numpy and torch, uint8 and float, colour and grey; and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from snn_tool.api.images import folder_of, folders_of, restored_like, stack_of
from snn_tool.errors import ConfigError, DataError


def half(picture: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Halves what it is given, which must be [H, W, 3] or [H, W, 1] of uint8 or float32."""
    assert picture.ndim == 3 and picture.shape[2] in (1, 3)
    assert picture.dtype in (np.uint8, np.float32)
    return (picture // 2) if picture.dtype == np.uint8 else picture / 2


@pytest.mark.parametrize(
    "shape", [(5, 7), (5, 7, 1), (5, 7, 3), (2, 5, 7, 1), (2, 5, 7, 3), (3, 7, 3), (1, 1, 1), (3, 3)]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64])
def test_numpy_comes_back_as_it_went_in(shape: tuple[int, ...], dtype: Any) -> None:
    values = np.arange(np.prod(shape)).reshape(shape) % 200
    image = values.astype(np.uint8) if dtype is np.uint8 else (values / 256).astype(dtype)
    before = image.copy()
    restored = restored_like(image, half)
    assert isinstance(restored, np.ndarray) and restored.dtype == image.dtype and restored.shape == shape
    assert np.array_equal(restored, before // 2 if dtype is np.uint8 else before / 2)
    assert np.array_equal(image, before), "the image that was given stays as it is"


@pytest.mark.parametrize("shape", [(5, 7), (1, 5, 7), (3, 5, 7), (2, 1, 5, 7), (2, 3, 5, 7), (3, 7, 3)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_torch_comes_back_as_it_went_in(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    values = torch.arange(int(np.prod(shape))).reshape(shape) % 128
    image = values.to(dtype) if dtype == torch.uint8 else (values / 128).to(dtype)
    restored = restored_like(image, half)
    assert restored.dtype == dtype and restored.shape == shape and restored.device == image.device
    assert torch.equal(restored, image // 2 if dtype == torch.uint8 else image / 2)


def test_channels_are_not_mixed_up() -> None:
    image = np.zeros((4, 6, 3), np.float32)
    image[..., 1], image[0] = 0.5, 1
    assert np.array_equal(restored_like(image, half), image / 2)
    of_torch = torch.from_numpy(image).permute(2, 0, 1)
    assert torch.equal(restored_like(of_torch, half), of_torch / 2)


def test_floats_are_clipped_and_gradients_are_dropped() -> None:
    noisy = np.array([[[-0.5, 0.5, 1.5]]], np.float32)
    assert restored_like(noisy, lambda picture: picture).tolist() == [[[0, 0.5, 1]]]
    image = torch.rand(3, 4, 4, requires_grad=True)
    assert not restored_like(image, half).requires_grad


def test_views_with_negative_strides_are_images() -> None:
    image = np.random.default_rng(0).random((4, 6, 3))[::-1, ::-1, ::-1]
    assert np.allclose(restored_like(image, half), image / 2)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.full((4, 4, 3), 200.0), "floats from 200 to 200.*divide by 255"),
        (np.full((4, 4, 3), 30.0, np.float32), "divide by 255"),
        (np.full((4, 4, 3), -7.0), "floats from -7"),
        (np.full((4, 4, 3), np.nan), "NaN"),
        (np.full((4, 4, 3), np.inf), "infinite"),
        (np.zeros((4, 4, 3), np.uint16), "image of uint16; give uint8"),
        (np.zeros((4, 4, 3), np.int64), "image of int64"),
        (np.zeros((4, 4, 3), bool), "image of bool"),
        (np.zeros((4, 4, 3), complex), "image of complex128"),
        (np.zeros((3, 8, 9)), r"\[3, 8, 9\] has its channels elsewhere; numpy images are \[H, W, C\]"),
        (np.zeros((2, 3, 8, 9)), "has its channels elsewhere"),
        (np.zeros((8, 9, 2)), "has 2 channels"),
        (np.zeros((8, 9, 5)), "has 5 channels"),
        (np.zeros((8, 9, 4)), "drop the alpha channel"),
        (np.zeros((8,)), r"shape \[8\]"),
        (np.zeros((1, 1, 8, 9, 3)), "one axis more in front"),
        (np.zeros((0, 9, 3)), "is empty"),
        (np.zeros((0, 8, 9, 3)), "is empty"),
        (torch.zeros(8, 9, 3), r"torch images are \[C, H, W\]: image.movedim"),
        (torch.zeros(2, 8, 9), "has 2 channels"),
        (torch.zeros(3, 8, 9, dtype=torch.int32), "image of int32"),
        (torch.full((3, 8, 9), 255.0), "divide by 255"),
        (torch.full((3, 8, 9), float("nan")), "NaN"),
    ],
)
def test_what_is_no_image_is_refused(image: object, said: str) -> None:
    with pytest.raises(DataError, match=said):
        stack_of(image)


@pytest.mark.parametrize("image", ["photo.png", Path("photo.png"), [[0.5]], None, 3])
def test_what_is_no_array_is_refused(image: object) -> None:
    with pytest.raises(ConfigError, match="a numpy array or a torch tensor"):
        stack_of(image)


def names(images: Any) -> list[str]:
    with folder_of(images) as folder:
        return sorted(path.name for path in folder.iterdir())


def test_images_are_a_folder_paths_or_arrays(tmp_path: Path) -> None:
    pixels = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    for name in ("a.png", "b.png"):
        Image.fromarray(pixels).save(tmp_path / name)
    with folder_of(tmp_path) as folder:
        assert folder == tmp_path
    assert names([tmp_path / "b.png", str(tmp_path / "a.png")]) == ["a.png", "b.png"]
    with folder_of([pixels, pixels / 255, torch.from_numpy(pixels).permute(2, 0, 1)]) as folder:
        written = sorted(folder.iterdir())
        assert [path.name for path in written] == [f"image-00000{n}.png" for n in (1, 2, 3)]
        assert all(np.array_equal(np.asarray(Image.open(path)), pixels) for path in written)
    assert not folder.exists()
    assert len(names(np.stack([pixels] * 4))) == 4


def test_paths_of_one_name_are_numbered(tmp_path: Path) -> None:
    paths = [tmp_path / part / "a.png" for part in "xy"]
    for path in paths:
        path.parent.mkdir()
        Image.new("RGB", (4, 4)).save(path)
    assert names(paths) == ["000001-a.png", "000002-a.png"]


@pytest.mark.parametrize(
    ("images", "error", "said"),
    [
        ([], DataError, "the list is empty"),
        (["nosuch.png"], DataError, "nosuch.png: no such file"),
        ("nosuch", DataError, "nosuch: no such file or folder"),
        ([__file__], DataError, "not an image file"),
        ([np.zeros((4, 4, 3)), "a.png"], ConfigError, "not both"),
        (3, ConfigError, "not int"),
        ([np.zeros((4, 4, 2))], DataError, "has 2 channels"),
    ],
)
def test_images_that_cannot_be_used_are_refused(images: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said), folder_of(images):
        pass


def test_recorded_partners_have_a_folder_of_their_own() -> None:
    pixels = np.zeros((2, 4, 4, 3), np.uint8)
    with folders_of(pixels, pixels + 9) as (clean, degraded):
        assert degraded is not None
        assert [p.name for p in sorted(clean.iterdir())] == [p.name for p in sorted(degraded.iterdir())]
        assert np.asarray(Image.open(degraded / "image-000001.png")).max() == 9
