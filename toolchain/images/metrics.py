"""PSNR of 8-bit images from their integers, SSIM by scikit-image, on grey, RGB and luma, in blocks."""

import math

import numpy as np
from numpy.typing import NDArray
from snn_tool.images.tiling import blocks

DATA_RANGE = 255.0
SSIM_WINDOW = 11


def to_uint8(image: NDArray[np.floating]) -> NDArray[np.uint8]:
    """An image [H, W, C] in [0, 1], or any array, rounded to 8 bits and clamped; halves round up."""
    if image.ndim != 3:
        return _rounded(image)
    grey = np.empty(image.shape, np.uint8)
    for block in blocks(*image.shape[:2]):
        grey[block] = _rounded(image[block])
    return grey


def _rounded(image: NDArray[np.floating]) -> NDArray[np.uint8]:
    grey: NDArray[np.uint8] = np.clip(np.floor(image * DATA_RANGE + 0.5), 0, DATA_RANGE).astype(np.uint8)
    return grey


def luma(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Y of BT.601 of uint8 [H, W, 3], or of grey [H, W, 1], as [H, W, 1], in 16..235 and rounded to 8 bits.

    As MATLAB's rgb2ycbcr gives it for 8-bit images; papers on deraining score on it. The coefficients are
    those of ITU-R BT.601 for full-scale values of 1.
    """
    grey = np.empty((*image.shape[:2], 1), np.uint8)
    for block in blocks(*image.shape[:2]):
        colours = np.broadcast_to(image[block], (*image[block].shape[:2], 3))
        weighted = colours.astype(np.float64) @ np.array([65.481, 128.553, 24.966]) / DATA_RANGE
        grey[block] = np.floor(16 + weighted + 0.5).astype(np.uint8)[:, :, None]
    return grey


def psnr_db(restored: NDArray[np.uint8], clean: NDArray[np.uint8]) -> float:
    """PSNR in dB over all pixels and channels of uint8 [H, W, C]; `inf` for identical images.

    The squares are summed as integers, so that the sum is exact.
    """
    total = 0
    for block in blocks(*clean.shape[:2]):
        difference = restored[block].astype(np.int64) - clean[block]
        total += int((difference * difference).sum())
    return 10 * math.log10(DATA_RANGE**2 * clean.size / total) if total else math.inf


def ssim(restored: NDArray[np.uint8], clean: NDArray[np.uint8]) -> float | None:
    """SSIM of Wang et al. 2004 (Gaussian window 11x11, sigma 1.5), mean over the channels of uint8 [H, W, C].

    The mean is over the windows inside the image, as in the paper's code; torchmetrics' own mean also counts
    windows that reach over mirrored borders, and takes 35 times longer in float64. None for an image smaller
    than the window. Blocks overlap by a window less a pixel, so each window is counted once.
    """
    if min(clean.shape[:2]) < SSIM_WINDOW:
        return None
    from skimage.metrics import structural_similarity  # brings scipy, which restoring need not wait for

    inside = slice(SSIM_WINDOW // 2, -(SSIM_WINDOW // 2))
    total, windows = 0.0, 0
    for block in blocks(clean.shape[0], clean.shape[1], SSIM_WINDOW - 1):
        _, similarity = structural_similarity(  # type: ignore[no-untyped-call]
            restored[block],
            clean[block],
            data_range=DATA_RANGE,
            channel_axis=2,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            full=True,
        )
        total += float(similarity[inside, inside].sum())
        windows += similarity[inside, inside].size
    return total / windows
