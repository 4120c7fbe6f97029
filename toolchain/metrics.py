"""PSNR and SSIM of 8-bit images by scikit-image, on RGB and on luma."""

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

DATA_RANGE = 255.0
SSIM_WINDOW = 11


def to_uint8(image: NDArray[np.floating]) -> NDArray[np.uint8]:
    """An image in [0, 1] rounded to 8 bits and clamped; halves round up."""
    grey: NDArray[np.uint8] = np.clip(np.floor(image * DATA_RANGE + 0.5), 0, DATA_RANGE).astype(np.uint8)
    return grey


def luma(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Y of BT.601 of uint8 [H, W, 3] as [H, W, 1], in studio range 16..235 and rounded to 8 bits.

    As MATLAB's rgb2ycbcr gives it for 8-bit images; papers on deraining score on it. The coefficients are
    those of ITU-R BT.601 for full-scale values of 1.
    """
    weighted = image.astype(np.float64) @ np.array([65.481, 128.553, 24.966]) / DATA_RANGE
    grey: NDArray[np.uint8] = np.floor(16 + weighted + 0.5).astype(np.uint8)[:, :, None]
    return grey


def psnr_db(restored: NDArray[np.uint8], clean: NDArray[np.uint8]) -> float:
    """PSNR in dB over all pixels and channels of uint8 [H, W, C]; `inf` for identical images."""
    with np.errstate(divide="ignore"):
        return float(
            peak_signal_noise_ratio(clean, restored, data_range=DATA_RANGE)  # type: ignore[no-untyped-call]
        )


def ssim(restored: NDArray[np.uint8], clean: NDArray[np.uint8]) -> float | None:
    """SSIM of Wang et al. 2004 (Gaussian window 11x11, sigma 1.5), mean over the channels of uint8 [H, W, C].

    The mean is over the windows inside the image, as in the paper's code; torchmetrics' own mean also counts
    windows that reach over mirrored borders, and takes 35 times longer in float64. None for an image smaller
    than the window.
    """
    if min(clean.shape[:2]) < SSIM_WINDOW:
        return None
    return float(
        structural_similarity(  # type: ignore[no-untyped-call]
            restored,
            clean,
            data_range=DATA_RANGE,
            channel_axis=2,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )
