from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from snn_tool.errors import QuantizationError
from snn_tool.models.integer import WRAP, IntegerNetwork
from snn_tool.models.integer_run import (
    IntegerEngine,
    graded_step,
    lif_run,
    quantize_image,
    restore,
    wrap_once,
)
from snn_tool.models.network import Network
from snn_tool.models.ranges import population_range
from snn_tool.models.student import StudentConfig

KINDS = [(n, b) for n in ("graded", "lif") for b in ("unet", "flat", "chain")]
MakeNetwork = Callable[..., IntegerNetwork]
Image = NDArray[np.float32]


def column(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.int64).reshape(-1, 1, 1, 1, 1)


def test_lif_trace_by_hand() -> None:
    """decay 1024 / 4096, bias 1, threshold 100 (6400 in 64ths).

    t0: 60 * 64 + 64 = 3904. t1: 3904 * 3 >> 2 = 2928, + 54 * 64 + 64 = 6448 > 6400 fires, 0.
    t2: -200 * 64 + 64 = -12736. t3: -(12736 * 3 >> 2) = -9552, + 0 + 64 = -9488.
    """
    spikes, membranes = lif_run(column(60, 54, -200, 0), torch.tensor([1]).reshape(1, 1, 1), 100, 1024)
    assert spikes.flatten().tolist() == [0, 1, 0, 0]
    assert membranes.flatten().tolist() == [3904, 0, -12736, -9488]


def test_lif_does_not_fire_at_the_threshold_itself() -> None:
    spikes, _ = lif_run(column(100), torch.zeros(1, 1, 1, dtype=torch.int64), 100, 0)
    assert spikes.item() == 0
    spikes, _ = lif_run(column(101), torch.zeros(1, 1, 1, dtype=torch.int64), 100, 0)
    assert spikes.item() == 1


@given(st.integers(-(2**25), 2**25))
def test_wrap_once_equals_the_rule(value: int) -> None:
    wrapped = value - 2 * WRAP if value > WRAP else value + 2 * WRAP if value <= -WRAP else value
    assert wrap_once(torch.tensor(value)).item() == wrapped


@given(
    st.integers(-(2**20), 2**20), st.integers(1, 2**17 - 1), st.integers(0, 4095), st.integers(-4095, 4095)
)
def test_lif_step_equals_python_integers(current: int, threshold: int, decay: int, bias: int) -> None:
    start = 1000
    drive = current * 64
    drive = drive - 2 * WRAP if drive > WRAP else drive + 2 * WRAP if drive <= -WRAP else drive
    first = min(max(start * 64 + bias * 64, -WRAP + 1), WRAP - 1)
    first_fired = first > threshold * 64
    kept = 0 if first_fired else (1 if first >= 0 else -1) * (abs(first) * (4096 - decay) // 4096)
    second = min(max(kept + drive + bias * 64, -WRAP + 1), WRAP - 1)
    spikes, membranes = lif_run(
        column(start, current), torch.tensor([bias]).reshape(1, 1, 1), threshold, decay
    )
    assert spikes.flatten().tolist() == [int(first_fired), int(second > threshold * 64)]
    assert membranes.flatten()[1].item() == (0 if second > threshold * 64 else second)


@given(st.integers(-(2**24), 2**24), st.integers(1, 2**17 - 1))
def test_graded_step_rounds_half_away_from_zero(membrane: int, threshold: int) -> None:
    """Count the half-odd multiples of the threshold that the membrane reaches."""
    network = IntegerNetwork((), (), "graded", 1, 4, True, 0, 1)
    inside = min(max(membrane, -WRAP + 1), WRAP - 1)
    up = sum(2 * inside >= (2 * k - 1) * threshold for k in range(1, 5))
    down = sum(-2 * inside >= (2 * k - 1) * threshold for k in range(1, 5))
    level, saturated = graded_step(torch.tensor([membrane]), threshold, network)
    assert level.item() == up - down
    assert saturated.item() == inside


@pytest.mark.parametrize(("neuron", "body"), KINDS)
def test_currents_equal_int64_loops(
    make_network: MakeNetwork, photograph: Image, neuron: str, body: str
) -> None:
    """Every population again from the recorded spikes, in numpy int64, one shifted product per kernel tap."""
    network = make_network(neuron, body)
    crop = quantize_image(photograph[None, :, :16, :24], network)
    engine = IntegerEngine(network)
    trace = engine.run(crop, [p.wiring.name for p in network.populations])
    outputs = {"image": np.repeat(crop[None].astype(np.int64), network.timesteps, 0)}
    outputs |= {name: z.astype(np.int64) for name, z in trace.spikes.items()}
    for population in network.populations:
        total = np.zeros(1, dtype=np.int64)
        for name in population.wiring.inputs:
            total = total + slow_current(network, name, outputs)
        bias = engine._bias(population)
        if population is not network.populations[-1] and neuron == "graded":
            spikes, membranes = graded_step(torch.from_numpy(total) + bias, population.threshold, network)
        else:
            last = population is network.populations[-1]
            threshold = None if last else population.threshold
            spikes, membranes = lif_run(
                torch.from_numpy(total), bias, threshold, 0 if last else network.decay
            )
        np.testing.assert_array_equal(trace.membranes[population.wiring.name], membranes.numpy())
        np.testing.assert_array_equal(trace.spikes[population.wiring.name], spikes.numpy())
        if population is not network.populations[-1]:
            assert 0.01 < np.abs(trace.spikes[population.wiring.name]).mean(), "a silent layer proves nothing"


def slow_current(
    network: IntegerNetwork, name: str, outputs: dict[str, NDArray[np.int64]]
) -> NDArray[np.int64]:
    synapse = network.by_name[name]
    wiring, source = synapse.wiring, outputs[synapse.wiring.source]
    weight = synapse.mantissa.astype(np.int64) << synapse.exponent
    pad = wiring.padding
    padded = np.pad(source, [(0, 0)] * 3 + [(pad, pad)] * 2)
    height, width = source.shape[3] // wiring.stride, source.shape[4] // wiring.stride
    total = np.zeros((*source.shape[:2], wiring.out_channels, height, width), dtype=np.int64)
    for y in range(wiring.kernel):
        for x in range(wiring.kernel):
            top, left = y * wiring.dilation, x * wiring.dilation
            rows = slice(top, top + height * wiring.stride, wiring.stride)
            columns = slice(left, left + width * wiring.stride, wiring.stride)
            total += np.einsum("oc,tnchw->tnohw", weight[:, :, y, x], padded[..., rows, columns])
    wrapped = (total + WRAP) % (2 * WRAP) - WRAP
    if wiring.upsample == 1:
        return wrapped
    t, n, c, h, w = wrapped.shape
    blocks = wrapped.reshape(t, n, c // 4, 2, 2, h, w)
    return blocks.transpose(0, 1, 2, 5, 3, 6, 4).reshape(t, n, c // 4, 2 * h, 2 * w)


@pytest.mark.parametrize(("neuron", "body"), KINDS)
def test_integer_output_is_close_to_the_float_student(
    make_student: Callable[..., tuple[Network, StudentConfig]],
    make_network: MakeNetwork,
    photograph: Image,
    neuron: str,
    body: str,
) -> None:
    student, _ = make_student(neuron, body)
    with torch.no_grad():
        expected = student(torch.from_numpy(photograph[None])).numpy()
    restored = restore(IntegerEngine(make_network(neuron, body)), photograph[None])
    residual = np.std(expected - photograph[None])
    # Untrained spiking layers amplify rounding, most in a stack without shortcuts; a trained student loses
    # about 0.01 dB (README).
    assert np.std(restored - expected) < (0.9 if (neuron, body) == ("lif", "chain") else 0.6) * residual
    assert residual > 0.01


@pytest.mark.parametrize(("neuron", "body"), KINDS)
def test_no_recorded_current_leaves_its_proved_range(
    make_network: MakeNetwork, photograph: Image, neuron: str, body: str
) -> None:
    """Extreme inputs: the photograph, and noise between the ends of the input range."""
    network = make_network(neuron, body)
    low, high = network.input_range
    extreme = np.random.default_rng(0).choice([low, high], (1, 3, 32, 32)).astype(np.int16)
    for crop in (quantize_image(photograph[None, :, :32, :32], network), extreme):
        trace = IntegerEngine(network).run(crop, [p.wiring.name for p in network.populations])
        outputs = {"image": np.repeat(crop[None].astype(np.int64), network.timesteps, 0)}
        outputs |= {name: z.astype(np.int64) for name, z in trace.spikes.items()}
        for population in network.populations:
            current = sum(slow_current(network, name, outputs) for name in population.wiring.inputs)
            bounds = population_range(population, network)
            assert (current >= bounds.low[:, None, None]).all()
            assert (current <= bounds.high[:, None, None]).all()


def test_a_product_sum_beyond_float64_is_refused(make_network: MakeNetwork) -> None:
    network = replace(make_network("graded"), levels=2**46)
    with pytest.raises(QuantizationError, match="exceeds 2\\^53"):
        IntegerEngine(network)
