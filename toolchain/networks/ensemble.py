"""`x8:NAME`: a network that restores each image in eight orientations, and averages what comes out.

With R_k the eight flips and quarter turns of the plane, the answer is 1/8 sum_k R_k^-1(f(R_k(image))), in
float also where f runs in integers (Timofte et al., CVPR 2016, "Seven ways to improve example-based single
image super resolution", section 3.5). It costs eight runs and no training, and is a
better teacher than the network itself.
"""

from typing import Any

import numpy as np
import torch
from snn_tool.models.integer.engine import IntegerEngine, restore_integers
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.topology import COLOUR
from torch import Tensor, nn

ORIENTATIONS = tuple((turns, mirrored) for mirrored in (False, True) for turns in range(4))
ROWS, COLUMNS = 2, 3


class SelfEnsemble(nn.Module):
    """A restorer [N, C, H, W] -> [N, C, H, W] in eight orientations; it has an output and no features.

    Args:
        network: has `forward_features`; put into evaluation mode and frozen.
        multiple: both sides of an image must be multiples of it.
    """

    def __init__(self, network: nn.Module, multiple: int) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.multiple = multiple
        self.image_channels = int(getattr(network, "image_channels", COLOUR))
        self.feature_channels: dict[str, int] = {}
        self.feature_scales: dict[str, int] = {}

    def train(self, mode: bool = True) -> "SelfEnsemble":
        """Stay in evaluation mode: a teacher is frozen."""
        return super().train(False)

    def forward(self, image: Tensor) -> Tensor:
        """The mean of the eight restored images, float32, not clamped."""
        total = torch.zeros_like(image, dtype=torch.float32)
        for turns, mirrored in ORIENTATIONS:
            turned = torch.rot90(image, turns, (ROWS, COLUMNS))
            seen = turned.flip(COLUMNS) if mirrored else turned
            restored = self.network.forward_features(seen)[0].float()  # type: ignore[operator]
            back = restored.flip(COLUMNS) if mirrored else restored
            total += torch.rot90(back, -turns, (ROWS, COLUMNS))
        return total / len(ORIENTATIONS)

    def forward_features(self, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The restored image, and no features: those of eight orientations are not one map."""
        return self(image), {}


class IntegerRestorer(nn.Module):
    """Integers as a torch module: they run on the CPU, and the image comes back to where it was.

    Args:
        network: restores images.
    """

    def __init__(self, network: IntegerNetwork) -> None:
        super().__init__()
        self.engine = IntegerEngine(network)
        self.image_channels = network.topology.image_channels

    def __deepcopy__(self, memo: dict[int, Any]) -> "IntegerRestorer":
        return self

    def forward_features(self, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The restored image [N, C, H, W], float32 on the image's device, and no features."""
        given = np.ascontiguousarray(image.detach().float().cpu().numpy())
        restored = restore_integers(self.engine, given).astype(np.float32)
        return torch.from_numpy(restored).to(image.device), {}
