"""Integer students in onnxruntime: every integer is the engine's, which `test_integer_run` holds to loops."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from skimage import data
from snn_tool.deploy.onnx_networks import check_integer_student, restored_pixels
from snn_tool.errors import ExportError, VerificationError
from snn_tool.exporters.onnx import integer as onnx_integer
from snn_tool.exporters.onnx.integer import compare_integers, integer_model
from snn_tool.exporters.onnx.run import FileRun, trace_file
from snn_tool.exporters.onnx.student import Form, spike_tensors
from snn_tool.images.tiling import pad_to_multiple
from snn_tool.models.integer.engine import IntegerEngine, quantize_image
from snn_tool.models.integer.network import IntegerNetwork

MakeNetwork = Callable[..., IntegerNetwork]
Image = NDArray[np.float32]
KINDS = [(n, b) for n in ("graded", "lif") for b in ("unet", "flat", "chain")]
PATH = Path("student.onnx")


def photographs(height: int, width: int, seed: int = 0) -> Image:
    """Two noisy parts of photographs, [2, 3, height, width]."""
    parts = [image[40 : 40 + height, 60 : 60 + width] for image in (data.coffee(), data.chelsea())]
    clean = np.stack(parts).transpose(0, 3, 1, 2) / 255
    return (clean + np.random.default_rng(seed).normal(0, 25 / 255, clean.shape)).astype(np.float32)


def reference(network: IntegerNetwork, images: Image) -> Any:
    engine = IntegerEngine(network)
    return engine.run(quantize_image(images, network), [p.wiring.name for p in network.populations])


def assert_equal(network: IntegerNetwork, images: Image, stateful: bool = False) -> Any:
    """Compare all spikes and membranes; the reference trace for further looks."""
    form = Form(1 if stateful else network.timesteps, stateful)
    expected = reference(network, images)
    found = compare_integers(integer_model(network, form, {}), PATH, network, form, images, expected)
    assert found.status == "exact", found.first
    # Two values a neuron and step, one a neuron of the read-out and step, which has no spikes.
    silent = network.topology.readout.name
    held = [*expected.membranes.values(), *(z for name, z in expected.spikes.items() if name != silent)]
    assert found.values_compared == sum(array.size for array in held)
    return expected


@pytest.mark.slow
@pytest.mark.parametrize(("neuron", "body"), KINDS)
def test_every_integer_of_two_photographs(make_network: MakeNetwork, neuron: str, body: str) -> None:
    expected = assert_equal(make_network(neuron, body), photographs(40, 72))
    for name, spikes in list(expected.spikes.items())[:-1]:
        assert np.abs(spikes).mean() > 0.01, f"{name} is silent and proves nothing"


def test_every_integer_of_grey_photographs_and_their_pixels(make_network: MakeNetwork) -> None:
    network, images = make_network("graded", "unet", channels=1), photographs(24, 32)[:, :1]
    assert_equal(network, images)
    found = FileRun(integer_model(network, Form(1), {}), PATH)({"image": images})
    np.testing.assert_array_equal(found["restored"], restored_pixels(IntegerEngine(network), images))
    assert found["restored"].shape == images.shape


@pytest.mark.parametrize("body", ["unet", "chain"])
def test_steps_with_their_membranes_are_the_unrolled_run(make_network: MakeNetwork, body: str) -> None:
    assert_equal(make_network("lif", body), photographs(24, 32), stateful=True)


@pytest.mark.parametrize(("neuron", "height", "width"), [("graded", 37, 51), ("lif", 33, 40), ("lif", 3, 1)])
def test_restored_pixels_of_any_size(make_network: MakeNetwork, neuron: str, height: int, width: int) -> None:
    network, images = make_network(neuron), photographs(height, width)
    run = FileRun(integer_model(network, Form(network.timesteps), {}), PATH)
    found = run({"image": images})
    assert found["restored"].dtype == np.uint8
    np.testing.assert_array_equal(found["restored"], restored_pixels(IntegerEngine(network), images))
    fitting = pad_to_multiple(images, network.topology.multiple)
    np.testing.assert_array_equal(found["readout"], reference(network, fitting).readout)


@pytest.mark.slow
@pytest.mark.parametrize("neuron", ["graded", "lif"])
def test_currents_that_wrap(make_network: MakeNetwork, neuron: str) -> None:
    """With weights shifted 11 bits further the bounds leave 24 bits, and on extreme images the values do."""
    network = make_network(neuron)
    wide = replace(network, synapses=tuple(replace(s, exponent=s.exponent + 11) for s in network.synapses))
    models = [integer_model(n, Form(n.timesteps), {}).graph.node for n in (network, wide)]
    wraps = [sum(node.op_type == "Mod" for node in nodes) - 2 for nodes in models]  # two extend the sides
    assert wraps[0] == 0 and wraps[1] > 1, "no weight was shifted beyond 24 bits"
    images = photographs(16, 24)
    images[1] = np.random.default_rng(0).choice([-1, 2.5], images[1].shape)
    expected = assert_equal(wide, images)
    largest = max(int(np.abs(membrane).max()) for membrane in expected.membranes.values())
    assert largest == 2**23 - 1, "no membrane was clipped"


@pytest.mark.parametrize("decay", [1, 1365, 2048, 4095])
def test_decays_round_toward_zero(make_network: MakeNetwork, decay: int) -> None:
    """With 1 / 4096 the kept product, up to 2^23 * 4095, takes int64; with 2048 / 4096 int32 holds it."""
    network = replace(make_network("lif"), decay=decay)
    nodes = [n for n in integer_model(network, Form(4), {}).graph.node if n.op_type == "Div"]
    assert len(nodes) == 2 + 3 * len(network.populations[:-1]), (
        "of the input twice, of three steps with a past"
    )
    assert_equal(network, photographs(16, 16))


@pytest.mark.slow
def test_populations_with_decays_of_their_own(make_network: MakeNetwork) -> None:
    """What networks trained elsewhere have: also a read-out that leaks, an input from 0, no image added."""
    network = make_network("lif", "flat")
    populations = [replace(p, decay=400 * index) for index, p in enumerate(network.populations)]
    other = replace(network, populations=tuple(populations), input_offset=0, adds_image=False)
    expected = assert_equal(other, photographs(16, 16))
    assert (expected.membranes[network.topology.readout.name] != 0).any()
    check_integer_student(integer_model(other, Form(4), {}), PATH, other, Form(4), photographs(16, 16))


def test_a_network_of_one_size_has_no_restored_image(make_network: MakeNetwork) -> None:
    """What `import` makes of classifiers: the read-out alone, of fixed sides; other images are refused."""
    fixed = replace(make_network("graded", "chain"), image_size=(16, 24))
    model = integer_model(fixed, Form(1), {})
    assert [output.name for output in model.graph.output] == ["readout"]
    sides = [side.dim_value for side in model.graph.input[0].type.tensor_type.shape.dim]
    assert sides == [0, 3, 16, 24]
    assert len(check_integer_student(model, PATH, fixed, Form(1), photographs(16, 24))) == 1
    with pytest.raises(Exception, match="Got invalid dimensions for input"):
        FileRun(model, PATH)({"image": photographs(16, 16)})


def test_largest_bytes_are_multiplied_exactly(make_network: MakeNetwork) -> None:
    """Weights of 127 and -128 on levels of 127: products of one sign that 16-bit sums would saturate."""
    network = replace(make_network("graded", "chain"), levels=127)
    signs = [np.where(np.arange(s.mantissa.size) % 2, 127, -128) for s in network.synapses]
    synapses = [
        replace(s, mantissa=values.astype(np.int8).reshape(s.mantissa.shape))
        for s, values in zip(network.synapses, signs, strict=True)
    ]
    low = [replace(p, threshold=1) if p.threshold else p for p in network.populations]
    extreme = replace(network, synapses=tuple(synapses), populations=tuple(low))
    images = np.random.default_rng(0).choice([-1, 2.5], (2, 3, 16, 16)).astype(np.float32)
    expected = assert_equal(extreme, images)
    levels = np.concatenate([np.abs(z).ravel() for z in list(expected.spikes.values())[:-1]])
    assert (levels == 127).mean() > 0.5


def test_a_sum_beyond_32_bits_is_refused_by_name(
    make_network: MakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only some 130,000 inputs of one neuron reach it, so a small network is said to."""
    monkeypatch.setattr(onnx_integer, "absolute_product_bound", lambda synapse, network: 2**31)
    network = make_network("graded")
    with pytest.raises(ExportError, match="a sum of products may exceed 32 bits; use fewer levels") as caught:
        integer_model(network, Form(1), {})
    assert str(caught.value).split(":")[0] in network.by_name


def test_spikes_as_outputs(make_network: MakeNetwork) -> None:
    network, images = make_network("lif"), photographs(16, 24)
    model = integer_model(network, Form(4, taps=True), {})
    names = list(spike_tensors(network.topology, 4))
    assert [output.name for output in model.graph.output] == ["restored", "readout", *names]
    found, expected = FileRun(model, PATH)({"image": images}), reference(network, images)
    for population in network.topology.spiking:
        for step in range(4):
            spikes = expected.spikes[population.name][step]
            np.testing.assert_array_equal(found[f"spikes.{population.name}.{step}"], spikes)


def tampered(model: Any, name: str) -> Any:
    """The file with one weight byte raised by one."""
    (held,) = [constant for constant in model.graph.initializer if constant.name == f"{name}.weight"]
    weight = onnx.numpy_helper.to_array(held).copy()
    centre = weight.shape[2] // 2
    weight[0, 0, centre, centre] += 1
    held.CopyFrom(onnx.numpy_helper.from_array(weight, held.name))
    return model


@pytest.mark.slow
@pytest.mark.parametrize("neuron", ["graded", "lif"])
def test_every_changed_weight_is_found_where_it_acts(make_network: MakeNetwork, neuron: str) -> None:
    """The first integer that differs is in a population that the synapse feeds, never before it."""
    network, images, form = make_network(neuron), photographs(32, 32), Form(make_network(neuron).timesteps)
    expected = reference(network, images)
    for synapse in network.by_name:
        model = tampered(integer_model(network, form, {}), synapse)
        first = compare_integers(model, PATH, network, form, images, expected).first
        readers = [p.wiring.name for p in network.populations if synapse in p.wiring.inputs]
        assert first is not None and first.layer == readers[0]
        assert first.index[0] == 0 or network.by_name[synapse].wiring.upsample == 2
    with pytest.raises(
        VerificationError, match=r"integers differ in onnxruntime; first: \w+ membranes, time"
    ):
        check_integer_student(model, PATH, network, form, images)


def test_the_file_needs_no_other_and_says_what_it_is(make_network: MakeNetwork) -> None:
    network = make_network("lif")
    model = integer_model(network, Form(4), {"source_sha256": "ab"})
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 20)]
    assert all(not constant.external_data for constant in model.graph.initializer)
    kinds = {node.op_type for node in model.graph.node}
    assert "ConvInteger" in kinds and not kinds & {"Conv", "Round", "QLinearConv"}
    texts = {entry.key: entry.value for entry in model.metadata_props}
    assert (texts["snn_tool.kind"], texts["snn_tool.source_sha256"]) == ("onnx-integer-student", "ab")
    assert texts["snn_tool.input"] == '{"step": 4, "offset": 128, "low": -64, "high": 63}'
    assert float(texts["snn_tool.residual_scale"]) == network.residual_scale


def test_an_independent_lif_in_the_file(make_network: MakeNetwork, lif_reference: Callable[..., Any]) -> None:
    """The first population's membranes from its current by numpy's loop, not by the engine."""
    network, images = make_network("lif"), photographs(16, 16)
    population = network.populations[0]
    trace = trace_file(integer_model(network, Form(4), {}), PATH, network.topology, Form(4), 4, images)
    held = network.by_name[population.wiring.inputs[0]]
    grid = np.clip(np.floor((images.astype(np.float64) * 255 - 128) / 4 + 0.5), -64, 63).astype(np.int64)
    edge, weight = held.wiring.padding, held.mantissa.astype(np.int64) << held.exponent
    padded = np.pad(grid, [(0, 0)] * 2 + [(edge, edge)] * 2)
    taps = [(y, x, weight[:, :, y, x]) for y in range(2 * edge + 1) for x in range(2 * edge + 1)]
    current = sum(np.einsum("oc,nchw->nohw", w, padded[:, :, y : y + 16, x : x + 16]) for y, x, w in taps)
    steps = np.repeat(np.asarray(current)[None], 4, 0)
    spikes, membranes = lif_reference(steps, held.bias.astype(np.int64), population.threshold, network.decay)
    np.testing.assert_array_equal(trace.membranes[population.wiring.name], membranes)
    np.testing.assert_array_equal(trace.spikes[population.wiring.name], spikes)
