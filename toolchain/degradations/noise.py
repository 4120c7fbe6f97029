"""`denoise`: additive white Gaussian noise of a fixed or a random standard deviation."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from snn_tool.degradation_parts import Image


@dataclass(frozen=True, slots=True)
class GaussianNoise:
    """Additive white Gaussian noise; one standard deviation per image, uniform between the two bounds.

    Attributes:
        sigma_low, sigma_high: standard deviation in grey levels of 255; equal for a fixed one.
    """

    sigma_low: float
    sigma_high: float

    def apply(self, clean: Image, rng: np.random.Generator) -> Image:
        """Add noise to a batch [N, ...] (a sigma for each of its images) or to one image of 3 dimensions."""
        count = clean.shape[0] if clean.ndim == 4 else 1
        sigma = rng.uniform(self.sigma_low, self.sigma_high, count).astype(np.float32) / 255
        scale = sigma.reshape(-1, 1, 1, 1) if clean.ndim == 4 else sigma[0]
        noisy = rng.standard_normal(clean.shape, dtype=np.float32)
        noisy *= scale  # in place: photographs are large
        noisy += clean
        return noisy

    def describe(self) -> dict[str, Any]:
        """The task's name and the range of sigma."""
        return {"task": "denoise", "sigma": [self.sigma_low, self.sigma_high]}
