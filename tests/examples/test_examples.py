"""Every script of examples/ runs, with fewer steps and smaller images, and says what it says."""

import re
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL: Mapping[str, Mapping[str, object]] = {
    "restore_and_compare": {"CROP": 128},
    "own_training_loop": {"STEPS": 5, "TEACHER_STEPS": 5, "BATCH": 2, "PATCH": 32, "SIDE": 64},
    "own_body": {"STEPS": 5, "WIDTH": 4, "SIDE": 64},
    "snntorch_classifier": {"STEPS": 60, "TIMESTEPS": 4, "EXPECTED": 4},
    "energy_section": {"CROP": 32, "TEACHER": '"unet"'},
}
CELL = re.compile(r"^# %%(?: \[markdown\])?$", re.MULTILINE)


def run(name: str, folder: Path) -> str:
    """What a script prints with its small settings, in a process and a folder of its own."""
    code = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    for setting, value in SMALL[name].items():
        code, changed = re.subn(
            rf"^((?:\w+, )*){setting}((?:, \w+)*) = .*$",
            lambda found, value=value: assigned(found[0], setting, value),  # noqa: B023
            code,
            flags=re.MULTILINE,
        )
        assert changed == 1, setting
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def assigned(line: str, setting: str, value: object) -> str:
    """The line that sets it, also as one of several names, with another value."""
    names, _, values = line.partition(" = ")
    at, old = names.split(", ").index(setting), values.partition("  #")[0].split(", ")
    return f"{names} = {', '.join(str(value) if i == at else each for i, each in enumerate(old))}"


def decibels(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"(-?\d+\.\d+)(?= dB| ->)", text)]


def test_every_script_is_listed_and_a_notebook() -> None:
    scripts = {path.stem for path in EXAMPLES.glob("*.py")}
    assert scripts == set(SMALL)
    listed = re.findall(r"^\| `(\w+)\.py` \|", (EXAMPLES / "README.md").read_text(), re.MULTILINE)
    assert set(listed) == scripts
    for name in scripts:
        text = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
        assert "format_name: percent" in text.splitlines()[3]
        cells = CELL.split(text.partition("# ---\n\n")[2])
        assert len(cells) > 6 and "# # " in text, "a title, cells of text and of code"


@pytest.mark.slow
def test_restore_and_compare(tmp_path: Path) -> None:
    noisy, restored = decibels(run("restore_and_compare", tmp_path))
    assert noisy == pytest.approx(20 * np.log10(255 / 25), abs=0.7), "clipping takes some of the noise away"
    assert restored > noisy + 6
    with Image.open(tmp_path / "restored.png") as picture:
        assert picture.size == (3 * 128, 128)


@pytest.mark.slow
def test_own_training_loop(tmp_path: Path) -> None:
    said = run("own_training_loop", tmp_path)
    assert "terms l1, fft, output, hints" in said
    assert "nir: exact, 0 of" in said and "integer: exact, 0 of" in said
    assert all(np.isfinite(decibels(said)))


@pytest.mark.slow
def test_own_body(tmp_path: Path) -> None:
    said = run("own_body", tmp_path)
    weights = 5 * 5 * 3 * 4 + 4 * 9 * 4 * 4 + 9 * 4 * 3
    parameters = int(re.findall(r"^([\d,]+) parameters", said, re.MULTILINE)[0].replace(",", ""))
    assert weights <= parameters <= weights + 40, "the kernels of six synapses, and little beside"
    assert "nir: exact, 0 of" in said and "integer: exact, 0 of" in said


@pytest.mark.slow
@pytest.mark.skipif(find_spec("snntorch") is None, reason="pip install snntorch")
def test_snntorch_classifier(tmp_path: Path) -> None:
    said = run("snntorch_classifier", tmp_path)
    accuracies = re.search(r"snntorch (\d+\.\d+)%, integers (\d+\.\d+)%", said)
    assert accuracies is not None
    before, after = map(float, accuracies.groups())
    assert before > 60 and abs(before - after) < 5, "ten classes: a guess has 10 %"
    assert "integer: exact, 0 of" in said and "nir: exact, 0 of" in said


@pytest.mark.slow
def test_energy_section(tmp_path: Path) -> None:
    said = run("energy_section", tmp_path)
    assert "published models (Table~\\ref{tab:energy})" in said
    table = (tmp_path / "energy/energy-table.tex").read_text()
    assert "\\label{tab:energy}" in table and "exact-ops" in table
    assert (tmp_path / "energy/energy-section.tex").read_text().endswith("\\input{energy-table}\n")
