"""Exact multiply-accumulates of any torch network on one image, from a run without values or memory.

The network runs on fake tensors, which have shapes and no data; every operation it performs is priced by
`operation_costs` and booked on the module that performed it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from snn_tool.energy.counts.dense_layer import DenseLayer
from snn_tool.energy.counts.operation_costs import OperationCost, operation_cost
from snn_tool.energy.counts.torch_calls import bound, name_of, written
from snn_tool.energy.counts.torch_nests import torch_nests
from snn_tool.errors import UnsupportedLayerError
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_BIAS = {"addmm": "self", "baddbmm": "self"}
"""Operations whose bias is not called `bias`."""

PARAMETERS_ONLY = "parameters"


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
        nests=torch_nests(name, call, out),
    )


def _values(tensor: Any) -> int:
    """Values that a tensor holds; what is expanded is stored once."""
    return int(min(tensor.numel(), tensor.untyped_storage().nbytes() // tensor.element_size()))


@dataclass(frozen=True, slots=True)
class MacRow:
    """What one module computes of one kind; its submodules have their own rows.

    Attributes:
        name: the module's path, e.g. `decoder_level1.0.attn`; the class name for the network itself.
        kind: `convolution`, `transposed convolution`, `matrix product`, `interpolation`, `elementwise`, or
            `parameters` for a module whose parameters are used by another.
        padded_macs: the conventional count, which multiplies the zeros of a convolution's padding too.
        exact_macs: only products with a real input, as on the spiking side ("edge-exact").
        elementwise_ops: scalar operations outside of these products; a convolution's are its bias additions.
        parameters: the module's own weights and biases, on its first row; shared ones count once.
    """

    name: str
    kind: str
    padded_macs: int
    exact_macs: int
    elementwise_ops: int
    parameters: int


@dataclass(frozen=True, slots=True)
class MacReport:
    """The rows of a network in the order of execution, and their totals.

    Attributes:
        image_shape: of the batch that was counted.
        rows: by module and kind.
        calls: every operation by itself, with the values that it moves.
    """

    image_shape: tuple[int, ...]
    rows: tuple[MacRow, ...]
    calls: tuple[DenseLayer, ...]

    @property
    def padded_macs(self) -> int:
        """MACs by the conventional count."""
        return sum(row.padded_macs for row in self.rows)

    @property
    def exact_macs(self) -> int:
        """Edge-exact MACs."""
        return sum(row.exact_macs for row in self.rows)

    @property
    def elementwise_ops(self) -> int:
        """Scalar operations outside of convolutions and matrix products."""
        return sum(row.elementwise_ops for row in self.rows)

    @property
    def parameters(self) -> int:
        """All parameters, each once."""
        return sum(row.parameters for row in self.rows)

    def of_kind(self, kind: str) -> int:
        """Conventional MACs of the rows of one kind."""
        return sum(row.padded_macs for row in self.rows if row.kind == kind)


def count_macs(module: nn.Module, image_shape: tuple[int, ...] = (1, 3, 256, 256)) -> MacReport:
    """Count what `module` computes at inference for one batch of images.

    Operations on weights and constants alone are computed once per network, not per image, and are not
    counted. Neither the module nor its buffers change; it may live on any device, also `meta`.

    Args:
        module: takes one image tensor.
        image_shape: of that tensor, usually (1, 3, H, W); counts are for the whole batch.

    Raises:
        UnsupportedLayerError: an operation has no known cost; it and the module are named.
    """
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    dtypes = [tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()]
    with ExitStack() as stack:
        stack.enter_context(_inference(module))
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        fakes = {name: torch.empty(tensor.shape, dtype=tensor.dtype) for name, tensor in tensors.items()}
        image = torch.empty(image_shape, dtype=dtypes[0] if dtypes else torch.float32)
        counter = stack.enter_context(_Counter(image, type(module).__name__))
        stack.enter_context(_tracked(module, counter.modules))
        # Tied parameters are one object here, and torch would put only one of their names back.
        torch.func.functional_call(module, fakes, (image,), tie_weights=False)
    return MacReport(tuple(image_shape), _rows(module, counter.costs), tuple(counter.calls))


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Books the cost of each operation that depends on the image on the innermost running module."""

    def __init__(self, image: Tensor, root: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.modules = [root]
        self.costs: dict[tuple[str, str], list[OperationCost]] = {}
        self.calls: list[DenseLayer] = []
        # Views share their base's storage: writing into a view of a constant makes the constant depend too.
        # The tensors are kept because a freed storage's address would be used again.
        self.kept: list[Tensor] = []
        self.dependent: set[int] = set()
        self._mark(image)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func.namespace == "prim":
            return NotImplemented  # device and layout: metadata, answered by the fake tensor itself
        name = name_of(func)
        arguments = operands(tree_leaves((args, kwargs)), self._depends)
        if name == "_local_scalar_dense":
            raise UnsupportedLayerError(
                f"{self.modules[-1]}: reads a tensor's value in Python; shapes decide here"
            )
        out = func(*args, **kwargs)
        if arguments.activations:
            self._book(func, name, bound(func, args, kwargs), arguments, out)
        return out

    def _book(self, func: Any, name: str, call: Any, arguments: Operands, out: Any) -> None:
        for leaf in tree_leaves((out, [call[name] for name in written(func)])):
            self._mark(leaf)
        try:
            cost = operation_cost(name, call, out)
        except UnsupportedLayerError as error:
            raise UnsupportedLayerError(f"{self.modules[-1]}: {error}") from None
        if cost is not None:
            self.costs.setdefault((self.modules[-1], cost.kind), []).append(cost)
            self.calls.append(dense_layer(self.modules[-1], cost, name, call, arguments, out))

    def _mark(self, leaf: Any) -> None:
        if isinstance(leaf, Tensor):
            self.kept.append(leaf)
            self.dependent.add(leaf.untyped_storage()._cdata)

    def _depends(self, leaf: Any) -> bool:
        return isinstance(leaf, Tensor) and leaf.untyped_storage()._cdata in self.dependent


@contextmanager
def _inference(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, no gradients, multi-head attention in separate operations; all undone afterwards."""
    training = [part for part in module.modules() if part.training]
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        for part in training:
            part.training = True


@contextmanager
def _tracked(module: nn.Module, running: list[str]) -> Iterator[None]:
    """Keep the paths of the modules that are running in `running`, innermost last."""
    handles = []
    for name, part in module.named_modules():
        if part is not module:
            handles.append(part.register_forward_pre_hook(lambda *_, name=name: running.append(name)))
            handles.append(part.register_forward_hook(lambda *_: _leave(running)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _leave(running: list[str]) -> None:
    running.pop()


def _rows(module: nn.Module, costs: Mapping[tuple[str, str], list[OperationCost]]) -> tuple[MacRow, ...]:
    unbooked: dict[str, int] = {}
    for path, parameter in module.named_parameters():
        owner = path.rpartition(".")[0] or type(module).__name__
        unbooked[owner] = unbooked.get(owner, 0) + parameter.numel()
    rows = [
        MacRow(
            name,
            kind,
            sum(cost.padded_macs for cost in calls),
            sum(cost.exact_macs for cost in calls),
            sum(cost.elementwise_ops for cost in calls),
            unbooked.pop(name, 0),
        )
        for (name, kind), calls in costs.items()
    ]
    rows += [MacRow(name, PARAMETERS_ONLY, 0, 0, 0, count) for name, count in unbooked.items()]
    return tuple(rows)
