"""Foreign graphs as real networks: folded layers and neurons do what the nodes say; the rest is named."""

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from snn_tool.errors import QuantizationError, UnsupportedLayerError
from snn_tool.exporters.nir_foreign.forms import Conv, squared
from snn_tool.exporters.nir_foreign.importing import ImportedGraph, import_graph
from snn_tool.exporters.nir_foreign.module import NirModule
from snn_tool.models.integer.engine import IntegerEngine, quantize_image
from snn_tool.models.integer.file import load_integer_network, save_integer_network
from snn_tool.models.integer.network import InputGrid
from snn_tool.models.integer.quantize_real import RealNetwork, quantize_real
from torch.nn import functional

RNG = np.random.default_rng(5)
SHAPE = (2, 8, 8)
Reals = NDArray[np.float64]


def graph(shape: tuple[int, ...], edges: Any = None, **nodes: Any) -> nir.NIRGraph:
    """A chain of the nodes in their order between `in` and `out`, or other edges."""
    chain = ["in", *nodes, "out"]
    named = {"in": nir.Input(np.array(shape)), **nodes, "out": nir.Output(np.array([1]))}
    return nir.NIRGraph(named, edges or list(zip(chain, chain[1:], strict=False)), type_check=False)


def imported(made: nir.NIRGraph, timesteps: int = 4, dt_s: float = 1.0) -> ImportedGraph:
    return import_graph(made, NirModule(made, "a.nir", dt_s), timesteps)


def fire(threshold: float = 1.0) -> nir.IF:
    return nir.IF(np.ones(1), np.full(1, threshold), np.zeros(1))


def conv(out: int, given: int, kernel: Any = 3, padding: Any = 1, **options: Any) -> nir.Conv2d:
    rows, columns = np.broadcast_to(kernel, 2)
    weight = RNG.normal(size=(out, given // options.get("groups", 1), rows, columns))
    values = {"stride": 1, "dilation": 1, "groups": 1, "bias": np.zeros(out), **options}
    return nir.Conv2d(None, weight, padding=padding, **values)


def current(network: RealNetwork, image: Reals) -> Reals:
    """What the first population receives: torch's convolutions of the folded weights."""
    first = network.populations[0]
    total: Any = first.bias[:, None, None]
    for synapse in network.incoming(first):
        wiring, weight = synapse.wiring, torch.from_numpy(synapse.weight)
        args = (None, wiring.stride, wiring.padding, wiring.dilation)
        total = total + functional.conv2d(torch.from_numpy(image)[None], weight, *args)[0].numpy()
    return np.asarray(total)


def pool(kind: type, kernel: Any, stride: Any = None, padding: int = 0) -> nir.NIRNode:
    made: nir.NIRNode = kind(
        np.array(np.broadcast_to(kernel, 2)),
        np.array(np.broadcast_to(kernel if stride is None else stride, 2)),
        np.full(2, padding),
    )
    return made


CHAINS = {
    "sum pool, padded conv": {"a": pool(nir.SumPool2d, 2), "b": conv(3, 2)},
    "mean pool, padded and dilated conv": {
        "a": pool(nir.AvgPool2d, 2),
        "b": conv(3, 2, kernel=(3, 1), padding=(2, 0), dilation=2),
    },
    "a padded pool, a strided conv": {"a": pool(nir.SumPool2d, 2, padding=1), "b": conv(3, 2, stride=2)},
    "two pools, padded conv": {"a": pool(nir.SumPool2d, 2), "b": pool(nir.AvgPool2d, 2), "c": conv(3, 2)},
    "an even strided conv, padded conv": {"a": conv(3, 2, kernel=2, stride=2, padding=0), "b": conv(2, 3)},
    "a kernel that is the whole map": {"a": pool(nir.AvgPool2d, 4), "b": conv(3, 2, kernel=2, padding=0)},
    "one position of a padded conv behind a bias": {
        "a": conv(2, 2, kernel=5, padding=0, bias=np.ones(2)),
        "b": conv(3, 2, kernel=6, padding=1, stride=2),
    },
    "groups, dilation and stride": {"a": conv(4, 2, groups=2, dilation=2, stride=2)},
    "an even kernel": {"a": conv(3, 2, kernel=4, stride=2)},
    "a rectangle as a square": {"a": conv(3, 2, kernel=(3, 1), padding=(1, 0))},
    "same, with a bias": {"a": conv(3, 2, padding="same", bias=np.arange(3.0))},
    "conv, mean pool": {
        "a": conv(3, 2),
        "b": nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.zeros(2, int)),
    },
    "dilated conv, conv": {
        "a": conv(3, 2, dilation=2, stride=2),
        "b": conv(2, 3, padding=0, bias=np.ones(2)),
    },
    "conv, pointwise": {"a": conv(3, 2, dilation=2, padding=2), "b": conv(4, 3, kernel=1, padding=0)},
    "scale, sum pool, conv": {
        "a": nir.Scale(np.array([2.0, -1])[:, None, None] * np.ones(SHAPE)),
        "b": nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.zeros(2, int)),
        "c": conv(2, 2, padding=0),
    },
    "pool, flatten, affine": {
        "a": nir.AvgPool2d(np.array([4, 4]), np.array([4, 4]), np.zeros(2, int)),
        "b": nir.Flatten({"input": np.array([2, 2, 2])}, 0, -1),
        "c": nir.Affine(RNG.normal(size=(5, 8)), RNG.normal(size=5)),
    },
}


@pytest.mark.parametrize("name", CHAINS)
def test_layers_between_neurons_become_one_convolution(name: str) -> None:
    """Against the nodes one after the other, each by its own torch layer."""
    layers = CHAINS[name]
    network = imported(graph(SHAPE, **layers, n=fire())).network
    image = RNG.normal(size=SHAPE)
    nodes = NirModule(graph(SHAPE, **layers), "a.nir")
    expected = nodes(torch.from_numpy(image)[None])[0].numpy()
    assert len(network.synapses) == 2
    np.testing.assert_allclose(current(network, image).reshape(expected.shape), expected, atol=1e-12)


def test_edges_add_up_and_a_skip_of_the_image_stays_with_the_host() -> None:
    edges = [("in", "a"), ("in", "b"), ("a", "n"), ("b", "n"), ("n", "c"), ("c", "out"), ("in", "out")]
    made = graph(SHAPE, edges, a=conv(3, 2), b=conv(3, 2, kernel=5, padding=2), n=fire(), c=conv(2, 3))
    found = imported(made).network
    assert found.adds_image and found.image_size is None
    assert [p.wiring.inputs for p in found.populations] == [("a", "b"), ("c",)]
    image = torch.from_numpy(RNG.normal(size=SHAPE))[None]
    module = NirModule(made, "a.nir")
    branches = [module._modules[name](image)[0].numpy() for name in ("a", "b")]
    np.testing.assert_allclose(current(found, image[0].numpy()), branches[0] + branches[1], atol=1e-12)


NEURONS = {
    "IF": nir.IF(np.full(2, 0.5), np.array([0.75, 1.5]), np.array([-0.25, 0.5])),
    "LIF": nir.LIF(
        np.full(2, 4.0), np.array([3.0, 2]), np.array([0.5, -1]), np.array([0.7, 0.6]), np.full(2, -0.2)
    ),
    "CubaLIF": nir.CubaLIF(
        np.ones(2), np.full(2, 2.0), np.full(2, 1.5), np.zeros(2), np.ones(2), np.zeros(2), np.full(2, 2.5)
    ),
}


@pytest.mark.parametrize("kind", NEURONS)
def test_reset_rest_and_thresholds_go_into_weights_and_bias(kind: str) -> None:
    """Two neurons of unlike thresholds and resets; the normalised ones spike at the same steps."""
    node = NEURONS[kind]
    for name, value in vars(node).items():
        if isinstance(value, np.ndarray):
            setattr(node, name, value.reshape(2, 1, 1))
    made = graph((2, 1, 1), n=node, c=conv(1, 2, kernel=1, padding=0))
    module, found = NirModule(made, "a.nir", 1.0), imported(made).network
    population, weight = found.populations[0], found.synapses[0].weight[:, :, 0, 0]
    v, fired = np.zeros(2), 0
    for x in RNG.uniform(-0.5, 1.5, size=(300, 2)):
        module(torch.from_numpy(x.reshape(1, 2, 1, 1)))
        v = (1 - population.decay) * v + weight @ x + population.bias
        spikes = v > 1
        v = np.where(spikes, 0, v)
        state = module.neurons["n"].v
        assert state is not None
        # The file's membrane is v_threshold - v_reset times the normalised one, above v_reset.
        np.testing.assert_allclose(
            state[0].numpy(), node.v_reset + (node.v_threshold - node.v_reset) * v[:, None, None], atol=1e-9
        )
        fired += int(spikes.sum())
    assert 30 < fired < 570


Sides = tuple[int, int]
SIDES = st.tuples(st.integers(1, 9), st.integers(1, 9))
SMALL = st.tuples(st.integers(1, 4), st.integers(1, 4))
ZEROS = st.tuples(st.integers(0, 3), st.integers(0, 3))


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.sampled_from([nir.SumPool2d, nir.AvgPool2d]), SIDES, SMALL, SMALL, ZEROS, st.data())
def test_whatever_is_imported_equals_the_layers_exactly(
    kind: type, size: Sides, kernel: Sides, stride: Sides, padding: Sides, data: st.DataObject
) -> None:
    """A pool and a convolution of whole numbers on whole numbers: no rounding, so that nothing may differ."""
    taps, steps, zeros, gaps = (data.draw(one) for one in (SMALL, SMALL, ZEROS, SMALL))
    # A mean over 1, 2, 4 or 16 values is exact as well.
    kernel = tuple(4 if n == 3 and kind is nir.AvgPool2d else n for n in kernel)
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    first = kind(np.array(kernel), np.array(stride), np.minimum(padding, np.array(kernel) // 2))
    weight = rng.integers(-3, 4, (2, 2, *taps)).astype(np.float64)
    second = nir.Conv2d(None, weight, steps, zeros, gaps, 1, np.full(2, float(data.draw(st.integers(-3, 3)))))
    layers = {"a": first, "b": second}
    image = rng.integers(-5, 6, (2, *size)).astype(np.float64)
    try:
        network = imported(graph((2, *size), **layers, n=fire())).network
    except UnsupportedLayerError as error:
        unlike = "no square form" in str(error) or "strides" in str(error) or "larger than" in str(error)
        assert unlike or "overlap or leave rows over" in str(error), error
        if "leave rows over" in str(error):
            assert kernel != stride or any(
                (n + 2 * p) % k for n, p, k in zip(size, first.padding, kernel, strict=True)
            )
        return
    expected = NirModule(graph((2, *size), **layers), "a.nir")(torch.from_numpy(image)[None])[0].numpy()
    assert (current(network, image) == expected).all()


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(SIDES, SMALL, SMALL, ZEROS, SMALL)
def test_a_square_form_is_found_where_one_exists(
    size: Sides, kernel: Sides, stride: Sides, padding: Sides, dilation: Sides
) -> None:
    """Tried one by one: a square of side k, stride s, padding p that makes as many positions, and reaches."""
    made = Conv(RNG.integers(-3, 4, (1, 1, *kernel)).astype(np.float64), stride, padding, dilation)
    positions = made.output_size(size)
    if min(positions) < 1:
        return
    exists = any(
        all(n + 2 * p >= k and (n + 2 * p - k) // s + 1 == m for n, m in zip(size, positions, strict=True))
        and all(
            p >= o and k - p >= d * (t - 1) + 1 - o for o, d, t in zip(padding, dilation, kernel, strict=True)
        )
        for s in ({one for one, m in zip(stride, positions, strict=True) if m > 1} or range(1, 12))
        for p in range(24)
        for k in range(1, 48)
        if all(m == 1 or one == s for one, m in zip(stride, positions, strict=True))
    )
    image = torch.from_numpy(RNG.integers(-5, 6, (1, 1, *size)).astype(np.float64))
    expected = functional.conv2d(image, torch.from_numpy(made.weight), None, stride, padding, dilation)
    try:
        found = squared(made, size, "n")
    except UnsupportedLayerError:
        assert not exists
        return
    weight = torch.from_numpy(found.weight)
    one = functional.conv2d(image, weight, None, found.stride, found.padding, found.dilation)
    assert found.weight.shape[2] == found.weight.shape[3] and torch.equal(one, expected)


def test_a_square_that_one_size_needs_is_pinned_to_it() -> None:
    """A 2x3 map read whole: as a 4x4 kernel of stride 2 it makes one position of 2x3, but 2 of 4x6."""
    made = graph(
        (3, 2, 3), a=conv(3, 3, kernel=(2, 3), padding=0), n=fire(), b=conv(3, 3, kernel=1, padding=0)
    )
    assert imported(made).network.image_size == (2, 3)


REFUSED: dict[str, tuple[nir.NIRGraph, str]] = {
    "two paddings": (
        graph(SHAPE, a=conv(2, 2), b=conv(2, 2), n=fire()),
        "b: pads the output of a with zeros",
    ),
    "a loop through two": (
        graph(
            SHAPE,
            [("in", "n"), ("n", "a"), ("a", "m"), ("m", "n"), ("m", "out")],
            a=conv(2, 2),
            n=fire(),
            m=fire(),
        ),
        r"m: a loop through 2 populations \(m, n\); each takes a timestep on the chip",
    ),
    "a loop without neurons": (
        graph(
            SHAPE,
            [("in", "a"), ("a", "b"), ("b", "a"), ("b", "n"), ("n", "out")],
            a=conv(2, 2),
            b=conv(2, 2),
            n=fire(),
        ),
        "a: a loop of a, b without IF, LIF or CubaLIF",
    ),
    "fed by its loop alone": (
        graph(SHAPE, [("in", "a"), ("n", "a"), ("a", "n"), ("n", "out")], a=conv(2, 2), n=fire()),
        "n: is fed through its own loop alone",
    ),
    "positions": (
        graph(SHAPE, n=nir.IF(np.ones(SHAPE), 1 + np.arange(128.0).reshape(SHAPE), np.zeros(SHAPE))),
        "n: v_threshold differs between the positions",
    ),
    "decays of a read-out": (
        graph((2, 1, 1), n=fire(), i=nir.LI(np.array([2.0, 3]), np.ones(2), np.zeros(2))),
        "i: time constants between 2 and 3 s; a read-out is one population, which Lava gives one dv",
    ),
    "threshold": (graph(SHAPE, n=fire(0.0)), "n: v_threshold is not above v_reset"),
    "a reading inside": (graph(SHAPE, i=nir.I(np.ones(1)), n=fire()), "i: I does not fire"),
    "no neurons": (graph(SHAPE, a=conv(2, 2)), "nothing would spike"),
    "too many axes": (graph((2, 4, 4, 4), n=fire()), r"takes .2, 4, 4, 4.; a network that is imported"),
    "no flatten": (
        graph(SHAPE, a=nir.Linear(np.ones((3, 128))), n=fire()),
        "a: takes .128., but .* put Flatten",
    ),
    "strides": (graph(SHAPE, a=conv(2, 2, stride=(1, 2)), n=fire()), "n: its strides .1, 2. differ"),
    "maps": (
        graph(SHAPE, a=conv(2, 2, kernel=(2, 4), padding=0), n=fire()),
        "n: a kernel of 2x4 with padding .0, 0. has no square form that makes 7x5 of 8x8",
    ),
    "a pool that leaves a row over": (
        graph((2, 9, 8), a=pool(nir.SumPool2d, 2), b=conv(2, 2), n=fire()),
        "b: pads the output of a with zeros, .* overlap or leave rows over",
    ),
    "an overlapping pool": (
        graph(SHAPE, a=pool(nir.AvgPool2d, 3, stride=1), b=conv(2, 2), n=fire()),
        "b: pads the output of a with zeros, .* overlap or leave rows over",
    ),
    "a bias before a padding": (
        graph(SHAPE, a=conv(2, 2, kernel=1, padding=0, bias=np.ones(2)), b=conv(2, 2), n=fire()),
        "b: pads the output of a with zeros, .* they have a bias",
    ),
    "shapes": (
        graph(SHAPE, [("in", "a"), ("in", "n"), ("a", "n"), ("n", "out")], a=conv(3, 2), n=fire()),
        "n: what arrives has unequal shapes",
    ),
    "one dimension": (
        graph(SHAPE, a=nir.Conv1d(8, np.ones((2, 2, 3)), 1, 1, 1, 1, np.zeros(2)), n=fire()),
        "a: a Conv1d, but .* use Conv2d",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_chip_does_not_have_is_named(name: str) -> None:
    made, message = REFUSED[name]
    with pytest.raises(UnsupportedLayerError, match=message) as raised:
        imported(made)
    assert str(raised.value).startswith("a.nir: ") and "\n" not in str(raised.value)


@pytest.mark.parametrize("step", [1, 4])
def test_integers_stay_in_their_registers_and_near_the_weights(step: int) -> None:
    made = graph((3, 8, 8), a=conv(6, 3, bias=np.linspace(-1, 1, 6)), n=fire(0.8), b=conv(3, 6))
    real = imported(made).network
    network = quantize_real(real, 4, step)
    first, readout = network.populations
    synapse = network.by_name["a"]
    lsb = 1 / (first.threshold + 0.5), 1 / (first.threshold - 0.5)
    # real threshold 1, rounded to the LSB; weights per grey level of 255, in the same LSB
    whole = synapse.mantissa.astype(np.float64) * 2**synapse.exponent
    error = np.abs(whole / first.threshold - real.synapses[0].weight * step / 255).max()
    assert error <= 2**synapse.exponent * lsb[1] / 2 + np.abs(whole).max() * (lsb[1] - lsb[0])
    low, high = (
        np.clip(whole, *ends).sum(axis=(1, 2, 3)) * (256 // step - 1) for ends in ((-9e9, 0), (0, 9e9))
    )
    assert max(-low.min(), high.max()) + np.abs(synapse.bias).max() < 1 << 17
    assert np.abs(synapse.bias).max() <= 4095 and first.threshold < 1 << 17
    last = network.by_name["b"]
    rounded = last.mantissa * 2.0 ** (last.exponent + readout.lsb_exponent)
    np.testing.assert_allclose(
        rounded, real.synapses[1].weight, atol=2.0 ** (last.exponent + readout.lsb_exponent) * 2
    )


def test_a_bias_that_no_register_holds_is_refused() -> None:
    weight = np.full((1, 1, 1, 1), 1e-9)
    huge = nir.Conv2d(None, weight, 1, 0, 1, 1, np.full(1, 0.5))
    real = imported(graph((1, 4, 4), a=huge, n=fire(1e-6), b=conv(1, 1))).network
    with pytest.raises(
        QuantizationError, match="n: no scale keeps its currents and bias in the chip's registers"
    ):
        quantize_real(real, 4, 1)


def test_a_file_keeps_what_students_do_not_have(tmp_path: Path) -> None:
    """Padding, offset, size, output and decay of each population."""
    nodes = {
        "a": conv(2, 3, padding=0),
        "n": nir.LIF(np.full(1, 4.0), np.ones(1), np.zeros(1), np.ones(1), np.zeros(1)),
        "b": conv(4, 2, kernel=6, padding=0),
    }
    network = quantize_real(imported(graph((3, 8, 8), **nodes)).network, 4, 2)
    path = tmp_path / "a.int.safetensors"
    save_integer_network(path, network, {})
    loaded, _ = load_integer_network(path)
    assert loaded.topology == network.topology
    assert (loaded.input_offset, loaded.image_size, loaded.adds_image) == (0, (8, 8), False)
    assert [p.decay for p in loaded.populations] == [1024, 0]
    assert [s.wiring.given_padding for s in loaded.synapses] == [0, 0]


def cuba(neurons: int, tau_syn: Any = 3.0, **values: Any) -> nir.CubaLIF:
    """Neurons whose current outlasts the timestep, at rest at 0 unless told otherwise."""
    usual = {"r": 1.5, "v_leak": 0.0, "v_threshold": 1.0, "w_in": 2.0, "v_reset": 0.0, **values}
    full = {
        name: np.broadcast_to(np.asarray(value, float), (neurons,)).copy() for name, value in usual.items()
    }
    tau_mem = full.pop("tau_mem", np.full(neurons, 2.5))
    return nir.CubaLIF(np.full(neurons, tau_syn), tau_mem, **full)


def affine(out: int, given: int) -> nir.Affine:
    return nir.Affine(RNG.normal(size=(out, given)), RNG.normal(size=out) / 2)


LOOP = [("in", "a"), ("a", "n"), ("n", "w"), ("w", "n"), ("n", "b"), ("b", "m"), ("m", "out")]
INNER = nir.NIRGraph(
    {"i": nir.Input(np.array([5])), "n": cuba(5), "w": affine(5, 5), "o": nir.Output(np.array([5]))},
    [("i", "n"), ("n", "w"), ("w", "n"), ("n", "o")],
    type_check=False,
)
THROUGH_TIME: dict[str, nir.NIRGraph] = {
    "a vector, fully connected": graph((4,), a=affine(5, 4), n=fire(), b=affine(3, 5), m=fire(0.5)),
    "a lasting current with biases": graph((4,), a=affine(5, 4), n=cuba(5), b=affine(3, 5), m=cuba(3)),
    "a lasting current from another rest": graph(
        (4,), a=affine(5, 4), n=cuba(5, v_leak=0.3, v_reset=-0.2, v_threshold=[0.5, 0.7, 1, 1.2, 2])
    ),
    "recurrent": graph((4,), LOOP, a=affine(5, 4), n=fire(), w=affine(5, 5), b=affine(3, 5), m=fire()),
    "recurrent, with a lasting current": graph(
        (4,), LOOP, a=affine(5, 4), n=cuba(5), w=affine(5, 5), b=affine(3, 5), m=cuba(3)
    ),
    "an inner graph": graph((4,), a=affine(5, 4), rnn=INNER, b=affine(3, 5), m=fire()),
    "a recurrent convolution": graph(
        SHAPE,
        [("in", "a"), ("a", "n"), ("n", "w"), ("w", "n"), ("n", "out")],
        a=conv(3, 2, bias=np.array([0.1, 0.4, -0.2])),
        n=fire(),
        w=conv(3, 3),
    ),
    "one dimension": graph(
        (2, 9),
        a=nir.Conv1d(9, RNG.normal(size=(4, 2, 3)), 2, 1, 1, 1, np.ones(4) / 3),
        n=nir.IF(np.ones((4, 5)), np.ones((4, 5)), np.zeros((4, 5))),
        f=nir.Flatten({"input": np.array([4, 5])}, 0, -1),
        b=affine(3, 20),
        m=fire(),
    ),
}


def spikes_of(network: RealNetwork, frames: Reals) -> dict[str, list[Reals]]:
    """Spikes of each population on frames [T, C, H, W], by the equations of `Neurons`."""
    sizes: dict[str, Any] = {p.wiring.name: None for p in network.populations}
    u, v = dict(sizes), dict(sizes)
    spikes: dict[str, list[Reals]] = {name: [] for name in sizes}
    for t, frame in enumerate(frames):
        for p in network.populations:
            total = np.float64(0)
            for one in network.incoming(p):
                w = one.wiring
                if w.delay and not t:
                    continue
                z = frame if w.source == "image" else spikes[w.source][t - w.delay]
                given = (torch.from_numpy(z)[None], torch.from_numpy(one.weight), None)
                total = total + functional.conv2d(*given, w.stride, w.padding, w.dilation)[0].numpy()
            name = p.wiring.name
            u[name] = total if u[name] is None else (1 - p.current_decay) * u[name] + total
            before = 0 if v[name] is None else (1 - p.decay) * v[name]
            moved = before + u[name] + p.bias[:, None, None]
            spikes[name].append((moved > 1).astype(np.float64))
            v[name] = np.where(moved > 1, 0, moved)
    return spikes


APART = {"tau_syn": [3, 1, 3, 2, 1], "tau_mem": [2.5, 2.5, 2.5, 2.5, 4]}
LIF5_APART = nir.LIF(
    np.array([4.0, 2, 4, 8, 2]), np.full(5, 4.0), np.full(5, 0.3), np.full(5, 1.2), np.full(5, 0.2)
)
CONV_APART = nir.LIF(
    np.broadcast_to(np.array([2.0, 3, 2])[:, None, None], (3, 8, 8)).copy(),
    *(np.full((3, 8, 8), value) for value in (2.0, 0.0, 1.0, 0.0)),
)
SEVERAL_CONSTANTS: dict[str, tuple[nir.NIRGraph, int]] = {
    "currents and membranes": (graph((4,), a=affine(5, 4), n=cuba(5, **APART), b=affine(3, 5), m=fire()), 4),
    "on a loop": (
        graph((4,), LOOP, a=affine(5, 4), n=cuba(5, **APART), w=affine(5, 5), b=affine(3, 5), m=cuba(3)),
        4,
    ),
    "of channels, on a loop": (
        graph(
            SHAPE,
            [("in", "a"), ("a", "n"), ("n", "w"), ("w", "n"), ("n", "out")],
            a=conv(3, 2, bias=np.array([0.1, 0.4, -0.2])),
            n=CONV_APART,
            w=conv(3, 3),
        ),
        2,
    ),
}


ROWS_OVER = {
    "a pool of 9x9 before a padded convolution": graph(
        (2, 9, 9),
        a=conv(3, 2),
        n=fire(),
        p=pool(nir.SumPool2d, 2),
        b=conv(4, 3, bias=np.ones(4) / 9),
        m=fire(),
    ),
    "two readers, unlike sides": graph(
        (2, 7, 9),
        [
            ("in", "a"),
            ("a", "n"),
            ("n", "p"),
            ("n", "q"),
            ("p", "b"),
            ("q", "c"),
            ("b", "m"),
            ("c", "m"),
            ("m", "out"),
        ],
        a=conv(3, 2),
        n=fire(),
        p=pool(nir.AvgPool2d, 2),
        q=pool(nir.SumPool2d, 2),
        b=conv(4, 3, padding="same"),
        c=conv(4, 3, kernel=5, padding=2),
        m=fire(),
    ),
}
FLAT_APART = graph(
    (2, 5, 4),
    a=conv(3, 2, stride=2, bias=np.arange(3) / 9),
    f=nir.Flatten({"input": np.array([3, 3, 2])}, 0, -1),
    n=nir.LIF(np.linspace(2, 6, 18), *(np.full(18, value) for value in (3.0, 0.0, 1.0, 0.0))),
    b=affine(3, 18),
    m=fire(),
)


@pytest.mark.parametrize("name", ROWS_OVER)
def test_rows_that_a_pool_leaves_over_are_cut_off_by_neurons_in_between(name: str) -> None:
    made = ROWS_OVER[name]
    spikes_are_equal(made, "zero")
    found = import_graph(made, NirModule(made, "a.nir", 1.0), 4, images=False).network
    assert [p.wiring.name for p in found.populations] == ["n", "n_cropped", "m", "readout"]


def test_neurons_behind_flatten_may_differ_between_the_positions_of_a_channel() -> None:
    spikes_are_equal(FLAT_APART, "zero")


@pytest.mark.parametrize("name", SEVERAL_CONSTANTS)
def test_neurons_of_several_time_constants_are_a_population_for_each(name: str) -> None:
    made, parts = SEVERAL_CONSTANTS[name]
    found = import_graph(made, NirModule(made, "a.nir", 1.0), 40, images=False)
    placed = found.populations["n"]
    assert len(placed) == parts
    assert sorted(int(c) for one in placed for c in one.part.channels) == list(
        range(len(made.nodes["a"].bias))
    )
    spikes_are_equal(made, "zero")


def test_near_time_constants_share_a_population_where_it_is_asked_for() -> None:
    """Of the pairs (4096 - dv, 4096 - du) of tau the two nearest merge, and their neurons take the mean."""
    made = graph((4,), a=affine(5, 4), n=cuba(5, [2, 4, 4.001, 4.002, 20]), b=affine(3, 5), m=fire())
    module = NirModule(made, "a.nir", 1.0)
    exact, merged = (import_graph(made, module, 4, False, most).populations["n"] for most in (0, 3))
    # 4096 / 4.001 and 4096 / 4.002 are 1023.74 and 1023.49: two registers, 1024 of 4 with the first.
    assert [list(one.part.channels) for one in exact] == [[0], [1, 2], [3], [4]]
    assert [list(one.part.channels) for one in merged] == [[0], [1, 2, 3], [4]]
    assert merged[1].part.current_decay == pytest.approx(np.mean([1 / 4, 1 / 4.001, 1 / 4.002]))
    assert [one.name for one in exact] == ["n", "n_2", "n_3", "n_4"]


def test_too_many_time_constants_are_refused_with_what_to_do() -> None:
    many = nir.LIF(np.linspace(1, 4, 1500), *(np.full(1500, value) for value in (2.0, 0.0, 1.0, 0.0)))
    made = graph((2,), a=nir.Linear(np.ones((1500, 2))), n=many)
    with pytest.raises(
        UnsupportedLayerError, match=r"a.nir: n: 1\d\d\d time constants; .*--group-constants 8"
    ):
        imported(made)


LIF5 = nir.LIF(np.full(5, 4.0), np.full(5, 4.0), np.full(5, 0.3), np.full(5, 1.2), np.full(5, 0.2))
SUBTRACTING = {
    "neurons without a leak": graph((4,), a=affine(5, 4), n=fire(), b=affine(3, 5), m=fire(0.5)),
    "neurons with a leak and a rest": graph((4,), a=affine(5, 4), n=LIF5),
    "on a loop": graph((4,), LOOP, a=affine(5, 4), n=LIF5, w=affine(5, 5), b=affine(3, 5), m=fire()),
    "neurons of several leaks": graph((4,), a=affine(5, 4), n=LIF5_APART, b=affine(3, 5), m=fire()),
}


@pytest.mark.parametrize("name", THROUGH_TIME)
def test_inputs_currents_and_loops_go_through_time_as_the_file_says(name: str) -> None:
    spikes_are_equal(THROUGH_TIME[name], "zero")


@pytest.mark.parametrize("resets", ["subtract", "subtract-late"])
@pytest.mark.parametrize("name", SUBTRACTING)
def test_a_reset_by_subtraction_is_a_current_that_a_loop_takes_from(name: str, resets: str) -> None:
    spikes_are_equal(SUBTRACTING[name], resets)
    made = THROUGH_TIME["a lasting current with biases"]
    with pytest.raises(UnsupportedLayerError, match="n: CubaLIF whose current lasts cannot reset by subtr"):
        import_graph(made, NirModule(made, "a.nir", 1.0, resets), 4, images=False)


@pytest.mark.parametrize("window", [(2, 2, 0), (3, 2, 1), (3, 1, 0)])
def test_a_max_pool_of_spikes_is_a_sum_and_a_threshold_of_a_half(window: tuple[int, int, int]) -> None:
    """Of 0 and 1 the largest is 1 where the sum is not 0; the neuron fires at once, so that nothing stays."""
    made = graph(SHAPE, p=pool(nir.SumPool2d, *window), n=fire(0.5))
    found = import_graph(made, NirModule(made, "a.nir", 1.0), 20, images=False)
    frames = (RNG.random((20, *SHAPE)) < 0.2).astype(np.float64)
    largest = functional.max_pool2d(torch.from_numpy(frames), *window)
    network = quantize_real(found.network, 20, 1, grid=InputGrid("spikes", 0, 1, 0, True))
    trace = IntegerEngine(network).run(quantize_image(frames[None], network), ["n"])
    np.testing.assert_array_equal(trace.spikes["n"][:, 0], largest.numpy())


def spikes_are_equal(made: nir.NIRGraph, resets: str) -> None:
    """The file's in float64, and those of the network that it becomes."""
    module = NirModule(made, "a.nir", 1.0, resets)
    found = import_graph(made, module, 40, images=False)
    assert found.network.image_size
    frames = np.random.default_rng(2).normal(0.3, 0.6, size=(40, *module.input_shape))
    seen: dict[str, list[Reals]] = {node: [] for node in module.neurons}
    for node, part in module.neurons.items():
        part.register_forward_hook(lambda _m, _x, z, into=seen[node]: into.append(z[0].numpy()))
    for frame in frames:
        module(torch.from_numpy(frame)[None])
    channels, *sides = module.input_shape
    spikes = spikes_of(found.network, frames.reshape(len(frames), channels, *([1, 1] + sides)[-2:]))
    for node, placed in found.populations.items():
        expected = np.stack(seen[node])
        assert 0 < expected.mean() < 1
        for one in placed:
            part = np.stack(spikes[one.name])
            chosen = expected[:, one.part.channels] if len(placed) > 1 else expected
            np.testing.assert_array_equal(part.reshape(chosen.shape), chosen)
