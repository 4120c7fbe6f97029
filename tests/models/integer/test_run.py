from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from snn_tool.errors import QuantizationError
from snn_tool.models.config import StudentConfig
from snn_tool.models.integer.engine import IntegerEngine, quantize_image, restore_integers
from snn_tool.models.integer.network import WRAP, IntegerNetwork, population_range
from snn_tool.models.network import Network

KINDS = [(n, b) for n in ("graded", "lif") for b in ("unet", "flat", "chain")]
MakeNetwork = Callable[..., IntegerNetwork]
Reference = Callable[..., tuple[NDArray[np.int64], NDArray[np.int64]]]
Image = NDArray[np.float32]


@pytest.mark.parametrize(("neuron", "body"), KINDS)
def test_populations_equal_int64_loops(
    make_network: MakeNetwork,
    photograph: Image,
    lif_reference: Reference,
    graded_reference: Reference,
    neuron: str,
    body: str,
) -> None:
    """Every population again from the recorded spikes, in numpy int64, one shifted product per kernel tap."""
    network = make_network(neuron, body)
    crop = quantize_image(photograph[None, :, :16, :24], network)
    trace = IntegerEngine(network).run(crop, [p.wiring.name for p in network.populations])
    outputs = {"image": np.repeat(crop[None].astype(np.int64), network.timesteps, 0)}
    outputs |= {name: z.astype(np.int64) for name, z in trace.spikes.items()}
    for population in network.populations:
        inputs, last = population.wiring.inputs, population is network.populations[-1]
        total = sum(slow_current(network, name, outputs) for name in inputs)
        bias = sum(network.by_name[n].bias.astype(np.int64) for n in inputs if network.by_name[n].wiring.bias)
        if not last and neuron == "graded":
            membrane = total + np.reshape(bias, (-1, 1, 1))
            spikes, membranes = graded_reference(membrane, population.threshold, network.spike_range)
        else:
            threshold, decay = (None, 0) if last else (population.threshold, network.decay)
            spikes, membranes = lif_reference(total, np.atleast_1d(bias), threshold, decay)
        np.testing.assert_array_equal(trace.membranes[population.wiring.name], membranes)
        np.testing.assert_array_equal(trace.spikes[population.wiring.name], spikes)
        if not last:
            assert 0.01 < np.abs(trace.spikes[population.wiring.name]).mean(), "a silent layer proves nothing"


@pytest.mark.parametrize("neuron", ["graded", "lif"])
def test_recording_changes_nothing(make_network: MakeNetwork, photograph: Image, neuron: str) -> None:
    network = make_network(neuron)
    crop = quantize_image(np.stack([photograph, photograph[:, ::-1]]), network)
    engine = IntegerEngine(network)
    recorded = engine.run(crop, [p.wiring.name for p in network.populations])
    np.testing.assert_array_equal(engine.run(crop).readout, recorded.readout)
    np.testing.assert_array_equal(engine.run(crop[1:]).readout[0], recorded.readout[1])


@pytest.mark.parametrize("neuron", ["graded", "lif"])
def test_currents_by_name_equal_int64_loops(
    make_network: MakeNetwork, photograph: Image, neuron: str
) -> None:
    network = make_network(neuron)
    crop = quantize_image(photograph[None, :, :16, :24], network)
    engine = IntegerEngine(network)
    trace = engine.run(crop, [p.name for p in network.topology.spiking])
    emitted = {"image": crop, **trace.spikes}
    steps = {name: np.atleast_1d(z.astype(np.int64)) for name, z in trace.spikes.items()}
    steps["image"] = crop[None].astype(np.int64)
    for synapse in network.synapses:
        name = synapse.wiring.name
        found = engine.current(name, emitted[synapse.wiring.source])
        np.testing.assert_array_equal(found, slow_current(network, name, steps))


def test_sums_beyond_float32_are_exact(make_network: MakeNetwork, photograph: Image) -> None:
    """Currents near 2^24, which float32 could not add to a stream without rounding."""
    network = make_network("graded")
    wide = replace(network, synapses=tuple(replace(s, exponent=s.exponent + 9) for s in network.synapses))
    crop = quantize_image(photograph[None, :, :16, :24], wide)
    engine = IntegerEngine(wide)
    trace = engine.run(crop, [p.wiring.name for p in wide.populations])
    outputs = {"image": crop[None].astype(np.int64)} | {
        n: z.astype(np.int64) for n, z in trace.spikes.items()
    }
    largest = 0
    for population in wide.populations[:-1]:
        total = sum(slow_current(wide, name, outputs) for name in population.wiring.inputs)
        bias = sum(
            wide.by_name[n].bias.astype(np.int64)
            for n in population.wiring.inputs
            if wide.by_name[n].wiring.bias
        )
        membrane = total + np.reshape(bias, (-1, 1, 1))
        largest = max(largest, int(np.abs(membrane).max()))
        held = np.clip(membrane, -WRAP + 1, WRAP - 1)
        np.testing.assert_array_equal(trace.membranes[population.wiring.name], held)
    assert largest > 2**23, "no sum leaves the membrane's range"


def slow_current(
    network: IntegerNetwork, name: str, outputs: dict[str, NDArray[np.int64]]
) -> NDArray[np.int64]:
    synapse = network.by_name[name]
    wiring, source = synapse.wiring, outputs[synapse.wiring.source]
    weight = synapse.mantissa.astype(np.int64) << synapse.exponent
    pad = wiring.padding
    padded = np.pad(source, [(0, 0)] * 3 + [(pad, pad)] * 2)
    height, width = source.shape[3] // wiring.stride, source.shape[4] // wiring.stride
    total = np.zeros((*source.shape[:2], wiring.out_channels, height, width), dtype=np.int64)
    for y in range(wiring.kernel):
        for x in range(wiring.kernel):
            top, left = y * wiring.dilation, x * wiring.dilation
            rows = slice(top, top + height * wiring.stride, wiring.stride)
            columns = slice(left, left + width * wiring.stride, wiring.stride)
            total += np.einsum("oc,tnchw->tnohw", weight[:, :, y, x], padded[..., rows, columns])
    wrapped = (total + WRAP) % (2 * WRAP) - WRAP
    if wiring.upsample == 1:
        return wrapped
    t, n, c, h, w = wrapped.shape
    blocks = wrapped.reshape(t, n, c // 4, 2, 2, h, w)
    return blocks.transpose(0, 1, 2, 5, 3, 6, 4).reshape(t, n, c // 4, 2 * h, 2 * w)


@pytest.mark.parametrize(("neuron", "body"), KINDS)
def test_integer_output_is_close_to_the_float_student(
    make_student: Callable[..., tuple[Network, StudentConfig]],
    make_network: MakeNetwork,
    photograph: Image,
    neuron: str,
    body: str,
) -> None:
    student, _ = make_student(neuron, body)
    with torch.no_grad():
        expected = student(torch.from_numpy(photograph[None])).numpy()
    restored = restore_integers(IntegerEngine(make_network(neuron, body)), photograph[None])
    residual = np.std(expected - photograph[None])
    # Untrained spiking layers amplify rounding, most in a stack without shortcuts; a trained student loses
    # about 0.01 dB (README).
    assert np.std(restored - expected) < (0.9 if (neuron, body) == ("lif", "chain") else 0.6) * residual
    assert residual > 0.01


@pytest.mark.parametrize("neuron", ["graded", "lif"])
def test_the_residual_is_added_to_what_the_network_saw(
    make_network: MakeNetwork, photograph: Image, neuron: str
) -> None:
    """Images that are one on the grid are restored to one, which lies a residual from the grid."""
    network = make_network(neuron)
    engine, step = IntegerEngine(network), network.input_step
    levels = np.floor((photograph[None].astype(np.float64) * 255 - 128) / step + 0.5)
    on_grid = (levels * step + 128) / 255
    within = np.random.default_rng(0).uniform(-0.49, 0.49, on_grid.shape) * step / 255
    restored = restore_integers(engine, (on_grid + within).astype(np.float32))
    readout = engine.run(levels.astype(np.int16)).readout
    np.testing.assert_allclose(restored - on_grid, readout * network.residual_scale, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(restored, restore_integers(engine, photograph[None]))
    assert np.abs(readout).max() > 0


@pytest.mark.parametrize(("neuron", "body"), KINDS)
def test_no_recorded_current_leaves_its_proved_range(
    make_network: MakeNetwork, photograph: Image, neuron: str, body: str
) -> None:
    """Extreme inputs: the photograph, and noise between the ends of the input range."""
    network = make_network(neuron, body)
    low, high = network.input_range
    extreme = np.random.default_rng(0).choice([low, high], (1, 3, 32, 32)).astype(np.int16)
    for crop in (quantize_image(photograph[None, :, :32, :32], network), extreme):
        trace = IntegerEngine(network).run(crop, [p.wiring.name for p in network.populations])
        outputs = {"image": np.repeat(crop[None].astype(np.int64), network.timesteps, 0)}
        outputs |= {name: z.astype(np.int64) for name, z in trace.spikes.items()}
        for population in network.populations:
            current = sum(slow_current(network, name, outputs) for name in population.wiring.inputs)
            bounds = population_range(population, network)
            assert (current >= bounds.low[:, None, None]).all()
            assert (current <= bounds.high[:, None, None]).all()


def test_levels_that_no_network_has_are_refused(make_network: MakeNetwork) -> None:
    with pytest.raises(QuantizationError, match="levels = 70368744177664 is not allowed; use a whole number"):
        replace(make_network("graded"), levels=2**46)
