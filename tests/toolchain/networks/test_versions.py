"""Former versions of shipped students: kept bit for bit, named NAME@VERSION; and the seeds of a card."""

import importlib
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest
from snn_tool.cli.app import run
from snn_tool.errors import ConfigError
from snn_tool.models.integer.file import load_integer_network
from snn_tool.networks.locate import locate
from snn_tool.networks.shipped import FOLDER, read_card, shipped_names, student_path, versions_of
from snn_tool.texts.cards import card_text

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
NAME, OTHER = "denoise-25", "denoise-15"


def versions() -> ModuleType:
    if str(BENCHMARKS) not in sys.path:
        sys.path.insert(0, str(BENCHMARKS))
    return importlib.import_module("shipping.versions")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder of shipped students in which another student takes the place of the first version of NAME."""
    for path in FOLDER.glob(f"{NAME}.*"):
        shutil.copyfile(path, tmp_path / path.name)
    program, new = versions(), student_path(OTHER)
    with pytest.raises(ConfigError, match=f"{NAME}: is version 2; its recipe needs changes"):
        program.version_of(NAME, new, {}, tmp_path)
    assert program.version_of(NAME, student_path(NAME), {}, tmp_path) == 1
    assert program.version_of(OTHER, new, {}, tmp_path) == 1
    assert program.version_of(NAME, new, {"changes": ["x"]}, tmp_path) == 2
    program.keep_former(NAME, 1, tmp_path)
    assert not (tmp_path / "versions").exists()
    program.keep_former(NAME, 2, tmp_path)
    for suffix in (".safetensors", ".json"):
        shutil.copyfile(new.with_suffix(suffix), tmp_path / f"{NAME}.int{suffix}")
    card = json.loads((FOLDER / f"{OTHER}.card.json").read_text())
    card |= {"version": 2, "changes": ["For cleaner photographs."]}
    card["seeds"] = [{"seed": 3, "validation_psnr_db": 31.5}, {"seed": 0, "validation_psnr_db": 31.25}]
    card["energy"] |= {"qann_least": 0.5, "qann_most": 2.0}
    (tmp_path / f"{NAME}.card.json").write_text(json.dumps(card))
    return tmp_path


def test_both_versions_open_and_the_name_alone_is_the_newest(out: Path) -> None:
    assert shipped_names(out) == (NAME,) and versions_of(NAME, out) == (1, 2)
    former, newest = read_card(f"{NAME}@1", out), read_card(NAME, out)
    assert former.summary == read_card(NAME).summary and newest.summary == read_card(OTHER).summary
    assert (former.version, newest.version, read_card(f"{NAME}@2", out).version) == (1, 2, 2)
    for name, same in ((f"{NAME}@1", NAME), (NAME, OTHER), (f"{NAME}@2", OTHER)):
        assert student_path(name, out).read_bytes() == student_path(same).read_bytes()
    load_integer_network(student_path(f"{NAME}@1", out))  # its sidecar lies beside it
    with pytest.raises(ConfigError, match=f"no '{NAME}@3' comes with snn-tool; {NAME} has version 1 and 2"):
        read_card(f"{NAME}@3", out)


def test_a_card_says_what_changed_and_which_seeds_there_were(out: Path) -> None:
    shown = card_text(read_card(NAME, out))
    assert "version 2, " in shown and "different from version 1:\n  For cleaner photographs." in shown
    assert "validation by seed, of which the best is here: 31.50 dB (seed 3), 31.25 dB (seed 0)" in shown
    assert "its own integers on a dense array 0.5 to 2 times" in shown


def test_versions_are_named_like_students(capsys: pytest.CaptureFixture[str]) -> None:
    version = read_card(NAME).version
    assert locate(f"{NAME}@{version}").path == student_path(NAME)
    assert run(["-q", "models", f"{NAME}@{version}"]) == 0
    assert f"version {version}, " in capsys.readouterr().out
    assert run(["-q", "restore", "x.png", "--student", f"{NAME}@99"]) == 1
    assert f"{NAME} has version" in capsys.readouterr().err


def test_the_better_seed_by_validation_ships(tmp_path: Path) -> None:
    """A run's sidecar tells; another training is none."""
    own = {"seed": 0, "steps": 100, "task": {"task": "denoise"}, "validation_psnr_db": 30.0}
    for seed, psnr_db, steps in ((1, 29.9, 100), (2, 30.1, 100), (3, 29.0, 50)):
        account = own | {"seed": seed, "steps": steps, "validation_psnr_db": psnr_db}
        document = {"kind": "student", "schema": 1, "tool_version": "0", "training": account}
        (folder := tmp_path / str(seed)).mkdir()
        (folder / "student.json").write_text(json.dumps(document))
    seeds_of = versions().seeds_of
    assert [each["seed"] for each in seeds_of("x", own, [tmp_path / "1"])] == [0, 1]
    with pytest.raises(
        ConfigError, match="seed 2 is better on the validation crops, 30.100 dB against 30.000"
    ):
        seeds_of("x", own, [tmp_path / "1", tmp_path / "2"])
    with pytest.raises(ConfigError, match="another training than that of x"):
        seeds_of("x", own, [tmp_path / "3"])
    with pytest.raises(ConfigError, match="two of its runs have one seed"):
        seeds_of("x", own, [tmp_path / "1", tmp_path / "1"])
