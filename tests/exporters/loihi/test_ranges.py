"""The range proof: never exceeded, attained where a bound can be attained, and every violation at once."""

import itertools
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from snn_tool.errors import ArtifactError, TargetLimitError
from snn_tool.exporters.loihi.bounds import Bounds, Interval, bound
from snn_tool.exporters.loihi.bundle import export_bundle
from snn_tool.exporters.loihi.limits import Quantity
from snn_tool.exporters.loihi.plan import build_plan
from snn_tool.exporters.loihi.ranges import RangeProof, observe, prove_ranges, read_ranges, write_ranges
from snn_tool.exporters.nir.file import write_nir
from snn_tool.exporters.nir.graph import to_nir
from snn_tool.exporters.nir.interpreter import product_sums, run_program
from snn_tool.exporters.nir.parse import parse_graph
from snn_tool.exporters.nir.program import ConvNode, GradedNode, LifNode, Program, ReadoutNode
from snn_tool.files.artifacts import sha256_file
from snn_tool.models.integer.engine import IntegerEngine, quantize_image
from snn_tool.models.integer.network import IntegerNetwork, population_range
from snn_tool.texts.deploy import ranges_text

MakeNetwork = Callable[..., IntegerNetwork]
Image = NDArray[np.float32]
Array = NDArray[np.int64]
KINDS = [(n, b) for n in ("lif", "graded") for b in ("unet", "flat")]
HEIGHT, WIDTH = 12, 16
CENTRE = (5, 7)


def program_of(network: IntegerNetwork) -> Program:
    return parse_graph(to_nir(network, HEIGHT, WIDTH), "student.nir")


def ends(weight: Array, interval: Interval, largest: bool) -> Array:
    """For one output's weights [Ci, kh, kw] the values that make its sum extreme."""
    low, high = (end[:, None, None] for end in (np.minimum(interval.low, 0), np.maximum(interval.high, 0)))
    return np.where((weight > 0) == largest, high, low)


def frame_for(
    conv: ConvNode, channel: int, interval: Interval, largest: bool, shape: tuple[int, int]
) -> Array:
    """A source [Ci, H, W] whose output `channel` (before the shuffle) is extreme at an inner position."""
    frame = np.zeros((conv.weight.shape[1], *shape), dtype=np.int64)
    row, column = (min(place, side // 2) for place, side in zip(CENTRE, shape, strict=True))
    rows, columns = (
        place // conv.stride * conv.stride - conv.padding + conv.dilation * np.arange(taps)
        for place, taps in zip((row, column), conv.weight.shape[2:], strict=True)
    )
    assert min(rows[0], columns[0]) >= 0 and rows[-1] < shape[0] and columns[-1] < shape[1], "not inside"
    frame[:, rows[:, None], columns] = ends(conv.weight[channel], interval, largest)
    return frame


def assert_inside(interval: Interval, values: Array, name: str) -> None:
    """Values [..., C, H, W] channel by channel."""
    axes = tuple(axis for axis in range(values.ndim) if axis != values.ndim - 3)
    assert (values.min(axis=axes) >= interval.low).all(), name
    assert (values.max(axis=axes) <= interval.high).all(), name


def assert_sound(program: Program, images: Array) -> Bounds:
    bounds = bound(program)
    trace = run_program(program, images)
    for name, spikes in trace.spikes.items():
        assert_inside(bounds.spikes[name], spikes, name)
        # After clipping, and a reset that leaves nothing above the bound and nothing beyond 0.
        held = Interval(np.minimum(bounds.membranes[name].low, 0), np.maximum(bounds.membranes[name].high, 0))
        assert_inside(held, trace.membranes[name], name)
    seen = observe(program, images, trace)
    for kind in ("sums", "currents", "membranes"):
        intervals, found = getattr(bounds, kind), getattr(seen, kind)
        assert intervals.keys() == found.keys()
        for name, (low, high) in found.items():
            assert intervals[name].low.min() <= low and high <= intervals[name].high.max(), (kind, name)
    return bounds


@pytest.mark.slow
@pytest.mark.parametrize(("neuron", "body"), KINDS)
@pytest.mark.parametrize("largest", [False, True])
def test_every_first_layer_bound_is_attained(
    make_network: MakeNetwork, neuron: str, body: str, largest: bool
) -> None:
    """By the image that takes the end of the range that each weight's sign asks for."""
    program = program_of(make_network(neuron, body))
    bounds = bound(program)
    head, first = program.conv["head"], program.populations[0]
    assert first.inputs == ("head",)
    grid = Interval(np.full(3, program.input_low), np.full(3, program.input_high))
    for channel in range(first.channels):
        image = frame_for(head, channel, grid, largest, (HEIGHT, WIDTH))
        trace = run_program(program, image)
        seen = observe(program, image[None], as_batch(trace))
        end = "high" if largest else "low"
        sums = product_sums(head, image)[channel]
        extreme = int(sums.max() if largest else sums.min())
        assert extreme == getattr(bounds.sums["head"], end)[channel]
        assert extreme == getattr(bounds.currents[first.name], end)[channel]
        membrane = int(getattr(bounds.membranes[first.name], end)[channel])
        side = int(largest)
        if isinstance(first, GradedNode):
            assert membrane == extreme + int(program.bias(first)[channel])
            reached = trace.membranes[first.name][:, channel]
            assert membrane == int(reached.max() if largest else reached.min())
        elif not largest and extreme + int(program.bias(first)[channel]) < 0:
            # Falls for T steps and is never reset.
            assert max(membrane, -(2**23) + 1) == int(trace.membranes[first.name][:, channel].min())
        assert (seen.membranes[first.name][side] <= membrane) if largest else True


def as_batch(trace: object) -> object:
    """A trace of one image with the axis N."""
    spikes = {name: s[:, None] for name, s in trace.spikes.items()}  # type: ignore[attr-defined]
    membranes = {name: m[:, None] for name, m in trace.membranes.items()}  # type: ignore[attr-defined]
    return type(trace)(trace.readout[None], spikes, membranes)  # type: ignore[attr-defined, call-arg]


@pytest.mark.parametrize(("neuron", "body"), KINDS)
def test_every_convolutions_bound_is_attained_by_some_source(
    make_network: MakeNetwork, neuron: str, body: str
) -> None:
    """Whatever spikes its source may emit: the sum of products admits nothing tighter."""
    program = program_of(make_network(neuron, body))
    bounds = bound(program)
    for conv in program.convs:
        if conv.source == "image":
            continue
        source = program.population[conv.source]
        for channel in range(0, len(conv.weight), 3):
            for largest, interval in (
                (False, bounds.sums[conv.name].low),
                (True, bounds.sums[conv.name].high),
            ):
                spikes = bounds.spikes[conv.source]
                frame = frame_for(conv, channel, spikes, largest, (source.height, source.width))
                sums = product_sums(conv, frame)[channel]
                assert int(sums.max() if largest else sums.min()) == interval[channel], conv.name


@pytest.mark.parametrize(("neuron", "body"), KINDS)
def test_no_image_exceeds_a_bound(
    make_network: MakeNetwork, photograph: Image, neuron: str, body: str
) -> None:
    network = make_network(neuron, body)
    program = program_of(network)
    low, high = network.input_range
    rng = np.random.default_rng(2)
    photographs = quantize_image(np.stack([photograph[:, :HEIGHT, :WIDTH]] * 2), network).astype(np.int64)
    extremes = rng.choice([low, high], (3, 3, HEIGHT, WIDTH))
    flat = np.stack([np.full((3, HEIGHT, WIDTH), value) for value in (low, high)])
    assert_sound(program, np.concatenate([photographs, extremes, flat]))


@pytest.mark.parametrize(("neuron", "body"), KINDS)
def test_the_proof_and_the_quantiser_agree(make_network: MakeNetwork, neuron: str, body: str) -> None:
    """Two implementations of interval arithmetic; the one on the program also sees who cannot fire."""
    network = make_network(neuron, body)
    bounds = bound(program_of(network))
    for index, population in enumerate(network.populations):
        theirs, ours = population_range(population, network), bounds.currents[population.wiring.name]
        assert (theirs.low <= ours.low).all() and (ours.high <= theirs.high).all()
        if index == 0:
            np.testing.assert_array_equal(theirs.low, ours.low)
            np.testing.assert_array_equal(theirs.high, ours.high)


weights = st.integers(-(2**15), 2**15) | st.integers(-200, 200)


@st.composite
def small_programs(draw: st.DrawFn) -> Program:
    """Image 1 x 1, a pixel-shuffled hidden layer of 2 x 2, a stride back; values of any size."""

    def kernel(*shape: int) -> Array:
        size = int(np.prod(shape))
        values = draw(st.lists(weights, min_size=size, max_size=size))
        return np.array(values, dtype=np.int64).reshape(shape)

    def bias(channels: int) -> Array:
        values = draw(st.lists(st.integers(-5000, 5000), min_size=channels, max_size=channels))
        return np.array(values, dtype=np.int64)

    threshold = draw(st.integers(1, 2**17 - 1) | st.integers(1, 300))
    head = ConvNode("head", "image", kernel(8, 3, 1, 1), np.zeros(8, np.int64), 1, 0, 1, 2, 0)
    side = ConvNode("side", "image", kernel(2, 3, 1, 1), bias(2), 1, 0, 1, 1, 0)
    back = ConvNode("back", "wide", kernel(2, 2, 2, 2), bias(2), 2, 0, 1, 1, 0)
    tail = ConvNode("tail", "unit", kernel(3, 2, 3, 3), bias(3), 1, 1, 1, 1, 0)
    if draw(st.booleans()):
        decay = draw(st.sampled_from([0, 1, 300, 4095]))
        timesteps = draw(st.integers(1, 4))
        wide: LifNode | GradedNode = LifNode("wide", ("head",), 2, 2, 2, threshold, decay)
        unit: LifNode | GradedNode = LifNode("unit", ("side", "back"), 2, 1, 1, threshold, decay)
    else:
        timesteps = 1
        signed, rungs = draw(st.booleans()), draw(st.integers(1, 5))
        wide = GradedNode("wide", ("head",), 2, 2, 2, threshold, rungs, signed)
        unit = GradedNode("unit", ("side", "back"), 2, 1, 1, threshold, rungs, signed)
    readout = ReadoutNode("readout", ("tail",), 3, 1, 1)
    low, high = draw(st.integers(-9, 0)), draw(st.integers(0, 9))
    nodes = (wide, unit, readout)
    return Program((head, side, back, tail), nodes, timesteps, 1e-4, low, high, 1, 1, 1, 1.0)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(small_programs())
def test_all_images_of_a_tiny_network_stay_inside(program: Program) -> None:
    """Ends and middle of the range in all three colours, 27 images; wrapping and saturating ones included.

    The hidden layer sees the image alone: over all images its bounds must be attained.
    """
    values = sorted({program.input_low, 0, program.input_high})
    images = np.array(list(itertools.product(values, repeat=3))).reshape(-1, 3, 1, 1)
    bounds = assert_sound(program, images)
    sums = np.stack([product_sums(program.conv["head"], image) for image in images])[:, :, 0, 0]
    np.testing.assert_array_equal(sums.min(axis=0), bounds.sums["head"].low)
    np.testing.assert_array_equal(sums.max(axis=0), bounds.sums["head"].high)


def one_lif(low: int, high: int, bias: int, threshold: int, decay: int, timesteps: int) -> Bounds:
    """Bounds of a LIF whose current runs from `low` <= 0 to `high` >= 0: an image of 0..1, two weights."""
    head = ConvNode(
        "head", "image", np.array([low, high, 0]).reshape(1, 3, 1, 1), np.array([bias]), 1, 0, 1, 1, 0
    )
    tail = ConvNode("tail", "unit", np.ones((3, 1, 1, 1), np.int64), np.zeros(3, np.int64), 1, 0, 1, 1, 0)
    unit, readout = (
        LifNode("unit", ("head",), 1, 1, 1, threshold, decay),
        ReadoutNode("readout", ("tail",), 3, 1, 1),
    )
    return bound(Program((head, tail), (unit, readout), timesteps, 1e-4, 0, 1, 1, 1, 1, 1.0))


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(
    st.integers(-400, 0), st.integers(0, 400), st.integers(-100, 100), st.integers(0, 300),
    st.sampled_from([0, 1, 64, 1024, 4095]), st.integers(1, 4),
)  # fmt: skip
def test_a_lifs_membrane_over_all_sequences(
    low: int, high: int, bias: int, threshold: int, decay: int, timesteps: int
) -> None:
    """Every sequence of three possible currents, by a LIF written here in plain Python integers."""
    reached = []
    for sequence in itertools.product((low, (low + high) // 2, high), repeat=timesteps):
        v = 0
        for current in sequence:
            kept = abs(v) * (4096 - decay) // 4096
            v = (kept if v > 0 else -kept) + 64 * (current + bias)
            reached.append(v)
            v = 0 if v > 64 * threshold else v
    bounds = one_lif(low, high, bias, threshold, decay, timesteps).membranes["unit"]
    assert bounds.low[0] <= min(reached) and max(reached) <= bounds.high[0]
    if high + bias <= 0:
        assert (bounds.low[0], bounds.high[0]) == (min(reached), max(reached)), "never reset: attained"


def test_a_membrane_by_hand() -> None:
    """Current -10 .. 100, bias 1, threshold 150, no decay, T = 3, in 64ths.

    Upwards 101, 202, then at most 150 + 101; downwards -9, -18, -27. Who cannot fire in T steps is silent.
    """
    bounds = one_lif(-10, 100, 1, 150, 0, 3)
    assert (bounds.membranes["unit"].low[0], bounds.membranes["unit"].high[0]) == (-27 * 64, 251 * 64)
    assert (bounds.sums["tail"].low[0], bounds.sums["tail"].high[0]) == (0, 1)
    assert bounds.membranes["readout"].high.tolist() == [3 * 64] * 3
    deep = one_lif(-100_000, 0, 0, 150, 0, 3).membranes["unit"]
    assert deep.low[0] == -(2**23 - 1) - 6_400_000, "clipped after the second step"
    silent = one_lif(-10, 10, 1, 150, 0, 3)
    assert silent.spikes["unit"].high[0] == silent.membranes["readout"].high[0] == 0


@pytest.mark.parametrize(
    ("limit", "low", "high", "beyond", "observed", "status", "headroom"),
    [
        ((-8, 7), (-2, -4), (1, 2), "wraps", (0, 1), "proved", 1.0),
        ((-8, 8), (0,), (2,), "clips", (0, 1), "proved", 2.0),
        ((-8, 8), (-8,), (8,), "clips", (0, 1), "proved", 0.0),
        ((-8, 8), (-32,), (8,), "clips", (-9, 1), "saturates", -2.0),
        ((-8, 8), (-8,), (16,), "wraps", (0, 8), "observed", -1.0),
        ((-8, 8), (-8,), (16,), "wraps", (0, 9), "violated", -1.0),
        ((-8, 8), (-8,), (16,), "wraps", None, "violated", -1.0),
        ((-8, 8), (0,), (0,), "wraps", None, "proved", None),
        ((0, 8), (-1,), (4,), "fixed", None, "violated", 1.0),
        ((-1, 1), (-1,), (1,), "clips", None, "proved", 0.0),  # the least product of limit and bound
        ((-9, 1), (0,), (1,), "clips", None, "proved", 0.0),
    ],
)
def test_statuses(
    limit: tuple[int, int], low: tuple[int, ...], high: tuple[int, ...], beyond: str,
    observed: tuple[int, int] | None, status: str, headroom: float | None,
) -> None:  # fmt: skip
    quantity = Quantity("node", "sum", limit, beyond, low, high, observed)
    assert (quantity.status, quantity.headroom_bits) == (status, headroom)


def proof_of(program: Program, images: Array) -> RangeProof:
    return prove_ranges(program, observe(program, images, run_program(program, images)))


def scaled(program: Program, name: str, shift: int) -> Program:
    """A convolution whose baked weights are shifted, with legal mantissas."""
    convs = tuple(
        replace(c, weight=c.weight << shift, mantissa_exponent=c.mantissa_exponent + shift)
        if c.name == name
        else c
        for c in program.convs
    )
    return replace(program, convs=convs)


@pytest.mark.parametrize("neuron", ["lif", "graded"])
def test_quantised_students_are_proved(make_network: MakeNetwork, photograph: Image, neuron: str) -> None:
    """The quantiser promises that no current wraps and that the read-out does not clip after T steps.

    Other LIF membranes have no lower reset, so T extreme currents may clip them.
    """
    network = make_network(neuron)
    image = quantize_image(photograph[None, :, :HEIGHT, :WIDTH], network).astype(np.int64)
    program = program_of(network)
    proof = proof_of(program, image)
    clipped = {(q.node, q.name) for q in proof.quantities if q.status != "proved"}
    assert {q.status for q in proof.quantities} <= {"proved", "saturates"}
    assert all(name == "membrane" and node != "readout" and neuron == "lif" for node, name in clipped)
    per_population = (
        5 if neuron == "lif" else 4
    )  # current, membrane, bias, (dv,) vth; the read-out has no vth, dv
    own = 2 * len(program.convs) + per_population * (len(program.populations) - 1) + 3
    relays = sum(neurons.is_relay for neurons in build_plan(program).neurons)
    assert len(proof.quantities) == own + 3 * relays


def test_what_cannot_be_proved_is_observed_and_what_wraps_is_refused_everywhere_at_once(
    make_network: MakeNetwork,
) -> None:
    """A head of 2^6 times the weight: no wrap on a grey image (zero-mean kernels), but on the extreme one.

    Its current reaches enc_in, down_in, dec_in and tail_in.
    """
    program = scaled(program_of(make_network("lif")), "head", 6)
    black = np.zeros((1, 3, HEIGHT, WIDTH), dtype=np.int64)
    proof = proof_of(program, black)
    current = next(q for q in proof.quantities if (q.node, q.name) == ("enc_in", "current"))
    assert (current.status, current.observed) == ("observed", (0, 0))
    assert current.headroom_bits is not None and current.headroom_bits < 0
    head = program.conv["head"]
    grid = Interval(np.full(3, program.input_low), np.full(3, program.input_high))
    extreme = frame_for(head, 0, grid, True, (HEIGHT, WIDTH))[None]
    broken = replace(
        program, populations=(replace(program.populations[0], decay=5000), *program.populations[1:])
    )
    seen = observe(broken, extreme, run_program(program, extreme))
    with pytest.raises(TargetLimitError) as raised:
        prove_ranges(broken, seen)
    message = str(raised.value)
    assert "\n" not in message
    assert "enc_in: dv 5000 outside 0..4095" in message
    for name in ("enc_in", "down_in", "dec_in", "tail_in"):
        assert f"{name}: current " in message, name
    low, high = seen.currents["enc_in"]
    assert (
        f"enc_in: current {low if low < -131071 else high} on the golden tiles outside -131071..131071"
        in message
    )


def test_convolutions_that_may_wrap_are_observed(make_network: MakeNetwork) -> None:
    program = scaled(program_of(make_network("graded")), "head", 10)
    proof = proof_of(program, np.zeros((1, 3, HEIGHT, WIDTH), dtype=np.int64))
    by_name = {(q.node, q.name): q for q in proof.quantities}
    assert by_name["head", "sum"].bound[1] > 2**23 - 1 and by_name["head", "sum"].status == "observed"
    assert by_name["enc_in", "current"].bound == (-(2**23), 2**23 - 1), "what is left after the wrap"
    assert by_name["enc_in", "membrane"].status == "saturates"
    table = ranges_text(proof)
    assert [line for line in table.splitlines() if line.startswith(" enc_in ")][0].endswith("observed")


def test_a_readout_that_may_clip_saturates(make_network: MakeNetwork) -> None:
    """For stock LIF the current must hold, the membrane may clip after T steps."""
    program = program_of(make_network("lif"))
    largest = int(np.abs(bound(program).currents["readout"].high).max())
    program = scaled(program, "tail", int(np.log2(131071 // largest)))
    proof = proof_of(program, np.zeros((1, 3, HEIGHT, WIDTH), dtype=np.int64))
    by_name = {(q.node, q.name): q for q in proof.quantities}
    assert by_name["readout", "current"].status == "proved"
    assert by_name["readout", "membrane"].status == "saturates"


def test_sums_beyond_64_bits_are_not_proved() -> None:
    """2^31 times 2^15 over 2^18 taps: 2^64 would look like 0 in int64."""
    weight = np.full((1, 3, 512, 512), 2**31, dtype=np.int64)
    head = ConvNode("head", "image", weight, np.zeros(1, np.int64), 1, 256, 1, 1, 30)
    node = ReadoutNode("readout", ("head",), 1, 1, 1)
    bounds = bound(Program((head,), (node,), 1, 1e-4, -(2**15), 2**15 - 1, 1, 1, 1, 1.0))
    assert bounds.sums["head"].low[0] < -(2**60) and bounds.sums["head"].high[0] > 2**60


@pytest.mark.slow
def test_the_bundle_holds_the_proof(make_network: MakeNetwork, photograph: Image, tmp_path: Path) -> None:
    network = make_network("graded")
    tiles = quantize_image(np.stack([photograph[:, :16, :24]]), network)
    trace = IntegerEngine(network).run(tiles, [p.wiring.name for p in network.populations])
    write_nir(tmp_path / "student.nir", to_nir(network, 16, 24))
    bundle = export_bundle(tmp_path / "student.nir", tmp_path / "b", tiles, trace, student_sha256="5" * 64)
    path = bundle.folder / "ranges.json"
    document = json.loads(path.read_text())
    assert (document["kind"], document["schema"]) == ("range-proof", 1)
    manifest = json.loads((bundle.folder / "bundle.json").read_text())
    assert manifest["files"]["ranges.json"] == sha256_file(path)
    program = parse_graph(to_nir(network, 16, 24), "student.nir")
    proof = prove_ranges(program, observe(program, tiles, trace))
    assert read_ranges(path) == proof
    readout = next(q for q in document["quantities"] if (q["node"], q["name"]) == ("readout", "membrane"))
    assert readout["status"] == "proved" and readout["headroom_bits"] > 0
    assert readout["observed"] == [
        int(trace.membranes["readout"].min()),
        int(trace.membranes["readout"].max()),
    ]
    lines = ranges_text(proof).splitlines()
    assert max(map(len, lines)) <= 80
    for population in program.populations:
        assert sum(line.startswith(f" {population.name} ") for line in lines) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"quantities": [{}]}, r"quantities\[0\]\.node is missing"),
        ({"quantities": []}, r"quantities = \[\] is not allowed; use a list of tables, not empty"),
        ({"timesteps": None}, "timesteps = null is not allowed"),
        ({"inputs": 3}, "inputs = 3 is not allowed; use a table"),
    ],
)
def test_an_incomplete_proof_is_refused(
    make_network: MakeNetwork, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    program = program_of(make_network("graded"))
    path = tmp_path / "ranges.json"
    write_ranges(path, proof_of(program, np.zeros((1, 3, HEIGHT, WIDTH), dtype=np.int64)))
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ArtifactError, match=f"ranges.json: {said}"):
        read_ranges(path)


# --- What a lowering adds: accumulators and delay relays.


def delivered(program: Program, images: Array) -> dict[str, Array]:
    """What each convolution delivers [T or 1, N, C, H, W], by torch in float64; nothing wraps here."""
    trace, found = run_program(program, images), {}
    for conv in program.convs:
        source = images[None] if conv.source == "image" else trace.spikes[conv.source]
        folded = torch.nn.functional.conv2d(
            torch.tensor(source, dtype=torch.float64).flatten(0, 1),
            torch.tensor(conv.weight, dtype=torch.float64),
            None, conv.stride, conv.padding, conv.dilation,
        )  # fmt: skip
        shuffled = torch.nn.functional.pixel_shuffle(folded, conv.upsample)
        found[conv.name] = shuffled.unflatten(0, source.shape[:2]).numpy().astype(np.int64)
    return found


@pytest.mark.parametrize(("neuron", "body"), KINDS)
@pytest.mark.parametrize("lowering", ["fanout", "relay"])
def test_every_process_that_a_lowering_adds_has_rows(
    make_network: MakeNetwork, photograph: Image, neuron: str, body: str, lowering: str
) -> None:
    """The names are those of the plan; observed extremes are what the tiles give, recomputed; bounds hold."""
    network = make_network(neuron, body)
    images = quantize_image(photograph[None, :, :HEIGHT, :WIDTH], network).astype(np.int64)
    program = program_of(network)
    trace = run_program(program, images)
    proof = prove_ranges(program, observe(program, images, trace, lowering), lowering)
    added = [name for name, convs in proof.inputs.items() if not convs]
    plan = build_plan(program, lowering)
    assert added == [neurons.name for neurons in plan.neurons if neurons.is_relay] and added
    streams = {f"{p.name}_stream": p.inputs for p in program.populations}
    currents = delivered(program, images)
    shift = 64 if neuron == "lif" else 1
    for name in added:
        origin = re.sub(r"_relay\d+$", "", name)
        held = sum(currents[c] for c in streams[origin]) if origin in streams else trace.spikes[origin]
        extremes = (int(held.min()), int(held.max()))
        by_name = {quantity.name: quantity for quantity in proof.of(name)}
        assert set(by_name) == {"sum", "current", "membrane"}
        assert by_name["sum"].observed == by_name["current"].observed == extremes
        factor = 1 if origin in streams else shift
        assert by_name["membrane"].observed == (factor * extremes[0], factor * extremes[1])
        low, high = by_name["current"].bound
        assert low <= min(extremes[0], 0) and high >= max(extremes[1], 0)
        assert {quantity.status for quantity in by_name.values()} == {"proved"}
        assert by_name["sum"].limit == (-(2**23), 2**23 - 1)
    text = ranges_text(proof)
    assert all(f" {re.sub(r'_relay[0-9]+$', '_relay1', name)}" in text for name in added)
    assert max(map(len, text.splitlines())) <= 80


def test_an_accumulators_bound_is_attained(make_network: MakeNetwork) -> None:
    """The stream of the head alone: the image that takes each weight's worse end drives it to its bound."""
    network = make_network("graded", "flat")
    program = program_of(network)
    head = program.conv["head"]
    image = Interval(np.full(3, program.input_low), np.full(3, program.input_high))
    seen = observe(program, np.zeros((1, 3, HEIGHT, WIDTH), dtype=np.int64), run_program(
        program, np.zeros((1, 3, HEIGHT, WIDTH), dtype=np.int64)), "relay")  # fmt: skip
    proof = prove_ranges(program, seen, "relay")
    (current,) = (q for q in proof.quantities if (q.node, q.name) == ("block1_in_stream", "current"))
    for channel in range(len(head.weight)):
        for largest, expected in ((False, current.channel_low), (True, current.channel_high)):
            frame = frame_for(head, channel, image, largest, (HEIGHT, WIDTH))
            found = delivered(program, frame[None])["head"][0, 0, channel]
            assert (found.max() if largest else found.min()) == expected[channel]


def test_an_accumulator_that_could_wrap_is_refused(make_network: MakeNetwork) -> None:
    program = scaled(program_of(make_network("graded", "flat")), "head", 12)
    zeros = np.zeros((1, 3, HEIGHT, WIDTH), dtype=np.int64)
    with pytest.raises(TargetLimitError, match="block1_in_stream: summed current"):
        observe(program, zeros, run_program(program, zeros), "relay")
