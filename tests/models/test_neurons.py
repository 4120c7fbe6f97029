import math

import norse.torch as norse
import pytest
import torch
from snn_tool.models.neurons import GradedNeuron, LifNeuron, ReluNeuron


def currents(*steps: float) -> torch.Tensor:
    return torch.tensor(steps).reshape(-1, 1, 1, 1, 1)


def test_lif_trace_by_hand() -> None:
    """leak 1/4, threshold 1: v = 0.8 | 0.6 + 0.4 = 1.0 is not above 1 | 0.75 + 0.5 fires, reset | 0.9."""
    neuron = LifNeuron(leak=0.25)
    spikes = neuron(currents(0.8, 0.4, 0.5, 0.9)).flatten().tolist()
    assert spikes == [0.0, 0.0, 1.0, 0.0]


def test_lif_spikes_equal_norses_cell() -> None:
    """norse's LIFBoxCell adds dt / tau times its input; ours adds the input itself."""
    leak = 1 / 64
    torch.manual_seed(0)
    drive = torch.rand(8, 2, 3, 5, 5, dtype=torch.float64) * 0.7
    parameters = norse.LIFBoxParameters(tau_mem_inv=torch.tensor(leak), v_th=torch.tensor(1.0))
    cell, state, expected = norse.LIFBoxCell(p=parameters, dt=1.0), None, []
    for step in drive:
        spike, state = cell(step / leak, state)
        expected.append(spike)
    spikes = LifNeuron(leak).double()(drive)
    assert torch.equal(spikes, torch.stack(expected))
    assert 0 < spikes.mean() < 1


def test_lif_surrogate_is_the_arctan_derivative() -> None:
    """d z / d v = (1 / threshold) (a / 2) / (1 + (pi a x / 2)^2) with x = v / threshold - 1, a = 2."""
    neuron = LifNeuron(leak=0.5)
    drive = currents(0.7).requires_grad_()
    neuron(drive).sum().backward()
    assert drive.grad is not None
    assert drive.grad.item() == pytest.approx(1 / (1 + (math.pi * (0.7 - 1)) ** 2), rel=1e-5)


def test_lif_gradients_equal_autograd_through_the_steps() -> None:
    """The fused function against the equations written out step by step, in float64."""
    torch.manual_seed(2)
    drive = torch.randn(5, 2, 3, 4, 4, dtype=torch.float64) * 0.8
    weight = torch.randn_like(drive)
    neuron = LifNeuron(leak=0.125).double()
    fused = drive.clone().requires_grad_()
    (neuron(fused) * weight).sum().backward()
    threshold_gradient = neuron.log_threshold.grad
    neuron.log_threshold.grad = None
    plain = drive.clone().requires_grad_()
    membrane, total = torch.zeros_like(drive[0]), torch.zeros((), dtype=torch.float64)
    for current, factor in zip(plain, weight, strict=True):
        membrane = (1 - 0.125) * membrane + current
        distance = membrane / neuron.threshold - 1
        fired = (distance > 0).double()
        # The surrogate's antiderivative is atan(pi x) / pi for a slope of 2.
        smooth = torch.atan(math.pi * distance) / math.pi
        total = total + ((fired + smooth - smooth.detach()) * factor).sum()
        membrane = membrane * (1 - fired)
    total.backward()
    torch.testing.assert_close(fused.grad, plain.grad)
    torch.testing.assert_close(threshold_gradient, neuron.log_threshold.grad, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("signed", "expected"), [(True, [-3, -3, -1, 0, 0, 1, 2, 3]), (False, [0, 0, 0, 0, 0, 1, 2, 3])]
)
def test_graded_levels_by_hand(signed: bool, expected: list[int]) -> None:
    neuron = GradedNeuron(levels=3, signed=signed)
    with torch.no_grad():
        neuron.log_threshold.fill_(math.log(0.5))
    levels = neuron(currents(-9.0, -1.3, -0.4, -0.2, 0.24, 0.3, 0.9, 7.0)) * 3
    assert levels.flatten().tolist() == pytest.approx(expected)


def test_graded_gradients_equal_the_straight_through_graph() -> None:
    """The fused function against clamp, round and detach written out, in float64."""
    torch.manual_seed(1)
    drive = torch.randn(2, 3, 2, 4, 4, dtype=torch.float64)
    weight = torch.randn_like(drive)
    neuron = GradedNeuron(levels=4, signed=True).double()
    fused = drive.clone().requires_grad_()
    (neuron(fused) * weight).sum().backward()
    threshold_gradient = neuron.log_threshold.grad
    neuron.log_threshold.grad = None
    plain = drive.clone().requires_grad_()
    inside = (plain / neuron.threshold).clamp(-4, 4)
    (((inside + (inside.round() - inside).detach()) / 4) * weight).sum().backward()
    torch.testing.assert_close(fused.grad, plain.grad)
    torch.testing.assert_close(threshold_gradient, neuron.log_threshold.grad, rtol=1e-5, atol=1e-5)


def test_relu_is_the_twins_activation() -> None:
    assert ReluNeuron()(currents(-1.0, 2.0)).flatten().tolist() == [0.0, 2.0]
