"""Products that read spikes and real values side by side, as a concatenation before a layer joins them.

The weights of the spikes accumulate, those of the real values multiply. The parts are known as long as a
tensor is laid out as it was joined; any other operation makes real values of the whole.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from snn_tool.energy.counts.operation_costs import PRODUCTS, OperationCost
from snn_tool.energy.torch_counter.kinds import Joint, Kind, KindMap, Plain, Spikes
from snn_tool.energy.torch_counter.products import MATRICES, count_convolution, factors, matrix_synops
from snn_tool.energy.torch_counter.tally import Tally
from torch import Tensor

Call = Mapping[str, Any]


def joint_of(tensors: Sequence[Tensor], dimension: int, out: Tensor, kinds: KindMap) -> Joint | None:
    """The parts of a concatenation; None if it holds spikes alone, or none."""
    parts = tuple((tensor.shape[dimension], kinds[tensor]) for tensor in tensors if tensor.dim() == out.dim())
    present = {kind for _, kind in parts}
    mixed = Plain.REAL in present and any(isinstance(kind, Spikes) for kind in present)
    return Joint(dimension % out.dim(), tuple(out.shape), parts) if mixed else None


def count_joint(name: str, call: Call, out: Tensor, kinds: KindMap, tally: Tally) -> bool:
    """Add the spikes and the multiply-accumulates of a product whose first factor is joint.

    Returns:
        False if it is not, and nothing was added.
    """
    matrix = name in MATRICES
    key, other = MATRICES[name] if matrix else ("input", "weight")
    grouped = not matrix and (call["groups"] != 1 or call["transposed"])
    joint = kinds.joint(call[key], -1 if matrix else 1)
    if joint is None or grouped or isinstance(kinds[call[other]], Spikes):
        return False
    for start, length, kind in _slices(joint):
        if matrix:
            _count_columns(name, call, (start, length), kind, tally)
        else:
            _count_channels(call, out, (start, length), kind, tally)
    tally.read |= {"spikes", "real"}
    return True


def _slices(joint: Joint) -> Iterator[tuple[int, int, Kind]]:
    start = 0
    for length, kind in joint.parts:
        yield start, length, kind
        start += length


def _count_columns(name: str, call: Call, at: tuple[int, int], kind: Kind, tally: Tally) -> None:
    first, second = factors(name, call)
    first, second = first.narrow(-1, *at), second.narrow(-2, *at)
    if isinstance(kind, Spikes):
        tally.synops.products.append(matrix_synops(first, second, (kind, Plain.CONSTANT)))
    elif kind is not Plain.NEUTRAL:
        macs = int(first.numel() * second.shape[-1])
        tally.multiply(OperationCost("matrix product", macs, macs))


def _count_channels(call: Call, out: Tensor, at: tuple[int, int], kind: Kind, tally: Tally) -> None:
    part = {
        **call,
        "input": call["input"].narrow(1, *at),
        "weight": call["weight"].narrow(1, *at),
        "bias": None,
    }
    if isinstance(kind, Spikes):
        count_convolution(part, out, (kind, Plain.CONSTANT), tally.synops)
    elif kind is not Plain.NEUTRAL:
        tally.multiply(PRODUCTS["convolution"](part, out))
