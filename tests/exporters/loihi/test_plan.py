"""The plan, run by a small simulator of Lava's semantics written here, against the program's interpreter."""

import io
import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from snn_tool.errors import TargetLimitError
from snn_tool.exporters.loihi.chips import count_resources, expanded_synapses, layer_resources
from snn_tool.exporters.loihi.plan import build_plan
from snn_tool.exporters.loihi.plan_file import npz_bytes, plan_arrays_and_json
from snn_tool.exporters.loihi.specs import ConvSpec, GradedSpec, LifSpec, Plan, lava_kernel, payload_bits
from snn_tool.exporters.nir.graph import to_nir
from snn_tool.exporters.nir.interpreter import run_program
from snn_tool.exporters.nir.parse import parse_graph
from snn_tool.exporters.nir.program import ConvNode, GradedNode, Program, ReadoutNode
from snn_tool.models.integer.engine import IntegerEngine, quantize_image
from snn_tool.models.integer.network import IntegerNetwork

MakeNetwork = Callable[..., IntegerNetwork]
Image = NDArray[np.float32]
Array = NDArray[np.int64]
KINDS = [(n, b) for n in ("lif", "graded") for b in ("unet", "flat", "chain")]
LOWERED = [(n, b, lowering) for n, b in KINDS for lowering in ("fanout", "relay")]
M = 1 << 23


def program_of(network: IntegerNetwork) -> Program:
    return parse_graph(to_nir(network, 8, 12), "student.nir")


def lava_conv(spec: ConvSpec, source: Array) -> Array:
    """lava.proc.conv as documented: true convolution in WHC, 24-bit wrap; then the virtual ports."""
    width, height, channels = source.shape
    out_channels, kernel_x, kernel_y, group = spec.weight.shape
    pad, stride, dilation, f = spec.padding, spec.stride, spec.dilation, spec.upsample
    padded = np.pad(source, [(pad, pad), (pad, pad), (0, 0)])
    w, h = spec.output_shape[0] // f, spec.output_shape[1] // f
    total = np.zeros((w, h, out_channels), dtype=np.int64)
    for i, j in np.ndindex(kernel_x, kernel_y):
        x, y = i * dilation, j * dilation
        taken = padded[x : x + stride * (w - 1) + 1 : stride, y : y + stride * (h - 1) + 1 : stride]
        tap = spec.weight[:, kernel_x - 1 - i, kernel_y - 1 - j].astype(np.int64)
        total += taken * tap[:, 0] if spec.groups == channels > group else taken @ tap.T
    total = (total + M) % (2 * M) - M
    ports = total.reshape(w, h, f, f, out_channels // f**2).transpose(0, 2, 1, 3, 4)
    return ports.reshape(spec.output_shape)


def run_lava(plan: Plan, images: list[Array], period: int) -> list[dict[str, list[Array]]]:
    """For each image [3, H, W], the membranes of every neuron process inside its window, as [C, H, W]."""
    steps = period * (len(images) - 1) + plan.steps
    state = {n.name: np.zeros(n.shape, dtype=np.int64) for n in plan.neurons}
    buffers = {c.name: np.zeros(c.output_shape, dtype=np.int64) for c in plan.convs}
    recorded: list[dict[str, list[Array]]] = [{n.name: [] for n in plan.neurons} for _ in images]
    for t in range(1, steps + 1):
        sent: dict[str, Array] = {}
        for source in plan.sources:
            index, phase = divmod(t - 1 - source.offset, period)
            shown = 0 <= index < len(images) and phase < plan.timesteps
            sent[source.name] = (
                images[index].transpose(2, 1, 0) if shown else np.zeros(source.shape, dtype=np.int64)
            )
        for neuron in plan.neurons:
            a_in = sum(buffers[c.name] for c in plan.convs if c.target == neuron.name)
            v = state[neuron.name]
            if isinstance(neuron, LifSpec) and t % period == neuron.first_step % period:
                v = np.zeros_like(v)
            sent[neuron.name], v = fire(neuron, v, a_in)
            state[neuron.name] = v
            index, phase = divmod(t - neuron.first_step, period)
            if 0 <= index < len(images) and phase < plan.timesteps:
                recorded[index][neuron.name].append(v.transpose(2, 1, 0))
        buffers = {c.name: lava_conv(c, sent[c.source]) for c in plan.convs}
    return recorded


def fire(neuron: LifSpec | GradedSpec, v: Array, a_in: Array) -> tuple[Array, Array]:
    if isinstance(neuron, GradedSpec):
        v = np.clip(a_in + neuron.bias, -M + 1, M - 1)
        level = np.sign(v) * ((2 * np.abs(v) + neuron.threshold) // (2 * neuron.threshold))
        return np.clip(level, -neuron.levels if neuron.signed else 0, neuron.levels), v
    u = a_in << 6
    u = np.where(u > M, u - 2 * M, u)
    u = np.where(u <= -M, u + 2 * M, u)
    decayed = np.sign(v) * ((np.abs(v) * (4096 - neuron.dv)) >> 12)
    v = np.clip(decayed + u + (neuron.bias_mant.astype(np.int64) << 6), -M + 1, M - 1)
    s = (v > (neuron.vth << 6)).astype(np.int64)
    return s, v * (1 - s)


@pytest.mark.slow
@pytest.mark.parametrize("gap", [False, True])
@pytest.mark.parametrize(("neuron", "body", "lowering"), LOWERED)
def test_the_plan_computes_what_the_program_computes(
    make_network: MakeNetwork, photograph: Image, neuron: str, body: str, lowering: str, gap: bool
) -> None:
    """Two images one after the other, without a gap and with one, so that old state would show."""
    network = make_network(neuron, body)
    program = program_of(network)
    plan = build_plan(program, lowering)
    crops = np.stack([photograph[:, :8, :12], photograph[:, 20:28, 40:52]])
    images = quantize_image(crops, network).astype(np.int64)
    period = plan.steps + 3 if gap else plan.timesteps
    expected = run_program(program, images)
    for index, recorded in enumerate(run_lava(plan, list(images), period)):
        for population in program.populations:
            found = np.stack(recorded[population.name])
            np.testing.assert_array_equal(
                found, expected.membranes[population.name][:, index], err_msg=population.name
            )


@pytest.mark.parametrize(("neuron", "body", "lowering"), LOWERED)
def test_every_conv_reads_exactly_one_hop_back(
    make_network: MakeNetwork, neuron: str, body: str, lowering: str
) -> None:
    plan = build_plan(program_of(make_network(neuron, body)), lowering)
    depth = {n.name: n.depth for n in plan.neurons} | {s.name: s.offset for s in plan.sources}
    shapes = {n.name: n.shape for n in plan.neurons} | {s.name: s.shape for s in plan.sources}
    assert len({c.name for c in plan.convs} | set(depth)) == len(plan.convs) + len(depth), "names are unique"
    for conv in plan.convs:
        assert depth[conv.target] == depth[conv.source] + 1
        assert conv.input_shape == shapes[conv.source]
        assert conv.output_shape == shapes[conv.target]
        graded = conv.source.startswith("image") or "_stream" in conv.source
        assert (conv.message_bits == 0) == (neuron == "lif" and not graded)
    assert plan.readout.depth == plan.depth == max(depth.values())


def test_the_unet_by_hand(make_network: MakeNetwork) -> None:
    """Ten hops, and what waits where.

    Depths: enc_in 1, enc_mid 2, down_in 3, mid_in 4, mid_mid 5, up_in 6, dec_in 7, dec_mid 8, tail_in 9,
    out 10. The head feeds depths 1, 3, 7 and 9. enc_mid is needed at 8 at the latest: 6 relays; down_in at 5:
    2; up_in at 8: 2. The head's 4, enc_conv2's 3, down's 2, up's 2, five other convolutions, tail: 17 convs.
    """
    plan = build_plan(program_of(make_network("lif", "unet")))
    assert plan.depth == 10 and plan.steps == 10 + plan.timesteps
    assert [s.offset for s in plan.sources] == [0, 2, 6, 8]
    relays = [n.name for n in plan.neurons if n.is_relay]
    assert relays == [f"enc_mid_relay{k}" for k in range(1, 7)] + [
        f"{name}_relay{k}" for name in ("down_in", "up_in") for k in (1, 2)
    ]
    assert len(plan.convs) == 17 + len(relays)
    last = plan.readout
    assert isinstance(last, LifSpec) and last.is_readout and last.vth << 6 > M - 1


def test_the_unet_under_relay_by_hand(make_network: MakeNetwork) -> None:
    """Four accumulators, 14 hops, and every convolution once.

    Depths: enc_in_stream 1, enc_in 2, enc_mid 3, down_in_stream 4, down_in 5, mid_in_stream 6, mid_in 7,
    mid_mid 8, up_in 9, dec_in_stream 10, dec_in 11, dec_mid 12, tail_in 13, out 14. enc_in_stream is needed
    at 4: 2 relays; down_in_stream at 10: 5; mid_in_stream at 9: 2; dec_in_stream at 13: 2. No other waits.
    Identities: 2 to readers or longer streams from each accumulator; 10 convolutions.
    """
    plan = build_plan(program_of(make_network("lif", "unet")), "relay")
    assert plan.depth == 14 and plan.steps == 14 + plan.timesteps
    assert [s.offset for s in plan.sources] == [0]
    assert plan.accumulators == ("enc_in_stream", "down_in_stream", "mid_in_stream", "dec_in_stream")
    expected = {"enc_in_stream": 2, "down_in_stream": 5, "mid_in_stream": 2, "dec_in_stream": 2}
    relays = {n.name for n in plan.neurons if n.is_relay} - set(plan.accumulators)
    assert relays == {f"{name}_relay{k}" for name, count in expected.items() for k in range(1, count + 1)}
    identities = [c for c in plan.convs if c.synapse.startswith("relay_")]
    assert len(identities) == 4 * 2 + len(relays)
    assert len(plan.convs) - len(identities) == len({c.synapse for c in plan.convs} - {"relay_4", "relay_8"})
    assert len(plan.convs) - len(identities) == 10
    joins = {(c.source, c.target) for c in identities if c.target not in relays}
    assert joins == {
        *(("enc_in_stream", "enc_in"), ("enc_in_stream_relay2", "down_in_stream")),
        *(("down_in_stream", "down_in"), ("down_in_stream_relay5", "dec_in_stream")),
        *(("mid_in_stream", "mid_in"), ("mid_in_stream_relay2", "up_in")),
        *(("dec_in_stream", "dec_in"), ("dec_in_stream_relay2", "tail_in")),
    }
    for neuron in plan.neurons:
        if neuron.name in plan.accumulators:
            assert isinstance(neuron, GradedSpec) and neuron.is_relay
            assert (neuron.threshold, neuron.signed, neuron.bias.any()) == (1, True, False)


@pytest.mark.parametrize("body", ["unet", "flat"])
def test_accumulators_hold_the_sums_of_their_streams(
    make_network: MakeNetwork, photograph: Image, body: str
) -> None:
    """Currents of the integer engine, summed here; within the proved bound, and not all of them zero."""
    network = make_network("graded", body)
    plan = build_plan(program_of(network), "relay")
    image = quantize_image(photograph[None, :, :8, :12], network)
    (recorded,) = run_lava(plan, [image[0].astype(np.int64)], plan.timesteps)
    engine = IntegerEngine(network)
    emitted = {"image": image, **engine.run(image, [p.name for p in network.topology.spiking]).spikes}
    levels = {n.name: n.levels for n in plan.neurons if isinstance(n, GradedSpec)}
    for name in plan.accumulators:
        stream = next(p.inputs for p in network.topology.populations if f"{p.name}_stream" == name)
        total = sum(engine.current(s, emitted[network.synapse_sources[s]])[0, 0] for s in stream)
        np.testing.assert_array_equal(recorded[name][0], total)
        assert 0 < np.abs(total).max() <= levels[name]


def test_every_violation_is_listed_at_once(make_network: MakeNetwork) -> None:
    program = program_of(make_network("lif", "flat"))
    head, *others = program.convs
    wide = replace(head, weight=head.weight * 1000, bias=head.bias * 0 + 5000)
    first, *rest = program.populations
    high = replace(first, threshold=1 << 17)
    with pytest.raises(TargetLimitError) as raised:
        build_plan(replace(program, convs=(wide, *others), populations=(high, *rest)))
    message = str(raised.value)
    assert "\n" not in message
    assert "head: weight mantissa" in message
    assert "block1_in: vth 131072 outside 0..131071" in message
    for population in program.populations[:-1:2]:
        assert f"{population.name}: bias_mant" in message


def two_readers(weight: int, exponent: int) -> Program:
    """Red times 127 << 8 reaches a, b and c; a's level times `weight` << `exponent` reaches b and c."""

    def conv(name: str, source: str, red: int, channels: int, shift: int) -> ConvNode:
        kernel = np.zeros((channels, 3 if source == "image" else 1, 1, 1), dtype=np.int64)
        kernel[:, 0] = red << shift
        return ConvNode(name, source, kernel, np.zeros(channels, dtype=np.int64), 1, 0, 1, 1, shift)

    def neuron(name: str, *inputs: str) -> GradedNode:
        return GradedNode(name, inputs, 1, 1, 1, threshold=100, levels=1, signed=True)

    convs = (
        conv("head", "image", 127, 1, 8),
        conv("ab", "a", weight, 1, exponent),
        conv("bo", "b", 1, 3, 0),
        conv("co", "c", 1, 3, 0),
    )
    populations = (
        *(neuron("a", "head"), neuron("b", "head", "ab"), neuron("c", "head", "ab")),
        ReadoutNode("readout", ("bo", "co"), 3, 1, 1),
    )
    return Program(convs, populations, 1, 1e-4, -256, 255, 1, 1, 1, 1.0)


def test_accumulators_are_proved_not_to_wrap_by_hand() -> None:
    """The image reaches -256 x 127 x 256 = -8323072; up to 2^23 - 1 = 8388607 that leaves 65535 for ab."""
    plan = build_plan(two_readers(127, 9), "relay")
    levels = {n.name: n.levels for n in plan.neurons if isinstance(n, GradedSpec) and n.is_relay}
    assert levels["a_stream"] == 8323072 and levels["b_stream"] == 8323072 + (127 << 9)
    bits = {c.name: c.message_bits for c in plan.convs}
    assert bits["a_stream__a"] == bits["b_stream__c"] == 24
    with pytest.raises(TargetLimitError) as raised:
        build_plan(two_readers(64, 10), "relay")
    message = str(raised.value)
    assert "(1 violations): b_stream: summed current 8388608 outside -8388607..8388607" in message
    assert "use --lowering fanout" in message and "\n" not in message
    assert build_plan(two_readers(64, 10)).accumulators == ()


def test_a_current_that_may_wrap_may_have_any_value_of_24_bits() -> None:
    program = two_readers(1, 0)
    head, *others = program.convs
    wide = replace(head, weight=head.weight << 1, mantissa_exponent=9)
    with pytest.raises(TargetLimitError, match="a_stream: summed current 8388608 outside"):
        build_plan(replace(program, convs=(wide, *others)), "relay")


def test_kernels_are_flipped_transposed_and_permuted(make_network: MakeNetwork) -> None:
    program = program_of(make_network("graded", "unet"))
    head, up = program.conv["head"], program.conv["up"]
    lava = lava_kernel(head)
    for o, i, y, x in ((0, 0, 0, 0), (3, 2, 1, 4), (1, 0, 4, 2)):
        assert lava[o, 4 - x, 4 - y, i] == head.weight[o, i, y, x]
    lava = lava_kernel(up)
    for c, y, x in np.ndindex(4, 2, 2):
        np.testing.assert_array_equal(lava[(x * 2 + y) * 4 + c, 0, 0], up.weight[c * 4 + y * 2 + x, :, 0, 0])


def test_payload_bits() -> None:
    assert [payload_bits(-256, 255), payload_bits(-257, 0), payload_bits(0, 4), payload_bits(-4, 4)] == [
        9,
        10,
        3,
        4,
    ]


@pytest.mark.parametrize("neuron", ["lif", "graded"])
def test_json_and_arrays_hold_the_plan(make_network: MakeNetwork, neuron: str) -> None:
    network = make_network(neuron, "unet")
    plan = build_plan(program_of(network))
    document, arrays = plan_arrays_and_json(plan)
    document = json.loads(json.dumps(document))
    data = npz_bytes(arrays)
    assert data == npz_bytes(plan_arrays_and_json(build_plan(program_of(network)))[1])
    with np.load(io.BytesIO(data), allow_pickle=False) as loaded:
        for conv, entry in zip(plan.convs, document["convs"], strict=True):
            np.testing.assert_array_equal(loaded[entry["weight"]], conv.weight)
            assert loaded[entry["weight"]].dtype == np.int32
            assert entry["input_shape"] == list(conv.input_shape)
        for spec, entry in zip(plan.neurons, document["neurons"], strict=True):
            bias = spec.bias if isinstance(spec, GradedSpec) else spec.bias_mant
            np.testing.assert_array_equal(
                loaded[entry["bias" if entry["type"] == "graded" else "bias_mant"]], bias
            )
            assert entry["first_step"] == spec.depth + 1
    used = {e["weight"] for e in document["convs"]} | {f"bias.{n.name}" for n in plan.neurons}
    assert used == set(arrays)
    assert document["readout"] == "readout" and document["steps"] == plan.steps


def test_resources_by_formula(make_network: MakeNetwork) -> None:
    """8 x 12 pixels, 4 channels; the stride-2 convolution drops one border row and column of taps only."""
    plan = build_plan(program_of(make_network("lif", "unet")))
    convs = {c.name: c for c in plan.convs}
    assert expanded_synapses(convs["enc_conv1__enc_mid"]) == 16 * (3 * 8 - 2) * (3 * 12 - 2)
    assert expanded_synapses(convs["down__mid_in"]) == 32 * (3 * 4 - 1) * (3 * 6 - 1)
    assert expanded_synapses(convs["up__tail_in"]) == 8 * 16 * 4 * 6
    assert expanded_synapses(convs["enc_mid_relay1_conv"]) == 4 * 8 * 12
    total = count_resources(plan)
    full, half = 8 * 12 * 4, 4 * 6 * 8
    assert total.relay_neurons == (6 + 2) * full + 2 * half
    assert total.neurons - total.relay_neurons == 6 * full + 3 * half + 8 * 12 * 3
    assert total.neurons == sum(layer.neurons for layer in layer_resources(plan))
    assert total.shared_synapses == sum(c.weight.size for c in plan.convs)
    assert total.cores_low == len(plan.neurons) and total.chips_high >= 1
    assert total.accumulator_neurons == 0


def test_resources_under_relay_by_formula(make_network: MakeNetwork) -> None:
    """Accumulators at full resolution three and at half one, relays 2 + 5 + 2 and 2; one copy per join."""
    plan = build_plan(program_of(make_network("lif", "unet")), "relay")
    total = count_resources(plan)
    full, half = 8 * 12 * 4, 4 * 6 * 8
    assert total.accumulator_neurons == 3 * full + half
    assert total.relay_neurons == total.accumulator_neurons + 9 * full + 2 * half
    assert total.neurons - total.relay_neurons == 6 * full + 3 * half + 8 * 12 * 3
    synapses = {c.synapse: expanded_synapses(c) for c in plan.convs if not c.synapse.startswith("relay_")}
    copies = (2 + 2 + 2 + 9) * full + (2 + 2) * half
    assert total.expanded_synapses == sum(synapses.values()) + copies
