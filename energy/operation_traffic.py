"""What one PyTorch operation reads and writes, in values: activations, stored values, results."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snn_tool.energy.counts.dense_layer import DenseLayer
from snn_tool.energy.counts.operation_costs import OperationCost
from torch import Tensor
from torch.utils._pytree import tree_leaves

_BIAS = {"addmm": "self", "baddbmm": "self"}
"""Operations whose bias is not called `bias`."""


@dataclass(frozen=True, slots=True, eq=False)
class Operands:
    """Tensors that depend on the image, and all others (parameters and constants), each once."""

    activations: tuple[Tensor, ...]
    stored: tuple[Tensor, ...]


def operands(leaves: Sequence[Any], depends: Callable[[Tensor], bool]) -> Operands:
    """Sort the tensors among the arguments of an operation, before it runs."""
    tensors = {id(leaf): leaf for leaf in leaves if isinstance(leaf, Tensor)}.values()
    return Operands(
        tuple(tensor for tensor in tensors if depends(tensor)),
        tuple(tensor for tensor in tensors if not depends(tensor)),
    )


def dense_layer(
    module: str, cost: OperationCost, name: str, call: Mapping[str, Any], read: Operands, out: Any
) -> DenseLayer:
    """One operation with its cost and its traffic.

    Args:
        module: that performed it.
        cost: of `operation_costs`.
        name: of the operation.
        call: its arguments by name.
        read: its operands.
        out: its results, of which the first is the one that is used.
    """
    bias = call.get(_BIAS.get(name, "bias"))
    biases = _values(bias) if any(bias is tensor for tensor in read.stored) else 0
    return DenseLayer(
        name=module,
        padded_macs=cost.padded_macs,
        exact_macs=cost.exact_macs,
        elementwise_ops=cost.elementwise_ops,
        inputs=sum(map(_values, read.activations)),
        weights=sum(map(_values, read.stored)) - biases,
        biases=biases,
        outputs=next(leaf.numel() for leaf in tree_leaves(out) if isinstance(leaf, Tensor)),
    )


def _values(tensor: Any) -> int:
    """Values that a tensor holds; what is expanded is stored once."""
    return int(min(tensor.numel(), tensor.untyped_storage().nbytes() // tensor.element_size()))
