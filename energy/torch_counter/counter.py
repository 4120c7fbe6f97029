"""Watches every operation that torch performs while modules of a network run, and books it on its row."""

from typing import Any

from snn_tool.energy.counts.operation_costs import PRODUCTS, OperationCost, operation_cost
from snn_tool.energy.counts.torch_calls import bound, is_composite, name_of, tensors, written
from snn_tool.energy.torch_counter.arithmetic import Outcome
from snn_tool.energy.torch_counter.joints import count_joint, joint_of
from snn_tool.energy.torch_counter.kinds import KindMap, Plain, Spikes, event_sum, level_sum
from snn_tool.energy.torch_counter.products import MATRICES, count_convolution, factors, matrix_synops
from snn_tool.energy.torch_counter.recurrence import (
    RECURRENT,
    Feedback,
    fires,
    moved_only,
    refuse_hidden_weights,
)
from snn_tool.energy.torch_counter.result import SpikeCount
from snn_tool.energy.torch_counter.rules import MAKERS, MOVES, outcome
from snn_tool.energy.torch_counter.tally import Tally, rows
from snn_tool.errors import UnsupportedLayerError
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

NO_ARITHMETIC = MAKERS.keys() | MOVES | {"_local_scalar_dense", "is_same_size", "equal", "set", "resize"}
"""Operations that are no computation of the network; reading a value in Python is the caller's."""


class SpikeCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts until `count_spikes` ends; `result()` may be asked at any time, also afterwards."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.module = module
        self.kinds = KindMap()
        self.running: list[str] = []  # paths, innermost last; empty while the caller's own code runs
        self.neurons: list[bool] = []  # of the neurons among them, whether each emits spikes
        self.feedback = Feedback()
        self.calls = 0
        self.tallies: dict[tuple[str, str], Tally] = {}

    def result(self) -> SpikeCount:
        """Everything counted so far, all calls and the whole batch together."""
        return SpikeCount(type(self.module).__name__, self.calls, rows(self.module, self.tallies))

    def tally(self, path: str, kind: str) -> Tally:
        """The row of a module and kind, new if it has none."""
        return self.tallies.setdefault((path, kind), Tally())

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func.namespace == "prim":
            return func(*args, **kwargs)
        if is_composite(func):
            with self:
                return func.decompose(*args, **kwargs)
        out = func(*args, **kwargs)
        with _disable_current_modes():  # sums of this package's own are no part of the network
            self._follow(func, bound(func, args, kwargs), out)
        return out

    def _follow(self, func: Any, call: dict[str, Any], out: Any) -> None:
        """Book the operation, then mark what it made; before that, marks are those of its operands."""
        name = name_of(func)
        operands = [*tensors(list(call.values()))]
        made = self._outcome(name, call, out)
        if self.neurons and moved_only(name, call, self.kinds.__getitem__):
            self.feedback.moved(operands, tensors(out))
        if self.running and not {self.kinds[t] for t in operands} <= {Plain.CONSTANT, Plain.NEUTRAL}:
            self._book(func, call, out, made)
        if self.running or (operands and name not in MAKERS):
            joint = joint_of(call["tensors"], call["dim"], out, self.kinds) if name == "cat" else None
            self._mark(made, operands, [call[name] for name in written(func)], out)
            if joint is not None:
                self.kinds[out] = joint

    def _outcome(self, name: str, call: dict[str, Any], out: Any) -> Outcome:
        if self.neurons and self.neurons[-1] and fires(name, call, out):
            return Outcome(Spikes())
        return outcome(name, call, out, self.kinds.__getitem__)

    def _mark(self, made: Outcome, operands: list[Tensor], targets: list[Any], out: Any) -> None:
        """Views keep their storage's kind; of several results only the first has the operation's kind."""
        for target in tensors(targets):
            self.kinds.write(target, made.kind)
        known = {tensor.untyped_storage()._cdata for tensor in operands}
        fresh = [result for result in tensors(out) if result.untyped_storage()._cdata not in known]
        for index, result in enumerate(fresh):
            self.kinds[result] = made.kind if index == 0 or made.every else Plain.REAL

    def _book(self, func: Any, call: dict[str, Any], out: Any, made: Outcome) -> None:
        name = name_of(func)
        try:
            if self.neurons and name not in PRODUCTS:
                self._book_inside(func, call, out)
            elif not made.folded and name not in NO_ARITHMETIC:
                self._charge(name, call, out)
        except UnsupportedLayerError as error:
            raise UnsupportedLayerError(f"{self.running[-1]}: {error}") from None

    def _book_inside(self, func: Any, call: dict[str, Any], out: Any) -> None:
        """Of a neuron's arithmetic only weights count: those of a recurrence one to one are a product too."""
        if name_of(func) == "mul" and self.running[-1].rpartition(".")[2] in RECURRENT:
            for spiking in (call["self"], call["other"]):
                if isinstance(spiking, Tensor) and isinstance(kind := self.kinds[spiking], Spikes):
                    every = list(range(spiking.dim()))
                    synops = int(level_sum(spiking, kind, every)), int(event_sum(spiking, kind, every))
                    tally = self.tally(self.running[-1], "matrix product")
                    tally.read.add("spikes")
                    tally.synops.products.append(synops)
                    tally.add(OperationCost("matrix product", out.numel(), out.numel()), real=False)
                    return
        refuse_hidden_weights(func, call, out, self.kinds.__getitem__)

    def _charge(self, name: str, call: dict[str, Any], out: Any) -> None:
        cost = operation_cost(name, call, out)
        if cost is None:
            return
        tally = self.tally(self.running[-1], cost.kind)
        spiking = name in PRODUCTS and self._count_spikes(name, call, out, tally)
        tally.add(cost, real=not spiking)

    def _count_spikes(self, name: str, call: dict[str, Any], out: Any, tally: Tally) -> bool:
        """Whether a factor of this product carries spikes; they are counted then."""
        if name not in MATRICES and name != "convolution":
            return False
        keys = MATRICES.get(name, ("input", "weight"))
        first, second = (self.kinds[call[key]] for key in keys)
        if not isinstance(first, Spikes) and not isinstance(second, Spikes):
            if count_joint(name, call, out, self.kinds, tally):
                return True
            if self.neurons:
                for key, kind in zip(keys, (first, second), strict=True):
                    if kind is Plain.REAL:
                        self.feedback.read(call[key])
            return False
        tally.read.add("spikes")
        if name == "convolution":
            count_convolution(call, out, (first, second), tally.synops)
        else:
            tally.synops.products.append(matrix_synops(*factors(name, call), (first, second)))
        return True
