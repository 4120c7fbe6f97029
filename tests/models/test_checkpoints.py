import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from snn_tool.errors import ArtifactError
from snn_tool.models.checkpoints import Sidecar, load_into, read_tensors, sidecar_of, write_tensors
from snn_tool.models.config import StudentConfig
from snn_tool.models.integer.file import load_integer_network, save_integer_network
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.network import Network
from snn_tool.models.student import load_student, save_student
from snn_tool.models.teachers.registry import build_teacher, load_teacher, save_teacher

MakeStudent = Callable[..., tuple[Network, StudentConfig]]


@pytest.fixture
def saved(tmp_path: Path, make_student: MakeStudent) -> Path:
    student, config = make_student("lif")
    path = tmp_path / "student.safetensors"
    save_student(path, student, config, {"seed": 3})
    return path


def test_a_student_returns_as_it_was(saved: Path, make_student: MakeStudent) -> None:
    original, config = make_student("lif")
    student, loaded_config, training = load_student(saved)
    assert (loaded_config, training) == (config, {"seed": 3})
    for name, tensor in original.state_dict().items():
        assert torch.equal(student.state_dict()[name], tensor), name


def test_saving_twice_gives_the_same_bytes(saved: Path, tmp_path: Path, make_student: MakeStudent) -> None:
    student, config = make_student("lif")
    again = tmp_path / "again" / "student.safetensors"
    save_student(again, student, config, {"seed": 3})
    assert again.read_bytes() == saved.read_bytes()
    assert sidecar_of(again).read_bytes() == sidecar_of(saved).read_bytes()


@pytest.mark.parametrize("body", ["unet", "flat", "chain"])
@pytest.mark.parametrize("neuron", ["lif", "graded"])
def test_an_integer_network_returns_as_it_was(
    tmp_path: Path, make_network: Callable[..., IntegerNetwork], neuron: str, body: str
) -> None:
    network = make_network(neuron, body)
    path = tmp_path / "student.int.safetensors"
    save_integer_network(path, network, {"source": "abc"})
    loaded, provenance = load_integer_network(path)
    assert provenance == {"source": "abc"}
    for ours, theirs in zip(network.synapses, loaded.synapses, strict=True):
        assert (ours.wiring, ours.exponent) == (theirs.wiring, theirs.exponent)
        np.testing.assert_array_equal(ours.mantissa, theirs.mantissa)
        np.testing.assert_array_equal(ours.bias, theirs.bias)
        assert theirs.mantissa.dtype == np.int8
        if ours.wiring.bias:
            assert len(set(ours.bias.tolist())) > 1
    assert network.populations == loaded.populations or [
        (p.wiring, p.threshold, p.lsb_exponent) for p in network.populations
    ] == [(p.wiring, p.threshold, p.lsb_exponent) for p in loaded.populations]
    assert loaded.residual_scale == network.residual_scale


def test_a_teacher_returns_frozen(tmp_path: Path) -> None:
    teacher = build_teacher("unet", {"width": 4})
    save_teacher(tmp_path / "teacher.safetensors", teacher, "unet", {"width": 4}, {})
    loaded, description = load_teacher(tmp_path / "teacher.safetensors")
    assert description["architecture"] == "unet"
    assert not any(p.requires_grad for p in loaded.parameters())
    image = torch.rand(1, 3, 8, 8)
    assert torch.equal(loaded(image), teacher(image))


def test_another_schema_is_named(saved: Path) -> None:
    sidecar = sidecar_of(saved)
    document = json.loads(sidecar.read_text())
    sidecar.write_text(json.dumps({**document, "schema": 99}))
    with pytest.raises(ArtifactError, match="schema 99.*reads schema 1"):
        load_student(saved)


def test_another_kind_is_named(saved: Path) -> None:
    with pytest.raises(ArtifactError, match="expected a file of kind 'integer-network', found 'student'"):
        load_integer_network(saved)


def test_an_unknown_config_key_lists_the_keys(saved: Path) -> None:
    sidecar = sidecar_of(saved)
    document = json.loads(sidecar.read_text())
    document["config"]["colour"] = 1
    sidecar.write_text(json.dumps(document))
    with pytest.raises(ArtifactError, match="student.json: config.colour is unknown; use body"):
        load_student(saved)


@pytest.mark.parametrize("damage", ["truncate", "flip", "delete"])
def test_damaged_tensors_are_refused(saved: Path, damage: str) -> None:
    data = bytearray(saved.read_bytes())
    if damage == "delete":
        saved.unlink()
    else:
        data[-1] ^= 1
        saved.write_bytes(bytes(data[: len(data) // 2] if damage == "truncate" else data))
    with pytest.raises(ArtifactError, match=str(saved)):
        load_student(saved)


def test_nan_weights_name_the_tensor(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write_tensors(
        path, "student", 1, {"good": torch.ones(2), "bad": torch.tensor([1.0, float("nan")])}, {}, {}
    )
    with pytest.raises(ArtifactError, match="tensor 'bad' holds NaN"):
        read_tensors(path, "student", {1: Sidecar}, "training")


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    path = tmp_path / "student.pt"
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ArtifactError, match="never loaded"):
        read_tensors(path, "student", {1: Sidecar}, "training")


def test_weights_of_another_shape_name_the_tensor(make_student: MakeStudent) -> None:
    small, _ = make_student("lif", width=4)
    wide, _ = make_student("lif", width=6)
    with pytest.raises(
        ArtifactError, match=r"tensor 'synapses.dec_conv1.bias' should have shape \(6,\).*\(4,\)"
    ):
        load_into(wide, dict(small.state_dict()), Path("student.safetensors"))
