"""Which operations keep spikes, which make integer levels of them, and which end in real values.

A rule is one line of a table, or one small function of `arithmetic` and its line. An operation in no
table makes real values of its inputs, so that what follows is counted as multiply-accumulates: the count errs
towards the costlier side.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from snn_tool.energy.counts.operation_costs import FREE
from snn_tool.energy.counts.torch_calls import tensors
from snn_tool.energy.torch_counter import arithmetic, products
from snn_tool.energy.torch_counter.arithmetic import Call, KindOf, Outcome, Rule
from snn_tool.energy.torch_counter.kinds import Kind, Plain, Spikes, joined
from torch import Tensor

_ZEROS = "zeros zeros_like new_zeros zero".split()
_UNWRITTEN = "empty empty_like new_empty empty_strided new_empty_strided".split()
_CONSTANT = """arange eye ones ones_like new_ones rand rand_like randn randn_like randint randint_like
    linspace randperm lift_fresh normal uniform""".split()


def outcome(name: str, call: Call, out: Any, kind_of: KindOf) -> Outcome:
    """The kind of the result of the operation `name` that returned `out`."""
    if name in MAKERS:
        return Outcome(MAKERS[name](call))
    if name in MOVES:
        return Outcome(_moved(name, call, out, kind_of), every=True)
    kinds = [kind_of(operand) for operand in tensors(list(call.values()))]
    if name in RULES and any(isinstance(kind, Spikes) for kind in kinds):
        return RULES[name](call, out, kind_of)
    constant = all(kind in (Plain.CONSTANT, Plain.NEUTRAL) for kind in kinds)
    return Outcome(Plain.CONSTANT if constant else Plain.REAL)


def _moved(name: str, call: Call, out: Any, kind_of: KindOf) -> Kind:
    """Index arguments say where, not what; a copy forgets what its target was."""
    keys = ("src",) if name == "copy" else ("self", "input", "src", "source", "tensors", "values")
    sources = [call[key] for key in keys if key in call]
    kind = joined(map(kind_of, tensors(sources)))
    whole = isinstance(out, Tensor) and not out.is_floating_point()
    return Plain.REAL if whole and isinstance(kind, Spikes) and kind.amplitude != 1.0 else kind


def _filled(key: str) -> Callable[[Call], Kind]:
    def kind(call: Call) -> Kind:
        if isinstance(call[key], Tensor):
            return Plain.REAL
        return Plain.NEUTRAL if call[key] == 0 else Plain.CONSTANT

    return kind


def _drawn(call: Call) -> Kind:
    """Bernoulli values of a fixed probability; of a tensor of probabilities they depend on it."""
    return Plain.CONSTANT if isinstance(call.get("p"), float) else Plain.REAL


MAKERS: Mapping[str, Callable[[Call], Kind]] = {
    **dict.fromkeys(_ZEROS, lambda call: Plain.NEUTRAL),
    **dict.fromkeys(_UNWRITTEN, lambda call: Plain.UNWRITTEN),
    **dict.fromkeys(_CONSTANT, lambda call: Plain.CONSTANT),
    "full": _filled("fill_value"),
    "full_like": _filled("fill_value"),
    "new_full": _filled("fill_value"),
    "scalar_tensor": _filled("s"),
    "fill": _filled("value"),
    "bernoulli": _drawn,
}
"""New tensors that depend on no input's values; zeros and unwritten memory join anything."""

MOVES = (FREE - MAKERS.keys() - {"constant_pad_nd", "embedding", "native_dropout"}) | {"index_put"}
"""Permutations, copies, views, concatenation, replication: a spike stays the spike it was."""

RULES: Mapping[str, Rule] = {
    "mul": arithmetic.multiplied,
    "div": arithmetic.divided,
    "add": arithmetic.summed(False),
    "sub": arithmetic.summed(True),
    "rsub": arithmetic.reversed_difference,
    "neg": products.kept(lambda kind: kind.scaled(-1), folded=True),
    "abs": products.kept(lambda kind: replace(kind, signed=False)),
    "relu": products.kept(lambda kind: replace(kind, signed=False)),
    "sign": products.kept(lambda kind: Spikes(1.0, True, kind.signed)),
    "pow": arithmetic.power,
    "sum": products.pooled(products.sum_window),
    "mean": products.pooled(products.mean_window),
    "avg_pool1d": products.pooled(products.average_window(1)),
    "avg_pool2d": products.pooled(products.average_window(2)),
    "avg_pool3d": products.pooled(products.average_window(3)),
    **dict.fromkeys(
        ("_adaptive_avg_pool2d", "_adaptive_avg_pool3d"), products.pooled(products.adaptive_window)
    ),
    **dict.fromkeys(
        """max_pool2d_with_indices max_pool3d_with_indices adaptive_max_pool2d adaptive_max_pool3d max min
        amax amin sort topk kthvalue median mode cummax cummin""".split(),
        products.kept(lambda kind: kind),
    ),
    "aminmax": products.kept(lambda kind: kind, every=True),
    **dict.fromkeys(("any", "all"), products.kept(lambda kind: Spikes())),
    "minimum": arithmetic.largest,
    "maximum": arithmetic.largest,
    "masked_fill": arithmetic.masked,
    "where": arithmetic.selected,
    "constant_pad_nd": arithmetic.padded,
}
"""Operations on spikes whose result is known to be spikes or levels of one amplitude."""
