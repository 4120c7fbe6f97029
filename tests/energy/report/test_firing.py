"""Firing maps: exact sums over blocks, counted again spike by spike, and the pictures made of them."""

import base64
import io
import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from snn_tool.energy.pages.charts import RAMP, pictures, ramp, rates
from snn_tool.energy.report.audit import audit
from snn_tool.energy.report.firing import block_side, block_sums, firing_maps
from snn_tool.models.integer.engine import IntegerEngine, quantize_image
from snn_tool.models.integer.network import IntegerNetwork

Make = Callable[..., IntegerNetwork]
SIZE = (140, 72)
"""Of the image in pixels: blocks of three neurons, which do not divide it, and of two at half resolution."""


@pytest.fixture(scope="module")
def image(photograph: NDArray[np.float32]) -> NDArray[np.float32]:
    """The photograph and its mirror images, so that it is larger than a map."""
    tall = np.concatenate([photograph, photograph[:, ::-1], photograph], axis=1)
    return np.concatenate([tall, tall[:, :, ::-1]], axis=2)[:, : SIZE[0], : SIZE[1]]


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_block_sums_against_slices(height: int, width: int, block: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(-(10**9), 10**9, (2, height, width))
    sums = block_sums(values, block)
    assert sums.shape == (2, -(-height // block), -(-width // block))
    for y, x in np.ndindex(sums.shape[1:]):
        part = values[:, y * block : (y + 1) * block, x * block : (x + 1) * block]
        assert sums[:, y, x].tolist() == part.reshape(2, -1).sum(axis=1).tolist()


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_blocks_are_as_small_as_the_limit_allows(height: int, width: int) -> None:
    side = block_side(height, width, 64)
    assert -(-max(height, width) // side) <= 64
    assert side == 1 or -(-max(height, width) // (side - 1)) > 64


@pytest.mark.parametrize("neuron", ["lif", "graded"])
def test_maps_hold_every_spike_of_the_engine(
    make_network: Make, image: NDArray[np.float32], neuron: str
) -> None:
    network = make_network(neuron)
    integers = quantize_image(image, network)
    found = firing_maps(network, integers, "a")
    names = [p.name for p in network.topology.spiking]
    spikes = IntegerEngine(network).run(integers[None], names).spikes
    assert [shown.population for shown in found.maps] == names
    for shown in found.maps:
        fired = np.count_nonzero(spikes[shown.population][:, 0], axis=(0, 1))
        assert (shown.height, shown.width) == fired.shape
        assert shown.channels == spikes[shown.population].shape[2]
        shares = rates(shown, network.timesteps)
        assert max(shares.shape) <= 64
        assert shown.rate == np.count_nonzero(spikes[shown.population]) / spikes[shown.population].size
        for y, x in np.ndindex(shares.shape):
            part = np.s_[y * shown.block : (y + 1) * shown.block, x * shown.block : (x + 1) * shown.block]
            neurons = fired[part].size * shown.channels * network.timesteps
            assert shares[y, x] == fired[part].sum() / neurons
    assert any(shown.rate > 0 for shown in found.maps)


def test_the_input_is_the_mean_of_what_the_network_reads(
    make_network: Make, image: NDArray[np.float32]
) -> None:
    network = make_network("lif")
    integers = quantize_image(image, network)
    encoded = firing_maps(network, integers, "a").input_png
    with Image.open(io.BytesIO(base64.b64decode(encoded, validate=True))) as decoded:
        assert decoded.format == "PNG"
        shown = np.asarray(decoded).astype(int)
    assert shown.shape == (70, 36, 3), "128 of 140 pixels do not fit: blocks of two"
    grey = integers.astype(float) * network.input_step + 128
    means = grey.reshape(3, 70, 2, 36, 2).mean(axis=(2, 4)).transpose(1, 2, 0)
    np.testing.assert_array_equal(shown, np.clip(np.rint(means), 0, 255))


@pytest.mark.slow
def test_the_image_with_most_synops_is_shown_and_the_file_stays_small(
    make_network: Make, image: NDArray[np.float32]
) -> None:
    network = make_network("lif")
    images = [quantize_image(image[:, :16, :16], network), quantize_image(image, network)]
    report = audit(network, images, image_names=["small", "large"])
    assert report.firing.image == "large" and (report.firing.height, report.firing.width) == SIZE
    assert report.firing == firing_maps(network, images[1], "large")
    values = sum(len(row.split()) for shown in report.firing.maps for row in shown.spikes)
    assert len(json.dumps(report.to_dict()["firing"]["maps"])) < 5 * values + 2000


@pytest.mark.slow
def test_pictures_are_the_rates_on_a_ramp_that_only_darkens(
    make_network: Make, image: NDArray[np.float32]
) -> None:
    network = make_network("lif")
    report = audit(network, [quantize_image(image, network)])
    for shown, picture in zip(report.firing.maps, pictures(report), strict=True):
        with Image.open(io.BytesIO(base64.b64decode(picture.uri.split(",")[1]))) as decoded:
            pixels = np.asarray(decoded).astype(int)
        values = rates(shown, report.timesteps)
        assert (pixels.shape[:2], picture.rate) == (values.shape, shown.rate)
        assert (picture.least, picture.peak) == (values.min(), values.max())
        extremes = [pixels[values == end] for end in (picture.least, picture.peak)]
        assert [np.unique(colours, axis=0).tolist() for colours in extremes] == [
            [list(RAMP[0])],
            [list(RAMP[2])],
        ]
        order = np.argsort(values, axis=None)
        assert (np.diff(pixels.sum(axis=2).ravel()[order]) <= 0).all()
    np.testing.assert_array_equal(ramp(np.array([0, 0.5, 1])), RAMP)
    np.testing.assert_array_equal(ramp(np.array([0.25])), [[166, 204, 226]])  # of 166.5, 204.5, 225.5


@pytest.mark.slow
def test_a_silent_network_gives_white_maps(make_network: Make) -> None:
    from dataclasses import replace

    network = make_network("lif")
    readout = network.topology.readout.name
    populations = (
        p if p.wiring.name == readout else replace(p, threshold=2**17 - 1) for p in network.populations
    )
    silent = replace(network, populations=tuple(populations))
    report = audit(silent, [np.zeros((3, 16, 16), np.int16)])
    assert {(p.rate, p.least, p.peak) for p in pictures(report)} == {(0.0, 0.0, 0.0)}
    with Image.open(io.BytesIO(base64.b64decode(pictures(report)[0].uri.split(",")[1]))) as decoded:
        assert set(np.asarray(decoded).reshape(-1, 3).flatten().tolist()) == set(RAMP[0])
