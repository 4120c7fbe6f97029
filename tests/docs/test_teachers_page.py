"""docs/guides/teachers.md: its code is run, its commands are called, and what they print is compared."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from snn_tool.cli.app import run
from snn_tool.degradations.crops import read_photograph
from snn_tool.models.teachers.registry import build_teacher

PAGE = (Path(__file__).parents[2] / "docs/guides/teachers.md").read_text(encoding="utf-8")
CODE = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
CONSOLES = re.findall(r"```console\n(.*?)```", PAGE, flags=re.DOTALL)
BESIDE_THE_PAGE = """

def byte_range():
    return nn.Sequential(Scaled())


class Scaled(nn.Module):
    def forward(self, image):
        return 255 * image
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The page's network and graph, weights that make it nearly the identity, and photographs."""
    path, before = tmp_path_factory.mktemp("page"), (Path.cwd(), list(sys.path))
    (path / "mynet.py").write_text(CODE[0] + BESIDE_THE_PAGE)
    os.chdir(path)
    sys.path.insert(0, str(path))
    import mynet  # type: ignore[import-not-found]

    torch.manual_seed(0)
    state = {name: (0.01 if "tail" in name else 1) * t for name, t in mynet.denoiser().state_dict().items()}
    torch.save({"params": state}, "mynet.pth")
    renamed = {name.replace("tail.bias", "last.bias"): tensor for name, tensor in state.items()}
    torch.save(renamed, "other.pth")
    torch.save(mynet.denoiser(), "pickled.pth")
    options = {"width": 8, "encoder_blocks": [1, 1], "middle_blocks": 1, "decoder_blocks": [1, 1]}
    nafnet = build_teacher("nafnet", options)
    torch.save(
        {"params": {n: t * 0.01 if "ending" in n else t for n, t in nafnet.state_dict().items()}},
        "official.pth",
    )
    Path("photos").mkdir()
    for name in ("chelsea.png", "coffee.png", "rocket.jpg"):
        crop = read_photograph("skimage.data", name)[100:180, 100:180]
        Image.fromarray(np.ascontiguousarray(crop)).save(f"photos/{name[:-4]}.png")
    subprocess.run([sys.executable, "-c", CODE[1]], check=True, capture_output=True, cwd=path)
    yield path
    os.chdir(before[0])
    sys.path[:] = before[1]


def steps(console: str) -> list[tuple[str, list[str]]]:
    """Commands with the lines that follow them."""
    blocks = re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]
    return [(block.splitlines()[0], block.splitlines()[1:]) for block in blocks]


COMMANDS = [step for console in CONSOLES for step in steps(console)]


@pytest.mark.slow
@pytest.mark.parametrize(("command", "lines"), COMMANDS, ids=[str(i) for i in range(len(COMMANDS))])
def test_the_page_says_what_happens(
    folder: Path, command: str, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    if "spandrel" in command and find_spec("spandrel") is None:
        pytest.skip("pip install --no-deps spandrel einops")
    small = ["--batch", "2", "--device", "cpu", "--validate-every", "4"]
    code = run([*command.removeprefix("snn-tool ").split(), *small])
    printed = " ".join("".join(capsys.readouterr()).split())
    assert code == (1 if lines[-1].startswith("error: ") else 0), printed
    for line in lines:
        assert re.search(re.escape(line.rstrip("…")).replace("…", r"\S+"), printed), f"{line}\n{printed}"


def test_the_page_has_examples_and_names_every_form() -> None:
    assert (len(CODE), len(COMMANDS)) == (2, 8)
    forms: list[Callable[[str], bool]] = [lambda c, f=f: f in c for f in (".onnx", "mynet:", "spandrel")]  # type: ignore[misc]
    assert all(any(form(command) for command, _ in COMMANDS) for form in forms)
