"""From images to an audit in Python: what each function returns, says and refuses."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import snn_tool as st
import torch
from numpy.typing import NDArray
from snn_tool.api.training import keywords, strength_text
from snn_tool.degradations.crops import read_photograph
from snn_tool.exporters.lava.environment import find_lava
from snn_tool.networks.open import open_student
from snn_tool.networks.running import RestoringStudent

pytestmark = pytest.mark.slow
SMALL: dict[str, Any] = {"max_steps": 3, "batch": 2, "patch": 32, "validate_every": 3}
PHOTOGRAPHS = (
    ("skimage.data", "astronaut.png"),
    ("skimage.data", "chelsea.png"),
    ("skimage.data", "coffee.png"),
)


@dataclass(frozen=True)
class Made:
    images: list[NDArray[np.uint8]]
    folder: Path
    teacher: st.Teacher
    run: st.Run
    net: st.Student
    bundle: st.Bundle


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("api")
    images = [read_photograph(*name)[40:136, 60:156] for name in PHOTOGRAPHS]
    teacher = st.train_teacher(images, build={"width": 8}, out=folder / "teacher", **SMALL)
    run = st.distill(images, teacher=teacher, width=4, levels=8, out=folder / "run", **SMALL)
    net = st.quantize(run.student, images)
    bundle = st.export(net, "loihi", folder / "bundle", size=16, tiles=1, verify=False)
    return Made(images, folder, teacher, run, net, bundle)


@pytest.fixture(scope="module")
def lava() -> None:
    try:
        if find_lava() is None:
            pytest.skip("Lava is not installed; run `snn-tool backend install lava`")
    except st.BackendUnavailableError as error:
        pytest.skip(str(error))


def test_every_object_says_what_it_is(made: Made) -> None:
    assert repr(made.teacher).startswith("Teacher unet, width 8\n")
    assert "trained for denoise sigma 25" in repr(made.teacher)
    assert f"Run in {made.folder / 'run'}\n  validation " in repr(made.run)
    assert "(float)\n    neuron graded, T = 1, 2,608 parameters" in repr(made.run)
    assert "(integer)\n  neuron graded, T = 1, 2,608 parameters\n  trained for denoise" in repr(made.net)
    assert "target loihi, " in repr(made.bundle) and "cores of Loihi 2\n  not verified" in repr(made.bundle)


def test_a_bundle_counts_its_neurons(made: Made) -> None:
    network = made.net.network
    assert isinstance(network, st.IntegerNetwork)
    sizes = network.topology.sizes(16, 16)
    expected = sum(p.channels * sizes[p.name][0] * sizes[p.name][1] for p in network.topology.populations)
    assert made.bundle.neurons == expected
    assert json.loads(made.bundle.to_json())["neurons"] == expected
    said = json.loads((made.bundle.folder / "bundle.json").read_text())["resources"]
    assert made.bundle.cores == (said["cores_low"], said["cores_high"])


def test_what_was_trained_is_what_the_file_says(made: Made) -> None:
    assert made.run.student.config == st.StudentConfig(width=4, levels=8)
    assert made.run.training["training"]["max_steps"] == 3
    assert json.loads(made.run.to_json())["training"]["validation_psnr_db"] == made.run.validation_psnr_db
    assert made.run.training["teacher"] == made.teacher.opened.provenance.sha256


def test_verification_reports_every_backend(made: Made) -> None:
    report = st.verify(made.bundle.folder, ["nir", "integer"], images=made.images, tiles=1)
    assert report.passed and [result.backend for result in report.results] == ["nir", "integer", "nir"]
    lines = repr(report).splitlines()
    assert lines[0] == "Report: passed" and lines[1].startswith("  nir: exact, 0 of ")
    assert (
        json.loads((made.bundle.folder / "verification.json").read_text())["results"]
        == (json.loads(report.to_json())["results"])
    )
    with pytest.raises(st.ConfigError, match="backend nosuch is not allowed"):
        st.verify(made.bundle, ["nosuch"])


def test_a_bundle_that_was_changed_does_not_pass(made: Made, tmp_path: Path) -> None:
    bundle = st.export(made.net, "loihi", tmp_path / "changed", size=16, tiles=1, verify=False)
    golden = bundle.folder / "golden.npz"
    golden.write_bytes(golden.read_bytes()[:-1] + b"x")
    with pytest.raises(st.ArtifactError, match=r"golden\.npz"):
        st.verify(bundle)


def test_an_audit_has_a_headline_and_a_page(made: Made, tmp_path: Path) -> None:
    audit = st.audit(made.net, made.images, teacher=made.teacher, limit=1, crop=32, sweep=False, claim=1e9)
    least, most = audit.headline
    assert 0 < least <= most and audit.verdict == "fails"
    assert repr(audit).startswith("Audit: teacher / student ") and "fails in every model" in repr(audit)
    assert json.loads(audit.to_json())["headline"] == {"least": least, "most": most}
    page = audit.to_html(tmp_path / "energy.html")
    assert page.read_bytes() == (audit.folder / "energy.html").read_bytes()
    with pytest.raises(st.ConfigError, match="exists"):
        audit.to_html(page)


def test_an_audit_takes_a_module_at_hand(made: Made, tmp_path: Path) -> None:
    """It is counted and scored as the teacher that it came from."""
    options: dict[str, Any] = {"limit": 1, "crop": 32, "sweep": False}
    module = made.teacher.network
    named, given = (st.audit(made.net, made.images, teacher=t, **options) for t in (made.teacher, module))
    assert given.headline == named.headline and given.report.reference == "teacher"
    columns = {column.name: column for column in given.report.columns}
    assert columns["teacher"].title == type(module).__name__
    assert columns["teacher"].quality == next(c.quality for c in named.report.columns if c.name == "teacher")
    assert len(given.report.hashes["teacher"]) == 64


def test_lava_gives_the_same_integers(made: Made, lava: None) -> None:
    report = st.verify(made.bundle, backends=["nir", "lava"])
    found = {result.backend: (result.status, result.mismatches) for result in report.results}
    assert found == {"nir": ("exact", 0), "lava": ("exact", 0)} and report.passed


def test_tables_are_pandas_where_it_is(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    report = st.verify(made.bundle, ["nir"])
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(st.BackendUnavailableError, match="pip install pandas"):
        report.to_dataframe()
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=lambda rows: rows))
    (row,) = report.to_dataframe()
    assert (row["backend"], row["status"], row["mismatches"]) == ("nir", "exact", 0)


def test_load_opens_what_has_a_name(made: Made, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = st.load("denoise-25")
    assert isinstance(shipped, st.Student) and shipped.kind == "integer" and shipped.parameters == 79_908
    assert repr(shipped).startswith("Student denoise-25 (integer)\n")
    opened = [st.load(made.folder / "run"), st.load(str(made.run.student.path)), st.load(made.net.path)]
    assert [student.kind for student in opened] == ["float", "float", "integer"]  # type: ignore[union-attr]
    for place in (made.folder / "teacher", made.folder / "teacher" / "teacher.safetensors"):
        assert isinstance(st.load(place), st.Teacher)
    (tmp_path / "own_network.py").write_text(
        "from torch.nn import Conv2d\ndef make(): return Conv2d(3, 3, 1)\n"
    )
    built = st.load("own_network:make")
    assert isinstance(built, st.Teacher) and built.parameters == 12
    for spec in ("nosuch", "nosuch.safetensors", "nosuch:make"):
        with pytest.raises(st.SnnToolError, match="nosuch"):
            st.load(spec)


def test_a_student_restores_as_the_command_line_does(made: Made) -> None:
    student, image = st.load("denoise-25"), made.images[0]
    assert isinstance(student, st.Student)
    reference = RestoringStudent.of(open_student(student.path))
    noisy = (image / 255 + np.random.default_rng(0).normal(0, 0.1, image.shape)).astype(np.float32)
    assert np.array_equal(student.restore(image), reference.restore_8_bits(image, 512))
    assert np.array_equal(student.restore(noisy), reference.restore(noisy, 512).clip(0, 1))
    assert np.array_equal(student.restore(noisy, tile=64), student.restore(noisy))
    tensor = torch.from_numpy(noisy).permute(2, 0, 1)
    assert np.array_equal(student.restore(tensor).permute(1, 2, 0).numpy(), student.restore(noisy))
    grey = noisy[..., :1]
    assert np.array_equal(student.restore(grey), reference.restore(grey, 512).clip(0, 1))
    assert np.array_equal(student.restore(grey[..., 0]), student.restore(grey)[..., 0])
    assert np.array_equal(student.restore(np.stack([noisy, noisy]))[1], student.restore(noisy))
    assert float(np.mean((student.restore(noisy) - image / 255) ** 2)) < 0.3 * 0.1**2


def test_a_teacher_restores(made: Made) -> None:
    image = made.images[0]
    found = made.teacher.restore(image)
    assert found.dtype == np.uint8 and found.shape == image.shape
    given = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        expected = made.teacher.network(given).clamp(0, 1)
    assert np.allclose(made.teacher.restore(given).numpy(), expected.numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda made: st.distill(made.images, max_step=3), "no option max_step; did you mean max_steps"),
        (lambda made: st.distill(made.images, loss_hint=3), "did you mean loss_hints"),
        (lambda made: st.train_teacher(made.images, width=3), "no option width"),
        (lambda made: st.distill(made.images, neuron="lef"), "student.neuron"),
        (lambda made: st.distill(made.images, task="nosuch"), "--task nosuch"),
        (lambda made: st.audit(made.net, made.images, limt=1), "did you mean limit"),
        (lambda made: st.audit(made.run.student, made.images), "an audit needs integers"),
        (lambda made: st.export(made.net, "loihi", "x", tile=1), "did you mean tiles"),
        (lambda made: st.export(made.net, "nosuch", "x"), "--target nosuch"),
        (lambda made: st.quantize(made.run.student.network, made.images), "needs its configuration"),
        (lambda made: st.quantize(made.folder / "teacher", made.images), "give a student"),
        (lambda made: st.distill(made.images, out=made.folder / "run", **SMALL), "--overwrite"),
    ],
)
def test_what_cannot_be_asked_for_is_a_config_error(
    made: Made, call: Callable[[Made], object], said: str
) -> None:
    with pytest.raises(st.ConfigError, match=said):
        call(made)


def test_every_field_of_the_settings_is_a_keyword() -> None:
    known = keywords(("training", "loss", "student"))
    assert known["loss_l1"] == ("loss", "l1") and known["hint_sites"] == ("loss", "hint_sites")
    assert known["max_steps"] == ("training", "max_steps") and known["width"] == ("student", "width")
    assert len(known) == sum(
        len(kind.__dataclass_fields__) for kind in (st.TrainingSettings, st.LossWeights, st.StudentConfig)
    )


def test_strengths_are_numbers_ranges_or_texts() -> None:
    assert [strength_text(s) for s in (25, 0.5, (5, 50), "1-2", None)] == ["25", "0.5", "5-50", "1-2", None]


def test_recorded_pairs_and_a_start(made: Made) -> None:
    darker = [image // 2 for image in made.images]
    run = st.distill(
        made.images, degraded=darker, task="dehaze", width=4, levels=8, init=made.run.student, **SMALL
    )
    assert run.training["task"] == {"task": "dehaze", "images": "pairs"}
    assert "init" in run.training


class Blurs(torch.nn.Module):
    """Restores by a mean over 3x3 pixels, and counts how often it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.deep = torch.nn.AvgPool2d(3, 1, 1)
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.deep(image) * self.scale


def test_a_module_at_hand_teaches_and_stays_as_it_is(made: Made) -> None:
    module = Blurs().train()
    run = st.distill(made.images, teacher=module, hints=("deep", "deep"), width=4, **SMALL)
    assert run.training["teacher_source"] == {"module": "Blurs"}
    assert run.training["hints"][0]["teacher"] == "deep"
    assert module.training and module.scale.requires_grad
    with pytest.raises(st.ConfigError, match="int names no network"):
        st.distill(made.images, teacher=3, **SMALL)  # type: ignore[arg-type]
