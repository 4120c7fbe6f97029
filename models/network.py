"""A topology as a float network: the spiking student, its ANN twin and the `unet` teacher are one class."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext

import torch
from snn_tool.errors import ConfigError
from snn_tool.models.config import MEMBRANE
from snn_tool.models.topology import IMAGE, Population, Synapse, Topology
from torch import Tensor, nn
from torch.nn import functional

IMAGE_OFFSET = 128 / 255
"""Subtracted from an image in [0, 1]: the integer network's inputs are grey levels minus 128."""


class SynapticConv(nn.Module):
    """One synapse's weights: convolution, optional zero-mean kernels, optional pixel-shuffle."""

    def __init__(self, synapse: Synapse) -> None:
        super().__init__()
        self.synapse = synapse
        shape = (synapse.out_channels, synapse.in_channels, synapse.kernel, synapse.kernel)
        self.raw_weight = nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.zeros(synapse.out_channels)) if synapse.bias else None
        nn.init.kaiming_normal_(self.raw_weight, nonlinearity="relu")
        with torch.no_grad():
            self.raw_weight.mul_(synapse.gain)

    @property
    def weight(self) -> Tensor:
        """The effective kernel [out, in, kh, kw]."""
        if not self.synapse.zero_mean:
            return self.raw_weight
        return self.raw_weight - self.raw_weight.mean((2, 3), keepdim=True)

    def forward(self, source: Tensor) -> Tensor:
        """Currents [T, N, C', H', W'] from a source [T, N, C, H, W]; timesteps are folded into the batch."""
        wiring = self.synapse
        # The weight gradient of a dilated bf16 convolution was NaN (torch 2.13, a CPU with AVX512-BF16).
        on_cpu = source.device.type == "cpu"
        in_fp32 = wiring.dilation > 1 and on_cpu and torch.is_autocast_enabled("cpu")
        with torch.autocast("cpu", enabled=False) if in_fp32 else nullcontext():
            folded = functional.conv2d(
                source.flatten(0, 1).float() if in_fp32 else source.flatten(0, 1),
                self.weight,
                self.bias,
                wiring.stride,
                wiring.padding,
                wiring.dilation,
            )
        if wiring.upsample > 1:
            folded = functional.pixel_shuffle(folded, wiring.upsample)
        return torch.unflatten(folded, 0, source.shape[:2])


class Network(nn.Module):
    """Image to restored image through a topology; the output is the degraded image plus the read-out.

    The read-out averages the last synapse's current over timesteps: a non-spiking integrator divided by T.

    Args:
        topology: the wiring.
        neuron: makes the neuron of one population.
        timesteps: T, how often the image's current is presented; 1 for `graded` and `relu`.
    """

    def __init__(self, topology: Topology, neuron: Callable[[], nn.Module], timesteps: int = 1) -> None:
        super().__init__()
        self.topology = topology
        self.timesteps = timesteps
        self.synapses = nn.ModuleDict({s.name: SynapticConv(s) for s in topology.synapses})
        self.neurons = nn.ModuleDict({p.name: neuron() for p in topology.spiking})
        self.tap(topology.hints)

    def tap(self, sites: Sequence[str], feature: str = MEMBRANE) -> None:
        """Choose which populations show a feature, and which.

        Args:
            sites: names of spiking populations, in the order in which the features are named.
            feature: `membrane`, what arrives at the neuron, or `spikes`, what leaves it.

        Raises:
            ConfigError: there is no such population; those that exist are named.
        """
        populations = {p.name: p for p in self.topology.spiking}
        if unknown := [name for name in sites if name not in populations]:
            raise ConfigError(
                f"hints: the network has no population '{unknown[0]}'; use some of {', '.join(populations)}"
            )
        self._tapped: tuple[Population, ...] = tuple(populations[name] for name in sites)
        self._feature = feature

    @property
    def feature_channels(self) -> dict[str, int]:
        """Channels of each named decoder feature."""
        return {population.name: population.channels for population in self._tapped}

    @property
    def feature_scales(self) -> dict[str, int]:
        """Downscale factor of each named decoder feature relative to the image."""
        return {population.name: population.downscale for population in self._tapped}

    @property
    def image_channels(self) -> int:
        """3 of a network for colour, 1 of one for grey."""
        return self.topology.image_channels

    @property
    def multiple(self) -> int:
        """Image sides must be multiples of this."""
        return self.topology.multiple

    def forward(self, image: Tensor) -> Tensor:
        """Restore `image` [N, C, H, W], float in [0, 1] before noise; input and output are not clamped."""
        return self.forward_features(image)[0]

    def forward_features(self, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Restore, and return each tapped population's feature, its mean over time, [N, C, h, w].

        Of several passes each reads the image and the result of the one before; the last gives both.
        """
        source = torch.cat([image, image], 1) if self.topology.passes > 1 else image
        restored, features = self.run_pass(image, source)
        for _ in range(self.topology.passes - 1):
            restored, features = self.run_pass(image, torch.cat([image, as_pixels(restored)], 1))
        return restored, features

    def run_pass(self, image: Tensor, source: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """One pass: the image plus the read-out, and the features.

        Args:
            image: [N, C, H, W], as in `forward`.
            source: what the first synapses read, [N, 2 C, H, W] in a network of several passes.
        """
        outputs: dict[str, Tensor] = {IMAGE: (source - IMAGE_OFFSET).unsqueeze(0)}
        currents: dict[str, Tensor] = {}
        features: dict[str, Tensor] = {}
        for population in self.topology.populations:
            for synapse in self.topology.synapses:
                if synapse.name in population.inputs and synapse.name not in currents:
                    currents[synapse.name] = self.synapses[synapse.name](outputs[synapse.source])
            membrane = sum_currents([currents[name] for name in population.inputs])
            if population is self.topology.readout:
                return image + membrane.mean(0), features
            steps = membrane.expand(self.timesteps, *membrane.shape[1:])
            outputs[population.name] = self.neurons[population.name](steps)
            if population in self._tapped:
                shown = membrane if self._feature == MEMBRANE else outputs[population.name]
                features[population.name] = shown.mean(0)
        raise AssertionError("a topology ends with its read-out")


def as_pixels(restored: Tensor) -> Tensor:
    """What the next pass is given of a result: 8-bit pixels in [0, 1]; rounding lets gradients through."""
    clamped = restored.clamp(0, 1)
    fixed = clamped.detach()
    return (fixed * 255 + 0.5).floor() / 255 + (clamped - fixed)


def sum_currents(currents: list[Tensor]) -> Tensor:
    """Sum currents [T or 1, N, C, H, W]; the image's current is the same at every timestep."""
    total = currents[0]
    for current in currents[1:]:
        total = total + current
    return total
