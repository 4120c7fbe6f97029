"""Students opened from disk restore what their networks would, in every size."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngImageFile
from snn_tool.errors import ArtifactError, ConfigError, DataError
from snn_tool.files.artifacts import sha256_file
from snn_tool.images.files import read_image, write_image
from snn_tool.images.metrics import to_uint8
from snn_tool.models.config import StudentConfig
from snn_tool.models.integer.engine import IntegerEngine, restore_integers
from snn_tool.models.integer.file import save_integer_network
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.network import Network
from snn_tool.models.student import save_student
from snn_tool.models.teachers.registry import build_teacher, save_teacher
from snn_tool.networks.open import open_student
from snn_tool.networks.restoring import plan_outputs, restore_file, restore_files
from snn_tool.networks.running import RestoringStudent

Photograph = NDArray[np.float32]
MakeNetwork = Callable[..., IntegerNetwork]
MakeStudent = Callable[..., tuple[Network, StudentConfig]]
TASK = {"task": "denoise", "sigma": [25.0, 25.0]}
BODIES = ("unet", "flat", "chain")


@pytest.fixture
def warned(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    """Sees the tool's log also after another test configured the command line."""
    monkeypatch.setattr(logging.getLogger("snn_tool"), "propagate", True)
    caplog.set_level(logging.WARNING, logger="snn_tool")
    return caplog


def named(student: RestoringStudent) -> tuple[str, str, object]:
    """What a student says of itself: its kind, its file's hash, what it was trained for."""
    origin = student.provenance
    return str(origin.kind), origin.sha256, origin.trained_for.described


def saved_integer(folder: Path, network: IntegerNetwork) -> Path:
    path = folder / "student.int.safetensors"
    save_integer_network(path, network, {"training": {"task": TASK}})
    return path


def saved_float(folder: Path, student: Network, config: StudentConfig) -> Path:
    path = folder / "student.safetensors"
    save_student(path, student, config, {"task": TASK})
    return path


@pytest.mark.slow
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("neuron", ["graded", "lif"])
def test_an_integer_student_from_disk_gives_the_engines_bits(
    tmp_path: Path, make_network: MakeNetwork, photograph: Photograph, neuron: str, body: str
) -> None:
    network = make_network(neuron, body)
    path = saved_integer(tmp_path, network)
    student = RestoringStudent.of(open_student(path))
    assert named(student) == ("integer", sha256_file(path), TASK)
    restored = student.restore(photograph.transpose(1, 2, 0), tile=16)
    assert restored.shape == (64, 64, 3) and restored.dtype == np.float32
    expected = (
        restore_integers(IntegerEngine(network), photograph[None])[0].transpose(1, 2, 0).astype(np.float32)
    )
    np.testing.assert_array_equal(restored, expected)


@pytest.mark.parametrize("body", BODIES)
def test_a_float_student_from_disk_gives_the_networks_values(
    tmp_path: Path, make_student: MakeStudent, photograph: Photograph, body: str
) -> None:
    network, config = make_student("graded", body)
    path = saved_float(tmp_path, network, config)
    student = RestoringStudent.of(open_student(path))
    assert named(student) == ("float", sha256_file(path), TASK)
    with torch.no_grad():
        expected = network(torch.from_numpy(photograph[None]))[0].numpy().transpose(1, 2, 0)
    restored = student.restore(photograph.transpose(1, 2, 0), tile=1024)
    assert np.abs(restored - expected).max() < 1e-6
    assert np.abs(restored - photograph.transpose(1, 2, 0)).max() > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("size", [(37, 53), (1, 1), (3, 200), (2, 5)])
def test_every_size_comes_back_the_same_for_every_tile(
    tmp_path: Path, make_network: MakeNetwork, size: tuple[int, int]
) -> None:
    student = RestoringStudent.of(open_student(saved_integer(tmp_path, make_network("graded", "unet"))))
    image = np.random.default_rng(0).random((*size, 3), dtype=np.float32)
    whole = student.restore(image, tile=256)
    assert whole.shape == image.shape
    for tile in (2, 16):
        np.testing.assert_array_equal(student.restore(image, tile), whole)
    with pytest.raises(ConfigError, match="--tile 3: use a positive multiple of 2"):
        student.restore(image, tile=3)


@pytest.mark.parametrize("name", ["student.json", "student.pt", "student", "student.int"])
def test_other_files_are_no_students(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        ConfigError, match=f"{name}: a student is a .safetensors file, from distill, or a .int"
    ):
        open_student(tmp_path / name)


def test_a_teacher_and_a_missing_file_are_no_students(tmp_path: Path) -> None:
    teacher = build_teacher("unet", {"width": 4})
    save_teacher(tmp_path / "teacher.safetensors", teacher, "unet", {"width": 4}, {})
    with pytest.raises(
        ArtifactError, match="expected a file of kind 'integer-network' or 'student', found 'teacher'"
    ):
        open_student(tmp_path / "teacher.safetensors")
    for name in ("absent.safetensors", "absent.int.safetensors"):
        with pytest.raises(ArtifactError, match=f"{name}: cannot be read"):
            open_student(tmp_path / name)


def test_a_restored_file_is_the_rounded_result(tmp_path: Path, make_network: MakeNetwork) -> None:
    student = RestoringStudent.of(open_student(saved_integer(tmp_path, make_network("graded", "flat"))))
    noisy = np.random.default_rng(1).integers(0, 256, (9, 21, 3)).astype(np.uint8)
    write_image(tmp_path / "noisy.png", noisy)
    restore_file(lambda _: student, tmp_path / "noisy.png", tmp_path / "out" / "noisy.png", tile=8)
    expected = to_uint8(student.restore(noisy.astype(np.float32) / 255, tile=64))
    np.testing.assert_array_equal(read_image(tmp_path / "out" / "noisy.png"), expected)
    assert (expected != noisy).any()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.png", "b.jpg", "sub/a.tif"):
        write_image(tmp_path / "in" / name, np.full((4, 4, 3), 9, np.uint8))
    return tmp_path / "in"


def test_outputs_keep_the_folders(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert plan_outputs([folder], out, overwrite=False) == {
        folder / "a.png": out / "a.png",
        folder / "b.jpg": out / "b.png",
        folder / "sub" / "a.tif": out / "sub" / "a.png",
    }
    assert plan_outputs([folder / "b.jpg"], out, overwrite=False) == {folder / "b.jpg": out / "b.png"}
    assert not out.exists()


def test_two_images_never_become_one_file(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a.png and .*sub/a.tif would both become .*out/a.png"):
        plan_outputs([folder / "a.png", folder / "sub" / "a.tif"], tmp_path / "out", overwrite=False)


def test_what_is_no_image_is_found_before_any_work(folder: Path, tmp_path: Path) -> None:
    (folder / "z.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="z.png: not a PNG"):
        plan_outputs([folder], tmp_path / "out", overwrite=False)
    with pytest.raises(DataError, match="absent: no such file or folder"):
        plan_outputs([folder / "a.png", tmp_path / "absent"], tmp_path / "out", overwrite=False)


def untracked(paths: list[Path], _: str) -> list[Path]:
    return paths


@pytest.mark.parametrize("damaged", [1, 2])
def test_damaged_images_do_not_keep_the_others(
    tmp_path: Path, make_network: MakeNetwork, warned: pytest.LogCaptureFixture, damaged: int
) -> None:
    """The damage shows when the file is decoded; the line that ends the run names it."""
    student = RestoringStudent.of(open_student(saved_integer(tmp_path, make_network("graded", "flat"))))
    for name in ("a.png", "b.png", "c.png"):
        write_image(tmp_path / "in" / name, np.full((8, 8, 3), (9, 9, 10), np.uint8))
    for name in ("a.png", "b.png")[:damaged]:
        whole = (tmp_path / "in" / name).read_bytes()
        (tmp_path / "in" / name).write_bytes(whole[: whole.index(b"IDAT") + 8])
    outputs = plan_outputs([tmp_path / "in"], tmp_path / "out", overwrite=False)
    with pytest.raises(DataError) as caught:
        restore_files(lambda _: student, outputs, 16, untracked)
    message = str(caught.value)
    assert message.endswith(f"; {3 - damaged} of 3 images were restored") and "\n" not in message
    assert ("a.png: corrupt or truncated" if damaged == 1 else "2 files are damaged, see above") in message
    named = [record.getMessage() for record in warned.records]
    assert [Path(line.split(": ")[0]).name for line in named] == ([] if damaged == 1 else ["a.png", "b.png"])
    assert len(list((tmp_path / "out").glob("*.png"))) == 3 - damaged
    alone = plan_outputs([tmp_path / "in" / "a.png"], tmp_path / "alone", overwrite=False)
    with pytest.raises(DataError, match=r"a.png: corrupt or truncated \(.*\); replace it$"):
        restore_files(lambda _: student, alone, 16, untracked)


def test_each_file_is_decoded_once_and_warns_once(
    tmp_path: Path,
    warned: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    make_network: MakeNetwork,
) -> None:
    Image.new("RGBA", (16, 16), (90, 120, 30, 0)).save(tmp_path / "clear.png")
    student = saved_integer(tmp_path, make_network("graded", "flat"))
    decoded: list[str] = []
    prepare = PngImageFile.load_prepare

    def counted(image: PngImageFile) -> None:
        decoded.append(Path(str(image.filename)).name)
        prepare(image)

    monkeypatch.setattr(PngImageFile, "load_prepare", counted)
    outputs = plan_outputs([tmp_path / "clear.png"], tmp_path / "out", overwrite=False)
    opened = RestoringStudent.of(open_student(student))
    restore_files(lambda _: opened, outputs, 16, untracked)
    assert decoded == ["clear.png"]
    (message,) = [record.getMessage() for record in warned.records]
    assert message == f"{tmp_path / 'clear.png'}: alpha channel dropped"


def test_grey_in_is_grey_out(
    tmp_path: Path, make_network: MakeNetwork, warned: pytest.LogCaptureFixture
) -> None:
    """The mean of the three outputs, at every tile; a warning for the first of several files."""
    student = RestoringStudent.of(open_student(saved_integer(tmp_path, make_network("graded", "unet"))))
    grey = np.random.default_rng(0).integers(0, 256, (24, 40, 1)).astype(np.uint8)
    for name in ("a.png", "b.png"):
        write_image(tmp_path / "in" / name, grey)
    write_image(tmp_path / "in" / "c.png", np.repeat(grey, 3, axis=2))
    outputs = plan_outputs([tmp_path / "in"], tmp_path / "out", overwrite=False)
    restore_files(lambda _: student, outputs, 8, untracked)
    colour = student.restore(np.repeat(grey, 3, axis=2).astype(np.float32) / 255, 1024)
    mean = to_uint8(colour.mean(axis=2, keepdims=True))[..., 0]
    for name, mode in (("a.png", "L"), ("b.png", "L"), ("c.png", "RGB")):
        with Image.open(tmp_path / "out" / name) as image:
            assert image.mode == mode
            np.testing.assert_array_equal(np.asarray(image), mean if mode == "L" else to_uint8(colour))
    (message,) = [record.getMessage() for record in warned.records]
    assert message == (
        f"{tmp_path / 'in' / 'a.png'}: grey, but student.int.safetensors was trained on colour; "
        "grey photographs restore worse"
    )


def test_results_are_no_inputs(tmp_path: Path, make_network: MakeNetwork) -> None:
    """A second run into a folder below the first finds what the first found."""
    student = RestoringStudent.of(open_student(saved_integer(tmp_path, make_network("graded", "flat"))))
    write_image(tmp_path / "a.png", np.full((8, 8, 3), 9, np.uint8))
    for _ in range(2):
        outputs = plan_outputs([tmp_path], tmp_path / "restored", overwrite=True)
        assert list(outputs) == [tmp_path / "a.png"]
        restore_files(lambda _: student, outputs, 16, untracked)
    named = tmp_path / "restored" / "a.png"
    assert plan_outputs([named], tmp_path / "restored", overwrite=True) == {named: named}


def test_a_profile_of_srgb_stays_with_the_picture(tmp_path: Path, make_network: MakeNetwork) -> None:
    student = RestoringStudent.of(open_student(saved_integer(tmp_path, make_network("graded", "flat"))))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.new("RGB", (8, 8), (90, 120, 30)).save(tmp_path / "a.png", icc_profile=profile)
    restore_file(lambda _: student, tmp_path / "a.png", tmp_path / "out.png", 16)
    with Image.open(tmp_path / "out.png") as image:
        assert image.info["icc_profile"] == profile


def test_a_file_that_exists_is_not_replaced_by_accident(folder: Path) -> None:
    with pytest.raises(ConfigError, match="a.png: exists"):
        plan_outputs([folder / "a.png"], folder, overwrite=False)
    assert plan_outputs([folder / "b.jpg"], folder, overwrite=False) == {folder / "b.jpg": folder / "b.png"}
    assert plan_outputs([folder / "b.jpg"], folder, overwrite=True) == {folder / "b.jpg": folder / "b.png"}
