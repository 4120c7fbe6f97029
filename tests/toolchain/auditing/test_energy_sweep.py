"""Quality against spikes: beginnings of one run, from its trace, and levels by a dense run."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from snn_tool.auditing.networks import measure, restorers
from snn_tool.auditing.student import settings, sweep
from snn_tool.degradations.crops import Crop, channels_first
from snn_tool.energy.counts.fan_out import conv_synops
from snn_tool.images.metrics import psnr_db, to_uint8
from snn_tool.models.integer.engine import IntegerEngine, quantize_image
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.topology import IMAGE

Make = Callable[..., IntegerNetwork]


@pytest.fixture(scope="module")
def crops(photograph: NDArray[np.float32]) -> list[Crop]:
    from skimage import data

    clean = data.astronaut()[100:164, 180:244]
    noisy = photograph.transpose(1, 2, 0)
    return [
        Crop(f"{top}.png", clean[top : top + 24, :32], np.ascontiguousarray(noisy[top : top + 24, :32]))
        for top in (0, 32)
    ]


def test_settings_by_hand() -> None:
    assert [settings(n) for n in (1, 2, 4)] == [(1,), (1, 2), (1, 2, 3, 4)]
    assert [settings(n) for n in (5, 8, 9, 64)] == [
        (1, 2, 4, 5),
        (1, 2, 4, 8),
        (1, 2, 4, 8, 9),
        (1, 2, 4, 8, 16, 32, 64),
    ]


@pytest.mark.slow
def test_fewer_timesteps_are_the_beginning_of_the_run(make_network: Make, crops: list[Crop]) -> None:
    """Synops and PSNR of T' steps from the spikes and the read-out's membrane of one run of T."""
    network = make_network("lif")
    names = [p.name for p in network.topology.populations]
    found = sweep(network, crops, "fanout", iter)
    assert found is not None and found.setting == "timesteps"
    assert [p.setting for p in found.points] == [1, 2, 3, 4]
    for point in found.points:
        synops, psnr = [], []
        for crop in crops:
            image = channels_first(crop.degraded)
            trace = IntegerEngine(network).run(quantize_image(image, network)[None], names)
            fired = {n: z[: point.setting, 0].sum(axis=0, dtype=np.int64) for n, z in trace.spikes.items()}
            synops.append(sum(delivered(network, fired)))
            scale = network.residual_scale * network.timesteps / point.setting
            restored = shown(image, network) + trace.membranes[names[-1]][point.setting - 1, 0] * scale
            psnr.append(psnr_db(to_uint8(restored.transpose(1, 2, 0)), crop.clean))
        assert point.synops_levels == point.synops_events == np.mean(synops)
        assert point.psnr_db == pytest.approx(np.mean(psnr), abs=1e-12)
    macs = [point.first_layer_macs for point in found.points]
    assert macs == [macs[0] * n for n in (1, 2, 3, 4)]


def shown(image: NDArray[np.float32], network: IntegerNetwork) -> NDArray[np.float64]:
    """The nearest image on the network's input grid, whose noise the residual takes away."""
    step = network.input_step
    return (np.floor((image.astype(np.float64) * 255 - 128) / step + 0.5) * step + 128) / 255


def delivered(network: IntegerNetwork, fired: dict[str, NDArray[np.int64]]) -> list[int]:
    """Synops of every delivery of a synapse to a reader."""
    wirings = [network.by_name[n].wiring for p in network.topology.populations for n in p.inputs]
    return [
        conv_synops(fired[w.source], w.out_channels, w.kernel, w.stride, w.padding, w.dilation)
        for w in wirings
        if w.source != IMAGE
    ]


def test_fewer_levels_against_a_dense_run(make_network: Make, crops: list[Crop]) -> None:
    """Without the engine: round half away from zero, clamp at D', and the read-out's sum."""
    network = make_network("graded")
    found = sweep(network, crops, "fanout", iter)
    assert found is not None and found.setting == "levels"
    assert [p.setting for p in found.points] == list(range(1, network.levels + 1))
    for point in found.points:
        levels, psnr = [], []
        for crop in crops:
            image = channels_first(crop.degraded)
            readout, fired = dense(network, quantize_image(image, network), point.setting)
            levels.append(sum(delivered(network, fired)))
            restored = shown(image, network) + readout * 64 * network.residual_scale
            psnr.append(psnr_db(to_uint8(restored.transpose(1, 2, 0)), crop.clean))
        assert point.synops_levels == np.mean(levels)
        assert point.psnr_db == pytest.approx(np.mean(psnr), abs=1e-12)
    assert found.points[0].synops_levels == found.points[0].synops_events


def dense(
    network: IntegerNetwork, image: NDArray[np.int16], levels: int
) -> tuple[NDArray[np.float64], dict[str, NDArray[np.int64]]]:
    """Read-out [3, H, W] in LSB and magnitudes of spikes [C, H, W], in float64 by torch's convolutions."""
    outputs = {IMAGE: torch.from_numpy(image[None]).double()}
    for population in network.populations:
        total = torch.zeros(())
        for name in population.wiring.inputs:
            synapse, wiring = network.by_name[name], network.by_name[name].wiring
            weight = torch.from_numpy(synapse.mantissa.astype(np.float64)) * 2.0**synapse.exponent
            bias = torch.from_numpy(synapse.bias.astype(np.float64)) if wiring.bias else None
            geometry = (wiring.stride, wiring.padding, wiring.dilation)
            current = torch.nn.functional.conv2d(outputs[wiring.source], weight, bias, *geometry)
            total = total + torch.nn.functional.pixel_shuffle(current, wiring.upsample)
        if population.threshold:
            rounded = torch.floor(total.abs() / population.threshold + 0.5) * total.sign()
            outputs[population.wiring.name] = rounded.clamp(-levels if network.signed else 0, levels)
    fired = {name: z[0].abs().to(torch.int64).numpy() for name, z in outputs.items() if name != IMAGE}
    return total[0].numpy(), fired


@pytest.mark.slow
@pytest.mark.parametrize("neuron", ["lif", "graded"])
def test_the_last_point_is_the_student(make_network: Make, crops: list[Crop], neuron: str) -> None:
    network = make_network(neuron)
    found = sweep(network, crops, "relay", iter)
    assert found is not None
    assert found.points[-1].psnr_db == measure(restorers(network)["student"], crops).psnr_db


def test_one_setting_is_no_sweep(make_network: Make, crops: list[Crop]) -> None:
    assert sweep(replace(make_network("graded"), levels=1), crops, "fanout", iter) is None
    assert sweep(replace(make_network("lif"), timesteps=1), crops, "fanout", iter) is None
