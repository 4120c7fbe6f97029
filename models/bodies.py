"""The bodies that students have: their wirings, each built of residual blocks or of a plain stack."""

from collections.abc import Sequence
from typing import TypedDict, Unpack

from snn_tool.models.topology import COLOUR, IMAGE, Population, Synapse, Topology


class _SynapseOptions(TypedDict, total=False):
    """The fields of `Synapse` that have defaults."""

    kernel: int
    stride: int
    dilation: int
    upsample: int
    zero_mean: bool
    bias: bool
    gain: float


class _Builder:
    """Collects synapses and populations; `stream` is the tuple of synapse names that form the membrane.

    The head reads `in_channels` of the image, and of several passes as many of a result.
    """

    def __init__(self, in_channels: int, out_channels: int, passes: int) -> None:
        self.in_channels, self.out_channels = in_channels * (2 if passes > 1 else 1), out_channels
        self.passes = passes
        self.synapses: list[Synapse] = []
        self.populations: list[Population] = []

    def synapse(
        self, name: str, source: str, in_channels: int, out_channels: int, **options: Unpack[_SynapseOptions]
    ) -> str:
        self.synapses.append(Synapse(name, source, in_channels, out_channels, **options))
        return name

    def population(self, name: str, stream: tuple[str, ...], channels: int, downscale: int = 1) -> str:
        self.populations.append(Population(name, stream, channels, downscale))
        return name

    def head(self, width: int) -> str:
        """Append the first synapse; its kernels have no mean, so that brightness costs no spikes."""
        return self.synapse("head", IMAGE, self.in_channels, width, kernel=5, zero_mean=True, gain=3.0)

    def residual(
        self, name: str, stream: tuple[str, ...], channels: int, downscale: int = 1, dilation: int = 1
    ) -> tuple[str, ...]:
        """Append x + conv2(spike(conv1(spike(x)))) with a membrane shortcut; return the longer stream."""
        first = self.population(f"{name}_in", stream, channels, downscale)
        conv1 = self.synapse(f"{name}_conv1", first, channels, channels, dilation=dilation)
        second = self.population(f"{name}_mid", (conv1,), channels, downscale)
        conv2 = self.synapse(f"{name}_conv2", second, channels, channels, dilation=dilation, gain=0.5)
        return (*stream, conv2)

    def finish(self, stream: tuple[str, ...], channels: int, hints: Sequence[str]) -> Topology:
        """Append the tail and the read-out."""
        last = self.population("tail_in", stream, channels)
        tail = self.synapse("tail", last, channels, self.out_channels, gain=0.1)
        self.population("readout", (tail,), self.out_channels)
        parts = tuple(self.synapses), tuple(self.populations), tuple(hints)
        return Topology(*parts, passes=self.passes)


def unet(width: int = 24, in_channels: int = COLOUR, out_channels: int = COLOUR, passes: int = 1) -> Topology:
    """Encoder-decoder: one residual block per level, stride-2 conv down, 1x1 conv + pixel-shuffle up.

    At the default width it has 79,908 trainable values, for grey images 78,274, of several passes 81,708.
    """
    build = _Builder(in_channels, out_channels, passes)
    head = build.head(width)
    skip = build.residual("enc", (head,), width)
    down_in = build.population("down_in", skip, width)
    down = build.synapse("down", down_in, width, 2 * width, stride=2)
    deep = build.residual("mid", (down,), 2 * width, downscale=2)
    up_in = build.population("up_in", deep, 2 * width, downscale=2)
    # A bias before the pixel-shuffle would differ between the four sub-positions of one channel.
    up = build.synapse("up", up_in, 2 * width, 4 * width, kernel=1, upsample=2, bias=False)
    wide = build.residual("dec", (*skip, up), width)
    return build.finish(wide, width, hints=("up_in", "tail_in"))


def flat(
    width: int = 28,
    in_channels: int = COLOUR,
    out_channels: int = COLOUR,
    passes: int = 1,
    dilations: Sequence[int] = (1, 2, 4, 2),
) -> Topology:
    """One resolution, a residual block of dilated convolutions for each entry of `dilations`.

    It needs no pixel-shuffle, so that standard NIR nodes can express all of it.
    """
    build = _Builder(in_channels, out_channels, passes)
    stream: tuple[str, ...] = (build.head(width),)
    for index, dilation in enumerate(dilations, start=1):
        stream = build.residual(f"block{index}", stream, width, dilation=dilation)
    middle = f"block{len(dilations) // 2 + 1}_in"
    return build.finish(stream, width, hints=(middle, "tail_in"))


def chain(
    width: int = 40,
    in_channels: int = COLOUR,
    out_channels: int = COLOUR,
    passes: int = 1,
    dilations: Sequence[int] = (1, 2, 4, 2, 1),
) -> Topology:
    """One resolution, a plain stack: each population reads the one before it through one dilated convolution.

    Without a skip or a pixel-shuffle it is what layer-by-layer formats such as lava-dl's `.net` can hold. At
    the default width it has 76,329 trainable values.
    """
    build = _Builder(in_channels, out_channels, passes)
    last = build.head(width)
    for index, dilation in enumerate(dilations, start=1):
        source = build.population(f"layer{index}_in", (last,), width)
        # Without a shortcut the gain has to keep the spikes alive: at 1 the fifth layer starts silent.
        last = build.synapse(f"layer{index}", source, width, width, dilation=dilation, gain=1.5)
    return build.finish((last,), width, hints=(f"layer{len(dilations) // 2 + 1}_in", "tail_in"))
