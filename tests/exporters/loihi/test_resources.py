"""Resource counts against enumeration, by formula, and for every size that a chip may hold."""

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from snn_tool.cli.app import run
from snn_tool.energy.report.chips import register_notes
from snn_tool.errors import ConfigError
from snn_tool.exporters.loihi.chips import (
    LABEL,
    LOIHI_1,
    LOIHI_2,
    LayerResources,
    Span,
    axons,
    chips_of,
    cores_of,
    cores_of_all,
    count_resources,
    expanded_synapses,
    layer_resources,
    total_of,
)
from snn_tool.exporters.loihi.deployment import Deployment, resized, size_multiple
from snn_tool.exporters.loihi.lowering import _source_range
from snn_tool.exporters.loihi.plan import build_plan
from snn_tool.exporters.loihi.plan_file import plan_arrays_and_json
from snn_tool.exporters.loihi.registers import emulated
from snn_tool.exporters.loihi.report import (
    largest_side,
    largest_tile,
    report_resources,
    resource_document,
)
from snn_tool.exporters.loihi.specs import ConvSpec, LifSpec, Plan
from snn_tool.exporters.nir.file import write_nir
from snn_tool.exporters.nir.graph import to_nir
from snn_tool.exporters.nir.parse import parse_graph
from snn_tool.exporters.nir.program import IMAGE, Program
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.streams import LOWERINGS
from snn_tool.tables import printable
from snn_tool.texts.charts import cores_svg
from snn_tool.texts.deploy import resources_text

MakeNetwork = Callable[..., IntegerNetwork]
KINDS = [(n, b) for n in ("lif", "graded") for b in ("unet", "flat")]


def program_of(network: IntegerNetwork, height: int = 8, width: int = 12) -> Program:
    return parse_graph(to_nir(network, height, width), "student.nir")


def connections(conv: ConvSpec) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Every pair (source neuron, output neuron before the ports), one by one."""
    width, height, channels = conv.input_shape
    out_channels, taps_x, taps_y, group = conv.weight.shape
    columns, rows = (side // conv.upsample for side in conv.output_shape[:2])
    pairs = []
    for x, y, o in itertools.product(range(columns), range(rows), range(out_channels)):
        for i, j, c in itertools.product(range(taps_x), range(taps_y), range(group)):
            source_x = x * conv.stride - conv.padding + i * conv.dilation
            source_y = y * conv.stride - conv.padding + j * conv.dilation
            first = o // (out_channels // conv.groups) * group
            if 0 <= source_x < width and 0 <= source_y < height:
                assert first + c < channels
                pairs.append(((source_x, source_y, first + c), (x, y, o)))
    return pairs


@st.composite
def convolutions(draw: st.DrawFn) -> ConvSpec:
    groups = draw(st.sampled_from([1, 2]))
    channels, out = 2, 4
    kernel = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    stride, padding, dilation = draw(st.integers(1, 3)), draw(st.integers(0, 3)), draw(st.integers(1, 3))
    upsample = draw(st.sampled_from([1, 2])) if groups == 1 else 1
    weight = np.ones((out, *kernel, channels // groups), np.int32)
    source, target = [], []
    for taps in kernel:
        side = draw(st.integers(1, 7).filter(lambda n, t=taps: n + 2 * padding >= dilation * (t - 1) + 1))
        source.append(side)
        target.append(((side + 2 * padding - dilation * (taps - 1) - 1) // stride + 1) * upsample)
    return ConvSpec(
        name="c", synapse="c", source="a", target="b", weight=weight,
        mantissa_exponent=0, input_shape=(source[0], source[1], channels),
        output_shape=(target[0], target[1], out // upsample**2), stride=stride, padding=padding,
        dilation=dilation, groups=groups, upsample=upsample, message_bits=0,
    )  # fmt: skip


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(convolutions())
def test_synapses_and_axons_equal_enumeration(conv: ConvSpec) -> None:
    pairs = connections(conv)
    assert len(set(pairs)) == len(pairs) == expanded_synapses(conv)
    assert len({source for source, _ in pairs}) == axons(conv)


@pytest.mark.slow
@pytest.mark.parametrize(("neuron", "body"), KINDS)
def test_layers_equal_enumeration(make_network: MakeNetwork, neuron: str, body: str) -> None:
    plan = build_plan(program_of(make_network(neuron, body)))
    counted = {layer.name: layer for layer in layer_resources(plan)}
    assert list(counted) == [spec.name for spec in plan.neurons]
    pairs = {conv.name: connections(conv) for conv in plan.convs}
    lines = {name: len({source for source, _ in found}) for name, found in pairs.items()}
    for spec in plan.neurons:
        layer = counted[spec.name]
        arriving = [conv for conv in plan.convs if conv.target == spec.name]
        assert layer.neurons == len(list(np.ndindex(spec.shape)))
        assert layer.expanded_synapses == sum(len(pairs[conv.name]) for conv in arriving)
        assert layer.shared_synapses == sum(len(conv.weight.ravel()) for conv in arriving)
        assert layer.axons_in == sum(lines[conv.name] for conv in arriving)
        assert layer.axons_out == sum(lines[conv.name] for conv in plan.convs if conv.source == spec.name)
        assert layer.state_bytes == layer.neurons * (6 if isinstance(spec, LifSpec) else 3)
        assert (layer.shared_bytes, layer.expanded_bytes) == (layer.shared_synapses, layer.expanded_synapses)
    total = total_of(counted.values())
    image = sum(lines[conv.name] for conv in plan.convs if conv.source.startswith("image"))
    assert total.axons_in == total.axons_out + image, "every line ends where it began"
    assert counted["readout"].axons_out == 0


def test_axons_by_formula(make_network: MakeNetwork) -> None:
    """8 x 12 pixels, 4 channels: dense kernels reach all sources, as does 3 x 3 at stride 2 with padding."""
    layers = {
        layer.name: layer for layer in layer_resources(build_plan(program_of(make_network("lif", "unet"))))
    }
    full, half = 8 * 12 * 4, 4 * 6 * 8
    assert layers["enc_in"].axons_in == 8 * 12 * 3
    assert layers["enc_mid"].axons_in == layers["mid_in"].axons_in == full
    assert layers["dec_in"].axons_in == 8 * 12 * 3 + full + half
    assert layers["enc_mid"].axons_out == 2 * full, "down_in and the first relay"
    assert layers["enc_mid_relay1"].axons_in == full


def layer_of(**values: int) -> LayerResources:
    empty = dict.fromkeys(
        ("neurons", "shared_synapses", "expanded_synapses", "axons_in", "axons_out", "state_bytes"), 0
    )
    return LayerResources(name="layer", is_relay=False, **{**empty, "neurons": 1, **values})


@pytest.mark.parametrize(
    ("values", "one", "two"),
    [
        ({"neurons": 1024}, Span(1, 1), Span(1, 1)),
        ({"neurons": 8192}, Span(8, 8), Span(1, 1)),
        ({"neurons": 8193}, Span(9, 9), Span(2, 2)),
        ({"axons_in": 4096}, Span(1, 1), Span(1, 1)),
        ({"axons_in": 4097}, Span(2, 2), Span(1, 1)),
        ({"axons_out": 8193}, Span(3, 3), Span(1, 1)),
        ({"shared_synapses": 131072, "expanded_synapses": 131073}, Span(1, 2), Span(1, 2)),
        ({"state_bytes": 65537}, Span(1, 1), Span(2, 2)),
    ],
)
def test_cores_by_hand(values: dict[str, int], one: Span, two: Span) -> None:
    """1048576 bits are 131072 weights of 8 bits."""
    layer = layer_of(**values)
    assert (cores_of(layer, LOIHI_1), cores_of(layer, LOIHI_2)) == (one, two)


def test_chips_by_hand() -> None:
    """128 cores each, and 120 million synapses on Loihi 2."""
    layers = [layer_of()] * 129
    assert cores_of_all(layers, LOIHI_2) == Span(129, 129)
    assert chips_of(layers, LOIHI_2) == chips_of(layers, LOIHI_1) == Span(2, 2)
    many = replace(LOIHI_2, synapse_bytes=1 << 30)
    heavy = [layer_of(shared_synapses=120_000_000, expanded_synapses=120_000_001)]
    assert chips_of(heavy, many) == Span(1, 2)
    assert chips_of(heavy, replace(many, synapses=None)) == Span(1, 1)


def equal_plans(one: Plan, other: Plan) -> bool:
    documents, arrays = zip(*(plan_arrays_and_json(plan) for plan in (one, other)), strict=True)
    return documents[0] == documents[1] and all(
        np.array_equal(arrays[0][name], arrays[1][name]) for name in arrays[0] | arrays[1]
    )


@pytest.mark.slow
@pytest.mark.parametrize(("neuron", "body"), KINDS)
def test_another_size_gives_the_plan_of_a_file_of_that_size(
    make_network: MakeNetwork, neuron: str, body: str
) -> None:
    network = make_network(neuron, body)
    program = program_of(network)
    assert size_multiple(program) == network.topology.multiple
    for height, width in ((8, 12), (2, 2), (10, 26)):
        expected = build_plan(program_of(network, height, width))
        assert equal_plans(build_plan(resized(program, height, width)), expected)
    for lowering in LOWERINGS:
        deployment = Deployment(program, lowering)
        for height, width in ((8, 12), (2, 2), (10, 26)):
            expected = build_plan(program_of(network, height, width), lowering)
            assert equal_plans(deployment.plan_of_size(height, width), expected)


@pytest.mark.parametrize("size", [(0, 8), (8, -2), (7, 8), (8, 9)])
def test_sizes_that_do_not_fit_are_refused(make_network: MakeNetwork, size: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="^image size .* does not fit the network; use multiples of 2$"):
        resized(program_of(make_network("lif", "unet")), *size)


@given(st.integers(1, 9), st.integers(0, 2000))
def test_the_largest_side_by_bisection_is_the_largest(multiple: int, limit: int) -> None:
    assert largest_side(multiple, lambda side: side <= limit) == limit // multiple * multiple


def test_of_a_network_of_one_size_only_that_is_tried_by_its_shorter_side(make_network: MakeNetwork) -> None:
    program = resized(program_of(make_network("lif", "flat")), 8, 12)
    vars(program)["fits_any_size"] = False
    assert largest_tile(Deployment(program), LOIHI_2, 1) == 8
    assert largest_tile(Deployment(program), replace(LOIHI_2, cores=1), 1) == 0


@pytest.mark.slow
@pytest.mark.parametrize("body", ["unet", "flat"])
def test_the_largest_tile_is_the_last_that_fits(make_network: MakeNetwork, body: str) -> None:
    """A chip of small cores, so that all candidates can be tried one after the other."""
    network = make_network("graded", body)
    program, multiple = program_of(network), network.topology.multiple
    chip = replace(LOIHI_2, neurons=60, cores=64)
    for chips in (1, 3):
        fitting = [
            side
            for side in range(multiple, 60, multiple)
            if chips_of(layer_resources(build_plan(program_of(network, side, side))), chip).low <= chips
        ]
        assert 0 < len(fitting) < 60 // multiple - 1
        assert largest_tile(Deployment(program), chip, chips) == fitting[-1]
    assert largest_tile(Deployment(program), replace(chip, cores=1), 1) == 0


@pytest.mark.slow
@pytest.mark.parametrize("neuron", ["lif", "graded"])
def test_the_report_is_the_plans(make_network: MakeNetwork, neuron: str) -> None:
    program = program_of(make_network(neuron))
    plan = build_plan(program)
    report, summary = report_resources(Deployment(program)), count_resources(plan)
    document = json.loads(json.dumps(resource_document(report)))
    assert document["latency_steps"] == plan.steps == plan.timesteps + plan.depth
    assert document["label"] == LABEL
    assert document["total"]["neurons"] == summary.neurons
    assert document["total"]["relay_neurons"] == summary.relay_neurons
    for chip in (LOIHI_1, LOIHI_2):
        spans = [layer["cores"][chip.name] for layer in document["layers"]]
        assert document["chips"][chip.name]["cores"] == {
            end: sum(span[end] for span in spans) for end in ("low", "high")
        }
    assert document["chips"]["Loihi 2"]["cores"] == {"low": summary.cores_low, "high": summary.cores_high}
    assert document["chips"]["Loihi 2"]["chips"] == {"low": summary.chips_low, "high": summary.chips_high}
    side = document["largest_tile"]["one_chip"]
    larger = side + document["largest_tile"]["multiple"]
    assert count_resources(build_plan(resized(program, side, side))).cores_low <= 128
    assert count_resources(build_plan(resized(program, larger, larger))).cores_low > 128
    assert document["largest_tile"]["kapoho_point"] > side
    text = resources_text(report)
    assert max(map(len, text.splitlines())) <= 80 and LABEL in text
    for spec in plan.neurons:
        short = spec.name.replace("_relay", "+")
        assert sum(line.startswith(f" {short} ") for line in text.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("neuron", ["lif", "graded"])
def test_numbers_beyond_the_registers_are_said(make_network: MakeNetwork, neuron: str) -> None:
    """A mantissa of -100 shifted by 3 is 800 in eight bits; a read-out that never fires has 2^18 in 17."""
    network = make_network(neuron)
    weights = [np.clip(synapse.mantissa, -5, 5).astype(np.int8) for synapse in network.synapses]
    weights[1].flat[0] = -100
    synapses = tuple(
        replace(synapse, mantissa=values, exponent=3 if index == 1 else 0)
        for index, (synapse, values) in enumerate(zip(network.synapses, weights, strict=True))
    )
    shifted = replace(network, synapses=synapses)
    deployment = Deployment(program_of(shifted))
    weight, threshold = emulated(deployment.plan)
    name = network.synapses[1].wiring.name
    assert (weight.where, weight.quantity, weight.value, weight.limit) == (name, "weight", 800, 127)
    assert "exponent of 3" in weight.on_chip
    assert (threshold.quantity, threshold.value, threshold.limit) == ("vth", 1 << 18, (1 << 17) - 1)
    report = report_resources(deployment)
    assert report.emulated == (weight, threshold)
    assert [one["value"] for one in resource_document(report)["beyond_registers"]] == [800, 1 << 18]
    assert "vth 262,144" in resources_text(report).replace("\n", " ")
    # The audit, which does not know the exporters, notes the same numbers.
    notes = register_notes(shifted)
    assert [(note.value, note.limit) for note in notes] == [(800, 127), (1 << 18, (1 << 17) - 1)]


@pytest.mark.slow
def test_the_picture_has_the_same_bytes_each_time(make_network: MakeNetwork) -> None:
    report = report_resources(Deployment(program_of(make_network("graded"))))
    once, twice = (cores_svg(report, LOIHI_2) for _ in range(2))
    assert once == twice
    assert ElementTree.fromstring(once).tag == "{http://www.w3.org/2000/svg}svg"
    for layer in report.layers:
        assert f"<!-- {layer.name} -->" in once


@pytest.mark.slow
@pytest.mark.parametrize("name", [r"$\no{such}$", "[/b]", "a\x1b[2J<b>", "-->", "x" * 5000])
def test_a_population_of_any_name_is_shown_as_it_is(make_network: MakeNetwork, name: str) -> None:
    """No formula for matplotlib, no markup for rich, no escape for a terminal, no tag in a picture."""
    report = report_resources(Deployment(program_of(make_network("graded"))))
    first, *others = report.layers
    report = replace(report, layers=(replace(first, name=name), *others))
    picture = cores_svg(report, LOIHI_2)
    ElementTree.fromstring(picture)
    text = resources_text(report)
    assert not any(ord(c) < 32 and c != "\n" for c in text + picture.replace("\t", ""))
    assert max(map(len, text.splitlines())) <= 80 and len(text) < 10_000
    assert printable(name, 200)[:8] in text


@pytest.mark.slow
def test_the_command(make_network: MakeNetwork, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nir, picture = tmp_path / "network.nir", tmp_path / "cores.svg"
    write_nir(nir, to_nir(make_network("graded"), 8, 12))
    assert run(["-q", "--json", "resources", str(nir), "--size", "16", "--out", str(picture)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["image_size"] == [16, 16] and picture.read_text().startswith("<?xml")
    assert run(["resources", str(nir)]) == 0
    out = capsys.readouterr().out
    assert "12x8 pixels: model-feasible, physical fit unverified" in out
    assert run(["resources", str(nir), "--out", str(picture)]) == 1
    assert "cores.svg: exists; choose another --out or pass --overwrite" in capsys.readouterr().err
    assert run(["resources", str(nir), "--size", "7"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert run(["resources", str(tmp_path)]) == 1
    assert "bundle.json: no such file" in capsys.readouterr().err


@pytest.mark.parametrize("neuron", ["lif", "graded"])
def test_what_a_source_may_deliver_holds_zero(make_network: MakeNetwork, neuron: str) -> None:
    """Spikes of 0 or 1, levels of either sign, an image with the zeros beyond its border."""
    network = make_network(neuron)
    program = program_of(network)
    spiking = next(p.name for p in program.populations if p.name != program.readout.name)
    levels = (-network.levels if network.signed else 0, network.levels)
    assert _source_range(program, spiking) == ((0, 1) if neuron == "lif" else levels)
    bright = replace(program, input_low=3, input_high=9)
    assert _source_range(bright, IMAGE) == (0, 9)
    assert _source_range(replace(program, input_low=-9, input_high=-3), IMAGE) == (-9, 0)
