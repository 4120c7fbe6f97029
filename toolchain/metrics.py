"""PSNR and SSIM of 8-bit colour images, by torchmetrics."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

DATA_RANGE = 255.0
SSIM_WINDOW = 11


def to_uint8(image: NDArray[np.floating]) -> NDArray[np.uint8]:
    """An image in [0, 1] rounded to 8 bits and clamped; halves round up."""
    grey: NDArray[np.uint8] = np.clip(np.floor(image * DATA_RANGE + 0.5), 0, DATA_RANGE).astype(np.uint8)
    return grey


def _batch(image: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(image.astype(np.float64).transpose(2, 0, 1)[None].copy())


def psnr_db(restored: NDArray[np.uint8], clean: NDArray[np.uint8]) -> float:
    """PSNR in dB over all pixels and channels of uint8 [H, W, 3]; `inf` for identical images."""
    return float(peak_signal_noise_ratio(_batch(restored), _batch(clean), data_range=DATA_RANGE))


def ssim(restored: NDArray[np.uint8], clean: NDArray[np.uint8]) -> float | None:
    """SSIM of Wang et al. 2004 (Gaussian window 11x11, sigma 1.5), mean over the channels of uint8 [H, W, 3].

    As in the paper's code and scikit-image the mean is over the windows inside the image; torchmetrics' own
    mean also counts windows that reach over mirrored borders. None for an image smaller than the window.
    """
    if min(clean.shape[:2]) < SSIM_WINDOW:
        return None
    _, per_window = structural_similarity_index_measure(
        _batch(restored),
        _batch(clean),
        data_range=DATA_RANGE,
        sigma=1.5,
        kernel_size=SSIM_WINDOW,
        return_full_image=True,
    )
    inside = slice(SSIM_WINDOW // 2, -(SSIM_WINDOW // 2))
    return float(per_window[..., inside, inside].mean())
