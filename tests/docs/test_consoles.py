"""README and docs/start: their commands run in order, with fewer steps, and print what the pages show."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest
from PIL import Image
from skimage import data
from snn_tool.cli.app import run
from snn_tool.errors import BackendUnavailableError
from snn_tool.exporters.lava.installation import provision_lava
from snn_tool.networks.shipped import read_card, shipped_names

ROOT = Path(__file__).parents[2]
START = ROOT / "docs" / "start"
README = ROOT / "README.md"
CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)
SMALLER = (("--max-steps 300", "--max-steps 3 --batch 2 --patch 32"), ("of 300", "of 3"))


def steps(page: Path) -> list[tuple[str, list[str]]]:
    """Commands with the lines that are shown below them."""
    consoles = CONSOLE.findall(page.read_text(encoding="utf-8"))
    blocks = [block for text in consoles for block in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]]
    return [(block.splitlines()[0], block.splitlines()[1:]) for block in blocks]


def smaller(text: str) -> str:
    for given, small in SMALLER:
        text = text.replace(given, small)
    return text


def check(command: str, lines: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(["-q", *shlex.split(smaller(command))[1:]]) == 0
    printed = capsys.readouterr().out
    text = " ".join(printed.split())
    for line in map(smaller, lines):
        pattern = re.escape(line).replace("…", ".*?")
        assert re.search(pattern, text), f"{line}\n{printed}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make_photos(folder: Path) -> None:
    """The folder that the tour makes, with small photographs."""
    (code,) = PYTHON.findall((START / "tour.md").read_text(encoding="utf-8"))
    exec(compile(code, "tour.md", "exec"), {"__name__": "example"})
    for path in (folder / "photos").iterdir():
        with Image.open(path) as image:
            small = image.crop((0, 0, 96, 96))
        small.save(path)


@pytest.fixture
def lava() -> None:
    try:
        provision_lava(print)
    except BackendUnavailableError as error:
        pytest.skip(str(error))


@pytest.mark.slow
def test_the_readme(folder: Path, lava: None, capsys: pytest.CaptureFixture[str]) -> None:
    make_photos(folder)
    Image.fromarray(data.coffee()[:48, :64]).save("photo.png")
    found = steps(README)
    assert [command.split()[1] for command, _ in found] == (
        ["restore", "restore", "distill", "quantize", "backend", "export", "energy"]
    )
    for command, lines in found:
        check(command, lines, capsys)


def test_the_quality_that_the_readme_states_is_that_of_the_cards() -> None:
    for name in ("denoise-25", "denoise-25-lif"):
        (row,) = [line for line in README.read_text(encoding="utf-8").splitlines() if f"| `{name}`," in line]
        measured = {figure["set"]: figure["integer_psnr_db"] for figure in read_card(name).figures}
        assert row.endswith(f"| **{measured['CBSD68']:.2f}** | **{measured['Set14']:.2f}** |")


@pytest.mark.slow
def test_the_tour(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_photos(folder)
    found = steps(START / "tour.md")
    assert [command.split()[1] for command, _ in found] == (
        ["distill", "quantize", "export", "verify", "evaluate", "restore", "energy"]
    )
    for command, lines in found:
        check(command, lines, capsys)
    assert {"metrics.csv", "curves.svg"} <= {path.name for path in (folder / "run").iterdir()}


@pytest.mark.slow
def test_the_first_photo(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(data.coffee()[:48, :64]).save("photo.png")
    for command, lines in steps(START / "first-photo.md"):
        check(command, lines, capsys)
    (code,) = PYTHON.findall((START / "first-photo.md").read_text(encoding="utf-8"))
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(compile(code, "first-photo.md", "exec"), {"__name__": "example"})
    assert said.getvalue() == "(48, 64, 3) uint8\n"
    assert {"denoise-blind", "derain", "dehaze", "deblur"} <= set(shipped_names())
