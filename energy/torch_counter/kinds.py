"""What a tensor carries, known from the operations that made it and never from its values.

A tensor is spikes because a spiking neuron made it, or because an operation that keeps spikes moved them. An
all-zero image is an image, and a silent population is still a population of spikes.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from math import inf, prod

import torch
from snn_tool.errors import ConfigError, DataError
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

EXACT_FLOAT = 1 << 24
"""A float32 holds every whole number up to here, so that sums of fewer unit spikes are exact."""


class Plain(Enum):
    """Without spikes: activations, values that no input reaches, zeros, memory before its first value."""

    REAL = "real"
    CONSTANT = "constant"
    NEUTRAL = "neutral"
    UNWRITTEN = "unwritten"


@dataclass(frozen=True, slots=True)
class Spikes:
    """Whole multiples of one amplitude, which the next layer's weights absorb.

    Attributes:
        amplitude: of one unit spike, above zero; None if it differs between elements (only for unit spikes).
        unit: every value is 0 or +- the amplitude, so that a spike is one accumulate and nothing else.
        signed: negative spikes occur.

    Raises:
        ConfigError: the amplitude is not above zero, or levels have none.
    """

    amplitude: float | None = 1.0
    unit: bool = True
    signed: bool = False

    def __post_init__(self) -> None:
        if self.amplitude is None and not self.unit:
            raise ConfigError("spikes of several levels need an amplitude; give that of one level")
        if self.amplitude is not None and not 0 < self.amplitude < inf:
            raise ConfigError(f"an amplitude of {self.amplitude:g} is not allowed; give one above 0")

    def scaled(self, factor: float) -> "Kind":
        """Spikes times a constant."""
        if factor == 0:
            return Plain.NEUTRAL
        if not 0 < abs(factor) * (self.amplitude or 1.0) < inf:
            return Plain.REAL
        amplitude = None if self.amplitude is None else self.amplitude * abs(factor)
        return replace(self, amplitude=amplitude, signed=self.signed or factor < 0)


Kind = Plain | Spikes


@dataclass(frozen=True, slots=True)
class Joint:
    """Spikes and real values side by side.

    Attributes:
        dimension: along which they were joined, from the front.
        shape: of the whole when it was joined.
        parts: length along the dimension, and kind, of each.
    """

    dimension: int
    shape: tuple[int, ...]
    parts: tuple[tuple[int, Kind], ...]


def joined(kinds: Iterable[Kind]) -> Kind:
    """What a tensor carries whose elements come from several: by concatenation, selection or writing.

    Zeros join anything. Spikes of several amplitudes stay spikes if all are unit spikes (the scale then folds
    element by element); otherwise they have no common unit and are real values.
    """
    every = set(kinds)
    present = every - {Plain.NEUTRAL, Plain.UNWRITTEN}
    if not present:
        return Plain.UNWRITTEN if Plain.UNWRITTEN in every else Plain.NEUTRAL
    spikes = [kind for kind in present if isinstance(kind, Spikes)]
    if len(present) == 1:
        return next(iter(present))
    if len(spikes) < len(present):
        return Plain.REAL
    amplitudes = {kind.amplitude for kind in spikes}
    unit, signed = all(kind.unit for kind in spikes), any(kind.signed for kind in spikes)
    if len(amplitudes) == 1:
        return Spikes(amplitudes.pop(), unit, signed)
    return Spikes(None, True, signed) if unit else Plain.REAL


def added(first: Spikes, second: Spikes, subtracted: bool = False) -> Kind:
    """What the sum of two spike tensors carries: levels of the smaller amplitude if it divides the larger."""
    if first.amplitude is None or second.amplitude is None:
        return Plain.REAL
    small, large = sorted((first.amplitude, second.amplitude))
    ratio = large / small
    if abs(ratio - round(ratio)) > 1e-6 * ratio:
        return Plain.REAL
    return Spikes(small, False, first.signed or second.signed or subtracted)


class KindMap:
    """The kind of every tensor, by its storage: views share it. What was never marked is real.

    A weak reference keeps a freed storage's address from being used again, but not its memory.
    """

    def __init__(self) -> None:
        self._marks: dict[int, tuple[StorageWeakRef, Kind | Joint]] = {}
        self._sweep_at = 1024

    def __getitem__(self, tensor: Tensor) -> Kind:
        mark = self._marks.get(tensor.untyped_storage()._cdata)
        return Plain.REAL if mark is None or isinstance(mark[1], Joint) else mark[1]

    def joint(self, tensor: Tensor, dimension: int) -> Joint | None:
        """What was joined along a dimension of a tensor, if its layout is still that of the whole."""
        _, joint = self._marks.get(tensor.untyped_storage()._cdata, (None, None))
        if not isinstance(joint, Joint) or not tensor.is_contiguous() or tensor.numel() != prod(joint.shape):
            return None
        at = dimension % tensor.dim()
        same = joint.shape[joint.dimension :] == tuple(tensor.shape[at:])
        return joint if same and (at == joint.dimension or at == tensor.dim() - 1) else None

    def __setitem__(self, tensor: Tensor, kind: Kind | Joint) -> None:
        storage = tensor.untyped_storage()
        self._marks.pop(storage._cdata, None)
        if kind is not Plain.REAL:
            self._marks[storage._cdata] = (StorageWeakRef(storage), kind)  # type: ignore[no-untyped-call]
        if len(self._marks) > self._sweep_at:
            self._sweep()

    def write(self, tensor: Tensor, kind: Kind) -> None:
        """`tensor` is overwritten; if it is a part of its storage, the rest keeps what it carried."""
        whole = tensor.numel() * tensor.element_size() == tensor.untyped_storage().nbytes()
        self[tensor] = kind if whole else joined((self[tensor], kind))

    def _sweep(self) -> None:
        self._marks = {key: mark for key, mark in self._marks.items() if not mark[0].expired()}  # type: ignore[no-untyped-call]
        self._sweep_at = max(1024, 2 * len(self._marks))


def event_sum(values: Tensor, spikes: Spikes, dimensions: list[int]) -> Tensor:
    """Nonzero spikes, summed over `dimensions`, int64.

    Sums of floats are several times as fast as `count_nonzero`, and whole numbers of this size are exact.
    """
    terms = prod(values.shape[d] for d in dimensions)
    dtype = torch.float32 if terms < EXACT_FLOAT else torch.float64
    if not (spikes.unit and spikes.amplitude == 1.0):
        values = values.sign()
    values = values.abs() if spikes.signed else values
    return (values.sum(dimensions, dtype=dtype) if dimensions else values).to(torch.int64)


def level_sum(values: Tensor, spikes: Spikes, dimensions: list[int]) -> Tensor:
    """Magnitudes in units of the amplitude, summed over `dimensions`, int64."""
    if spikes.unit:
        return event_sum(values, spikes, dimensions)
    if spikes.amplitude is None:
        raise AssertionError("levels have an amplitude")
    levels = (values.abs().to(torch.float64) / spikes.amplitude).round()
    return (levels.sum(dimensions) if dimensions else levels).to(torch.int64)


def check_multiples(values: Tensor, spikes: Spikes, path: str) -> None:
    """Refuse a neuron whose output is not what its class emits, e.g. a surrogate that returns real values.

    Rounding of the values' own type is allowed, two of its steps.

    Raises:
        DataError: a value is no multiple of the amplitude, or has the wrong sign or more than one level.
    """
    if spikes.amplitude is None:
        return
    if spikes == Spikes() and torch.equal(values, values.to(torch.bool).to(values.dtype)):
        return  # the usual case, six times as fast
    steps = torch.finfo(values.dtype).eps if values.is_floating_point() else 0.0
    scaled = values.to(torch.float64) / spikes.amplitude
    levels = scaled.sign() if spikes.unit else scaled.round()
    if not spikes.signed:
        levels = levels.relu()
    if not torch.allclose(scaled, levels, rtol=2 * steps, atol=2 * steps):
        raise DataError(
            f"{path}: a value is no multiple of {spikes.amplitude:g} as spikes are; let the neuron emit "
            "spikes, or name its class in count_spikes(integrators=...)"
        )
