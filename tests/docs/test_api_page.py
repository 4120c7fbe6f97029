"""The pages about Python run: python.md and training-loop.md of docs/tutorials, and the README's example."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image
from snn_tool.degradations.crops import write_demo_folders

pytestmark = pytest.mark.slow
REPOSITORY = Path(__file__).parents[2]
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
DECIBELS = 0.05


def blocks_of(page: str) -> list[str]:
    return BLOCK.findall((REPOSITORY / page).read_text(encoding="utf-8"))


def run_small(code: str, folder: Path) -> str:
    """What the code prints in a process of its own, with three steps of training and small patches."""
    code = re.sub(r"max_steps=\d+", "max_steps=3, batch=2, patch=32", code)
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_every_block_of_the_page_runs(tmp_path: Path) -> None:
    blocks = blocks_of("docs/tutorials/python.md")
    assert len(blocks) == 7
    said = run_small("\n".join(blocks), tmp_path)
    assert "Student denoise-25 (integer)" in said
    assert "divide by 255, or give uint8" in said
    assert "Report: passed" in said
    assert "first: Halves has no integers" in said
    assert (tmp_path / "energy.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_example_of_the_readme_runs(tmp_path: Path) -> None:
    (code,) = blocks_of("README.md")
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) <= 11
    write_demo_folders(tmp_path)
    (tmp_path / "test").rename(tmp_path / "photos")
    Image.open(tmp_path / "photos" / "coffee.png").crop((0, 0, 64, 48)).save(tmp_path / "photo.jpg")
    for given, small in (
        (
            'arch="nafnet", size="small"',
            'arch="unet", size="small"',
        ),  # in three steps NAFNet restores nothing
        ('"loihi", "out"', '"loihi", "out", size=16, tiles=1, verify=False'),
        ('"lava"', '"integer"'),
        ("teacher=teacher).to_html", "teacher=teacher, limit=1, crop=32, sweep=False).to_html"),
    ):
        assert given in code
        code = code.replace(given, small)
    assert "integer: exact" in run_small(code, tmp_path)
    assert (tmp_path / "energy.html").exists()


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "training_loop", REPOSITORY / "benchmarks" / "training_loop.py"
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_loop_of_40_lines_reaches_the_psnr_of_distill(benchmark: ModuleType, tmp_path: Path) -> None:
    code, _ = benchmark.loop_of_the_page()
    assert len([line for line in code.splitlines() if line.strip()]) <= 40
    images, _ = write_demo_folders(tmp_path)
    distilled, own = benchmark.compare(images, steps=60, width=4)
    assert own == pytest.approx(distilled, abs=DECIBELS)
    assert own > 18
