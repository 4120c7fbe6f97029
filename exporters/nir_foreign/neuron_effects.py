"""Neurons by their values: LIF, IF, CubaLIF and LI of NIR in each simulator's importer.

Read in the importers' sources and seen when they ran (tests/exporters/nir_foreign/test_check.py).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

CHANGED, DROPPED, REFUSED = "changed", "dropped", "refused"
Floats = NDArray[np.float64]
RELATIVE = 1e-9
"""Two constants that differ by less than this are one: r = tau / dt rarely survives division exactly."""

SNNTORCH_CLOSE = 1e-5
"""Relative tolerance of numpy's allclose, by which snntorch compares."""

SPIKINGJELLY_CLOSE = 1e-6
"""Relative tolerance of `_is_close_finite` in spikingjelly's from_nir."""

FLOAT32 = 1e-6
"""Relative difference that is the rounding of a file's float32: 0.001 s is not below a dt of 0.001 s."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One reason why a node does not arrive as it is.

    Attributes:
        verdict: `changed`, `dropped` or `refused`.
        why: with the node's numbers.
    """

    verdict: str
    why: str


@dataclass(frozen=True, slots=True)
class Placed:
    """An effect of names and edges, on one node.

    Attributes:
        node: its name, behind those of the graphs that it is in; empty for the whole graph.
        effect: what becomes of it there.
    """

    node: str
    effect: Effect


Effects = Iterator[Effect]


def floats(values: ArrayLike) -> Floats:
    """A parameter as float64, at least one-dimensional."""
    return np.atleast_1d(np.asarray(values, dtype=np.float64))


def told(values: ArrayLike) -> str:
    """A parameter's numbers in a few characters: one value, or its range."""
    found = np.unique(floats(values))
    if found.size == 1:
        return f"{found[0]:.6g}"
    return f"{found[0]:.6g} to {found[-1]:.6g} ({found.size} values)"


def alike(values: ArrayLike, expected: ArrayLike, tolerance: float = RELATIVE) -> bool:
    """Whether all values are the expected ones, within a relative tolerance."""
    return bool(np.allclose(floats(values), floats(expected), rtol=tolerance, atol=0))


def one_value(values: ArrayLike) -> bool:
    """Whether all neurons share one value."""
    return bool(np.unique(floats(values)).size == 1)


def changed_unless(holds: bool, why: str) -> Effects:
    """A change of meaning unless the condition holds."""
    if not holds:
        yield Effect(CHANGED, why)


def refused_unless(holds: bool, why: str) -> Effects:
    """A refusal unless the condition holds."""
    if not holds:
        yield Effect(REFUSED, why)


def shared(node: Any, *fields: str) -> Effects:
    """Parameters of which an importer takes one value for the whole population."""
    for field in fields:
        values = getattr(node, field)
        yield from refused_unless(one_value(values), f"{field} is {told(values)}, but must be one")


Rule = Callable[[Any, float], Effects]


def _reset_to_zero(node: Any) -> Effects:
    reset = floats(node.v_reset)
    yield from changed_unless(not reset.any(), f"v_reset is {told(reset)}, but it resets to 0")


def _slower_than_dt(tau: Any, dt: float, name: str) -> Effects:
    why = f"{name} is {told(tau)} s, below dt = {dt:g} s: Euler steps overshoot the rest"
    yield from changed_unless(bool((floats(tau) >= dt * (1 - FLOAT32)).all()), why)


def norse_lif(node: Any, dt: float) -> Effects:
    """LIFBoxCell: v += dt / tau (v_leak - v + x) from v_leak, v > threshold, to 0."""
    yield from changed_unless(alike(node.r, 1), f"r is {told(node.r)}, but is taken as 1 (a warning)")
    leak = floats(node.v_leak)
    yield from changed_unless(not leak.any(), f"v_leak is {told(leak)}, where the membrane starts, not at 0")
    yield from _reset_to_zero(node)
    yield from _slower_than_dt(node.tau, dt, "tau")


def norse_if(node: Any, dt: float) -> Effects:
    """IAFCell: v += x."""
    why = f"r is {told(node.r)}, but is taken as 1 / dt = {1 / dt:g} (a warning)"
    yield from changed_unless(alike(node.r, 1 / dt), why)
    yield from _reset_to_zero(node)


def norse_cuba(node: Any, dt: float) -> Effects:
    """Two leaky boxes, both with v_leak."""
    leak = floats(node.v_leak)
    why = f"v_leak is {told(leak)}, which becomes the rest of the synaptic current as well"
    yield from changed_unless(not leak.any(), why)
    yield from _reset_to_zero(node)
    for name in ("tau_syn", "tau_mem"):
        yield from _slower_than_dt(getattr(node, name), dt, name)


def _snntorch_cut(tau: Any, dt: float, factor: str, name: str) -> Effects:
    why = f"{factor} = 1 - dt / {name} is {told(1 - dt / floats(tau))}, but is cut to 0"
    yield from changed_unless(bool((floats(tau) >= dt * (1 - FLOAT32)).all()), why)


def _snntorch_threshold(scale: Any, threshold: Any, formula: str) -> Effects:
    """What becomes of threshold and comparison when the threshold takes up the input's scale."""
    if (floats(scale) < 0).any():
        yield Effect(CHANGED, f"{formula} is {told(scale)}: below 0 it turns the comparison round")
    elif (floats(threshold) < 0).any():
        why = f"v_threshold is {told(threshold)}: a membrane at rest counts as above it and stays at 0"
        yield Effect(CHANGED, why)


def snntorch_lif(node: Any, dt: float) -> Effects:
    """Leaky: v = beta v + x, the threshold over the first of r dt / tau, to 0."""
    leak = floats(node.v_leak)
    yield from refused_unless(bool(np.allclose(leak, 0)), f"v_leak is {told(leak)}, but must be 0")
    yield from shared(node, "v_threshold")
    scale = floats(node.r) * dt / floats(node.tau)
    if alike(scale, 1, SNNTORCH_CLOSE):
        yield from changed_unless(alike(scale, 1), f"r dt / tau is {told(scale)}, but is taken as 1")
    else:
        why = f"r dt / tau is {told(scale)}, but {np.unique(scale)[0]:.6g} is taken for all"
        yield from changed_unless(alike(scale, np.unique(scale)[0]), why)
    yield from _snntorch_threshold(scale, node.v_threshold, "r dt / tau")
    yield from _reset_to_zero(node)
    yield from _snntorch_cut(node.tau, dt, "beta", "tau")


def snntorch_if(node: Any, dt: float) -> Effects:
    """Leaky with fixed leak."""
    yield from shared(node, "v_threshold", "r")
    yield from refused_unless(bool((floats(node.r) == 1).all()), f"r is {told(node.r)}, but must be 1")
    yield Effect(CHANGED, "becomes a Leaky that keeps 0.9 of the membrane and subtracts the threshold")


def snntorch_cuba(node: Any, dt: float) -> Effects:
    """Synaptic: alpha, beta, and the threshold over w_in dt / tau_syn."""
    leak, expected = floats(node.v_leak), floats(node.tau_mem) / dt
    yield from refused_unless(bool(np.allclose(leak, 0)), f"v_leak is {told(leak)}, but must be 0")
    why = f"r is {told(node.r)}, but must be tau_mem / dt = {told(expected)}"
    yield from refused_unless(alike(node.r, expected, SNNTORCH_CLOSE), why)
    yield from changed_unless(
        alike(node.r, expected), f"r is {told(node.r)}, but is taken as {told(expected)}"
    )
    scale = floats(node.w_in) * dt / floats(node.tau_syn)
    threshold = floats(node.v_threshold) / (1 if alike(scale, 1, SNNTORCH_CLOSE) else scale)
    why = f"v_threshold over w_in dt / tau_syn is {told(threshold)}, but must be one"
    yield from refused_unless(one_value(threshold), why)
    yield from _snntorch_threshold(scale, node.v_threshold, "w_in dt / tau_syn")
    yield from _reset_to_zero(node)
    yield from _snntorch_cut(node.tau_syn, dt, "alpha", "tau_syn")
    yield from _snntorch_cut(node.tau_mem, dt, "beta", "tau_mem")


def _at_least(node: Any) -> Effects:
    threshold = told(node.v_threshold)
    yield Effect(CHANGED, f"fires where v >= {threshold}, NIR where v > {threshold}")


def _from_reset(node: Any) -> Effects:
    reset = floats(node.v_reset)
    yield from changed_unless(
        not reset.any(), f"v_reset is {told(reset)}, where the membrane starts, not at 0"
    )


def spikingjelly_lif(node: Any, dt: float) -> Effects:
    """LIFNode, with decay_input where r is 1."""
    yield from shared(node, "tau", "r", "v_reset", "v_leak", "v_threshold")
    steps = floats(node.tau) / dt
    yield from refused_unless(bool((steps > 1).all()), f"tau / dt is {told(steps)}, but must be above 1")
    fits = alike(node.r, 1, SPIKINGJELLY_CLOSE) or alike(node.r, steps, SPIKINGJELLY_CLOSE)
    why = f"r is {told(node.r)}, but must be 1 or tau / dt = {told(steps)}"
    yield from refused_unless(fits, why)
    why = f"v_leak is {told(node.v_leak)}, but must be v_reset = {told(node.v_reset)}"
    same = np.allclose(floats(node.v_leak), floats(node.v_reset), rtol=SPIKINGJELLY_CLOSE, atol=1e-12)
    yield from refused_unless(bool(same), why)
    yield from _from_reset(node)
    yield from _at_least(node)


def spikingjelly_if(node: Any, dt: float) -> Effects:
    """IFNode."""
    yield from shared(node, "r", "v_threshold", "v_reset")
    why = f"r is {told(node.r)}, but must be 1 / dt = {1 / dt:g}"
    yield from refused_unless(alike(node.r, 1 / dt, SPIKINGJELLY_CLOSE), why)
    yield from _from_reset(node)
    yield from _at_least(node)


def spikingjelly_cuba(node: Any, dt: float) -> Effects:
    """CUBALIFNode."""
    yield from shared(node, "tau_syn", "tau_mem", "r", "w_in", "v_leak", "v_threshold", "v_reset")
    for field, tau in (("r", "tau_mem"), ("w_in", "tau_syn")):
        values, steps = getattr(node, field), floats(getattr(node, tau)) / dt
        yield from refused_unless(
            bool((steps >= 1).all()), f"{tau} / dt is {told(steps)}, but must be 1 or more"
        )
        why = f"{field} is {told(values)}, but must be {tau} / dt = {told(steps)}"
        yield from refused_unless(alike(values, steps, SPIKINGJELLY_CLOSE), why)
    leak = floats(node.v_leak)
    yield from refused_unless(bool((abs(leak) <= 1e-12).all()), f"v_leak is {told(leak)}, but must be 0")
    yield from _at_least(node)


def _sinabs_leak(node: Any) -> Effects:
    leak = np.asarray(node.v_leak)
    yield from refused_unless(leak.ndim > 0, "its parameters have no dimension")
    plain = leak.ndim < 2 or max(leak.shape[1:]) == 1
    why = f"its parameters have the shape {list(leak.shape)}; more than one dimension fails"
    yield from refused_unless(plain, why)
    yield from refused_unless(not leak.any(), f"v_leak is {told(leak)}, but must be 0")


def _sinabs_kept(tau: Any) -> str:
    kept = np.exp(-1 / floats(tau))
    return f"tau {told(tau)} is read in steps: keeps exp(-1 / tau) = {told(kept)} of the membrane per step"


def _sinabs_spikes(node: Any, *ignored: str) -> Effects:
    threshold = told(node.v_threshold)
    if (floats(node.v_threshold) <= 0).any():
        yield Effect(
            CHANGED, f"v_threshold is {threshold}: spike counts are v / v_threshold, which needs one above 0"
        )
    yield Effect(CHANGED, f"emits as many spikes as {threshold} fits into v, and subtracts them")
    for field in ignored:
        yield Effect(CHANGED, f"{field} is {told(getattr(node, field))}, but is not read")


def sinabs_lif(node: Any, dt: float) -> Effects:
    """LIFSqueeze: v = exp(-1 / tau) v + x, several spikes, subtraction."""
    yield from _sinabs_leak(node)
    yield Effect(CHANGED, _sinabs_kept(node.tau))
    yield from _sinabs_spikes(node, "r", "v_reset")


def sinabs_if(node: Any, dt: float) -> Effects:
    """IAFSqueeze: v += x, held above -v_threshold."""
    yield from _sinabs_spikes(node, "r", "v_reset")
    yield Effect(CHANGED, f"the membrane is held above {told(-floats(node.v_threshold))}")


def sinabs_li(node: Any, dt: float) -> Effects:
    """ExpLeakSqueeze: v = exp(-1 / tau) v + x."""
    yield from _sinabs_leak(node)
    r = floats(node.r)
    yield from refused_unless(bool((r == 1).all()), f"r is {told(r)}, but must be 1")
    yield Effect(CHANGED, _sinabs_kept(node.tau) + ", and adds the input whole")


NEURONS: Mapping[str, Mapping[str, Rule]] = {
    "norse": {"LIF": norse_lif, "IF": norse_if, "CubaLIF": norse_cuba},
    "snntorch": {"LIF": snntorch_lif, "IF": snntorch_if, "CubaLIF": snntorch_cuba},
    "spikingjelly": {"LIF": spikingjelly_lif, "IF": spikingjelly_if, "CubaLIF": spikingjelly_cuba},
    "sinabs": {"LIF": sinabs_lif, "IF": sinabs_if, "LI": sinabs_li},
    "nirtorch": {},
}
"""Rules by simulator and NIR type; a type without a rule is held whatever its values are."""
