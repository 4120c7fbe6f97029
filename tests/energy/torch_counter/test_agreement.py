"""Independent counters at zero tolerance; where they differ, a test says which of them is wrong and why.

spikingjelly 2.0 `SynOpCounter`, NeuroBench 2.3 `SynapticOperations` (its `single_layer_MACs`), and torch's
`FlopCounterMode`, which counts two operations per multiply-accumulate.
"""

from collections.abc import Callable

import pytest
import torch
from neurobench.metrics.utils.layers import single_layer_MACs
from snn_tool.energy import count_spikes
from snn_tool.energy.torch_counter.kinds import Spikes
from snn_tool.energy.torch_counter.result import SpikeCount
from spikingjelly.activation_based import functional as jelly
from spikingjelly.activation_based import neuron
from spikingjelly.activation_based.op_counter import DispatchCounterMode, SynOpCounter
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


class Emitter(nn.Module):
    """A neuron that fires what it is given."""

    def forward(self, spikes: Tensor) -> Tensor:
        return spikes.clone()


def ours(spikes: Tensor, *layers: nn.Module) -> SpikeCount:
    network = nn.Sequential(Emitter(), *layers)
    with count_spikes(network, spiking={Emitter: Spikes()}) as counter, torch.no_grad():
        network(spikes)
    return counter.result()


def spikingjelly(network: nn.Module, *frames: Tensor) -> int:
    counter = SynOpCounter()
    with DispatchCounterMode([counter]), torch.no_grad():
        for frame in frames:
            network(frame)
    return int(counter.get_total())


def random_spikes(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return (torch.rand(shape, generator=generator) < 0.3).float()


LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "plain": (lambda: nn.Conv2d(4, 6, 3, padding=1), (2, 4, 9, 7)),
    "strided": (lambda: nn.Conv2d(4, 6, 3, stride=2, padding=1), (2, 4, 9, 8)),
    "strides that skip inputs": (lambda: nn.Conv2d(4, 6, 2, stride=3), (2, 4, 9, 7)),
    "dilated": (lambda: nn.Conv2d(4, 6, 3, padding=2, dilation=2), (2, 4, 9, 7)),
    "grouped": (lambda: nn.Conv2d(4, 6, 3, padding=1, groups=2), (2, 4, 9, 7)),
    "depthwise": (lambda: nn.Conv2d(4, 4, 5, padding=2, groups=4), (2, 4, 9, 7)),
    "uneven": (lambda: nn.Conv2d(4, 6, (1, 5), (2, 1), (0, 2)), (2, 4, 9, 7)),
    "one dimension": (lambda: nn.Conv1d(4, 6, 3, stride=2, padding=1), (2, 4, 11)),
    "linear": (lambda: nn.Linear(13, 7), (3, 13)),
    "linear over time": (lambda: nn.Linear(13, 7, bias=False), (5, 3, 13)),
}
TRANSPOSED: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "plain": (lambda: nn.ConvTranspose2d(4, 6, 3), (2, 4, 5, 4)),
    "doubling": (lambda: nn.ConvTranspose2d(4, 6, 4, stride=2, padding=1), (2, 4, 5, 4)),
    "grouped": (lambda: nn.ConvTranspose2d(4, 6, 3, 2, 1, output_padding=1, groups=2), (2, 4, 5, 4)),
    "dilated": (lambda: nn.ConvTranspose2d(4, 6, 3, 2, 1, dilation=2), (2, 4, 5, 4)),
    "one dimension": (lambda: nn.ConvTranspose1d(4, 6, 4, stride=2, padding=1), (2, 4, 11)),
}
ALL = {**LAYERS, **{f"transposed {name}": layer for name, layer in TRANSPOSED.items()}}


@pytest.mark.parametrize("name", ALL)
def test_spikingjelly_counts_the_same_synops(name: str) -> None:
    make, shape = ALL[name]
    layer, spikes = make(), random_spikes(*shape)
    assert ours(spikes, layer).synops == spikingjelly(layer, spikes) > 0


@pytest.mark.parametrize("name", LAYERS)
def test_neurobench_counts_the_same_synops(name: str) -> None:
    make, shape = LAYERS[name]
    layer, spikes = make(), random_spikes(*shape)
    count = ours(spikes, layer).of("1")
    assert single_layer_MACs(spikes, layer) == (count.synops_events, True)
    assert single_layer_MACs(spikes, layer, total=True)[0] == count.dense_exact_macs > 0


@pytest.mark.parametrize("name", ALL)
def test_torch_counts_the_same_dense_macs(name: str) -> None:
    make, shape = ALL[name]
    layer, spikes = make(), random_spikes(*shape)
    with FlopCounterMode(display=False) as flops:
        layer(spikes)
    assert 2 * ours(spikes, layer).of("1").dense_padded_macs == flops.get_total_flops() > 0


class Residual(nn.Module):
    """A spiking residual block: the sum of two currents enters one neuron, so that all layers read spikes."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            neuron.IFNode(v_threshold=0.3),
        )
        self.second = nn.Sequential(nn.Conv2d(outputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs))
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride=2)
        self.neuron = neuron.IFNode(v_threshold=0.3)

    def forward(self, spikes: Tensor) -> Tensor:
        fired: Tensor = self.neuron(self.second(self.first(spikes)) + self.shortcut(spikes))
        return fired


def test_a_whole_residual_network() -> None:
    torch.manual_seed(0)
    stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), neuron.LIFNode(v_threshold=0.3))
    head = nn.Sequential(nn.ConvTranspose2d(16, 4, 4, 2, 1), neuron.IFNode(), nn.Flatten(), nn.Linear(256, 5))
    network = nn.Sequential(*stem, Residual(8, 12), Residual(12, 16), *head).eval()
    frames = [2 * torch.rand(2, 3, 16, 16) for _ in range(3)]
    with count_spikes(network) as counter, torch.no_grad():
        for frame in frames:
            network(frame)
    count = counter.result()
    jelly.reset_net(network)
    assert spikingjelly(network, *frames) == count.synops > 0
    assert {row.name for row in count.rows if row.exact_macs} == {"0"}
    jelly.reset_net(network)
    with FlopCounterMode(display=False) as flops, torch.no_grad():
        network(frames[0])
    assert flops.get_total_flops() * len(frames) == 2 * count.total("dense_padded_macs")


def test_spiking_attention() -> None:
    """Coincidences of Q and K, and V's spikes against real scores."""
    first, second = random_spikes(2, 5, 3), random_spikes(2, 3, 6)

    class Product(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.neuron = Emitter()

        def forward(self, left: Tensor, right: Tensor) -> Tensor:
            return self.neuron(left) @ self.neuron(right)

    network = Product()
    with count_spikes(network, spiking={Emitter: Spikes()}) as counter:
        network(first, second)
    theirs = SynOpCounter()
    with DispatchCounterMode([theirs]):
        torch.bmm(first, second)
    assert counter.result().synops == theirs.get_total() == int((first @ second).sum()) > 0


# Differences, each with the side that is wrong.


@pytest.mark.parametrize("name", TRANSPOSED)
def test_neurobench_counts_transposed_convolutions_as_nothing(name: str) -> None:
    """Theirs: its list of layers ends with Linear and Conv1d to Conv3d, and everything else costs 0."""
    make, shape = TRANSPOSED[name]
    layer, spikes = make(), random_spikes(*shape)
    assert single_layer_MACs(spikes, layer)[0] == 0
    assert ours(spikes, layer).synops > 0


def test_neurobench_leaves_out_weights_that_are_zero() -> None:
    """A convention, not an error: a zero weight is a synapse that its network does not have; ours has it."""
    layer, spikes = nn.Linear(4, 6), torch.ones(1, 4)
    with torch.no_grad():
        layer.weight[:, 0] = 0.0
    assert single_layer_MACs(spikes, layer)[0] == 3 * 6
    assert ours(spikes, layer).synops == 4 * 6


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_spikingjelly_and_neurobench_take_a_binary_image_for_spikes(value: float) -> None:
    """Theirs: both look at the values. A black image is multiplied as any other image is."""
    layer, image = nn.Conv2d(1, 2, 1), torch.full((1, 1, 3, 3), value)
    assert spikingjelly(layer, image) == int(value) * 18
    assert single_layer_MACs(image, layer) == (int(value) * 18, True)
    with count_spikes(layer) as counter:
        layer(image)
    assert (counter.result().synops, counter.result().macs) == (0, 18)


def test_spikingjelly_loses_spikes_of_more_than_one_level() -> None:
    """Theirs: an average of spikes is no longer binary, so the layer behind a pool counts nothing."""
    spikes = random_spikes(1, 2, 4, 4)
    network = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(2, 3, 1))
    assert spikingjelly(network, spikes) == 0
    assert ours(spikes, *network).synops == 3 * int(spikes.sum()) > 0


def test_neurobench_takes_averaged_spikes_for_real_values() -> None:
    """Theirs: the events are right and are called MACs."""
    spikes = random_spikes(1, 2, 4, 4)
    pooled = nn.functional.avg_pool2d(spikes, 2)
    layer = nn.Conv2d(2, 3, 1)
    events, spiking = single_layer_MACs(pooled, layer)
    assert (events, spiking) == (3 * int((pooled != 0).sum()), False)
    assert ours(spikes, nn.AvgPool2d(2), layer).of("2").synops_events == events
