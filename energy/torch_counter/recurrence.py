"""What recurs inside of a neuron: weights of its own that read its spikes before it has emitted them.

A neuron's output is known to be spikes when it returns. One that loops over time inside, as norse's
`LIFRecurrent` does, reads its spikes earlier. Three rules find them there, without a look at their values:

1. Inside of a spiking neuron a comparison makes spikes: it is 0 or 1, and weights that read it accumulate.
2. The recurrent submodules of snntorch and sinabs read what their neuron emits.
3. Where a product has read a tensor as real values that the neuron then emits as spikes, the count would be
   wrong, and is refused.
"""

from collections.abc import Iterable
from typing import Any

import torch
from snn_tool.energy.counts.operation_costs import is_known
from snn_tool.energy.counts.torch_calls import name_of, tensors
from snn_tool.energy.torch_counter.arithmetic import Call, KindOf
from snn_tool.energy.torch_counter.kinds import Plain
from snn_tool.energy.torch_counter.rules import MAKERS, MOVES
from snn_tool.errors import UnsupportedLayerError
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

RECURRENT = ("recurrent", "rec_connect")
"""Submodules of snntorch's and sinabs' neurons that read the neuron's own spikes."""

COMPARISONS = frozenset("gt ge lt le eq ne heaviside bernoulli".split())
LOGIC = frozenset("logical_and logical_or logical_xor logical_not bitwise_and bitwise_or bitwise_not".split())
REMEDY = "make them a submodule named 'recurrent', or the threshold a comparison (potential > threshold)"


def fires(name: str, call: Call, out: Any) -> bool:
    """Whether an operation inside of a spiking neuron makes values that are 0 or 1."""
    if name == "heaviside":  # its second operand is the value at 0
        values = call["values"]
        return bool(values.numel() == 1 and values in (0, 1))
    return name in COMPARISONS or (name in LOGIC and out.dtype is torch.bool)


def moved_only(name: str, call: Call, kind_of: KindOf) -> bool:
    """Whether an operation copies, joins, splits or scales what it reads, so that spikes stay spikes."""
    if name in ("mul", "div") and call.get("rounding_mode") is None:
        both = [v for v in (call["self"], call["other"]) if isinstance(v, Tensor)]
        return sum(kind_of(v) not in (Plain.CONSTANT, Plain.NEUTRAL) for v in both) == 1
    return name == "neg" or name in MOVES


def refuse_hidden_weights(func: Any, call: Call, out: Any, kind_of: KindOf) -> None:
    """Inside of a neuron only products are counted, so that no other operation may stand for one.

    Raises:
        UnsupportedLayerError: an operation that no table knows combines weights with other values, or a
            multiplication spreads values over weights, as an outer product.
    """
    name = name_of(func)
    operands = [*tensors(list(call.values()))]
    weights = [t for t in operands if t.dim() > 1 and kind_of(t) is Plain.CONSTANT]
    others = [t for t in operands if kind_of(t) not in (Plain.CONSTANT, Plain.NEUTRAL)]
    if not weights or not others:
        return
    known = is_known(name) or name in MAKERS or name in MOVES or torch.Tag.pointwise in func.tags
    spread = name == "mul" and out.numel() > max(t.numel() for t in operands)
    if spread or not known:
        raise UnsupportedLayerError(
            f"the operation {func.namespace}.{name} inside of a neuron reads weights and has no counting "
            "rule; write it as a linear layer, a convolution or a matrix product"
        )


class Feedback:
    """Which tensors products read as real values while a neuron runs, and what moves make of them."""

    def __init__(self) -> None:
        self._read: set[int] = set()
        self._sources: dict[int, set[int]] = {}
        self._kept: list[StorageWeakRef] = []  # so that no address is used twice

    def read(self, tensor: Tensor) -> None:
        """A product reads a tensor as real values."""
        self._read.add(self._key(tensor))

    def moved(self, sources: Iterable[Tensor], made: Iterable[Tensor]) -> None:
        """An operation copied, joined, split or scaled tensors."""
        keys = {self._key(source) for source in sources}
        for one in made:
            self._sources.setdefault(key := self._key(one), set()).update(keys - {key})

    def reaches(self, emitted: Tensor) -> bool:
        """Whether a product has read what an emitted tensor was made of."""
        seen, waiting = set[int](), [emitted.untyped_storage()._cdata]
        while waiting:
            key = waiting.pop()
            if key in self._read:
                return True
            if key not in seen:
                seen.add(key)
                waiting += self._sources.get(key, ())
        return False

    def _key(self, tensor: Tensor) -> int:
        storage = tensor.untyped_storage()
        self._kept.append(StorageWeakRef(storage))  # type: ignore[no-untyped-call]
        return int(storage._cdata)
