"""NAFNet, a convolutional teacher without activation functions: x1 * x2 is its only non-linearity.

Source: Chen, Chu, Zhang and Sun, 'Simple Baselines for Image Restoration', arXiv 2204.04676. Parameters carry
the names of the published checkpoints, so a state dictionary of these fits without renaming.
"""

from collections.abc import Sequence

import torch
from snn_tool.errors import ConfigError
from snn_tool.models.topology import COLOUR, check_channels
from torch import Tensor, nn
from torch.nn import functional


class LayerNorm2d(nn.Module):
    """Normalise the channels of each pixel.

    y = (x - mean_C(x)) / sqrt(var_C(x) + 1e-6) * weight + bias        x, y: [N, C, H, W]
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalised `x`, of the same shape."""
        last = functional.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, 1e-6)
        return last.permute(0, 3, 1, 2)


class SimpleGate(nn.Module):
    """Product of the two halves of the channels: [N, 2C, H, W] -> [N, C, H, W] (figure 4c of the paper)."""

    def forward(self, x: Tensor) -> Tensor:
        """x1 * x2."""
        first, second = x.chunk(2, dim=1)
        return first * second


class NAFBlock(nn.Module):
    """Two residual branches: depthwise convolution with channel attention, and a gated pointwise layer.

        y = x + beta * conv3(SCA(SG(conv2(conv1(LN(x))))))        SCA(u) = u * W mean_HW(u)
        z = y + gamma * conv5(SG(conv4(LN(y))))                   SG(u) = u1 * u2

    beta and gamma start at zero, so a new block is the identity. Source: equations 3-6 and figure 3c.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 2 * channels, 1)
        self.conv2 = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, groups=2 * channels)
        self.conv3 = nn.Conv2d(channels, channels, 1)
        self.sca = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, channels, 1))
        self.conv4 = nn.Conv2d(channels, 2 * channels, 1)
        self.conv5 = nn.Conv2d(channels, channels, 1)
        self.norm1 = LayerNorm2d(channels)
        self.norm2 = LayerNorm2d(channels)
        self.gate = SimpleGate()
        self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H, W]."""
        gated = self.gate(self.conv2(self.conv1(self.norm1(x))))
        y = x + self.beta * self.conv3(gated * self.sca(gated))
        z: Tensor = y + self.gamma * self.conv5(self.gate(self.conv4(self.norm2(y))))
        return z


class NAFNet(nn.Module):
    """Encoder-decoder of NAFBlocks with additive skips; restores image + residual.

    The default is the deblurring (GoPro) shape: 17.11 M parameters at width 32, 67.89 M at width 64. The
    denoising (SIDD) shape is encoder_blocks=(2, 2, 4, 8), middle_blocks=12, decoder_blocks=(2, 2, 2, 2):
    29.16 M and 115.98 M (the authors give 29.16 M for width 32 in issue 60 of megvii-research/NAFNet).

    Args:
        width: channels at full resolution; each encoder level doubles them.
        encoder_blocks: blocks per encoder level, the image's resolution first.
        middle_blocks: blocks at the lowest resolution.
        decoder_blocks: blocks per decoder level, the lowest resolution first.
        channels: of the image: 3 of colour, 1 of grey.

    Attributes:
        feature_channels: channels of the decoder features, deepest first; `decoder1` is at full resolution.
        feature_scales: their downscale factors.

    Raises:
        ConfigError: a size is out of range, or encoder and decoder differ in depth.
    """

    def __init__(
        self,
        width: int = 32,
        encoder_blocks: Sequence[int] = (1, 1, 1, 28),
        middle_blocks: int = 1,
        decoder_blocks: Sequence[int] = (1, 1, 1, 1),
        channels: int = COLOUR,
    ) -> None:
        super().__init__()
        check_channels("nafnet", channels)
        _check_sizes(width, encoder_blocks, middle_blocks, decoder_blocks)
        levels = len(encoder_blocks)
        encoder_channels = [width << level for level in range(levels)]
        decoder_channels = encoder_channels[::-1]
        self.feature_channels = {f"decoder{levels - i}": c for i, c in enumerate(decoder_channels)}
        self.feature_scales = {f"decoder{levels - i}": 1 << (levels - 1 - i) for i in range(levels)}
        self.multiple = 1 << levels
        self.image_channels = channels
        self.intro = nn.Conv2d(channels, width, 3, padding=1)
        self.ending = nn.Conv2d(width, channels, 3, padding=1)
        self.encoders = _stages(encoder_channels, encoder_blocks)
        self.downs = nn.ModuleList(nn.Conv2d(c, 2 * c, 2, stride=2) for c in encoder_channels)
        self.middle_blks = nn.Sequential(*(NAFBlock(width << levels) for _ in range(middle_blocks)))
        self.ups = nn.ModuleList(
            nn.Sequential(nn.Conv2d(2 * c, 4 * c, 1, bias=False), nn.PixelShuffle(2))
            for c in decoder_channels
        )
        self.decoders = _stages(decoder_channels, decoder_blocks)

    def forward(self, image: Tensor) -> Tensor:
        """Restore `image` [N, C, H, W], float in [0, 1] before noise; the output is not clamped."""
        return self.forward_features(image)[0]

    def forward_features(self, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Restore, and return the decoder features [N, C, h, w].

        Sides that are not a multiple of 2^levels are extended by their last row and column and cropped from
        the output; the features are those of the extended image.
        """
        height, width = image.shape[-2:]
        padding = (0, -width % self.multiple, 0, -height % self.multiple)
        padded = functional.pad(image, padding, mode="replicate") if any(padding) else image
        x, skips = self.intro(padded), []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            skips.append(encoder(x))
            x = down(skips[-1])
        x = self.middle_blks(x)
        features: dict[str, Tensor] = {}
        for name, up, decoder in zip(self.feature_channels, self.ups, self.decoders, strict=True):
            x = features[name] = decoder(up(x) + skips.pop())
        return (self.ending(x) + padded)[..., :height, :width], features


def _stages(channels: Sequence[int], blocks: Sequence[int]) -> nn.ModuleList:
    return nn.ModuleList(
        nn.Sequential(*(NAFBlock(c) for _ in range(count))) for c, count in zip(channels, blocks, strict=True)
    )


def _check_sizes(width: int, encoder: Sequence[int], middle: int, decoder: Sequence[int]) -> None:
    if width < 1:
        raise ConfigError(f"nafnet: width is {width}; it must be at least 1")
    if not encoder or len(encoder) != len(decoder):
        raise ConfigError(
            f"nafnet: encoder_blocks has {len(encoder)} levels and decoder_blocks {len(decoder)}; "
            "give both as many"
        )
    if min(*encoder, middle, *decoder) < 0:
        raise ConfigError("nafnet: encoder_blocks, middle_blocks and decoder_blocks must not be negative")
