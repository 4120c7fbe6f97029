"""Restormer, the transformer teacher: attention across channels, so its cost is linear in the pixels.

Source: Zamir et al., 'Restormer: Efficient Transformer for High-Resolution Image Restoration', CVPR 2022,
arXiv 2111.09881. Parameters carry the names of the published checkpoints, so a state dictionary of these fits
without renaming.
"""

from collections.abc import Sequence

import torch
from snn_tool.errors import ConfigError
from snn_tool.models.topology import COLOUR, check_channels
from torch import Tensor, nn
from torch.nn import functional

LAYER_NORMS = ("BiasFree", "WithBias")
LEVELS = 4
EPSILON = 1e-5


class BiasFreeNorm(nn.Module):
    """Divide each pixel by its standard deviation over channels, keeping its mean.

        y = x / sqrt(var_C(x) + 1e-5) * weight        x, y: [N, H, W, C]

    With bias-free convolutions the network is then nearly homogeneous, which carries over to other noise
    levels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Scaled `x`, of the same shape."""
        variance = x.var(-1, keepdim=True, correction=0)
        scaled: Tensor = x * torch.rsqrt(variance + EPSILON) * self.weight
        return scaled


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of [N, C, H, W], `WithBias` (the usual) or `BiasFree`."""

    def __init__(self, channels: int, kind: str) -> None:
        super().__init__()
        self.body = BiasFreeNorm(channels) if kind == "BiasFree" else nn.LayerNorm(channels, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised `x`, of the same shape."""
        normalised: Tensor = self.body(x.permute(0, 2, 3, 1))
        return normalised.permute(0, 3, 1, 2)


class Attention(nn.Module):
    """Multi-Dconv head transposed attention, MDTA: channels attend to channels.

        out = W (V softmax(K Q temperature)) per head, with Q and K of unit length over the pixels

    Q, K, V come from a 1x1 and a depthwise 3x3 convolution. Source: equation 1 and figure 2a.
    """

    def __init__(self, channels: int, heads: int, bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=bias)
        self.qkv_dwconv = nn.Conv2d(3 * channels, 3 * channels, 3, padding=1, groups=3 * channels, bias=bias)
        self.project_out = nn.Conv2d(channels, channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H, W]."""
        mixed = self.qkv_dwconv(self.qkv(x))
        # [N, 3C, H, W] -> three of [N, heads, C / heads, H W]
        query, key, value = mixed.flatten(2).unflatten(1, (3, self.heads, -1)).unbind(1)
        query, key = functional.normalize(query, dim=-1), functional.normalize(key, dim=-1)
        weights = (query @ key.transpose(-2, -1) * self.temperature).softmax(-1)
        out: Tensor = self.project_out((weights @ value).flatten(1, 2).unflatten(2, x.shape[-2:]))
        return out


class FeedForward(nn.Module):
    """Gated-Dconv feed-forward network, GDFN.

        out = W (GELU(a) * b)     [a, b] = depthwise 3x3 of a 1x1 convolution to 2 int(expansion C) channels

    Source: equation 2 and figure 2b.
    """

    def __init__(self, channels: int, expansion: float, bias: bool) -> None:
        super().__init__()
        hidden = int(channels * expansion)
        self.project_in = nn.Conv2d(channels, 2 * hidden, 1, bias=bias)
        self.dwconv = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden, bias=bias)
        self.project_out = nn.Conv2d(hidden, channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H, W]."""
        gate, passed = self.dwconv(self.project_in(x)).chunk(2, dim=1)
        out: Tensor = self.project_out(functional.gelu(gate) * passed)
        return out


class TransformerBlock(nn.Module):
    """x + MDTA(norm(x)), then the same with GDFN."""

    def __init__(self, channels: int, heads: int, expansion: float, bias: bool, layer_norm: str) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(channels, layer_norm)
        self.attn = Attention(channels, heads, bias)
        self.norm2 = ChannelNorm(channels, layer_norm)
        self.ffn = FeedForward(channels, expansion, bias)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H, W]."""
        attended = x + self.attn(self.norm1(x))
        out: Tensor = attended + self.ffn(self.norm2(attended))
        return out


class PatchEmbedding(nn.Module):
    """The first 3x3 convolution, from the image."""

    def __init__(self, image_channels: int, channels: int, bias: bool) -> None:
        super().__init__()
        self.proj = nn.Conv2d(image_channels, channels, 3, padding=1, bias=bias)

    def forward(self, image: Tensor) -> Tensor:
        """[N, 3 or 1, H, W] -> [N, C, H, W]."""
        embedded: Tensor = self.proj(image)
        return embedded


class Resize(nn.Module):
    """A bias-free 3x3 convolution and a pixel permutation.

    `down`: [N, C, H, W] -> [N, 2C, H/2, W/2]; `up`: [N, C, H, W] -> [N, C/2, 2H, 2W].
    """

    def __init__(self, channels: int, down: bool) -> None:
        super().__init__()
        out_channels = channels // 2 if down else 2 * channels
        shuffle = nn.PixelUnshuffle(2) if down else nn.PixelShuffle(2)
        self.body = nn.Sequential(nn.Conv2d(channels, out_channels, 3, padding=1, bias=False), shuffle)

    def forward(self, x: Tensor) -> Tensor:
        """The resized map."""
        resized: Tensor = self.body(x)
        return resized


class Restormer(nn.Module):
    """Four-level encoder-decoder of transformer blocks with concatenated skips; restores image + residual.

    The default has 26,111,668 parameters (26,126,644 with `WithBias`). On 256x256 its convolutions take
    140.99 GMAC, which is the published figure; the matrix products of attention, left out there, bring it to
    154.88 GMAC. The published Gaussian denoisers are `BiasFree`, the other checkpoints `WithBias`.

    Args:
        dim: channels at full resolution, even; each level doubles them.
        blocks: transformer blocks at levels 1 to 4; levels 1 to 3 have them in encoder and decoder.
        refinement_blocks: blocks after the decoder, at full resolution with 2 dim channels.
        heads: attention heads at levels 1 to 4; each divides the level's channels.
        ffn_expansion: hidden channels of the feed-forward network per channel.
        bias: biases in the convolutions of blocks, skips and output.
        layer_norm: `BiasFree` or `WithBias`.
        channels: of the image: 3 of colour, 1 of grey.

    Attributes:
        feature_channels: channels of `decoder3`, `decoder2`, `decoder1`, `refinement`.
        feature_scales: their downscale factors 4, 2, 1, 1.

    Raises:
        ConfigError: a size is out of range.
    """

    def __init__(
        self,
        dim: int = 48,
        blocks: Sequence[int] = (4, 6, 6, 8),
        refinement_blocks: int = 4,
        heads: Sequence[int] = (1, 2, 4, 8),
        ffn_expansion: float = 2.66,
        bias: bool = False,
        layer_norm: str = "BiasFree",
        channels: int = COLOUR,
    ) -> None:
        super().__init__()
        check_channels("restormer", channels)
        _check_sizes(dim, (*blocks, refinement_blocks), heads, ffn_expansion, layer_norm)

        def stage(count: int, channels: int, head_count: int) -> nn.Sequential:
            made = (
                TransformerBlock(channels, head_count, ffn_expansion, bias, layer_norm) for _ in range(count)
            )
            return nn.Sequential(*made)

        self.feature_channels = {
            "decoder3": 4 * dim,
            "decoder2": 2 * dim,
            "decoder1": 2 * dim,
            "refinement": 2 * dim,
        }
        self.feature_scales = {"decoder3": 4, "decoder2": 2, "decoder1": 1, "refinement": 1}
        self.multiple = 1 << (LEVELS - 1)
        self.image_channels = channels
        self.patch_embed = PatchEmbedding(channels, dim, bias)
        self.encoder_level1 = stage(blocks[0], dim, heads[0])
        self.down1_2 = Resize(dim, down=True)
        self.encoder_level2 = stage(blocks[1], 2 * dim, heads[1])
        self.down2_3 = Resize(2 * dim, down=True)
        self.encoder_level3 = stage(blocks[2], 4 * dim, heads[2])
        self.down3_4 = Resize(4 * dim, down=True)
        self.latent = stage(blocks[3], 8 * dim, heads[3])
        self.up4_3 = Resize(8 * dim, down=False)
        self.reduce_chan_level3 = nn.Conv2d(8 * dim, 4 * dim, 1, bias=bias)
        self.decoder_level3 = stage(blocks[2], 4 * dim, heads[2])
        self.up3_2 = Resize(4 * dim, down=False)
        self.reduce_chan_level2 = nn.Conv2d(4 * dim, 2 * dim, 1, bias=bias)
        self.decoder_level2 = stage(blocks[1], 2 * dim, heads[1])
        self.up2_1 = Resize(2 * dim, down=False)
        # No reduction here: level 1 of the decoder keeps both halves of the concatenation.
        self.decoder_level1 = stage(blocks[0], 2 * dim, heads[0])
        self.refinement = stage(refinement_blocks, 2 * dim, heads[0])
        self.output = nn.Conv2d(2 * dim, channels, 3, padding=1, bias=bias)

    def forward(self, image: Tensor) -> Tensor:
        """Restore `image` [N, C, H, W], float in [0, 1] before noise; the output is not clamped."""
        return self.forward_features(image)[0]

    def forward_features(self, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Restore, and return the decoder features [N, C, h, w].

        Sides that are not a multiple of 8 are extended by their last row and column and cropped from the
        output; the features are those of the extended image.
        """
        height, width = image.shape[-2:]
        padding = (0, -width % self.multiple, 0, -height % self.multiple)
        padded = functional.pad(image, padding, mode="replicate") if any(padding) else image
        encoded1 = self.encoder_level1(self.patch_embed(padded))
        encoded2 = self.encoder_level2(self.down1_2(encoded1))
        encoded3 = self.encoder_level3(self.down2_3(encoded2))
        latent = self.latent(self.down3_4(encoded3))
        joined3 = torch.cat([self.up4_3(latent), encoded3], 1)
        decoded3 = self.decoder_level3(self.reduce_chan_level3(joined3))
        joined2 = torch.cat([self.up3_2(decoded3), encoded2], 1)
        decoded2 = self.decoder_level2(self.reduce_chan_level2(joined2))
        decoded1 = self.decoder_level1(torch.cat([self.up2_1(decoded2), encoded1], 1))
        refined = self.refinement(decoded1)
        features = {"decoder3": decoded3, "decoder2": decoded2, "decoder1": decoded1, "refinement": refined}
        return (self.output(refined) + padded)[..., :height, :width], features


def _check_sizes(
    dim: int, blocks: Sequence[int], heads: Sequence[int], expansion: float, layer_norm: str
) -> None:
    if len(blocks) != LEVELS + 1 or len(heads) != LEVELS:
        raise ConfigError(f"restormer: blocks and heads need {LEVELS} values each, one per level")
    if dim < 2 or dim % 2:
        raise ConfigError(f"restormer: dim is {dim}; it must be even and at least 2")
    if min(blocks) < 0:
        raise ConfigError("restormer: blocks and refinement_blocks must not be negative")
    for level, count in enumerate(heads):
        if count < 1 or (dim << level) % count:
            raise ConfigError(f"restormer: heads[{level}] is {count}; it must divide {dim << level} channels")
    if int(dim * expansion) < 1:
        raise ConfigError(f"restormer: ffn_expansion {expansion} leaves no hidden channel; raise it")
    if layer_norm not in LAYER_NORMS:
        raise ConfigError(f"restormer: layer_norm '{layer_norm}' is unknown; use {' or '.join(LAYER_NORMS)}")
