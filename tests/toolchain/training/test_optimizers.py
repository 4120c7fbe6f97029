"""Muon against torch's own on matrices, against the singular value decomposition, and AdamW beside it."""

import pytest
import torch
from snn_tool.models.config import StudentConfig
from snn_tool.models.student import build_student
from snn_tool.models.teachers.registry import build_teacher
from snn_tool.training.optimizers import MuonAdamW, hidden_kernels, muon_adamw, orthogonalised
from torch import nn

RATE = 0.02


@pytest.mark.parametrize("shape", [(12, 30), (30, 12), (16, 16)])
def test_singular_values_come_near_one_and_singular_vectors_stay(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(shape, dtype=torch.float64)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    rotated = left.T @ orthogonalised(matrix) @ right.T
    values = rotated.diagonal()
    torch.testing.assert_close(rotated, torch.diag(values), atol=1e-9, rtol=0)
    assert 0.6 < float(values.min()) <= float(values.max()) < 1.25


@pytest.mark.parametrize("shape", [(8, 4, 3, 3), (40, 6, 1, 1)])
def test_a_kernel_takes_the_steps_of_torchs_muon_on_its_matrix(shape: tuple[int, ...]) -> None:
    """torch's iterates in bf16, so the two agree to its 8 bits of mantissa, step by step."""
    muon = getattr(torch.optim, "Muon", None)
    if muon is None:
        pytest.skip("this torch has no Muon (2.9 and newer have)")
    torch.manual_seed(0)
    start = torch.randn(shape)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.flatten(1).clone())
    mine = MuonAdamW([ours], [], RATE, RATE, 0.0)
    other = muon([theirs], lr=RATE, weight_decay=0.0, momentum=0.95)
    for _ in range(4):
        before = theirs.detach().clone()
        gradient = torch.randn(shape)
        ours.grad, theirs.grad = gradient, gradient.flatten(1).clone()
        mine.step()
        other.step()
        length = float((theirs.detach() - before).norm())
        assert float((ours.detach().flatten(1) - theirs.detach()).norm()) < 0.05 * length
        ours.data = theirs.detach().reshape(shape).clone()


def test_what_is_no_kernel_takes_the_steps_of_adamw() -> None:
    torch.manual_seed(0)
    start = torch.randn(7)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    kernel = nn.Parameter(torch.randn(4, 4, 3, 3))
    mine = MuonAdamW([kernel], [ours], RATE, 1e-2, 1e-3)
    other = torch.optim.AdamW([theirs], lr=1e-2, weight_decay=1e-3)
    for _ in range(5):
        gradient = torch.randn(7)
        ours.grad, theirs.grad, kernel.grad = gradient, gradient.clone(), torch.randn(4, 4, 3, 3)
        mine.step()
        other.step()
        assert torch.equal(ours, theirs)


def test_a_schedule_scales_both_groups_and_the_state_comes_back() -> None:
    torch.manual_seed(0)
    network = build_student(StudentConfig(width=4))
    optimizer = muon_adamw(network, hidden_kernels(network), RATE, 1e-3, 0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)
    network(torch.rand(1, 3, 16, 16)).square().mean().backward()
    optimizer.step()
    schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == [RATE / 2, 5e-4]
    again = muon_adamw(network, hidden_kernels(network), 1.0, 1.0, 1.0)
    again.load_state_dict(optimizer.state_dict())
    assert [group["lr"] for group in again.param_groups] == [RATE / 2, 5e-4]
    for ours, theirs in zip(optimizer.state.values(), again.state.values(), strict=True):
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["unet", "nafnet", "restormer"])
def test_colours_and_depthwise_kernels_are_left_to_adamw(architecture: str) -> None:
    network = build_teacher(architecture, {})
    chosen = {id(kernel) for kernel in hidden_kernels(network)}
    assert chosen
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            mixes = module.groups == 1 and min(module.in_channels, module.out_channels) > 3
            assert (id(module.weight) in chosen) == mixes, name
