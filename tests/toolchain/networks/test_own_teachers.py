"""`--teacher` in all its forms, through the command line, on shipped photographs."""

import json
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from snn_tool.cli.app import run
from snn_tool.degradations.crops import read_photograph
from snn_tool.errors import BackendUnavailableError, SnnToolError
from snn_tool.models.teachers.registry import build_teacher
from snn_tool.networks.open import open_teacher
from torch import nn

CODE = '''
import torch
from torch import nn


class Net(nn.Module):
    """A restorer whose modules have names of their own; it counts its calls."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 7, 3, padding=1), nn.ReLU(), nn.Conv2d(7, 10, 4, stride=4))
        self.head = nn.Conv2d(7, 3, 3, padding=1)
        self.steps = 0
        self.broken_from = None

    def forward(self, image):
        self.steps += 1
        x = self.body[0](image)
        self.body[2](self.body[1](x))
        restored = image + 0.01 * self.head(x)
        return restored / 0 if self.broken_from is not None and self.steps > self.broken_from else restored


def breaks_at_step_2():
    teacher = Net()
    teacher.broken_from = 3  # the probe, steps 0 and 1
    return teacher


def extends_images():
    from snn_tool.models.teachers.nafnet import NAFNet

    teacher = NAFNet(4, [1] * 4, 1, [1] * 4)
    with torch.no_grad():
        teacher.ending.weight *= 0.01
    return teacher


def needs(width):
    return Net()


def fails():
    raise KeyError("no such preset")


def number():
    return 7


constant = 3
'''
HINTS = ("--hints", "body.2,body.1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with the user's code, its weights, and two photographs."""
    path = tmp_path_factory.mktemp("work")
    (path / "usernet.py").write_text(CODE)
    (path / "usernet_broken.py").write_text("import nowhere_at_all\n")
    (path / "images").mkdir()
    for name in ("chelsea.png", "coffee.png"):
        crop = read_photograph("skimage.data", name)[100:164, 100:180]
        Image.fromarray(np.ascontiguousarray(crop)).save(path / f"images/{name[:-4]}.png")
    return path


@pytest.fixture
def work(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return folder


Distil = Callable[..., tuple[int, str]]


@pytest.fixture
def distil(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Distil:
    def call(*arguments: str) -> tuple[int, str]:
        small = ("--width", "4", "--batch", "2", "--patch", "16", "--validate-every", "2", "--max-steps", "4")
        fixed = ("--data", "images", "--out", str(tmp_path / "run"), "--device", "cpu", "--overwrite")
        code = run(["distill", *fixed, *small, *arguments])
        return code, " ".join(capsys.readouterr().err.split())

    return call


def weights(path: Path, named: str = "Net") -> dict[str, torch.Tensor]:
    import usernet

    torch.manual_seed(5)
    state: dict[str, torch.Tensor] = getattr(usernet, named)().state_dict()
    torch.save({"params": state}, path)
    return state


@pytest.mark.slow
def test_a_users_network_guides_and_the_pairs_are_shown_and_kept(
    distil: Distil, work: Path, tmp_path: Path
) -> None:
    sys.path.insert(0, str(work))
    state = weights(tmp_path / "w.pth")
    code, said = distil("--teacher", "usernet:Net", "--weights", str(tmp_path / "w.pth"), *HINTS)
    assert code == 0, said
    assert "hint up_in 8x8 <- body.2 10x4x4, repeated 2x2" in said
    assert "hint tail_in 16x16 <- body.1 7x16x16, as it is" in said
    settings = json.loads((tmp_path / "run/settings.json").read_text())
    assert settings["teacher_source"] == {"factory": "usernet:Net", "weights": "w.pth"}
    assert settings["hints"] == [
        {"student": "up_in", "teacher": "body.2"},
        {"student": "tail_in", "teacher": "body.1"},
    ]
    rows = (tmp_path / "run/metrics.csv").read_text().splitlines()
    last = dict(zip(rows[0].split(","), rows[-1].split(","), strict=True))
    assert float(last["loss_hints"]) > 0 and float(last["loss_output"]) > 0
    opened = open_teacher("usernet:Net", tmp_path / "w.pth", hints=("body.2",))
    assert torch.equal(opened.network.state_dict()["network.head.weight"], state["head.weight"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--teacher", "usernet:Net"), "name hints with --hints a,b, one each for up_in, tail_in"),
        (("--teacher", "usernet:Net"), "body.2 (10, 4, 4)"),
        (("--teacher", "usernet:Net", "--hints", "body.1"), "name 2 features, one each for up_in (1/2)"),
        (("--teacher", "usernet:Net", "--hints", "body.1,body.3"), "the teacher has no module 'body.3'"),
        (("--teacher", "usernet:breaks_at_step_2", *HINTS), "NaN or infinity in its output at step 2"),
        (("--teacher", "usernet:extends_images", "--patch", "24"), "a --patch in multiples of 16, not 24"),
        (
            ("--teacher", "usernet:needs"),
            "(missing a required argument: 'width'); write a function around it",
        ),
        (("--teacher", "usernet:fails"), "calling it failed: KeyError: 'no such preset'; -v shows where"),
        (("--teacher", "usernet:number"), "returned int, not a torch.nn.Module"),
        (("--teacher", "usernet:constant"), "usernet has no 'constant' that can be called; it has Net, "),
        (("--teacher", "usernet_broken:Net"), "No module named 'nowhere_at_all'"),
        (("--teacher", "nowhere:Net"), "No module named 'nowhere'; run where it lies, or install it"),
        (
            ("--teacher", "something"),
            "something: no teacher; use a teacher of 'snn-tool models', teacher.safetensors, a run folder, ",
        ),
        (("--teacher", "nafnet"), "nafnet needs --weights FILE, or train one"),
        (("--teacher", "none", "--weights", "w.pth"), "--weights w.pth needs --teacher"),
        (("--teacher", "a.onnx", "--weights", "w.pth"), "has its weights inside; leave --weights out"),
        (("--teacher", "absent.onnx"), "absent.onnx: cannot be read"),
    ],
)
def test_what_cannot_guide_says_so_in_one_line(
    distil: Distil, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    code, said = distil(*arguments)
    assert code == 1, said
    assert message in said
    if "at step" not in message:
        assert not (tmp_path / "run/settings.json").exists(), "refused before the run began"
    assert "Traceback" not in said


def test_the_students_first_weights_do_not_depend_on_the_factory(work: Path) -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    open_teacher("usernet:Net")
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.slow
def test_a_published_checkpoint_is_recognised_by_its_shapes(tmp_path: Path) -> None:
    torch.manual_seed(2)
    options = {"width": 32, "encoder_blocks": [1, 1, 2], "middle_blocks": 2, "decoder_blocks": [1, 1, 1]}
    built = build_teacher("nafnet", options)
    path = tmp_path / "official.pth"
    torch.save({"params": {f"module.{name}": t for name, t in built.state_dict().items()}}, path)
    opened = open_teacher("nafnet", path)
    image = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(opened.network(image), built.eval()(image))
    assert opened.network.feature_scales == {"decoder3": 4, "decoder2": 2, "decoder1": 1}
    torch.save({"params": nn.Conv2d(3, 3, 1).state_dict()}, path)
    with pytest.raises(SnnToolError, match="official.pth: fits no named size of nafnet; give a factory"):
        open_teacher("nafnet", path)


def test_an_absent_spandrel_is_named_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "official.pth"
    torch.save({"params": nn.Conv2d(3, 3, 1).state_dict()}, path)
    monkeypatch.setitem(sys.modules, "spandrel", None)
    with pytest.raises(BackendUnavailableError, match="pip install --no-deps spandrel einops") as refused:
        open_teacher("spandrel", path)
    assert "torchvision" in str(refused.value) and "package.module:factory" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.skipif(find_spec("spandrel") is None, reason="pip install --no-deps spandrel einops")
def test_spandrel_recognises_published_names_and_computes_the_same(tmp_path: Path) -> None:
    """Its NAFNet and ours are two implementations of one file; torchvision stays out of the process."""
    path, torchvision = tmp_path / "official.pth", "torchvision" in sys.modules
    options = {"width": 8, "encoder_blocks": [1, 2], "middle_blocks": 1, "decoder_blocks": [1, 1]}
    torch.manual_seed(3)
    ours = build_teacher("nafnet", options).eval()
    with torch.no_grad():
        for name, parameter in ours.named_parameters():
            if name.endswith(("beta", "gamma")):
                parameter += torch.randn(parameter.shape)
    torch.save({"params": ours.state_dict()}, path)
    opened = open_teacher("spandrel", path, hints=("decoders.1",))
    assert type(opened.network.network.network).__module__.startswith("spandrel.")
    image = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        restored, features = opened.network.forward_features(image)
        expected, decoders = ours.forward_features(image)
    torch.testing.assert_close(restored, expected.clamp(0, 1))
    torch.testing.assert_close(features["decoders.1"], decoders["decoder1"])
    assert ("torchvision" in sys.modules) == torchvision
    torch.save({"params": {"nobody.knows": torch.ones(2)}}, path)
    with pytest.raises(SnnToolError, match="spandrel knows no architecture with these tensors"):
        open_teacher("spandrel", path)


@pytest.mark.slow
def test_the_energy_report_counts_a_users_network(
    work: Path, tmp_path: Path, make_network: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """32x32: conv 3->7, k3 at 32x32; conv 7->10, k4 at 8x8; conv 7->3, k3 at 32x32."""
    from snn_tool.models.integer.file import save_integer_network

    sys.path.insert(0, str(work))
    weights(tmp_path / "w.pth")
    student = tmp_path / "student.int.safetensors"
    save_integer_network(
        student, make_network("graded"), {"noise": {"task": "denoise", "sigma": [25.0, 25.0]}}
    )
    arguments = ["-q", "--json", "energy", "report", "--student", str(student), "--images", "images",
                 "--crop", "32", "--no-sweep", "--out", str(tmp_path / "report")]  # fmt: skip
    code = run([*arguments, "--teacher", "usernet:Net", "--weights", str(tmp_path / "w.pth")])
    out, err = capsys.readouterr()
    assert code == 0, err
    report = json.loads((tmp_path / "report/energy.json").read_text())
    macs = 3 * 7 * 9 * 32**2 + 7 * 10 * 16 * 8**2 + 7 * 3 * 9 * 32**2
    (teacher,) = (column for column in report["columns"] if column["name"] == "teacher")
    assert teacher["padded_macs"]["least"] == teacher["padded_macs"]["most"] == macs
    assert teacher["parameters"] == (27 * 7 + 7) + (7 * 16 * 10 + 10) + (63 * 3 + 3)
    assert teacher["quality"]["psnr_db"] == pytest.approx(20.2, abs=1.5), "nearly the identity, sigma 25"
    Path("model.onnx").write_bytes(b"")
    code = run([*arguments, "--overwrite", "--teacher", "model.onnx"])
    assert code == 1
    assert "operations of ONNX graphs are not counted" in capsys.readouterr().err
