"""Two processes of torchrun share the images of `evaluate` and `energy report`: the files of one process."""

import os
import socket
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


def started(program: Path, words: list[str], rank: int, count: int, folder: Path) -> "subprocess.Popen[str]":
    """One process with torchrun's environment, without torchrun, which would import torch once more."""
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(folder), "OMP_NUM_THREADS": 1}
    return subprocess.Popen(
        [sys.executable, str(program), *words],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {key: str(value) for key, value in (place | meeting).items()},
    )


def free_port(folder: Path) -> int:
    """A port that nobody listens at; the same for all processes of a folder."""
    known = folder / "port"
    if not known.exists():
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            known.write_text(str(probe.getsockname()[1]))
    return int(known.read_text())


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
    words = ["|".join(words) for words in commands(two, photos)]
    first, *others = [started(program, words, rank, 2, tmp_path) for rank in range(2)]
    said_by_first, errors = first.communicate(timeout=300)
    for other in others:
        assert other.communicate(timeout=60) == ("", "") and other.returncode == 0
    assert first.returncode == 0, errors
    said = capsys.readouterr().out
    assert said.replace(str(one), str(two)) == said_by_first, "one process speaks for all"
    for name in ("scores.json", "energy/energy.json", "energy/energy.html"):
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
