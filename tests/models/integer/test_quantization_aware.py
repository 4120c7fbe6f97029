"""Training on the integers' rounding: what is trained, kept and deployed is one network."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from safetensors.torch import load_file
from snn_tool.degradations.crops import read_photograph
from snn_tool.errors import ConfigError
from snn_tool.files.artifacts import sha256_file
from snn_tool.models.config import StudentConfig
from snn_tool.models.integer.engine import IntegerEngine
from snn_tool.models.integer.quantize import quantize, source_unit
from snn_tool.models.integer.training import deployed_parameters, forward_deployed, round_parameters
from snn_tool.models.network import Network
from snn_tool.models.student import build_student, load_student, save_student
from snn_tool.models.topology import IMAGE
from snn_tool.training.run_folder import RunFolder
from snn_tool.training.runs import TaskOptions, TrainedNetwork, distill_student, read_initial
from snn_tool.training.settings import load_settings

Students = Callable[..., tuple[Network, StudentConfig]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four crops of shipped photographs."""
    path = tmp_path_factory.mktemp("photographs")
    for name in ("chelsea.png", "coffee.png"):
        image = read_photograph("skimage.data", name)
        for index, crop in enumerate((image[:64, :96], image[100:164, 200:264])):
            Pillow.fromarray(np.ascontiguousarray(crop)).save(path / f"{index}{name}")
    return path


def distill(folder: Path, out: Path, resume: bool = False, **training: float) -> TrainedNetwork:
    settings = load_settings(
        None,
        {
            "student": {"width": 4},
            "training": {"batch": 2, "patch": 16, "validate_every": 4, "device": "cpu", **training},
        },
    )
    return distill_student(
        None, (), TaskOptions(folder, "denoise", "25"), settings, RunFolder(out, resume, not resume, True)
    )


@pytest.mark.parametrize(("neuron", "body"), [("graded", "unet"), ("graded", "flat"), ("lif", "unet")])
def test_the_rounded_student_computes_the_integers_currents(
    make_student: Students, neuron: str, body: str
) -> None:
    """Same source, same current, synapse by synapse: torch in float64 against the integer engine."""
    student, config = make_student(neuron, body)
    integers = quantize(student, config, [])
    engine = IntegerEngine(integers)
    student = student.double()
    round_parameters(student, config)
    random = np.random.default_rng(0)
    for population in integers.populations:
        name, lsb = population.wiring.name, 2.0**population.lsb_exponent
        if name in student.neurons:
            assert float(student.neurons[name].threshold) / lsb == pytest.approx(population.threshold)
        for synapse in population.wiring.inputs:
            conv, wiring = student.synapses[synapse], integers.by_name[synapse].wiring
            low, high = integers.source_range(wiring.source)
            shape = (() if wiring.source == IMAGE else (1,)) + (1, wiring.in_channels, 8, 8)
            source = random.integers(low, high + 1, shape).astype(np.int16)
            unit = source_unit(student, wiring, config)
            with torch.no_grad():
                real = conv(torch.from_numpy(source * unit).reshape(1, 1, *shape[-3:])) / lsb
            given = engine.current(synapse, source)
            if wiring.bias:
                given = given + integers.by_name[synapse].bias.reshape(-1, 1, 1)
            np.testing.assert_allclose(real.numpy(), given, rtol=1e-9, atol=1e-6)
            assert np.abs(given).max() > 0


@pytest.mark.parametrize("neuron", ["graded", "lif"])
def test_rounding_twice_changes_nothing(make_student: Students, neuron: str) -> None:
    student, config = make_student(neuron)
    round_parameters(student, config)
    again = deployed_parameters(student, config)
    for name, parameter in student.named_parameters():
        torch.testing.assert_close(again[name], parameter.detach(), rtol=1e-6, atol=1e-7)


def test_zero_mean_kernels_stay_so(make_student: Students) -> None:
    student, config = make_student("graded")
    head = deployed_parameters(student, config)["synapses.head.raw_weight"]
    assert float(head.sum((2, 3)).abs().max()) < 1e-6
    assert float(head.abs().max()) > 0


def test_gradients_are_those_at_the_rounded_weights(make_student: Students, photograph: np.ndarray) -> None:
    """Straight-through: dL/dp = dL/dQ(p), here the gradient of a network that holds Q(p) itself."""
    student, config = make_student("graded")
    image = torch.from_numpy(photograph[None, :, :16, :16])
    forward_deployed(student, config, image)[0].square().sum().backward()
    through = {name: parameter.grad for name, parameter in student.named_parameters()}
    rounded, _ = make_student("graded")
    round_parameters(rounded, config)
    rounded(image).square().sum().backward()
    for name, parameter in rounded.named_parameters():
        torch.testing.assert_close(through[name], parameter.grad, rtol=1e-3, atol=1e-4)
    assert any(gradient is not None and gradient.abs().max() > 0 for gradient in through.values())


@pytest.mark.slow
def test_the_network_that_is_kept_holds_the_integers_weights(folder: Path, tmp_path: Path) -> None:
    kept, config, training = load_student(distill(folder, tmp_path / "a", max_steps=8, qat=0.5).path)
    assert training["training"]["qat"] == 0.5
    again = deployed_parameters(kept, config)
    for name, parameter in kept.named_parameters():
        torch.testing.assert_close(again[name], parameter.detach(), rtol=1e-6, atol=1e-7)


@pytest.mark.slow
def test_the_stage_begins_where_it_is_asked_to(folder: Path, tmp_path: Path) -> None:
    """Until then every trained weight is the plain run's; afterwards not."""
    paths = {qat: tmp_path / str(qat) for qat in (0.0, 0.5)}
    for qat, path in paths.items():
        distill(folder, path, max_steps=8, qat=qat)
    lines = {qat: (path / "metrics.csv").read_text().splitlines() for qat, path in paths.items()}
    losses = {qat: [line.split(",")[3:5] for line in rows[1:]] for qat, rows in lines.items()}
    assert losses[0.0][0] == losses[0.5][0]
    assert losses[0.0][1] != losses[0.5][1]


def restart(folder: Path, start: Path, config: StudentConfig, out: Path) -> TrainedNetwork:
    """One step from given weights that hardly moves them."""
    sizes = {"max_steps": 1, "batch": 2, "patch": 16, "device": "cpu", "qat": 0.0}
    rates = {"lr": 1e-9, "kernel_lr": 1e-9}
    settings = replace(load_settings(None, {"training": sizes | rates}), student=config)
    options, run = TaskOptions(folder, "denoise", "25"), RunFolder(out, False, False, True)
    return distill_student(None, (), options, settings, run, initial=read_initial(start, config))


@pytest.mark.slow
def test_a_start_from_given_weights(folder: Path, tmp_path: Path) -> None:
    first = distill(folder, tmp_path / "a", max_steps=4)
    config = load_student(first.path)[1]
    second = restart(folder, first.path, config, tmp_path / "b")
    weights, started = load_file(second.path), load_file(first.path)
    assert all(torch.allclose(weights[name], started[name], atol=1e-6) for name in started)
    assert second.training["init"] == sha256_file(first.path)
    wrong = replace(config, width=8, levels=2)
    with pytest.raises(ConfigError, match=r"width is 4, not 8; levels is 4, not 2"):
        read_initial(first.path, wrong)


@pytest.mark.slow
def test_a_start_with_more_timesteps(folder: Path, tmp_path: Path, make_student: Students) -> None:
    _, four = make_student("lif")
    one = replace(four, timesteps=1)
    student, start = build_student(one), tmp_path / "one.safetensors"
    save_student(start, student, one, {})
    made = restart(folder, start, four, tmp_path / "four")
    weights, started = load_file(made.path), student.state_dict()
    assert all(torch.allclose(weights[name], started[name], atol=1e-6) for name in started)
    assert load_student(made.path)[0].timesteps == 4


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_a_fraction_outside_0_to_1_is_refused(value: float) -> None:
    with pytest.raises(ConfigError, match=r"training\.qat"):
        load_settings(None, {"training": {"qat": value}})
