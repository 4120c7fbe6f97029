"""One door opens every network: what is named is found without torch, and tells what it was trained for."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from snn_tool.cli.app import run as run_command
from snn_tool.degradations.noise import GaussianNoise
from snn_tool.degradations.tasks import TrainedFor
from snn_tool.errors import ArtifactError, ConfigError
from snn_tool.files.artifacts import sha256_file
from snn_tool.models.config import StudentConfig
from snn_tool.models.integer.file import save_integer_network
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.network import Network
from snn_tool.models.student import save_student
from snn_tool.models.teachers.registry import TEACHERS as BUILT_IN
from snn_tool.models.teachers.registry import build_teacher, save_teacher
from snn_tool.networks.locate import (
    ARCHITECTURES,
    INTEGER_FILE,
    RUN_FILES,
    STUDENT_FILE,
    STUDENTS,
    TEACHER_FILE,
    TEACHERS,
    Form,
    Kind,
    beside,
    exported_file,
    float_file,
    initial_file,
    integer_file,
    locate,
    locate_teacher,
    shortest,
    student_file,
)
from snn_tool.networks.open import (
    FloatStudent,
    IntegerStudent,
    OpenedTeacher,
    open_integers,
    open_network,
    open_student,
    open_teacher,
)
from snn_tool.networks.shipped import student_path

MakeNetwork = Callable[..., IntegerNetwork]
MakeStudent = Callable[..., tuple[Network, StudentConfig]]
BLIND, MIDDLE = GaussianNoise(5, 50).describe(), GaussianNoise(25, 25).describe()


@pytest.fixture
def run(tmp_path: Path, make_network: MakeNetwork, make_student: MakeStudent) -> Path:
    """A run folder with all three networks; the integers were calibrated at another noise than trained."""
    folder = tmp_path / "mine"
    student, config = make_student("graded", "unet")
    save_student(folder / STUDENT_FILE, student, config, {"task": BLIND, "seed": 7})
    told = {"training": {"task": BLIND, "seed": 7}, "noise": MIDDLE}
    save_integer_network(folder / INTEGER_FILE, make_network("graded", "unet"), told)
    teacher = build_teacher("unet", {"width": 2})
    save_teacher(folder / TEACHER_FILE, teacher, "unet", {"width": 2}, {"task": BLIND})
    return folder


def test_what_is_made_lies_beside_its_source_and_is_named_briefly(tmp_path: Path) -> None:
    mine, shipped = tmp_path / "a.int.safetensors", student_path("denoise-25")
    assert beside(mine, "-energy") == tmp_path / "a-energy" and shortest(mine) == str(mine)
    assert beside(shipped, "-energy") == Path("denoise-25-energy") and shortest(shipped) == "denoise-25"
    assert beside(tmp_path / "net.v2.nir", "-loihi") == tmp_path / "net.v2-loihi"


def test_the_architectures_that_need_no_torch_to_be_named_are_those_that_there_are() -> None:
    assert tuple(BUILT_IN) == ARCHITECTURES


def test_a_run_folder_gives_the_first_network_that_is_of_use(run: Path) -> None:
    """Integers, floats, teacher, in this order; but a start of a training is taken from the floats."""
    assert tuple(RUN_FILES.values()) == (INTEGER_FILE, STUDENT_FILE, TEACHER_FILE)
    assert student_file(run) == exported_file(run) == integer_file(run) == run / INTEGER_FILE
    assert float_file(run) == initial_file(run) == run / STUDENT_FILE
    assert locate(run, accept=TEACHERS).path == run / TEACHER_FILE
    assert locate(run).note == f"{run}: takes {INTEGER_FILE}"
    kinds = []
    for name in RUN_FILES.values():
        opened = open_network(run)
        assert opened.provenance.path == run / name
        kinds.append(type(opened))
        (run / name).unlink()
    assert kinds == [IntegerStudent, FloatStudent, OpenedTeacher]
    with pytest.raises(ConfigError, match="mine: a folder without student.int.safetensors or student.saf"):
        open_network(run)


def test_what_it_was_trained_for_has_one_rule(run: Path) -> None:
    """The training's task, for integers, floats and teachers alike; not what the calibration was told."""
    for kind in Kind:
        origin = open_network(run, accept=(kind,)).provenance
        assert origin.kind is kind
        assert origin.trained_for == TrainedFor("denoise", (5.0, 50.0), BLIND)
        assert origin.trained_for.option == "5-50"
        assert origin.training.task.task == "denoise" and origin.account["task"] == BLIND
        assert origin.sha256 == sha256_file(run / RUN_FILES[kind])
    assert open_student(run / STUDENT_FILE).provenance.training.seed == 7


def test_integers_from_elsewhere_are_for_the_noise_that_they_were_made_with(
    tmp_path: Path, make_network: MakeNetwork
) -> None:
    save_integer_network(tmp_path / INTEGER_FILE, make_network("graded", "unet"), {"noise": MIDDLE})
    assert open_integers(tmp_path).provenance.trained_for == TrainedFor("denoise", (25.0, 25.0), MIDDLE)
    save_integer_network(tmp_path / INTEGER_FILE, make_network("graded", "unet"), {})
    assert open_integers(tmp_path).provenance.trained_for == TrainedFor()


@pytest.mark.slow
def test_a_name_a_factory_and_an_architecture_are_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_network("denoise-25")
    assert isinstance(opened, IntegerStudent) and opened.provenance.trained_for.strength == (25.0, 25.0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "doorcode.py").write_text("import torch\n\ndef net():\n    return torch.nn.Conv2d(3, 3, 1)\n")
    made = open_teacher("doorcode:net").provenance
    assert made.origin == {"factory": "doorcode:net"} and made.path is None and len(made.sha256) == 64
    with torch.device("meta"):
        untrained = open_teacher("nafnet", untrained=True)
    assert untrained.provenance.sha256 == "" and untrained.provenance.title.startswith("nafnet, untrained")
    assert next(untrained.module.parameters()).is_meta


def test_a_folder_does_not_hide_the_student_that_comes_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_network: MakeNetwork
) -> None:
    """One without a network is mentioned; one with a network must be told from it, both ways."""
    monkeypatch.chdir(tmp_path)
    shipped = student_path("denoise-25")
    Path("denoise-25").mkdir()
    found = locate("denoise-25")
    assert found.path == shipped and "the folder here of that name holds no network" in found.note
    save_integer_network(Path("denoise-25") / INTEGER_FILE, make_network("graded", "unet"), {})
    for name in ("denoise-25", Path("denoise-25")):
        with pytest.raises(
            ConfigError, match="write denoise-25/student.int.safetensors for that one"
        ) as said:
            locate(name, accept=STUDENTS)
        assert str(shipped) in str(said.value)
    for chosen in (f"denoise-25/{INTEGER_FILE}", "./denoise-25", str(shipped)):
        assert locate(chosen).path.name in (INTEGER_FILE, shipped.name)
    assert locate("./denoise-25").path == Path("denoise-25") / INTEGER_FILE
    Path("nafnet").mkdir()
    (Path("nafnet") / TEACHER_FILE).write_bytes(b"")
    with pytest.raises(ConfigError, match="write nafnet/teacher.safetensors for that one, or give"):
        locate_teacher("nafnet", None)


def test_options_without_a_network_and_with_files_that_are_none(tmp_path: Path, run: Path) -> None:
    assert student_file(None) is None and locate_teacher(None, None) is None
    assert locate_teacher("none", None) is None
    assert exported_file(Path("some.nir")) == Path("some.nir")
    (run / INTEGER_FILE).unlink()
    with pytest.raises(ConfigError, match=r"it has student.safetensors, .*'snn-tool quantize' makes one"):
        integer_file(run)
    weights = tmp_path / "w.pth"
    with pytest.raises(ArtifactError, match="w.pth: cannot be read"):
        locate("nafnet", weights)
    weights.write_bytes(b"")
    assert locate("nafnet", weights).form is Form.ARCHITECTURE
    assert locate("spandrel", weights).form is Form.SPANDREL
    for spec in ("denoise-25", str(run), "a.onnx"):
        with pytest.raises(ConfigError, match="has its weights inside; leave --weights out"):
            locate(spec, weights)
    with pytest.raises(ConfigError, match="neither an architecture .*, nor package.module:factory"):
        locate("nothing-of-that-name")


def test_an_import_lies_beside_its_file_unless_out_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(options: object, inputs: object, out: Path, *_: object) -> None:
        raise ConfigError(f"would write {out}")

    monkeypatch.setattr("snn_tool.deploy.import_nir.import_network", refuse)
    for further, expected in ((), tmp_path / "net.int.safetensors"), (("--out", "a.b"), Path("a.b")):
        assert run_command(["import", str(tmp_path / "net.nir"), "--images", ".", *further]) == 1
        assert f"would write {expected}" in capsys.readouterr().err
