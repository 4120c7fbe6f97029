"""Float students and teachers in onnxruntime against torch, within what float32 can be off float64."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from skimage import data
from snn_tool.cli.app import run
from snn_tool.deploy.onnx_networks import check_network
from snn_tool.errors import VerificationError
from snn_tool.exporters.onnx.float import STUDENT, TEACHER, float_model
from snn_tool.exporters.onnx.float_check import UNIT, check_steps, exact_sum
from snn_tool.exporters.onnx.run import FileRun, run_steps
from snn_tool.exporters.onnx.student import Form
from snn_tool.images.tiling import pad_to_multiple
from snn_tool.models.config import StudentConfig
from snn_tool.models.network import IMAGE_OFFSET, Network
from snn_tool.models.student import save_student
from snn_tool.models.teachers.onnx import OnnxTeacher
from snn_tool.models.teachers.registry import build_teacher, save_teacher

MakeStudent = Callable[..., tuple[Network, StudentConfig]]
Image = NDArray[np.float32]
KINDS = [(n, b) for n in ("graded", "lif") for b in ("unet", "flat", "chain")]
PATH = Path("student.onnx")
TASK = {"task": {"task": "denoise", "sigma": [25.0, 25.0]}}


def photographs(height: int, width: int) -> Image:
    """Two noisy parts of photographs, [2, 3, height, width]."""
    parts = [image[40 : 40 + height, 60 : 60 + width] for image in (data.coffee(), data.chelsea())]
    clean = np.stack(parts).transpose(0, 3, 1, 2) / 255
    return (clean + np.random.default_rng(0).normal(0, 25 / 255, clean.shape)).astype(np.float32)


@pytest.mark.parametrize(("neuron", "body"), KINDS)
def test_every_step_of_two_photographs(make_student: MakeStudent, neuron: str, body: str) -> None:
    student, config = make_student(neuron, body)
    images, form = photographs(24, 40), Form(config.timesteps)
    found = check_steps(float_model(student.eval(), form, STUDENT, {}), PATH, student, form, images)
    assert 0 < found.share < 0.5, "float32 that never rounds, or that rounds always the same way"
    # A potential and a spike a neuron and step, and the read-out's membrane at every step.
    sizes = student.topology.sizes(24, 40)
    neurons = [p.channels * np.prod(sizes[p.name]) for p in student.topology.populations]
    assert found.values == 2 * config.timesteps * (2 * sum(neurons[:-1]) + neurons[-1])


def test_steps_with_their_membranes_are_the_unrolled_run(make_student: MakeStudent) -> None:
    student, images = make_student("lif")[0].eval(), photographs(21, 30)
    unrolled, step = (float_model(student, form, STUDENT, {}) for form in (Form(4), Form(1, stateful=True)))
    whole = FileRun(unrolled, PATH)({"image": images})["restored"]
    last = run_steps(FileRun(step, PATH), student.topology, Form(1, stateful=True), 4, images)[-1]
    np.testing.assert_array_equal(last["restored"], whole)
    assert whole.shape == (2, 3, 21, 30) and whole.dtype == np.float32
    check_network(step, PATH, student, Form(1, stateful=True), photographs(16, 16))


def test_the_bound_by_hand(make_student: MakeStudent) -> None:
    """One kernel tap at a time in float64: sum, sum of magnitudes, and (n u) / (1 - n u) of it."""
    student, images = make_student("graded")[0], photographs(16, 16)
    population, module = student.topology.populations[0], student.synapses["head"]
    assert population.inputs == ("head",) and isinstance(module.bias, torch.Tensor)
    shown, edge = images.astype(np.float64) - IMAGE_OFFSET, module.synapse.padding
    weight, bias = (t.detach().double().numpy() for t in (module.weight, module.bias))
    padded = np.pad(shown, [(0, 0)] * 2 + [(edge, edge)] * 2)
    total, magnitude = (np.zeros((2, len(bias), 16, 16)) + b[:, None, None] for b in (bias, np.abs(bias)))
    for y in range(2 * edge + 1):
        for x in range(2 * edge + 1):
            part = padded[:, :, y : y + 16, x : x + 16]
            total += np.einsum("oc,nchw->nohw", weight[:, :, y, x], part)
            magnitude += np.einsum("oc,nchw->nohw", np.abs(weight[:, :, y, x]), np.abs(part))
    exact = exact_sum(student, population, {"image": shown}, None)
    np.testing.assert_allclose(exact.total, total, rtol=0, atol=1e-12)
    roundings = 3 * (2 * edge + 1) ** 2 + 1 + 4
    np.testing.assert_allclose(exact.bound, roundings * UNIT / (1 - roundings * UNIT) * magnitude, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("neuron", ["graded", "lif"])
def test_a_weight_off_by_a_thousandth_is_found_where_it_acts(make_student: MakeStudent, neuron: str) -> None:
    student, config = make_student(neuron)
    form, images = Form(config.timesteps), photographs(16, 16)
    for synapse in student.synapses:
        model = float_model(student.eval(), form, STUDENT, {})
        (held,) = [c for c in model.graph.initializer if c.name == f"{synapse}.weight"]
        weight = onnx.numpy_helper.to_array(held).copy()
        weight[0] *= np.float32(1.001)
        held.CopyFrom(onnx.numpy_helper.from_array(weight, held.name))
        first = next(p.name for p in student.topology.populations if synapse in p.inputs)
        with pytest.raises(VerificationError, match=rf"timestep \d, {first}, index \(\d, 0, .* off float64"):
            check_steps(model, PATH, student, form, images)


def test_another_threshold_is_found(make_student: MakeStudent) -> None:
    student = make_student("lif")[0].eval()
    model = float_model(student, Form(4), STUDENT, {})
    (potential,) = {node.output[0] for node in model.graph.node} & {"potentials.enc_in.0"}
    (greater,) = [n for n in model.graph.node if n.op_type == "Greater" and n.input[0] == potential]
    # Thresholds are equal in all populations of a fresh student, and so are stored once.
    (held,) = [c for c in model.graph.initializer if c.name == greater.input[1]]
    held.CopyFrom(onnx.numpy_helper.from_array(np.array(1.01, np.float32), held.name))
    with pytest.raises(VerificationError, match="enc_in: its neurons answer otherwise than torch's"):
        check_steps(model, PATH, student, Form(4), photographs(32, 32))


def exported(tmp_path: Path, source: Path, *options: str) -> Path:
    out = tmp_path / "model.onnx"
    command = ["-q", "export", str(source), "--target", "onnx", "--out", str(out), "--size", "16", *options]
    assert run(command) == 0
    return out


@pytest.mark.parametrize("neuron", ["graded", "lif"])
def test_a_student_by_the_command(make_student: MakeStudent, tmp_path: Path, neuron: str) -> None:
    student, config = make_student(neuron)
    save_student(tmp_path / "student.safetensors", student, config, TASK)
    model = onnx.load(exported(tmp_path, tmp_path / "student.safetensors", "--taps"))
    texts = {entry.key: entry.value for entry in model.metadata_props}
    assert texts["snn_tool.kind"] == "onnx-student" and f'"neuron": "{neuron}"' in texts["snn_tool.config"]
    spikes = [output.name for output in model.graph.output if output.name.startswith("spikes.")]
    assert len(spikes) == config.timesteps * len(student.topology.spiking)


SMALL = {
    "unet": {"width": 4},
    "nafnet": {"width": 4, "encoder_blocks": [1], "middle_blocks": 1, "decoder_blocks": [1]},
    "restormer": {"dim": 2, "blocks": [1, 0, 0, 0], "refinement_blocks": 0, "heads": [1, 1, 1, 1]},
}


def active_teacher(architecture: str) -> Any:
    """A fresh teacher whose blocks are not the identity, which those of `nafnet` are at first."""
    torch.manual_seed(0)
    network = build_teacher(architecture, SMALL[architecture])
    with torch.no_grad():
        for name, value in network.named_parameters():
            if name.endswith(("beta", "gamma")):
                value.normal_(0, 0.5)
    return network.eval()


@pytest.mark.slow
@pytest.mark.parametrize("architecture", SMALL)
def test_an_exported_teacher_is_a_teacher_with_its_features(tmp_path: Path, architecture: str) -> None:
    """Read again as `--teacher model.onnx --hints ...`; also of odd sides, of one pixel, one at a time."""
    network: Any = active_teacher(architecture)
    save_teacher(tmp_path / "teacher.safetensors", network, architecture, SMALL[architecture], TASK)
    out = exported(tmp_path, tmp_path / "teacher.safetensors")
    assert str(tmp_path).encode() not in out.read_bytes() and b"site-packages" not in out.read_bytes()
    teacher, exact = OnnxTeacher(out, tuple(network.feature_channels)), active_teacher(architecture).double()
    for height, width, count in ((32, 48, 2), (21, 35, 1), (1, 1, 1)):
        images = photographs(height, width)[:count]
        fitting = pad_to_multiple(images, network.multiple) if architecture == "unet" else images
        with torch.inference_mode():
            expected, features = exact.forward_features(torch.from_numpy(fitting).double())
        restored, found = teacher.forward_features(torch.from_numpy(images))
        pairs = [(restored, expected[..., :height, :width]), *((found[n], features[n]) for n in features)]
        for here, there in pairs:
            # A float32 evaluation some dozen operations deep: errors of 1000 roundings would be a fault.
            largest = float(there.abs().max())
            torch.testing.assert_close(here.double(), there, rtol=0, atol=1000 * UNIT * max(largest, 1))


def test_options_of_students_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = active_teacher("unet")
    save_teacher(tmp_path / "teacher.safetensors", network, "unet", SMALL["unet"], TASK)
    source, out = str(tmp_path / "teacher.safetensors"), str(tmp_path / "a.onnx")
    assert run(["-q", "export", source, "--target", "onnx", "--out", out, "--taps"]) == 1
    assert "is a teacher; --taps and --stateful belong to students" in capsys.readouterr().err
    assert not Path(out).exists()


def test_a_tampered_teacher_is_found() -> None:
    network: Any = active_teacher("unet")
    model = float_model(network, Form(1), TEACHER, {})
    constant = next(c for c in model.graph.initializer if c.name == "tail.weight")
    weight = onnx.numpy_helper.to_array(constant) * np.float32(1.001)
    constant.CopyFrom(onnx.numpy_helper.from_array(weight, constant.name))
    with pytest.raises(VerificationError, match="readout, index"):
        check_network(model, PATH, network, Form(1), photographs(16, 16))
