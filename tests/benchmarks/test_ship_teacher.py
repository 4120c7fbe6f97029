"""Shipping a teacher, and a shipped teacher by name; a tiny one, in a folder of its own."""

import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import snn_tool as st
import torch
from PIL import Image
from safetensors.numpy import load_file
from snn_tool.cli.app import run
from snn_tool.degradations.crops import read_photograph
from snn_tool.errors import ConfigError
from snn_tool.files.artifacts import sha256_file
from snn_tool.networks import teachers
from snn_tool.networks.open import open_teacher

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
NAME = "tiny-nafnet"
BUILD = {"width": 4, "encoder_blocks": [1], "middle_blocks": 1, "decoder_blocks": [1]}
Capture = pytest.CaptureFixture[str]
pytestmark = pytest.mark.slow


def program() -> ModuleType:
    if str(BENCHMARKS) not in sys.path:
        sys.path.insert(0, str(BENCHMARKS))
    return importlib.import_module("ship_teacher")


@pytest.fixture(scope="module", autouse=True)
def no_pictures() -> Iterator[None]:
    """Curves are drawn in tests of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("snn_tool.training.fit.write_curves", lambda log: log)
        yield


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    for index, name in enumerate(("chelsea.png", "coffee.png", "astronaut.png")):
        crop = read_photograph("skimage.data", name)[100:140, 120:168]
        Image.fromarray(np.ascontiguousarray(crop)).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def trained(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "T"
    options = [f"--option={key}={json.dumps(value)}" for key, value in BUILD.items()]
    sizes = "--arch nafnet --patch 16 --batch 2 --max-steps 24 --validate-every 24 --lr 0.01 --precision fp32"
    run(["-q", "train", "--data", str(images), "--out", str(folder), *options, *sizes.split()])
    return folder


@pytest.fixture(scope="module")
def shipped(trained: Path, images: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of shipped teachers, with one in it."""
    out = tmp_path_factory.mktemp("teachers")
    asked = f"{trained} {NAME} --summary tiny --data {images} --test photos={images} --out {out}"
    program().ship(program()._arguments([*asked.split(), "--most-loss", "1"]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(teachers, "FOLDER", out)
        yield out


def test_the_file_holds_half_precision_and_opens_in_float32(shipped: Path, trained: Path) -> None:
    """Every weight is the nearest float16 of the trained one, and the file half as large."""
    files = trained / "teacher.safetensors", shipped / f"{NAME}.safetensors"
    before, after = map(load_file, files)
    assert {values.dtype for values in after.values()} == {np.dtype("float16")}
    opened = open_teacher(NAME).network.state_dict()
    for name, values in before.items():
        assert opened[name].dtype == torch.float32
        np.testing.assert_array_equal(opened[name].numpy(), values.astype(np.float16).astype(np.float32))


def test_the_card_says_what_was_measured(shipped: Path, images: Path, capsys: Capture) -> None:
    """Its figures are those of `evaluate`, by the teacher's name; its command is that of the training."""
    card = teachers.read_teacher_card(NAME)
    assert run(["-q", "--json", "evaluate", "--teacher", NAME, "--data", str(images)]) == 0
    scored = json.loads(capsys.readouterr().out)
    (figure,) = card.figures
    assert figure["half_psnr_db"] == scored["mean"]["psnr_db"]
    assert figure["half_psnr_std_db"] == scored["standard_deviation"]["psnr_db"]
    assert scored["teacher_sha256"] == sha256_file(card.path)
    assert abs(figure["half_psnr_db"] - figure["float32_psnr_db"]) < 0.05
    assert card.validation is not None and card.validation["crops"] == 1
    assert card.parameters == sum(values.size for values in load_file(card.path).values())
    (command,) = card.recipe
    for words in ("--option encoder_blocks=[1] ", "--max-steps 24 ", " --lr 0.01 ", "--strength 25 "):
        assert words in command


def test_models_lists_it_apart_and_shows_its_card(shipped: Path, capsys: Capture) -> None:
    assert run(["models"]) == 0
    listed = capsys.readouterr().out
    assert re.search(rf"Teachers, .*\n(.*\n)*.*{NAME}", listed)
    assert max(map(len, listed.splitlines())) <= 80
    assert run(["models", NAME]) == 0
    shown, card = capsys.readouterr().out, teachers.read_teacher_card(NAME)
    assert f"{card.figures[0]['half_psnr_db']:.3f}" in shown and card.recipe[0] in shown
    assert run(["--json", "models", NAME]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in document["teachers"]] == [NAME] and not document["students"]


def test_it_is_taken_by_name(shipped: Path, images: Path, tmp_path: Path, capsys: Capture) -> None:
    """By distill, the energy report, and Python."""
    sizes = "--patch 16 --batch 2 --max-steps 2 --validate-every 2 --width 4 --precision fp32"
    common = ["-q", "distill", "--data", str(images), *sizes.split()]
    assert run([*common, "--teacher", NAME, "--out", str(tmp_path / "run")]) == 0
    settings = json.loads((tmp_path / "run" / "settings.json").read_text())
    assert settings["teacher"] == sha256_file(shipped / f"{NAME}.safetensors")
    assert [pair["teacher"] for pair in settings["hints"]] == ["decoder1", "decoder1"]
    teacher = st.load(NAME)
    assert isinstance(teacher, st.Teacher)
    assert teacher.parameters == teachers.read_teacher_card(NAME).parameters
    audited = f"--student denoise-25 --teacher {NAME} --images {images} --crop 32 --no-sweep --limit 1"
    assert run(["-q", "energy", "report", *audited.split(), "--out", str(tmp_path / "energy")]) == 0
    assert "nafnet, width 4" in (tmp_path / "energy" / "energy.json").read_text()


def test_rounding_that_costs_much_is_refused(trained: Path, images: Path, tmp_path: Path) -> None:
    asked = f"{trained} {NAME} --summary tiny --test photos={images} --out {tmp_path} --most-loss -1"
    with pytest.raises(ConfigError, match=f"{NAME} is not filed: rounding costs"):
        program().ship(program()._arguments(asked.split()))
    assert not list(tmp_path.iterdir())
