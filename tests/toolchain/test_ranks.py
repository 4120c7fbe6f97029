"""Two processes of torchrun share the images of `evaluate` and `energy report`: the files of one process."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from snn_tool.cli.app import run
from snn_tool.degradations.crops import read_photograph
from snn_tool.ranks import shared

PROGRAM = """
import sys
from snn_tool.cli.app import run
sys.exit(any(run(line.split("|")) for line in sys.argv[1:]))
"""


def commands(out: Path, photos: Path) -> list[list[str]]:
    student = ["--student", "denoise-25"]
    return [
        ["evaluate", *student, "--data", str(photos), "--out", str(out / "scores.json")],
        ["energy", "report", *student, "--images", str(photos), "--no-sweep", "--out", str(out / "energy")],
    ]


def test_one_process_works_on_all_in_order() -> None:
    assert shared([3, 1, 2], lambda item: item * 10, int) == [30, 10, 20]


@pytest.mark.slow
def test_two_processes_write_the_files_of_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    image = read_photograph("skimage.data", "coffee.png")
    for index in range(3):  # an odd number: the shares differ
        Image.fromarray(image[32 * index : 32 * index + 32, :40]).save(photos / f"{index}.png")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    one, two = (tmp_path / name for name in ("one", "two"))
    one.mkdir(), two.mkdir()
    assert not any(run(words) for words in commands(one, photos))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    ran = subprocess.run(
        [*launcher, str(program), *("|".join(words) for words in commands(two, photos))],
        text=True,
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    said = capsys.readouterr().out
    assert said.replace(str(one), str(two)) == ran.stdout, "one process speaks for all"
    for name in ("scores.json", "energy/energy.json", "energy/energy.html"):
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
