"""Muon for the kernels, AdamW for everything else, behind one optimiser.

Muon (Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024) replaces a kernel's
update by the nearest matrix with orthonormal rows or columns: every direction of a layer learns at one speed.

    m <- mu m + g        u = g + mu m        w <- w - lr sqrt(max(1, out / in)) O(u)

The kernel is a matrix [out, in * kh * kw] here, and O five Newton-Schulz steps. torch's own Muon takes
matrices alone and nothing beside them; a student's kernels have four dimensions and its thresholds none.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, overload

import torch
from snn_tool.training.settings import TrainingSettings
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

MOMENTUM = 0.95
_A, _B, _C = 3.4445, -4.7750, 2.0315
"""The quintic's coefficients, chosen by Jordan for the steepest slope at zero; singular values end near 1."""
_STEPS, _EPSILON = 5, 1e-7
_KERNELS = "kernels"


def orthogonalised(matrix: Tensor) -> Tensor:
    """[m, n] with its singular values driven towards 1 by five Newton-Schulz steps; singular vectors stay."""
    tall = matrix.shape[0] > matrix.shape[1]
    x: Tensor = matrix.T if tall else matrix
    x = x / x.norm().clamp(min=_EPSILON)
    for _ in range(_STEPS):
        gram = x @ x.T
        x = _A * x + (_B * gram + _C * (gram @ gram)) @ x
    return x.T if tall else x


class MuonAdamW(torch.optim.AdamW):
    """One optimiser over two groups, so that one schedule and one checkpoint serve both.

    Args:
        kernels: parameters of two or more dimensions, updated by Muon.
        others: updated by AdamW.
        kernel_lr: Muon's learning rate, the size of a step in units of an orthonormal matrix.
        lr, weight_decay: AdamW's.
    """

    def __init__(
        self,
        kernels: Iterable[nn.Parameter],
        others: Iterable[nn.Parameter],
        kernel_lr: float,
        lr: float,
        weight_decay: float,
    ) -> None:
        groups: list[dict[str, Any]] = [
            {"params": list(kernels), "lr": kernel_lr, "weight_decay": 0.0, _KERNELS: True},
            {"params": list(others), _KERNELS: False},
        ]
        super().__init__([g for g in groups if g["params"]], lr=lr, weight_decay=weight_decay)

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step of both groups."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        everything = self.param_groups
        for group in everything:
            if group[_KERNELS]:
                self._step_kernels(group)
        # AdamW's own step walks over `param_groups`.
        self.param_groups = [group for group in everything if not group[_KERNELS]]
        try:
            super().step()
        finally:
            self.param_groups = everything
        return loss

    @torch.no_grad()
    def _step_kernels(self, group: Mapping[str, Any]) -> None:
        for weight in group["params"]:
            if weight.grad is None:
                continue
            state = self.state[weight]
            if not state:
                # AdamW, whose state this is, looks for a count of steps when it is loaded.
                state["step"], state["momentum"] = torch.zeros(()), torch.zeros_like(weight)
            state["step"] += 1
            momentum = state["momentum"]
            momentum.mul_(MOMENTUM).add_(weight.grad)
            update = orthogonalised((weight.grad + MOMENTUM * momentum).flatten(1)).reshape(weight.shape)
            scale = max(1.0, weight.shape[0] / weight[0].numel()) ** 0.5
            weight.add_(update, alpha=-float(group["lr"]) * scale)


def hidden_kernels(network: nn.Module) -> list[nn.Parameter]:
    """Kernels of four dimensions that mix features.

    The first and the last layer have colours for rows or columns, and a depthwise kernel mixes nothing: for
    them there is no direction to make equal.
    """
    kernels = [parameter for parameter in network.parameters() if parameter.ndim == 4]
    return [kernel for kernel in kernels if kernel.shape[0] > 3 and kernel.shape[1] > 3]


def muon_adamw(
    module: nn.Module, kernels: list[nn.Parameter], kernel_lr: float, lr: float, weight_decay: float
) -> MuonAdamW:
    """The optimiser of all parameters of `module`, of which `kernels` are Muon's."""
    chosen = {id(kernel) for kernel in kernels}
    others = [parameter for parameter in module.parameters() if id(parameter) not in chosen]
    return MuonAdamW(kernels, others, kernel_lr, lr, weight_decay)


def optimizer_for(
    network: nn.Module, settings: TrainingSettings, *others: nn.Module
) -> tuple[MuonAdamW, LambdaLR]:
    """The optimiser of a network, with linear warm-up and a cosine to zero at the last step.

    Step both once for each batch.

    Args:
        network: its hidden kernels are Muon's, unless the settings say `adamw`.
        settings: rates, weight decay, and the number of steps.
        others: modules that are trained beside it by AdamW, like a `DistillationLoss`.
    """
    kernels = hidden_kernels(network) if settings.optimizer == "muon" else []
    together = nn.ModuleList([network, *others])
    optimizer = muon_adamw(together, kernels, settings.kernel_lr, settings.lr, settings.weight_decay)

    def factor(step: int) -> float:
        warm = min(1.0, (step + 1) / max(1, settings.warmup))
        turn = torch.pi * min(1.0, step / settings.max_steps)
        return warm * 0.5 * (1 + float(torch.cos(torch.tensor(turn))))

    return optimizer, LambdaLR(optimizer, factor)
