"""Real parameters and MACs of a network beside what a hook-based counter reports, and why they differ."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from snn_tool.energy.hook_counter import RULES, Reported, hook_counts
from snn_tool.energy.counts.dense import MacRow, count_macs
from torch import nn
from torch.nn.modules.conv import _ConvTransposeNd

SUBCLASS = "a subclass of {}: only exact classes are hooked"
OWN_PARAMETERS = "parameters of its own, outside any hooked layer"
FUNCTIONAL = "operations that are no module: functional calls, matrix products"
TRANSPOSED = "a transposed convolution: products counted per output, stride^2 times too many"
OWN = "parameters and operations of its own, outside any hooked layer"
SHARED = "hangs in the tree {} times: parameters counted that often, MACs its square"
NORM = "scalar operations reported as MACs"
ROOT = "the network is a single layer, whose parameters are not asked for"


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One module.

    Attributes:
        path, class_name: of the module.
        parameters, macs: real ones of its own, MACs by the conventional (padded) count.
        reported_parameters, reported_macs: of the hook-based counter, over all places where it meets it.
        reason: why the two differ; empty where they agree.
    """

    path: str
    class_name: str
    parameters: int
    macs: int
    reported_parameters: int
    reported_macs: int
    reason: str


@dataclass(frozen=True, slots=True)
class ParameterAudit:
    """All modules that have or compute something, and the totals.

    Attributes:
        image_shape: [N, C, H, W] of the image.
        rows: in the order of the modules.
        parameters, macs, exact_macs: real totals; `exact_macs` leaves out products with padding.
        reported_parameters, reported_macs: the counter's totals.
    """

    image_shape: tuple[int, ...]
    rows: tuple[AuditRow, ...]
    parameters: int
    macs: int
    exact_macs: int
    reported_parameters: int
    reported_macs: int

    @property
    def reasons(self) -> dict[str, tuple[int, int, int]]:
        """For each reason the modules, the parameters and the MACs that the counter has too few (or many)."""
        found: dict[str, tuple[int, int, int]] = {}
        for row in self.rows:
            if row.reason:
                modules, parameters, macs = found.get(row.reason, (0, 0, 0))
                missing = row.parameters - row.reported_parameters
                found[row.reason] = (
                    modules + 1,
                    parameters + missing,
                    macs + row.macs - row.reported_macs,
                )
        return found

    def to_json(self) -> dict[str, Any]:
        """JSON values; `docs/audit-params.md` lists them."""
        reasons = [
            {"reason": reason, "modules": modules, "parameters": parameters, "macs": macs}
            for reason, (modules, parameters, macs) in self.reasons.items()
        ]
        return {**asdict(self), "image_shape": list(self.image_shape), "reasons": reasons}


def audit_parameters(module: nn.Module, image_shape: tuple[int, ...]) -> ParameterAudit:
    """Count a network both ways on one image.

    Args:
        module: takes one image tensor; it runs once, in evaluation mode, on its own device.
        image_shape: [N, C, H, W].

    Raises:
        UnsupportedLayerError: an operation has no known cost; it and the module are named.
    """
    real = count_macs(module, image_shape)
    training = module.training
    parameter = next(module.parameters(), None)
    device, dtype = (parameter.device, parameter.dtype) if parameter is not None else ("cpu", torch.float32)
    try:
        reported = hook_counts(module.eval(), torch.zeros(image_shape, device=device, dtype=dtype))
    finally:
        module.train(training)
    return ParameterAudit(
        image_shape=image_shape,
        rows=tuple(_rows(module, real.rows, reported)),
        parameters=real.parameters,
        macs=real.padded_macs,
        exact_macs=real.exact_macs,
        reported_parameters=sum(one.parameters for one in reported),
        reported_macs=sum(one.macs for one in reported),
    )


def _rows(module: nn.Module, real: Sequence[MacRow], reported: Sequence[Reported]) -> Iterator[AuditRow]:
    by_path = _by_module(module)
    macs, parameters = Counter[str](), Counter[str]()
    for row in real:
        macs[row.name] += row.padded_macs
        parameters[row.name] += row.parameters
    places = Counter[int]()
    said_macs, said_parameters = Counter[str](), Counter[str]()
    for one in reported:
        part = _at(module, one.path)
        path = by_path[id(part)]
        places[id(part)] += 1
        said_macs[path] += one.macs
        said_parameters[path] += one.parameters
    for path, part in _paths(module):
        figures = (parameters[path], macs[path], said_parameters[path], said_macs[path])
        if any(figures):
            differs = figures[:2] != figures[2:]
            reason = _reason(module, part, path, figures, places[id(part)]) if differs else ""
            yield AuditRow(path, type(part).__name__, *figures, reason)


def _paths(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Every module once, at its first path; the network itself by its class, as in `macs`."""
    for path, part in module.named_modules():
        yield path or type(module).__name__, part


def _by_module(module: nn.Module) -> Mapping[int, str]:
    return {id(part): path for path, part in _paths(module)}


def _at(module: nn.Module, path: str) -> nn.Module:
    return module if path == type(module).__name__ else module.get_submodule(path)


def _reason(
    module: nn.Module, part: nn.Module, path: str, figures: tuple[int, int, int, int], places: int
) -> str:
    parameters, macs, said_parameters, said_macs = figures
    if part is module and type(part) in RULES:
        return ROOT
    if places > 1:
        return SHARED.format(places)
    if type(part) in RULES and not isinstance(part, nn.Sequential):
        if isinstance(part, _ConvTransposeNd):
            return TRANSPOSED
        return NORM if said_macs > macs else FUNCTIONAL
    for known in RULES:
        if isinstance(part, known) and known is not nn.Sequential:
            return SUBCLASS.format(known.__name__)
    if parameters:
        return OWN if macs else OWN_PARAMETERS
    return FUNCTIONAL
