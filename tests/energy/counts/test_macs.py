"""Counting a whole network: who is booked, what is left untouched, and the twin counted in two ways."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from snn_tool.energy.counts.dense import MacReport, MacRow, count_macs
from snn_tool.energy.counts.fan_out import network_macs, synapse_macs
from snn_tool.energy.report.columns import twin_load
from snn_tool.errors import UnsupportedLayerError
from snn_tool.models.config import default_config
from snn_tool.models.student import build_topology, build_twin
from snn_tool.models.topology import IMAGE, Synapse, Topology
from torch import Tensor, nn
from torch.nn import functional


class Everything(nn.Module):
    """Weights of its own, buffers, a shared layer, dropout, and a branch on the training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((1, 4, 1, 1), 2.0))
        self.register_buffer("steps", torch.zeros(4))
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.shared = nn.Conv2d(4, 4, 1, bias=False)
        self.dropout = nn.Dropout(0.5)

    def forward(self, image: Tensor) -> Tensor:
        x = self.norm(self.first(image))
        x = self.shared(self.dropout(self.shared(x)))
        if self.training:
            raise AssertionError("counts are for inference")
        # weights alone: their square, mean and difference are the same for every image
        constant = self.scale.square() - self.scale.mean() + self.steps.view(1, 4, 1, 1)
        return x * constant


def rows_by_name(report: MacReport) -> dict[tuple[str, str], MacRow]:
    return {(row.name, row.kind): row for row in report.rows}


def test_each_module_is_booked_with_what_it_computed_itself() -> None:
    report = count_macs(Everything(), (2, 3, 5, 5))
    values = 2 * 4 * 5 * 5
    # name, kind -> padded, exact, elementwise, parameters; 13 real taps per row of 5 with padding 1
    assert rows_by_name(report) == {
        (row.name, row.kind): row
        for row in (
            MacRow("first", "convolution", 27 * values, 2 * 3 * 4 * 13 * 13, values, 27 * 4 + 4),
            MacRow("norm", "elementwise", 0, 0, 2 * values, 8),
            MacRow("shared", "convolution", 2 * 4 * values, 2 * 4 * values, 0, 16),
            MacRow("Everything", "elementwise", 0, 0, values, 4),
        )
    }
    assert report.padded_macs == (27 + 8) * values
    assert report.elementwise_ops == 4 * values
    assert report.parameters == sum(p.numel() for p in Everything().parameters())


def test_counting_leaves_no_trace() -> None:
    network = Everything().train()
    network.norm.eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    modes = [part.training for part in network.modules()]
    identities = [id(p) for p in network.parameters()]
    random_state = torch.random.get_rng_state()
    fused = torch.backends.mha.get_fastpath_enabled()
    first, second = count_macs(network, (1, 3, 8, 8)), count_macs(network, (1, 3, 8, 8))
    assert first == second
    assert [part.training for part in network.modules()] == modes
    assert [id(p) for p in network.parameters()] == identities
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in network.parameters())
    assert torch.equal(torch.random.get_rng_state(), random_state)
    assert torch.backends.mha.get_fastpath_enabled() == fused
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in network.modules())
    assert torch.is_grad_enabled()


def test_a_refused_network_is_left_untouched_too() -> None:
    class Transform(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.fft.fft2(x).abs()

    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.ReLU(), Transform())).train()
    with pytest.raises(UnsupportedLayerError, match=r"^1\.1: the operation aten\._fft"):
        count_macs(network, (1, 3, 8, 8))
    assert all(part.training for part in network.modules())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in network.modules())
    assert torch.is_grad_enabled()
    assert torch.ones(1).item() == 1.0  # no mode is left on the stack


@contextmanager
def silent_torch() -> Iterator[None]:
    """Torch logs a failing fake operation; the test expects it."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_device_and_dtype_do_not_matter(device: str, dtype: torch.dtype) -> None:
    expected = count_macs(Everything(), (1, 3, 8, 8))
    assert count_macs(Everything().to(device=device, dtype=dtype), (1, 3, 8, 8)) == expected


def test_a_network_that_looks_at_values_is_refused() -> None:
    class Peek(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return image * 2 if float(image.mean()) > 0 else image

    with silent_torch(), pytest.raises(UnsupportedLayerError, match="0: reads a tensor's value in Python"):
        count_macs(nn.Sequential(Peek()), (1, 3, 8, 8))


def test_writing_the_image_into_a_constant_makes_it_depend_on_the_image() -> None:
    class Canvas(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            canvas = torch.zeros(1, 3, 10, 10)
            canvas = canvas + 1  # still a constant: free
            canvas[..., 1:9, 1:9] = image
            return canvas * 2

    assert count_macs(Canvas(), (1, 3, 8, 8)).elementwise_ops == 3 * 10 * 10


def test_shared_parameters_count_once_and_unused_ones_are_listed() -> None:
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1))
    network[1].weight = network[0].weight
    network.register_parameter("spare", nn.Parameter(torch.zeros(7)))
    report = count_macs(network, (1, 3, 4, 4))
    assert report.parameters == sum(p.numel() for p in network.parameters()) == 9 + 3 + 3 + 7
    assert rows_by_name(report)["Sequential", "parameters"].parameters == 7
    assert report.padded_macs == 2 * 9 * 16


def test_a_batch_costs_its_images() -> None:
    one, three = (count_macs(Everything(), (n, 3, 8, 8)) for n in (1, 3))
    assert (three.padded_macs, three.exact_macs) == (3 * one.padded_macs, 3 * one.exact_macs)
    assert three.elementwise_ops == 3 * one.elementwise_ops


def synapses() -> st.SearchStrategy[Synapse]:
    channels, kernel = st.integers(1, 5), st.sampled_from([1, 3, 5])
    return st.builds(
        Synapse,
        st.just("s"),
        st.just(IMAGE),
        channels,
        channels,
        kernel,
        st.integers(1, 2),
        st.integers(1, 3),
    )


@given(synapses(), st.integers(1, 12), st.integers(1, 12))
@settings(max_examples=100, deadline=None)
def test_a_synapse_equals_an_integer_convolution_of_ones(wiring: Synapse, height: int, width: int) -> None:
    ones = torch.ones(1, wiring.in_channels, height, width, dtype=torch.int64)
    weight = torch.ones(
        wiring.out_channels, wiring.in_channels, wiring.kernel, wiring.kernel, dtype=torch.int64
    )
    out = functional.conv2d(ones, weight, None, wiring.stride, wiring.padding, wiring.dilation)
    macs = synapse_macs(wiring, height, width)
    assert macs.exact_macs == int(out.sum()) <= macs.padded_macs
    assert macs.padded_macs == out.numel() * wiring.in_channels * wiring.kernel**2
    assert macs.parameters == weight.numel() + wiring.out_channels


def uncharged(topology: Topology, height: int, width: int) -> int:
    """What the float network does besides: it subtracts the image's offset (folded into the first bias when
    deployed) and averages read-out and hints over its single timestep (which changes nothing)."""
    averaged = [p for p in topology.populations if p.name in (*topology.hints, topology.readout.name)]
    means = sum(p.channels * (height // p.downscale) * (width // p.downscale) for p in averaged)
    return 3 * height * width + means


@pytest.mark.slow
@pytest.mark.parametrize("body", ["unet", "flat", "chain"])
@given(st.integers(4, 9), st.integers(1, 9), st.integers(1, 9))
@settings(max_examples=10, deadline=None)
def test_the_twin_counted_from_its_wiring_equals_the_twin_counted_in_torch(
    body: str, channels: int, rows: int, columns: int
) -> None:
    config = replace(default_config("graded", body), width=channels)
    topology = build_topology(config)
    height, width = rows * topology.multiple, columns * topology.multiple
    report = count_macs(build_twin(config), (1, 3, height, width))
    layers = network_macs(topology, height, width)
    by_module = rows_by_name(report)
    for layer in layers:
        row = by_module[f"synapses.{layer.synapse}", "convolution"]
        assert (layer.padded_macs, layer.exact_macs) == (row.padded_macs, row.exact_macs)
        assert layer.parameters == row.parameters
        assert layer.exact_macs <= layer.padded_macs
    assert sum(layer.padded_macs for layer in layers) == report.padded_macs
    assert sum(layer.exact_macs for layer in layers) == report.exact_macs
    extra = uncharged(topology, height, width)
    assert twin_load(topology, height, width).elementwise_ops == report.elementwise_ops - extra


# --- the traffic of single operations


class Attentive(nn.Module):
    """A convolution, a product with stored weights, one of two activations, and a sum with a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.linear = nn.Linear(4, 6)
        self.register_buffer("offset", torch.zeros(4))

    def forward(self, image: Tensor) -> Tensor:
        tokens = (self.conv(image).flatten(2).transpose(1, 2) + self.offset).contiguous()
        return self.linear(tokens) @ self.linear(tokens).transpose(1, 2)


def test_operations_know_what_they_read_and_write() -> None:
    """An image of 5 x 7: 35 tokens of 4 channels, projected to 6, and 35 x 35 products."""
    report = count_macs(Attentive(), (1, 3, 5, 7))
    moved = [(c.inputs, c.weights, c.biases, c.outputs) for c in report.calls]
    convolution, total, *linear, product = moved
    assert convolution == (3 * 35, 4 * 3 * 9, 4, 4 * 35)
    assert total == (4 * 35, 4, 0, 4 * 35)
    assert linear == [(4 * 35, 24, 6, 6 * 35)] * 2
    assert product == (2 * 6 * 35, 0, 0, 35 * 35)
    assert [c.padded_macs for c in report.calls] == [4 * 27 * 35, 0, 24 * 35, 24 * 35, 6 * 35 * 35]
    for name in ("padded_macs", "exact_macs", "elementwise_ops"):
        assert sum(getattr(call, name) for call in report.calls) == getattr(report, name)


@pytest.mark.parametrize("body", ["unet", "flat", "chain"])
def test_the_twin_moves_what_its_torch_network_moves(body: str) -> None:
    """Convolutions from the wiring and from a run; the run sees the image after its offset."""
    config = replace(default_config("lif", body), width=6)
    run = [call for call in count_macs(build_twin(config), (1, 3, 16, 24)).calls if call.padded_macs]
    wired = [layer for layer in twin_load(build_topology(config), 16, 24).layers if layer.padded_macs]
    moved = {
        layer.name: (layer.exact_macs, layer.inputs, layer.weights, layer.biases, layer.outputs)
        for layer in wired
    }
    assert moved == {
        call.name.removeprefix("synapses."): (
            call.exact_macs,
            call.inputs,
            call.weights,
            call.biases,
            call.outputs,
        )
        for call in run
    }
