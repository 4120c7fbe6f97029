"""A quantised student becomes a float student again, which deploys as the same integers."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from snn_tool.cli.app import run
from snn_tool.degradations.crops import read_photograph
from snn_tool.errors import ArtifactError, ConfigError
from snn_tool.files.artifacts import sha256_file
from snn_tool.models.config import StudentConfig
from snn_tool.models.integer.engine import IntegerEngine, base_image, quantize_image, restore_integers
from snn_tool.models.integer.file import load_integer_network, save_integer_network
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.integer.quantize import quantize
from snn_tool.models.integer.training import load_dequantized
from snn_tool.models.network import Network
from snn_tool.models.student import load_student
from snn_tool.networks.shipped import shipped_names, student_path
from snn_tool.training.runs import read_initial

Students = Callable[..., tuple[Network, StudentConfig]]


def deployed(network: IntegerNetwork) -> dict[str, NDArray[np.float64]]:
    """Weights, biases and thresholds in real units: the same value may have two mantissas and exponents."""
    lsb = {s: 2.0**p.lsb_exponent for p in network.populations for s in p.wiring.inputs}
    values = {p.wiring.name: np.array(p.threshold * 2.0**p.lsb_exponent) for p in network.populations}
    for s in network.synapses:
        values[f"{s.wiring.name}.weight"] = s.mantissa * (2.0**s.exponent * lsb[s.wiring.name])
        values[f"{s.wiring.name}.bias"] = s.bias * lsb[s.wiring.name]
    return values


@pytest.fixture(params=[("graded", "unet"), ("graded", "flat"), ("lif", "unet")], ids="-".join)
def quantised(
    request: pytest.FixtureRequest,
    make_student: Students,
    photograph: NDArray[np.float32],
    tmp_path: Path,
) -> tuple[Path, StudentConfig]:
    """A file of integers and the configuration of its student; the read-out's bias is calibrated."""
    student, config = make_student(*request.param)
    path = tmp_path / "student.int.safetensors"
    training = {"training": {"student": asdict(config)}}
    save_integer_network(path, quantize(student, config, [photograph]), training)
    return path, config


def test_it_deploys_as_the_integers_that_it_comes_from(quantised: tuple[Path, StudentConfig]) -> None:
    path, config = quantised
    student, rebuilt = load_dequantized(path)
    assert rebuilt == config
    before, after = (deployed(n) for n in (load_integer_network(path)[0], quantize(student, config, [])))
    assert before.keys() == after.keys()
    for name, value in before.items():
        np.testing.assert_allclose(after[name], value, rtol=1e-6, err_msg=name)
    assert all(np.abs(value).max() > 0 for name, value in before.items() if name.endswith("weight"))


def test_it_restores_as_they_do(
    quantised: tuple[Path, StudentConfig], photograph: NDArray[np.float32]
) -> None:
    """Float numbers against the engine; a `lif` membrane's decay is cut to integers there."""
    path, config = quantised
    network, _ = load_integer_network(path)
    image = base_image(quantize_image(photograph[None], network), network)
    integers = restore_integers(IntegerEngine(network), image.astype(np.float32))
    with torch.no_grad():
        restored = load_dequantized(path)[0].double()(torch.from_numpy(image)).numpy()
    equal = np.isclose(restored, integers, rtol=0, atol=1e-9)
    assert equal.mean() >= (1 if config.neuron == "graded" else 0.9)


def test_a_start_from_integers(quantised: tuple[Path, StudentConfig]) -> None:
    path, config = quantised
    initial = read_initial(path, config)
    assert initial.sha256 == sha256_file(path)
    weights = load_dequantized(path)[0].state_dict()
    assert all(torch.equal(initial.weights[name], weight) for name, weight in weights.items())
    with pytest.raises(ConfigError, match=f"width is {config.width}, not 8"):
        read_initial(path, replace(config, width=8))


@pytest.mark.parametrize("name", shipped_names())
def test_every_shipped_student_can_be_trained_on(name: str) -> None:
    path = student_path(name)
    student, config = load_dequantized(path)
    before, after = (deployed(n) for n in (load_integer_network(path)[0], quantize(student, config, [])))
    for key, value in before.items():
        np.testing.assert_allclose(after[key], value, rtol=1e-6, err_msg=key)


@pytest.mark.slow
def test_distill_starts_from_a_shipped_student_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One step that hardly moves the weights; a name that is none is told which there are."""
    data = tmp_path / "data"
    data.mkdir()
    clean = read_photograph("skimage.data", "chelsea.png")
    for index in range(2):
        Image.fromarray(np.ascontiguousarray(clean[64 * index :][:64, :64])).save(data / f"{index}.png")
    rates = ["--lr", "1e-9", "--kernel-lr", "1e-9", "--qat", "0", "--levels", "8"]
    sizes = ["--max-steps", "1", "--batch", "1", "--patch", "16", "--device", "cpu"]
    out = tmp_path / "run"
    command = ["distill", "--data", str(data), *rates, *sizes, "--out", str(out), "--init"]
    assert run([*command, "nobody"]) == 1
    assert "no student 'nobody' comes with snn-tool; there are deblur" in capsys.readouterr().err
    assert run([*command, "denoise-25"]) == 0
    trained, _, training = load_student(out / "student.safetensors")
    started = load_dequantized(student_path("denoise-25"))[0].state_dict()
    assert all(torch.allclose(w, started[name], atol=1e-6) for name, w in trained.state_dict().items())
    assert training["init"] == sha256_file(student_path("denoise-25"))


@pytest.mark.parametrize(
    ("provenance", "said"),
    [
        ({"source": "network.nir"}, "was not quantised from a student"),
        (
            {"training": {"student": {"width": 4}}},
            r"training\.student\.body is missing; it is one of unet",
        ),
        ({"training": {"student": asdict(StudentConfig(width=8))}}, "its layers are not those"),
    ],
)
def test_integers_that_are_no_students_are_refused(
    make_network: Callable[..., IntegerNetwork], tmp_path: Path, provenance: dict[str, object], said: str
) -> None:
    path = tmp_path / "other.int.safetensors"
    save_integer_network(path, make_network("graded"), provenance)
    with pytest.raises(ArtifactError, match=said):
        load_dequantized(path)
