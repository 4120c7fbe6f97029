"""What `check` says of a node's values, against what each importer makes of a file with that one node.

Every file is written, read again, imported and run. `refused` must raise; `dropped` must give back what
enters the node; `held` must give NIR's equations (below, in numpy and torch's functions); `changed` must not.
Inputs hold exact ties: a first frame that lifts the membrane to the threshold and no further.
"""

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from snn_tool.cli.app import run
from snn_tool.exporters.nir_foreign.check import check_graph
from snn_tool.exporters.simulators.semantics import SIMULATORS

Floats = NDArray[np.float64]
STEPS, BATCH = 24, 3
RNG = np.random.default_rng(0)
Run = Callable[[nir.NIRGraph, Floats], Floats]


def stepped(module: Any, frames: Floats) -> Floats:
    """Outputs of a module that takes a frame and a state."""
    out, state = [], None
    with torch.no_grad():
        for frame in frames:
            answer = module(torch.from_numpy(frame.astype(np.float32)), state)
            if isinstance(answer, tuple):
                answer, state = answer[0], answer[-1]
            out.append((answer[0] if isinstance(answer, tuple) else answer).numpy())
    return np.stack(out).astype(np.float64)


def norse(graph: nir.NIRGraph, frames: Floats) -> Floats:
    return stepped(pytest.importorskip("norse.torch").from_nir(graph), frames)


def snntorch(graph: nir.NIRGraph, frames: Floats) -> Floats:
    return stepped(pytest.importorskip("snntorch.import_nir").import_from_nir(graph), frames)


def spikingjelly(graph: nir.NIRGraph, frames: Floats) -> Floats:
    importer = pytest.importorskip("spikingjelly.activation_based.nir_exchange")
    return stepped(importer.import_from_nir(graph), frames)


def sinabs(graph: nir.NIRGraph, frames: Floats) -> Floats:
    """Its `Squeeze` layers take batch and time in one axis, the batch outside."""
    module = pytest.importorskip("sinabs.nir").from_nir(graph, batch_size=BATCH)
    flat = torch.from_numpy(frames.astype(np.float32)).transpose(0, 1).flatten(0, 1)
    with torch.no_grad():
        answer = module(flat)
    values = (answer[0] if isinstance(answer, tuple) else answer).numpy().astype(np.float64)
    return values.reshape(BATCH, STEPS, *values.shape[1:]).swapaxes(0, 1)


def nirtorch(graph: nir.NIRGraph, frames: Floats) -> Floats:
    return stepped(pytest.importorskip("nirtorch").nir_to_torch(graph, {}), frames)


IMPORTERS: dict[str, tuple[Run, float]] = {
    "norse": (norse, 1e-3),
    "snntorch": (snntorch, 1e-4),
    "spikingjelly": (spikingjelly, 1e-4),
    "sinabs": (sinabs, 1.0),
    "nirtorch": (nirtorch, 1e-4),
}
"""Each with the timestep in seconds for which it takes a file."""


def reference(node: Any, frames: Floats, dt: float) -> Floats:
    """NIR's equations."""
    if isinstance(node, nir.LIF | nir.LI | nir.IF | nir.I | nir.CubaLIF):
        return np.stack(list(membranes(node, frames, dt)))
    return np.stack([layer(node, torch.from_numpy(frame)).numpy() for frame in frames])


def membranes(node: Any, frames: Floats, dt: float) -> Iterator[Floats]:
    """Euler steps; spikes where the node has a threshold, else membranes."""
    v, current = np.zeros_like(frames[0]), np.zeros_like(frames[0])
    for x in frames:
        if isinstance(node, nir.CubaLIF):
            current = current + dt / node.tau_syn * (node.w_in * x - current)
            v = v + dt / node.tau_mem * (node.v_leak - v + node.r * current)
        elif isinstance(node, nir.LIF | nir.LI):
            v = v + dt / node.tau * (node.v_leak - v + node.r * x)
        else:
            v = v + dt * node.r * x
        if not hasattr(node, "v_threshold"):
            yield v
            continue
        fired = v > node.v_threshold
        v = np.where(fired, node.v_reset, v)
        yield fired.astype(np.float64)


def layer(node: Any, x: torch.Tensor) -> torch.Tensor:
    if isinstance(node, nir.Affine | nir.Linear):
        return torch.nn.functional.linear(x, as_tensor(node.weight), as_tensor(getattr(node, "bias", 0.0)))
    if isinstance(node, nir.Conv1d | nir.Conv2d):
        conv = torch.nn.functional.conv1d if isinstance(node, nir.Conv1d) else torch.nn.functional.conv2d
        stride, padding, dilation = (sides(node, f) for f in ("stride", "padding", "dilation"))
        weight, bias = as_tensor(node.weight), as_tensor(node.bias)
        return conv(x, weight, bias, stride, padding, dilation, int(node.groups))
    if isinstance(node, nir.SumPool2d | nir.AvgPool2d):
        kernel, stride, padding = (sides(node, f) for f in ("kernel_size", "stride", "padding"))
        mean = torch.nn.functional.avg_pool2d(x, kernel, stride, padding)
        return mean * (kernel[0] * kernel[1] if isinstance(node, nir.SumPool2d) else 1)
    if isinstance(node, nir.Flatten):
        return torch.stack([one.flatten(int(node.start_dim), int(node.end_dim)) for one in x])
    if isinstance(node, nir.Scale):
        return x * as_tensor(node.scale)
    assert isinstance(node, nir.Threshold)
    return (x > as_tensor(node.threshold)).double()


def as_tensor(values: Any) -> torch.Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float64))


def sides(node: Any, field: str) -> Any:
    value = getattr(node, field)
    if isinstance(value, str):
        return value
    return tuple(int(n) for n in np.ravel(value)) if np.ndim(value) else int(value)


def full(value: Any, shape: tuple[int, ...] = (2,)) -> Floats:
    return np.broadcast_to(np.asarray(value, dtype=np.float64), shape).copy()


def lif(dt: float, shape: tuple[int, ...] = (2,), **given: Any) -> nir.LIF:
    values = {"tau": 4 * dt, "r": 1, "v_leak": 0, "v_threshold": 0.5, "v_reset": 0, **given}
    # nir.write refuses arrays without a dimension, but writes numpy's scalars.
    return nir.LIF(**{name: full(value, shape)[()] for name, value in values.items()})


def integrate_fire(dt: float, shape: tuple[int, ...] = (2,), **given: Any) -> nir.IF:
    values = {"r": 1 / dt, "v_threshold": 0.5, "v_reset": 0, **given}
    return nir.IF(**{name: full(value, shape) for name, value in values.items()})


def cuba(dt: float, **given: Any) -> nir.CubaLIF:
    base = {
        "tau_syn": dt,
        "tau_mem": 4 * dt,
        "r": 4,
        "v_leak": 0,
        "v_threshold": 0.5,
        "v_reset": 0,
        "w_in": 1,
    }
    return nir.CubaLIF(**{name: full(value) for name, value in {**base, **given}.items()})


def conv2d(
    inputs: int = 2, outputs: int = 2, groups: int = 1, bias: bool = False, **given: Any
) -> nir.Conv2d:
    kernel = given.pop("kernel", 3)
    weight = RNG.integers(-3, 4, (outputs, inputs // groups, kernel, kernel)).astype(np.float64)
    geometry = {"stride": 1, "padding": 1, "dilation": 1, **given}
    return nir.Conv2d((6, 6), weight, groups=groups, bias=np.arange(outputs) * float(bias), **geometry)


def conv1d(
    inputs: int = 2, outputs: int = 2, groups: int = 1, bias: bool = False, **given: Any
) -> nir.Conv1d:
    weight = RNG.integers(-3, 4, (outputs, inputs // groups, 3)).astype(np.float64)
    geometry = {"stride": 1, "padding": 1, "dilation": 1, **given}
    return nir.Conv1d(6, weight, groups=groups, bias=np.arange(outputs) * float(bias), **geometry)


def pool(kind: type, padding: int = 0, kernel: tuple[int, int] = (2, 2)) -> nir.NIRNode:
    return kind(np.array(kernel), np.array([2, 2]), np.array([padding, padding]))


def flatten(start: int, end: int = -1) -> nir.Flatten:
    return nir.Flatten({"input": np.array(CUBE)}, start, end)


FLAT, CUBE, PLANES, ROWS = (2,), (2, 3, 3), (2, 6, 6), (2, 6)
Case = tuple[Callable[[float], nir.NIRNode], tuple[int, ...]]
CASES: dict[str, Case] = {
    "lif": (lambda dt: lif(dt), FLAT),
    "lif of three dimensions": (lambda dt: lif(dt, CUBE), CUBE),
    "lif of two dimensions": (lambda dt: lif(dt, (2, 1)), (2, 1)),
    "lif without dimensions": (lambda dt: lif(dt, ()), FLAT),
    "lif r = tau / dt": (lambda dt: lif(dt, r=4), FLAT),
    "lif r = 2": (lambda dt: lif(dt, r=2), FLAT),
    "lif r = 0": (lambda dt: lif(dt, r=0), FLAT),
    "lif r = 0, threshold 0": (lambda dt: lif(dt, r=0, v_threshold=0), FLAT),
    "lif r = -1": (lambda dt: lif(dt, r=-1), FLAT),
    "lif distinct r": (lambda dt: lif(dt, r=[1, 2]), FLAT),
    "lif v_reset": (lambda dt: lif(dt, v_reset=-0.5), FLAT),
    "lif v_reset above the threshold": (lambda dt: lif(dt, v_reset=0.75), FLAT),
    "lif distinct v_reset": (lambda dt: lif(dt, v_reset=[0, -0.5]), FLAT),
    "lif v_leak": (lambda dt: lif(dt, v_leak=0.25), FLAT),
    "lif v_leak = v_reset": (lambda dt: lif(dt, v_leak=0.25, v_reset=0.25), FLAT),
    "lif distinct tau": (lambda dt: lif(dt, tau=[3 * dt, 7 * dt], v_threshold=0.53), FLAT),
    "lif distinct tau, r = tau / dt": (
        lambda dt: lif(dt, tau=[3 * dt, 7 * dt], r=[3, 7], v_threshold=0.53),
        FLAT,
    ),
    "lif tau = dt": (lambda dt: lif(dt, tau=dt), FLAT),
    "lif tau below dt": (lambda dt: lif(dt, tau=0.6 * dt, v_threshold=0.53), FLAT),
    "lif distinct thresholds": (lambda dt: lif(dt, v_threshold=[0.25, 0.75]), FLAT),
    "lif threshold 0": (lambda dt: lif(dt, v_threshold=0), FLAT),
    "lif threshold -1/4": (lambda dt: lif(dt, v_threshold=-0.25), FLAT),
    "if": (lambda dt: integrate_fire(dt), FLAT),
    "if of three dimensions": (lambda dt: integrate_fire(dt, CUBE), CUBE),
    "if r = 1": (lambda dt: integrate_fire(dt, r=1), FLAT),
    "if r = 2": (lambda dt: integrate_fire(dt, r=2), FLAT),
    "if v_reset": (lambda dt: integrate_fire(dt, v_reset=-0.5), FLAT),
    "if distinct thresholds": (lambda dt: integrate_fire(dt, v_threshold=[0.25, 0.75]), FLAT),
    "if threshold -1/4": (lambda dt: integrate_fire(dt, v_threshold=-0.25), FLAT),
    "cuba": (cuba, FLAT),
    "cuba w_in = tau_syn / dt": (lambda dt: cuba(dt, tau_syn=2 * dt, w_in=2), FLAT),
    "cuba slow synapse": (lambda dt: cuba(dt, tau_syn=2 * dt), FLAT),
    "cuba w_in = 3": (lambda dt: cuba(dt, w_in=3, v_threshold=0.53), FLAT),
    "cuba w_in = 0": (lambda dt: cuba(dt, w_in=0), FLAT),
    "cuba w_in = -1": (lambda dt: cuba(dt, w_in=-1), FLAT),
    "cuba distinct w_in": (lambda dt: cuba(dt, w_in=[1, 2]), FLAT),
    "cuba r = 1": (lambda dt: cuba(dt, r=1), FLAT),
    "cuba v_leak": (lambda dt: cuba(dt, v_leak=0.25), FLAT),
    "cuba v_reset": (lambda dt: cuba(dt, v_reset=-0.5), FLAT),
    "cuba distinct thresholds": (lambda dt: cuba(dt, v_threshold=[0.25, 0.75]), FLAT),
    "cuba threshold -1/4": (lambda dt: cuba(dt, v_threshold=-0.25), FLAT),
    "cuba distinct tau_mem": (
        lambda dt: cuba(dt, tau_mem=[3 * dt, 7 * dt], r=[3, 7], v_threshold=0.53),
        FLAT,
    ),
    "cuba tau_mem below dt": (lambda dt: cuba(dt, tau_mem=0.6 * dt, r=0.6, v_threshold=0.53), FLAT),
    "cuba tau_syn below dt": (lambda dt: cuba(dt, tau_syn=0.6 * dt, w_in=0.6, v_threshold=0.53), FLAT),
    "li": (lambda dt: nir.LI(full(4 * dt), full(1), full(0)), FLAT),
    "li r = 2": (lambda dt: nir.LI(full(4 * dt), full(2), full(0)), FLAT),
    "li v_leak": (lambda dt: nir.LI(full(4 * dt), full(1), full(0.25)), FLAT),
    "i": (lambda dt: nir.I(full(3 / dt)), FLAT),
    "scale": (lambda dt: nir.Scale(full(3)), FLAT),
    "threshold": (lambda dt: nir.Threshold(full(0.5)), FLAT),
    "affine": (lambda dt: nir.Affine(np.array([[1.0, 2], [3, -4]]), np.array([1.0, -2])), FLAT),
    "affine, bias 0": (lambda dt: nir.Affine(np.array([[1.0, 2], [3, -4]]), np.zeros(2)), FLAT),
    "linear": (lambda dt: nir.Linear(np.array([[1.0, 2], [3, -4], [5, 6]])), FLAT),
    "conv2d": (lambda dt: conv2d(), PLANES),
    "conv2d distinct biases": (lambda dt: conv2d(outputs=4, bias=True), PLANES),
    "conv2d 4 to 2": (lambda dt: conv2d(4, 2, bias=True), (4, 6, 6)),
    "conv2d 2 groups of 2": (lambda dt: conv2d(4, 4, 2, bias=True), (4, 6, 6)),
    "conv2d depthwise": (lambda dt: conv2d(4, 4, 4), (4, 6, 6)),
    "conv2d stride": (lambda dt: conv2d(stride=2), PLANES),
    "conv2d dilation": (lambda dt: conv2d(dilation=2, padding=2), PLANES),
    "conv2d unequal padding": (lambda dt: conv2d(padding=(0, 1)), PLANES),
    "conv2d same": (lambda dt: conv2d(padding="same"), PLANES),
    "conv2d same, even kernel": (lambda dt: conv2d(padding="same", kernel=2), PLANES),
    "conv2d valid": (lambda dt: conv2d(padding="valid"), PLANES),
    "conv1d": (lambda dt: conv1d(), ROWS),
    "conv1d distinct biases": (lambda dt: conv1d(outputs=4, bias=True), ROWS),
    "conv1d 2 groups of 2": (lambda dt: conv1d(4, 4, 2), (4, 6)),
    "conv1d depthwise": (lambda dt: conv1d(4, 4, 4), (4, 6)),
    "conv1d same": (lambda dt: conv1d(padding="same"), ROWS),
    "conv1d dilation": (lambda dt: conv1d(dilation=2), ROWS),
    "sum pool": (lambda dt: pool(nir.SumPool2d), PLANES),
    "sum pool, not square": (lambda dt: pool(nir.SumPool2d, kernel=(3, 1)), PLANES),
    "sum pool, padded": (lambda dt: pool(nir.SumPool2d, 1), PLANES),
    "mean pool": (lambda dt: pool(nir.AvgPool2d), PLANES),
    "mean pool, padded": (lambda dt: pool(nir.AvgPool2d, 1), PLANES),
    "flatten 0": (lambda dt: flatten(0), CUBE),
    "flatten 1": (lambda dt: flatten(1), CUBE),
    "flatten 0 to 1": (lambda dt: flatten(0, 1), CUBE),
    "flatten -2": (lambda dt: flatten(-2), CUBE),
    "flatten 1 to 1": (lambda dt: flatten(1, 1), CUBE),
}
OVERSHOOTING = ("lif tau below dt", "cuba tau_mem below dt", "cuba tau_syn below dt")
"""In norse Euler's steps themselves are at fault; they have a test of their own."""


def stimulus(node: nir.NIRNode, shape: tuple[int, ...]) -> Floats:
    """Frames [T, N, ...]; the first lifts membranes onto the threshold, for r of 1 and of tau / dt.

    Not where that threshold is no dyadic fraction, which rounding would decide.
    """
    rng = np.random.default_rng(1)
    if not hasattr(node, "v_threshold"):
        return rng.integers(-3, 4, (STEPS, BATCH, *shape)).astype(np.float64)
    frames = rng.normal(0.5, 1.2, (STEPS, BATCH, *shape))
    if not np.any(4 * node.v_threshold % 1):
        frames[0, 0], frames[0, 1], frames[0, 2] = 4 * node.v_threshold, node.v_threshold, 0
    return frames


def graph_of(node: nir.NIRNode, shape: tuple[int, ...], out: tuple[int, ...], target: str) -> nir.NIRGraph:
    """Input, an identity that every importer but nirtorch's keeps, the node, Output."""
    nodes = {
        "input": nir.Input({"input": np.array(shape)}),
        "node": node,
        "output": nir.Output({"output": np.array(out)}),
    }
    edges = [("input", "node"), ("node", "output")]
    if target != "nirtorch":
        eye = np.eye(shape[0] if len(shape) == 3 else shape[-1])
        nodes["identity"] = nir.Affine(eye, np.zeros(len(eye)))
        if len(shape) == 3:
            nodes["identity"] = nir.Conv2d(shape[1:], eye[:, :, None, None], 1, 0, 1, 1, np.zeros(len(eye)))
        edges = [("input", "identity"), ("identity", "node"), ("node", "output")]
    return nir.NIRGraph(nodes, edges, type_check=False)


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def behaviour(target: str, node: nir.NIRNode, shape: tuple[int, ...], path: Path) -> tuple[str, str, str]:
    """What the importer does, what `check` says of it, and why."""
    imported, dt = IMPORTERS[target]
    frames = stimulus(node, shape)
    expected = reference(node, frames, dt)
    nir.write(path, graph_of(node, shape, expected.shape[2:], target))
    graph = nir.read(path, type_check=False)
    (said,) = [f for f in check_graph(graph, target) if f.node == "node"]
    try:
        with quietly():
            found = imported(graph, frames)
    except (ArithmeticError, AssertionError, AttributeError, NotImplementedError, RuntimeError, ValueError):
        return "refused", said.verdict, said.why
    if found.shape == expected.shape and np.allclose(found, expected, rtol=0, atol=1e-5):
        return "held", said.verdict, said.why
    dropped = found.shape == frames.shape and np.allclose(found, frames, rtol=0, atol=1e-5)
    return ("dropped" if dropped else "changed"), said.verdict, said.why


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("target", IMPORTERS)
def test_what_is_said_is_what_happens(target: str, case: str, tmp_path: Path) -> None:
    if target == "norse" and case in OVERSHOOTING:
        return
    make, shape = CASES[case]
    happens, said, why = behaviour(target, make(IMPORTERS[target][1]), shape, tmp_path / "net.nir")
    assert said == happens, f"{target}, {case}: said {said} ({why}), but it is {happens}"


TAUS, GAINS, LEVELS = (0.5, 1, 2, 4, 8), (-1, 0, 0.25, 1, 2, 4, 8), (-0.5, 0, 0.25)
THRESHOLDS = (-0.25, 0, 0.5, 1)


def drawn(rng: np.random.Generator, dt: float) -> nir.NIRNode:
    """A neuron with constants out of small sets, one for both neurons or two."""

    def some(values: tuple[float, ...], scale: float = 1.0) -> Floats:
        chosen = rng.choice(np.array(values), 2 if rng.random() < 0.1 else 1)
        return scale * full(chosen)

    kind = rng.integers(3)
    if kind == 0:
        tau, reset = some(TAUS, dt), some(LEVELS)
        r = tau / dt if rng.random() < 0.5 else some(GAINS)
        return nir.LIF(tau, r, reset if rng.random() < 0.5 else full(0), some(THRESHOLDS), v_reset=reset)
    if kind == 1:
        return nir.IF(some((1, 1 / dt, 1 / dt)), some(THRESHOLDS), v_reset=some(LEVELS))
    tau_syn, tau_mem = some(TAUS, dt), some(TAUS, dt)
    w_in, r = (t / dt if rng.random() < 0.7 else some(GAINS) for t in (tau_syn, tau_mem))
    leak = some(LEVELS) if rng.random() < 0.3 else full(0)
    return nir.CubaLIF(tau_syn, tau_mem, r, leak, some(THRESHOLDS), v_reset=some(LEVELS), w_in=w_in)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["norse", "snntorch", "spikingjelly", "sinabs"])
def test_neurons_drawn_at_random_are_not_praised_wrongly(target: str, tmp_path: Path) -> None:
    """`held` is exact, `refused` raises and nothing else does; `changed` may not show in the drawn inputs."""
    rng, seen = np.random.default_rng(5), dict.fromkeys(("held", "changed", "refused", "dropped"), 0)
    for _ in range(150):
        node = drawn(rng, IMPORTERS[target][1])
        happens, said, why = behaviour(target, node, FLAT, tmp_path / "net.nir")
        seen[said] += 1
        assert happens in ({"changed", "held"} if said == "changed" else {said}), (node, happens, said, why)
    assert seen["changed"] > 10
    assert seen["held"] > (10 if target in ("norse", "snntorch") else -1)


def test_every_type_of_nir_is_judged_in_every_target() -> None:
    """No claim about a type stands on reading alone; a Delay has a test in test_nir_check.py."""
    tested = {type(make(1.0)).__name__ for make, _ in CASES.values()} | {"CubaLI", "Delay"}
    for simulator in SIMULATORS.values():
        known = simulator.holds | simulator.drops | simulator.refuses
        assert known == tested, simulator.name


def why(node: nir.NIRNode, target: str, dt_s: float | None = None) -> tuple[str, str]:
    nodes = {"i": nir.Input(np.array([2])), "node": node, "o": nir.Output(np.array([2]))}
    made = nir.NIRGraph(nodes, [("i", "node"), ("node", "o")], type_check=False)
    (found,) = check_graph(made, target, dt_s)
    return found.verdict, found.why


def test_the_numbers_of_a_lif_are_in_the_line() -> None:
    """Tau of 5 and 20 ms: beta 1 - 0.1 / 5 and 1 - 0.1 / 20, r dt / tau 0.02 and 0.005, exp(-1 / tau)."""
    node = nir.LIF(full([5e-3, 2e-2]), full(1), full(0), full(0.5), v_reset=full(-0.5))
    assert why(node, "norse") == ("changed", "v_reset is -0.5, but it resets to 0")
    assert why(node, "snntorch") == (
        "changed",
        "r dt / tau is 0.005 to 0.02 (2 values), but 0.005 is taken for all; "
        "v_reset is -0.5, but it resets to 0",
    )
    verdict, text = why(node, "spikingjelly")
    assert verdict == "refused" and text.startswith("tau is 0.005 to 0.02 (2 values), but must be one")
    assert "v_leak is 0, but must be v_reset = -0.5" in text and ">=" not in text
    verdict, text = why(node, "sinabs")
    kept = f"{np.exp(-200):.6g} to {np.exp(-50):.6g} (2 values) of the membrane per step"
    assert verdict == "changed" and kept in text and "as many spikes as 0.5 fits into v" in text


def test_the_timestep_of_the_caller_counts() -> None:
    """R = tau / dt holds for one dt; snntorch has its own whatever is asked for."""
    node = lif(1e-3, r=4)
    assert why(node, "spikingjelly", 1e-3)[1] == "fires where v >= 0.5, NIR where v > 0.5"
    assert why(node, "spikingjelly") == ("refused", "r is 4, but must be 1 or tau / dt = 40")
    assert why(node, "norse", 5e-3)[1].endswith(
        "tau is 0.004 s, below dt = 0.005 s: Euler steps overshoot the rest"
    )
    assert why(node, "snntorch") == ("held", "at dt = 0.0001 s")
    assert why(node, "snntorch", 1e-3) == ("changed", "its timestep is 0.0001 s, whatever the caller's is")
    assert why(conv2d(), "snntorch", 1e-3) == ("held", "")


@pytest.mark.parametrize(
    "node",
    [lif(1e-3, tau=0.6e-3), cuba(1e-3, tau_mem=0.6e-3), cuba(1e-3, tau_syn=0.6e-3, tau_mem=1e-3, r=1)],
    ids=["lif", "membrane", "synapse"],
)
def test_a_step_longer_than_tau_overshoots(node: nir.NIRNode, tmp_path: Path) -> None:
    """One negative impulse: tau v' = -v + x keeps v at or below 0, Euler's 1 - dt / tau = -2/3 does not."""
    frames = np.zeros((STEPS, BATCH, 2))
    frames[0] = -3
    nir.write(tmp_path / "net.nir", graph_of(node, FLAT, FLAT, "norse"))
    graph = nir.read(tmp_path / "net.nir", type_check=False)
    assert [f.verdict for f in check_graph(graph, "norse") if f.node == "node"] == ["changed"]
    with quietly():
        assert norse(graph, frames).any()


def test_same_padding_with_a_stride_does_not_load(tmp_path: Path) -> None:
    node = conv2d(padding="same", stride=2)
    nir.write(tmp_path / "net.nir", graph_of(node, PLANES, (2, 3, 3), "nirtorch"))
    for target, (imported, _) in IMPORTERS.items():
        graph = nir.read(tmp_path / "net.nir", type_check=False)
        assert why(node, target) == (
            "refused",
            "padding 'same' with stride 2 x 2: torch has it with stride 1 only",
        )
        with quietly(), pytest.raises(ValueError, match="padding='same' is not supported for strided"):
            imported(graph, np.zeros((STEPS, BATCH, *PLANES)))


def test_a_grouped_file_is_read_although_nir_refuses_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Depthwise: 4 groups of 1 channel; one channel is not divided by 4 groups."""
    path = tmp_path / "grouped.nir"
    nir.write(path, graph_of(conv2d(4, 4, 4), (4, 6, 6), (4, 6, 6), "nirtorch"))
    with pytest.raises(ValueError, match="type mismatch"):
        nir.read(path)
    assert run(["--json", "check", str(path), "--target", "norse"]) == 3
    document = json.loads(capsys.readouterr().out)
    (found,) = document["findings"]
    assert (found["verdict"], document["schema"]) == ("refused", 2)
    assert found["why"].startswith("groups is 4: it takes 1 for the input channels")
    assert len(document["notes"]) == 1 and "type_check=False" in document["notes"][0]
    nir.write(path, graph_of(conv2d(2, 3), PLANES, (5, 6, 6), "nirtorch"))
    assert run(["check", str(path)]) == 1
    assert "not a consistent NIR graph" in capsys.readouterr().err


def test_useless_values_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "net.nir"
    node = conv2d()
    node.groups = np.array([1, 2])
    nir.write(path, graph_of(node, PLANES, PLANES, "nirtorch"))
    assert run(["check", str(path), "--target", "norse"]) == 1
    fault = capsys.readouterr().err
    assert len(fault.splitlines()) == 1
    nir.write(path, graph_of(lif(1e-3, tau=0), FLAT, FLAT, "norse"))
    assert run(["check", str(path), "--target", "norse", "--dt", "0.001"]) == 0
    assert "tau is 0 s, below dt = 0.001 s" in capsys.readouterr().out
    assert run(["check", str(path), "--dt", "0"]) == 1


def outputs(target: str, node: nir.NIRNode, frames: Floats, path: Path) -> Floats:
    nir.write(path, graph_of(node, FLAT, FLAT, target))
    with quietly():
        return IMPORTERS[target][0](nir.read(path, type_check=False), frames)


@pytest.mark.parametrize("make", [lif, integrate_fire])
def test_spikingjelly_starts_at_v_reset(make: Callable[..., nir.NIRNode], tmp_path: Path) -> None:
    """NIR's equations from v_reset give its spikes, from 0 they do not; the frames have no ties.

    From 1/4 an input of 1.4 reaches 0.6 by a quarter, from 0 only 0.41; 0.35 at once reaches 0.6 or 0.35.
    """
    node = make(1e-4, v_reset=0.25, **({"v_leak": 0.25} if make is lif else {}))
    frames = np.random.default_rng(1).normal(0.2, 1.2, (STEPS, BATCH, 2))
    frames[0, 0] = 1.4 if make is lif else 0.35
    found = outputs("spikingjelly", node, frames, tmp_path / "net.nir")
    first = frames.copy()
    # What lifts a membrane from 0 to 1/4: of an IF 1/4, of a LIF three quarters beside its v_leak of 1/4.
    first[0] += 0.75 if make is lif else 0.25
    assert (found == reference(node, first, 1e-4)).all()
    assert (found != reference(node, frames, 1e-4)).any()
    assert "v_reset is 0.25, where the membrane starts, not at 0" in why(node, "spikingjelly")[1]


def test_sinabs_holds_the_membrane_of_an_if_and_reads_neither_r_nor_v_reset(tmp_path: Path) -> None:
    """After -10 a membrane of -1/2 and one more of 1.2 is 0.7, one spike of 1/2; NIR's would be -8.8."""
    frames = np.zeros((STEPS, BATCH, 2))
    frames[0], frames[1] = -10, 1.2
    plain, other = integrate_fire(1.0), integrate_fire(1.0, r=3, v_reset=-0.25)
    found = outputs("sinabs", plain, frames, tmp_path / "net.nir")
    assert found[1].min() == found[1].max() == 1 and not reference(plain, frames, 1.0).any()
    assert (outputs("sinabs", other, frames, tmp_path / "net.nir") == found).all()
    assert why(other, "sinabs")[1] == (
        "emits as many spikes as 0.5 fits into v, and subtracts them; r is 3, but is not read; "
        "v_reset is -0.25, but is not read; the membrane is held above -0.5"
    )


def test_snntorch_takes_a_gain_of_nearly_1_for_1() -> None:
    """Within the 1e-5 of numpy's allclose its importer leaves the threshold as it is."""
    found = why(lif(1e-4, r=4 * (1 + 8e-6)), "snntorch")
    assert found == ("changed", "r dt / tau is 1.00001, but is taken as 1")
