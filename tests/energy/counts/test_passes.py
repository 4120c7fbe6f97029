"""Counts and prices of a network that runs twice on an image: the sum of two runs, on the same chip."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from snn_tool.energy.counts.activity import count_network, count_runs
from snn_tool.energy.counts.counts import ImageActivity
from snn_tool.energy.counts.dense import count_macs
from snn_tool.energy.estimators import loihi1
from snn_tool.energy.estimators.prices import packaged_pricing
from snn_tool.energy.estimators.registry import MODELS
from snn_tool.energy.report.audit import audit
from snn_tool.energy.report.columns import twin_load
from snn_tool.models.config import StudentConfig
from snn_tool.models.integer.engine import IntegerEngine, quantize_image, run_passes
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.student import build_topology, build_twin
from snn_tool.models.topology import IMAGE

MakeNetwork = Callable[..., IntegerNetwork]
Image = NDArray[np.float32]
HEIGHT, WIDTH = 12, 16


def reached(network: IntegerNetwork, name: str, source: NDArray[Any]) -> int:
    """Accumulates that a source [T, C, H, W] causes in a synapse: by every tap and value."""
    wiring, total = network.by_name[name].wiring, 0
    rows, columns = (side // wiring.upsample for side in wiring.output_size(*source.shape[2:]))
    for y in range(rows):
        for x in range(columns):
            for i in range(wiring.kernel):
                for j in range(wiring.kernel):
                    row = y * wiring.stride + i * wiring.dilation - wiring.padding
                    column = x * wiring.stride + j * wiring.dilation - wiring.padding
                    if 0 <= row < source.shape[2] and 0 <= column < source.shape[3]:
                        total += int(source[:, :, row, column].sum())
    return total * wiring.out_channels


@pytest.mark.slow
@pytest.mark.parametrize("neuron", ["graded", "lif"])
def test_every_delivery_of_both_passes(make_network: MakeNetwork, photograph: Image, neuron: str) -> None:
    network = make_network(neuron, passes=2)
    image = quantize_image(photograph[:, :HEIGHT, :WIDTH], network)
    counted = count_network(network, [image]).images[0]
    spiking = [p.name for p in network.topology.spiking]
    levels = events = fired = 0
    runs = list(run_passes(IntegerEngine(network), image[None], spiking))
    for _, trace in runs:
        spikes = {name: np.abs(trace.spikes[name][:, 0].astype(np.int64)) for name in spiking}
        fired += sum(int((z != 0).sum()) for z in spikes.values())
        for population in network.topology.populations:
            for name in population.inputs:
                source = network.by_name[name].wiring.source
                if source != IMAGE:
                    levels += reached(network, name, spikes[source])
                    events += reached(network, name, (spikes[source] != 0).astype(np.int64))
    readers = sum("head" in population.inputs for population in network.topology.populations)
    assert runs[1][0].shape == (1, 6, HEIGHT, WIDTH)
    head = reached(network, "head", np.ones((1, 6, HEIGHT, WIDTH), np.int64))
    assert (counted.synops_levels, counted.synops_events) == (levels, events)
    assert counted.macs_uncached == 2 * network.timesteps * readers * head
    assert sum(p.events for p in counted.populations) == fired
    neurons = sum(p.neurons for p in counted.populations[:-1])
    assert counted.spikes_per_neuron == pytest.approx(fired / (2 * neurons), rel=1e-12)
    assert (counted.skip_adds, counted.steps) == (2 * 3 * HEIGHT * WIDTH, 2 * network.timesteps)


def energies(load: ImageActivity, model: Any) -> dict[str, float]:
    prices = packaged_pricing().at("int8")
    return {item: value for item, value in model.estimate(load, prices).readings[0].items.items()}


@pytest.mark.slow
def test_prices_are_the_sum_of_the_runs(make_network: MakeNetwork, photograph: Image) -> None:
    """What runs twice is charged twice, item by item; the chip is there once, and takes twice the steps."""
    network = make_network("lif", passes=2)
    image = quantize_image(photograph[:, :HEIGHT, :WIDTH], network)
    whole = count_network(network, [image]).images[0]
    inputs = [given[0] for given, _ in run_passes(IntegerEngine(network), image[None])]
    runs = count_runs(network, inputs)
    for model in MODELS.values():
        apart = [energies(run, model) for run in runs]
        for item, value in energies(whole, model).items():
            assert value == pytest.approx(sum(one[item] for one in apart), rel=1e-12), (model.name, item)
    assert loihi1.cores(whole) == loihi1.cores(runs[0])


@pytest.mark.slow
def test_a_twin_computes_every_pass() -> None:
    config = StudentConfig(width=4, passes=2)
    twin, topology = build_twin(config), build_topology(config)
    load = twin_load(topology, HEIGHT, WIDTH)
    counted = count_macs(twin, (1, 3, HEIGHT, WIDTH))
    assert (load.exact_macs, load.padded_macs) == (counted.exact_macs, counted.padded_macs)


@pytest.mark.slow
def test_a_report_says_how_often_the_student_runs(make_network: MakeNetwork, photograph: Image) -> None:
    network = make_network("graded", passes=2)
    image = quantize_image(photograph[:, :HEIGHT, :WIDTH], network)
    report = audit(network, [image])
    assert report.passes == report.to_dict()["passes"] == 2
    counted = count_network(network, [image]).images[0]
    assert sum(row.synops_levels for row in report.layers) == counted.synops_levels
    titles = {column.name: column.title for column in report.columns}
    assert all("2 passes" in titles[name] for name in ("student", "twin", "qann"))
    shown = report.firing.maps[0]
    spikes = sum(int(value) for row in shown.spikes for value in row.split())
    first = next(p for p in counted.populations if p.name == shown.population)
    assert spikes == first.events
    assert shown.rate == pytest.approx(first.events / (2 * first.neurons), rel=1e-12)
