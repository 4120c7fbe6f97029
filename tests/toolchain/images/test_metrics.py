"""PSNR against its formula in NumPy, SSIM against scikit-image."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage import data
from skimage.metrics import structural_similarity
from snn_tool.images.metrics import luma, psnr_db, ssim, to_uint8
from torchmetrics.functional.image import structural_similarity_index_measure

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def clean() -> Pixels:
    return np.asarray(data.coffee()[100:190, 200:317])


def noisy(clean: Pixels, sigma: float) -> Pixels:
    noise = np.random.default_rng(0).normal(0, sigma, clean.shape)
    return np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("sigma", [1, 25, 90])
def test_psnr_is_the_formula(clean: Pixels, sigma: float) -> None:
    degraded = noisy(clean, sigma)
    mean_square = np.mean((degraded.astype(np.float64) - clean) ** 2)
    assert psnr_db(degraded, clean) == pytest.approx(10 * math.log10(255**2 / mean_square), abs=1e-9)


def test_psnr_by_hand() -> None:
    """Everywhere 255 off: 0 dB. One of 300 values 255 off: 10 log10(300) dB, however the channels lie."""
    black, white = np.zeros((10, 10, 3), np.uint8), np.full((10, 10, 3), 255, np.uint8)
    assert psnr_db(black, white) == pytest.approx(0, abs=1e-9)
    black[3, 4, 1] = 255
    assert psnr_db(black, np.zeros_like(black)) == pytest.approx(10 * math.log10(300), abs=1e-9)
    assert psnr_db(white, white) == math.inf


@pytest.mark.parametrize("sigma", [1, 25, 90])
@pytest.mark.parametrize("size", [(90, 117), (11, 117), (11, 11), (12, 40)])
def test_ssim_is_that_of_torchmetrics(clean: Pixels, size: tuple[int, int], sigma: float) -> None:
    """An independent implementation, over the windows inside the image, so that no border rule matters."""
    part = clean[: size[0], : size[1]]
    degraded = noisy(part, sigma)
    first, second = (
        torch.from_numpy(p.transpose(2, 0, 1)[None].astype(np.float64)) for p in (degraded, part)
    )
    _, windows = structural_similarity_index_measure(
        first, second, data_range=255.0, sigma=1.5, kernel_size=11, return_full_image=True
    )
    expected = float(windows[..., 5:-5, 5:-5].mean())
    assert ssim(degraded, part) == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(512, 512), (513, 530), (522, 523), (1040, 21), (11, 1100)])
def test_blocks_are_the_whole_image(size: tuple[int, int]) -> None:
    """SSIM by scikit-image on the whole, PSNR and luma by their formulas; sizes about the blocks' borders."""
    rng = np.random.default_rng(0)
    part = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
    degraded = noisy(part, 30)
    whole = structural_similarity(
        degraded,
        part,
        data_range=255,
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert ssim(degraded, part) == pytest.approx(whole, abs=1e-12)
    mean_square = np.mean((degraded.astype(np.float64) - part) ** 2)
    assert psnr_db(degraded, part) == pytest.approx(10 * math.log10(255**2 / mean_square), abs=1e-12)
    weighted = 16 + part.astype(np.float64) @ np.array([65.481, 128.553, 24.966]) / 255
    np.testing.assert_array_equal(luma(part)[..., 0], np.floor(weighted + 0.5))
    values = rng.uniform(-0.2, 1.2, (*size, 3)).astype(np.float32)
    np.testing.assert_array_equal(to_uint8(values)[::3, ::7], to_uint8(values[::3, ::7]))


def test_luma_of_grey_is_that_of_equal_colours() -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    np.testing.assert_array_equal(luma(grey), luma(np.repeat(grey, 3, axis=2)))


def test_ssim_of_identical_and_of_small_images(clean: Pixels) -> None:
    assert ssim(clean, clean) == pytest.approx(1, abs=1e-12)
    assert ssim(clean[:10], clean[:10]) is None
    assert ssim(clean[:, :10], clean[:, :10]) is None


def test_rounding_to_8_bits() -> None:
    """Halves go up; what leaves the range is clamped."""
    values = np.array([-3, -0.001, 0, 0.499 / 255, 0.5 / 255, 254.49 / 255, 254.5 / 255, 1, 1.5, 300])
    assert to_uint8(values).tolist() == [0, 0, 0, 0, 1, 254, 255, 255, 255, 255]
    every = np.arange(256, dtype=np.float32) / 255
    assert to_uint8(every).tolist() == list(range(256))
