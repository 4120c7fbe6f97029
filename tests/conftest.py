"""Networks and photographs that several tests share; all are small and seeded."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from snn_tool.models.integer import IntegerNetwork
from snn_tool.models.network import Network
from snn_tool.models.quantization import quantize
from snn_tool.models.student import StudentConfig, build_student, default_config

Image = NDArray[np.float32]


@pytest.fixture(scope="session")
def photograph() -> Image:
    """A real photograph [3, 64, 64] in [0, 1] with Gaussian noise of sigma 25."""
    from skimage import data

    clean = data.astronaut()[100:164, 180:244].transpose(2, 0, 1) / 255
    noise = np.random.default_rng(0).normal(0, 25 / 255, clean.shape)
    return (clean + noise).astype(np.float32)


@pytest.fixture(scope="session")
def make_student() -> Callable[..., tuple[Network, StudentConfig]]:
    """Untrained but active students: the default initialisation makes all populations fire on photographs."""

    def build(
        neuron: str, body: str = "unet", width: int = 4, seed: int = 0
    ) -> tuple[Network, StudentConfig]:
        from dataclasses import replace

        config = replace(default_config(neuron, body), width=width)
        torch.manual_seed(seed)
        student = build_student(config)
        with torch.no_grad():
            for name, synapse in student.synapses.items():
                synapse.raw_weight *= 10 if name == "tail" else 1.5
                if synapse.bias is not None:
                    synapse.bias += torch.randn_like(synapse.bias) * 0.05
        return student, config

    return build


@pytest.fixture(scope="session")
def make_network(
    make_student: Callable[..., tuple[Network, StudentConfig]], photograph: Image
) -> Callable[..., IntegerNetwork]:
    """The integer networks of `make_student`, with distinct non-zero biases."""

    def build(neuron: str, body: str = "unet", width: int = 4, seed: int = 0) -> IntegerNetwork:
        student, config = make_student(neuron, body, width, seed)
        return quantize(student, config, [photograph])

    return build
