"""The budget's count against the audit's exact one, and what the budget does to a training."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from snn_tool.degradations.crops import read_photograph
from snn_tool.energy.counts.fan_out import conv_synops
from snn_tool.errors import ConfigError
from snn_tool.models.config import StudentConfig
from snn_tool.models.network import Network
from snn_tool.training.module import SynopMeter, over_budget
from snn_tool.training.run_folder import RunFolder
from snn_tool.training.runs import TaskOptions, distill_student
from snn_tool.training.settings import load_settings

Students = Callable[..., tuple[Network, StudentConfig]]


@pytest.mark.parametrize(("neuron", "body", "passes"), [("graded", "unet", 1), ("lif", "flat", 2)])
def test_the_count_is_the_exact_one_but_for_borders(
    make_student: Students, photograph: np.ndarray, neuron: str, body: str, passes: int
) -> None:
    student, _ = make_student(neuron, body, passes=passes)
    maps: dict[str, np.ndarray] = {}
    meter = SynopMeter(student)
    image = torch.from_numpy(photograph)[None]
    with torch.no_grad():
        student(image)  # what ran before the start does not count
        for name, module in student.neurons.items():
            module.register_forward_hook(
                lambda _m, _i, spikes, name=name: maps.update(
                    {name: maps.get(name, 0) + (spikes != 0).sum((0, 1)).long().numpy()}
                )
            )
        meter.start()
        student(image)
    counted = float(meter.per_pixel(image)) * 64 * 64
    exact, within = 0, 0.0
    for synapse in student.topology.synapses:
        if synapse.source in maps:
            spikes = maps[synapse.source]
            geometry = (synapse.kernel, synapse.stride, synapse.padding, synapse.dilation)
            exact += conv_synops(spikes, synapse.out_channels, *geometry)
            within += spikes.sum() * synapse.out_channels * (synapse.kernel / synapse.stride) ** 2
    assert counted == pytest.approx(within, rel=1e-6)
    assert 0.8 * counted < exact < 1.001 * counted


def test_over_a_budget_by_hand() -> None:
    assert float(over_budget(torch.tensor(150.0), 100.0)) == pytest.approx(0.5)
    assert float(over_budget(torch.tensor(80.0), 100.0)) == 0.0


@pytest.mark.slow
def test_a_budget_saves_synops(tmp_path: Path) -> None:
    image = read_photograph("skimage.data", "coffee.png")
    for index in range(3):
        Pillow.fromarray(np.ascontiguousarray(image[:64, 100 * index :][:, :64])).save(
            tmp_path / f"{index}.png"
        )

    def synops(name: str, budget: float) -> float:
        overrides = {
            "student": {"width": 4},
            "training": {
                "max_steps": 150,
                "batch": 4,
                "patch": 16,
                "validate_every": 50,
                "synop_budget": budget,
            },
        }
        out = RunFolder(tmp_path / name, False, False, True)
        options = TaskOptions(tmp_path, "denoise", "25")
        distill_student(None, (), options, load_settings(None, {**overrides}), out)
        with (tmp_path / name / "metrics.csv").open(newline="") as stream:
            return float(list(csv.DictReader(stream))[-1]["synops_per_px"])

    free = synops("free", 1e9)
    assert synops("tight", free / 2) < 0.85 * free


def test_a_negative_budget_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"training\.synop_budget"):
        load_settings(None, {"training": {"synop_budget": -1.0}})
