"""Where an int8 rival starts: a student's channels, fewer of them, in finer levels."""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from skimage.data import coffee
from snn_tool.images.files import write_image
from snn_tool.models.bodies import unet
from snn_tool.models.config import default_config
from snn_tool.models.integer.file import load_integer_network
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.integer.quantize import LIF_CURRENT_LIMIT, quantize
from snn_tool.models.network import Network
from snn_tool.models.neurons import GradedNeuron
from snn_tool.models.student import build_student

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import ship_rivals
from shipping.figures import Measured
from shipping.narrowing import INT8_LEVELS, int8_config, narrowed, streams

WIDTH = 8
CONFIG = replace(default_config("graded"), width=WIDTH, levels=8)


@pytest.fixture
def student() -> Network:
    torch.manual_seed(0)
    return build_student(CONFIG).eval()


@pytest.fixture
def images() -> list[torch.Tensor]:
    torch.manual_seed(1)
    return [torch.rand(1, 3, 16, 16) for _ in range(2)]


def test_populations_that_sum_a_synapse_share_channels() -> None:
    """The skip goes from encoder to decoder, so that both ends of it are one stream."""
    found = {frozenset(stream) for stream in streams(unet(WIDTH))}
    assert found == {
        frozenset(names)
        for names in (
            ("enc_in", "down_in", "dec_in", "tail_in"),
            ("enc_mid",),
            ("mid_in", "up_in"),
            ("mid_mid",),
            ("dec_mid",),
            ("readout",),
        )
    }


def test_at_full_width_only_the_levels_are_finer(student: Network, images: list[torch.Tensor]) -> None:
    same = narrowed(student, CONFIG, WIDTH, images)
    for neuron in student.neurons.values():
        assert isinstance(neuron, GradedNeuron)
        step = neuron.threshold.detach() * 8 / INT8_LEVELS
        neuron.log_threshold.data, neuron.levels, neuron.low = step.log(), INT8_LEVELS, -INT8_LEVELS
        neuron.amplitude = 1 / INT8_LEVELS
    with torch.no_grad():
        torch.testing.assert_close(same(images[0]), student(images[0]))


def test_channels_that_nobody_reads_go_first(student: Network, images: list[torch.Tensor]) -> None:
    """With four channels of a population unread, halving the width there changes nothing."""
    with torch.no_grad():
        student.synapses["enc_conv2"].raw_weight[:, [0, 2, 5, 7]] = 0  # type: ignore[index, union-attr, operator]
    small = narrowed(student, CONFIG, WIDTH // 2, images)
    before, after = (n.synapses["enc_conv2"].raw_weight.detach() for n in (student, small))  # type: ignore[union-attr, operator]
    assert after.shape == (4, 4, 3, 3)
    read = before[:, [1, 3, 4, 6]]
    assert sum(any(torch.equal(row, kept) for kept in after) for row in read) == 4


def test_an_array_keeps_the_read_outs_precision(student: Network, images: list[torch.Tensor]) -> None:
    """A chip's 17 bits must hold whatever an image gives; an array's need hold the full scale."""
    network = narrowed(student, CONFIG, WIDTH, images)
    config = int8_config(CONFIG, WIDTH)
    chip, array = (quantize(network, config, [], for_array=which) for which in (False, True))
    exponents = [found.populations[-1].lsb_exponent for found in (chip, array)]
    assert exponents[1] <= exponents[0]
    assert LIF_CURRENT_LIMIT * 2.0 ** exponents[1] >= 1
    assert _without_readout(chip) == _without_readout(array)


@pytest.mark.slow
def test_the_rival_of_a_student_for_grey_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From photographs of colour, without a training; the card's command names the grey set."""
    for index in range(12):
        write_image(tmp_path / "data" / f"{index}.png", coffee()[20 * index :][:96, :96].copy())
    measured = []

    def evaluated(student: Path, at: Measured) -> dict[str, Any]:
        measured.append((student.name, at.in_colour))
        figures = dict.fromkeys(("degraded_psnr_db", "psnr_db", "degraded_ssim", "ssim"), 1.0)
        return {"images": [{}], "task": {}, "mean": figures, "standard_deviation": figures}

    monkeypatch.setattr(ship_rivals, "evaluate", evaluated)
    folders = {"data": tmp_path / "data", "runs": tmp_path / "runs", "out": tmp_path / "out"}
    arguments = argparse.Namespace(**folders, test=[("BSD68", tmp_path)])
    recipe = {"from": "denoise-gray-blind", "width": 8, "steps": 0}
    ship_rivals.ship("small", {**recipe, "summary": "s", "students": [], "role": "twin"}, arguments)
    network, _ = load_integer_network(tmp_path / "out" / "small.int.safetensors")
    assert network.topology.image_channels == 1 and network.levels == INT8_LEVELS
    assert measured == [("start8.safetensors", False), ("small.int.safetensors", False)]
    card = json.loads((tmp_path / "out" / "small.card.json").read_text())
    assert "--test BSD68=FOLDER" in card["recipe"][0]
    command = ship_rivals._commands("small", {**recipe, "steps": 9}, 1)[1]
    assert " --channels 1 " in command and "--channels" not in ship_rivals._commands("x", recipe, 3)[0]


def _without_readout(network: IntegerNetwork) -> list[tuple[int, bytes]]:
    return [(s.exponent, np.ascontiguousarray(s.mantissa).tobytes()) for s in network.synapses[:-1]]
