"""bf16 training on the CPU: the gradients are finite and point where those of fp32 point."""

import pytest
import torch
from snn_tool.models.config import default_config
from snn_tool.models.student import build_student, build_twin
from torch import Tensor, nn
from torch.nn import functional


def gradients(network: nn.Module, bf16: bool) -> dict[str, Tensor]:
    torch.manual_seed(1)
    image = torch.rand(2, 3, 32, 32).to(memory_format=torch.channels_last)
    network.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        restored = network(image)
    (restored.float() - image.flip(2)).square().mean().backward()
    return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("body", ["unet", "flat"])
def test_the_twins_gradients_are_those_of_fp32(body: str) -> None:
    """ReLU networks, whose gradients are continuous; a dilated convolution once gave NaN here."""
    torch.manual_seed(0)
    network = build_twin(default_config("graded", body)).to(memory_format=torch.channels_last)
    exact, rounded = gradients(network, bf16=False), gradients(network, bf16=True)
    for name, gradient in exact.items():
        assert torch.isfinite(rounded[name]).all(), name
        assert functional.cosine_similarity(gradient.flatten(), rounded[name].flatten(), 0) > 0.98, name


@pytest.mark.parametrize("body", ["unet", "flat"])
@pytest.mark.parametrize("neuron", ["graded", "lif"])
def test_spiking_gradients_are_finite_and_present(neuron: str, body: str) -> None:
    torch.manual_seed(0)
    network = build_student(default_config(neuron, body)).to(memory_format=torch.channels_last)
    found = gradients(network, bf16=True)
    assert set(found) == {name for name, _ in network.named_parameters()}
    for name, gradient in found.items():
        assert torch.isfinite(gradient).all(), name
    assert sum(float(gradient.abs().sum()) for gradient in found.values()) > 0
