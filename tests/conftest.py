"""Networks and photographs that several tests share; all are small and seeded."""

import signal
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from snn_tool.models.config import StudentConfig, default_config
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.integer.quantize import quantize
from snn_tool.models.network import Network
from snn_tool.models.student import build_student

Image = NDArray[np.float32]
PROGRAM_FIXTURES = ("lava", "sanafe", "zigzag")
"""Fixtures that look for an interpreter of their own, and start programs in it."""


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what asks for such a fixture, also through another fixture, with its name."""
    for item in items:
        for name in set(PROGRAM_FIXTURES) & set(getattr(item, "fixturenames", ())):
            item.add_marker(name)


for _number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    # What a shell starts in its background ignores Ctrl-C, and programs started here would inherit that.
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.SIG_DFL if _number != signal.SIGINT else signal.default_int_handler)


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
        neuron: str, body: str = "unet", width: int = 4, seed: int = 0, channels: int = 3, passes: int = 1
    ) -> tuple[Network, StudentConfig]:
        from dataclasses import replace

        config = replace(default_config(neuron, body), width=width, channels=channels, passes=passes)
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

    def build(
        neuron: str, body: str = "unet", width: int = 4, seed: int = 0, channels: int = 3, passes: int = 1
    ) -> IntegerNetwork:
        student, config = make_student(neuron, body, width, seed, channels, passes)
        return quantize(student, config, [photograph[:channels]])

    return build


@pytest.fixture(scope="session")
def lif_reference() -> Callable[..., tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Lava's stock LIF from rest in numpy int64: spikes and membranes after the reset, [T, N, C, H, W]."""
    half = 1 << 23

    def run(
        total: NDArray[np.int64], bias: NDArray[np.int64], threshold: int | None, decay: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        membrane = np.zeros_like(total[0])
        spikes, membranes = np.zeros_like(total), np.zeros_like(total)
        for step, current in enumerate(total):
            kept = np.sign(membrane) * ((np.abs(membrane) * (4096 - decay)) >> 12)
            drive = current << 6
            drive = np.where(drive > half, drive - 2 * half, drive)
            drive = np.where(drive <= -half, drive + 2 * half, drive)
            membrane = np.clip(kept + drive + (bias[:, None, None] << 6), -half + 1, half - 1)
            if threshold is not None:
                spikes[step] = membrane > threshold << 6
                membrane = np.where(spikes[step], 0, membrane)
            membranes[step] = membrane
        return spikes, membranes

    return run


@pytest.fixture(scope="session")
def graded_reference() -> Callable[..., tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Graded neurons in numpy int64: levels and saturated membranes, of the membranes' shape."""

    def run(
        membrane: NDArray[np.int64], threshold: int, spike_range: tuple[int, int]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        held = np.clip(membrane, -(1 << 23) + 1, (1 << 23) - 1)
        magnitude = (2 * np.abs(held) + threshold) // (2 * threshold)
        return np.clip(np.sign(held) * magnitude, *spike_range), held

    return run
