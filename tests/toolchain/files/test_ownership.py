"""What a command wrote it may replace; what anybody else wrote stays, in every command that writes."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data as pictures
from snn_tool.cli.app import run
from snn_tool.errors import ArtifactError, ConfigError
from snn_tool.files.artifacts import sha256_bytes, write_bytes, write_json
from snn_tool.files.ownership import (
    LEDGER,
    claim,
    disown,
    is_ours,
    of_kind,
    owned_path,
    refuse_existing,
    refuse_existing_file,
)

SMALL = ["--max-steps", "4", "--validate-every", "2", "--batch", "2", "--patch", "32", "--device", "cpu"]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    image = pictures.astronaut()
    for index, top in enumerate((0, 200)):
        for half in (0, 1):
            crop = image[top : top + 48, 100 + 60 * half : 164 + 60 * half]
            Image.fromarray(np.ascontiguousarray(crop)).save(folder / f"{index}{half}.png")
    return folder


@pytest.fixture(scope="module")
def pipeline(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student and its integers."""
    out = tmp_path_factory.mktemp("pipeline") / "student"
    assert run(["-q", "distill", "--data", f"{photographs}", "--out", f"{out}", "--width", "4", *SMALL]) == 0
    assert run(["-q", "quantize", f"{out}/student.safetensors", "--data", f"{photographs}"]) == 0
    return out.parent


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Run:
    def invoke(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return invoke


def lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / LEDGER).read_text().splitlines()]


def test_a_file_is_ours_while_it_has_what_we_wrote(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    for text in (b"one", b"two", b"one"):
        write_bytes(path, text, owned_path)
        assert is_ours(path)
    head, *entries = lines(tmp_path)
    assert (head["kind"], head["schema"]) == ("written-files", 1)
    expected = [{"file": "x.txt", "sha256": sha256_bytes(text)} for text in (b"one", b"two")]
    assert entries == expected, "what is known is not entered again"
    path.write_text("mine")
    assert not is_ours(path)
    with pytest.raises(ConfigError, match="x.txt: not written by snn-tool, or changed since"):
        write_bytes(path, b"three", owned_path)
    assert path.read_text() == "mine" and {p.name for p in tmp_path.iterdir()} == {"x.txt", LEDGER}
    path.unlink()
    os.link(tmp_path / LEDGER, path)
    assert not is_ours(path)
    path.unlink()
    (tmp_path / "target").write_bytes(b"one")
    path.symlink_to("target")
    assert not is_ours(path), "a link is nothing that this tool makes"
    for refused in (claim, disown):
        with pytest.raises(ConfigError, match="x.txt"):
            refused([path])


KILLED = """
import os, signal, sys
from pathlib import Path
from snn_tool.files.artifacts import write_bytes
from snn_tool.files.ownership import owned_path
path, moment = Path(sys.argv[1]), sys.argv[2]
replace = os.replace
def kill(source, target):
    if moment == "after":
        replace(source, target)
    os.kill(os.getpid(), signal.SIGKILL)
write_bytes(path, b"old", owned_path)
os.replace = kill
write_bytes(path, b"new", owned_path)
"""


@pytest.mark.parametrize(("moment", "left"), [("before", b"old"), ("after", b"new")])
def test_a_killed_process_still_knows_its_own(tmp_path: Path, moment: str, left: bytes) -> None:
    path = tmp_path / "out" / "x.txt"
    done = subprocess.run((sys.executable, "-c", KILLED, path, moment), capture_output=True)
    assert done.returncode == -9, done.stderr
    assert path.read_bytes() == left and is_ours(path)
    write_bytes(path, b"next", owned_path)
    assert {p.name for p in path.parent.iterdir()} == {"x.txt", LEDGER}, "what the kill left is swept"


def test_a_torn_or_foreign_line_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    write_bytes(path, b"one", owned_path)
    digest = sha256_bytes(b"mine")
    with (tmp_path / LEDGER).open("ab") as stream:
        stream.write(b'[1]\n\xff\n{"file": "y", "sha256": "short"}\n' + b"[" * 10_000 + b"\n{}\n")
        stream.write(b'{"file": "x.txt", "sha256": "' + digest.encode()[:30])
    path.write_bytes(b"mine")
    assert not is_ours(path)
    path.write_bytes(b"one")
    write_bytes(path, b"two", owned_path)
    assert is_ours(path)


def test_a_ledger_that_is_something_else(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("mine")
    (tmp_path / LEDGER).symlink_to("elsewhere")
    with pytest.raises(ConfigError, match="is no list of written files; move it away"):
        write_bytes(tmp_path / "x.txt", b"", owned_path)
    assert (tmp_path / "elsewhere").read_text() == "mine" and not (tmp_path / "x.txt").exists()


def test_several_writers_of_one_folder(tmp_path: Path) -> None:
    def fill(start: int) -> None:
        for index in range(start, 60, 3):
            write_bytes(tmp_path / f"{index}.txt", b"%d" % index, owned_path)

    threads = [threading.Thread(target=fill, args=(start,)) for start in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(is_ours(tmp_path / f"{index}.txt") for index in range(60)) and len(lines(tmp_path)) == 61


def test_names_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff\n.txt")
    write_bytes(path, b"x", owned_path)
    assert is_ours(path)


def test_existing_outputs_are_refused(tmp_path: Path) -> None:
    write_bytes(tmp_path / "used" / "x.txt", b"")
    (tmp_path / "empty").mkdir()
    write_bytes(tmp_path / "emptied" / "x.txt", b"", owned_path)
    (tmp_path / "emptied" / "x.txt").unlink()
    for path in (tmp_path / "absent", tmp_path / "empty", tmp_path / "emptied"):
        refuse_existing(path, overwrite=False)
    refuse_existing(tmp_path / "used", overwrite=True)
    with pytest.raises(ConfigError, match="used: exists and is not empty; .* pass --overwrite"):
        refuse_existing(tmp_path / "used", overwrite=False)
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match="x.txt: is a file; --out takes a folder"):
            refuse_existing(tmp_path / "used" / "x.txt", overwrite)
        with pytest.raises(ConfigError, match="used: is a folder; --out takes a file here"):
            refuse_existing_file(tmp_path / "used", overwrite)
    with pytest.raises(ConfigError, match="x.txt: exists; choose another --out or pass --overwrite"):
        refuse_existing_file(tmp_path / "used" / "x.txt", overwrite=False)
    refuse_existing_file(tmp_path / "used" / "x.txt", overwrite=True)
    refuse_existing_file(tmp_path / "absent", overwrite=False)
    write_json(tmp_path / "e.json", "evaluation", 1, {})
    refuse_existing_file(tmp_path / "e.json", True, of_kind("evaluation"), "evaluation")
    with pytest.raises(ConfigError, match="e.json: is no check of snn-tool, hence not replaced"):
        refuse_existing_file(tmp_path / "e.json", True, of_kind("sanafe-check"), "check")


@pytest.mark.parametrize("refuse", [refuse_existing, refuse_existing_file])
def test_an_output_that_cannot_be_looked_at(tmp_path: Path, refuse: Callable[[Path, bool], None]) -> None:
    with pytest.raises(
        ArtifactError, match=r"cannot be written \(File name too long\); choose another --out"
    ):
        refuse(tmp_path / ("x" * 300), False)


@pytest.mark.slow
def test_every_command_leaves_what_is_not_ours(
    call: Run, pipeline: Path, photographs: Path, tmp_path: Path
) -> None:
    """A file of the user bears the name of each that a command would write; none has written anything."""
    integers = pipeline / "student/student.int.safetensors"
    data, out = ("--data", photographs), tmp_path / "out"
    commands: dict[str, list[object]] = {
        "settings.json": ["train", *data, "--out", out, *SMALL],
        "metrics.csv": ["distill", *data, "--out", out, *SMALL],
        "checkpoints/last.ckpt": ["distill", *data, "--out", out, *SMALL],
        "checkpoints/best.ckpt": ["train", *data, "--out", out, *SMALL],
        "teacher.safetensors": ["train", *data, "--out", out, *SMALL],
        "student.json": ["distill", *data, "--out", out, *SMALL],
        "s.int.json": ["quantize", pipeline / "student/student.safetensors", *data, 
                       "--out", out / "s.int.safetensors"],
        "e.json": ["evaluate", "--student", integers, *data, "--out", out / "e.json"],
        "00.png": ["evaluate", "--student", integers, *data, "--save", out],
        "10.png": ["restore", photographs, "--student", integers, "--out", out],
        "degraded/01.png": ["degrade", "--images", photographs, "--out", out],
        "clean/01.png": ["degrade", "--images", photographs, "--out", out],
        "contact-sheet.png": ["degrade", "--images", photographs, "--out", out],
        "energy.json": ["energy", "report", "--student", integers, "--images", photographs, "--out", out],
        "energy.html": ["energy", "report", "--student", integers, "--images", photographs, "--out", out],
        "photographs/train/china.png": ["demo", "--out", out],
        "student/metrics.csv": ["demo", "--out", out],
        "loihi/bundle.json": ["demo", "--out", out],
        "restored/coffee.png": ["demo", "--out", out],
        "index.html": ["demo", "--out", out],
    }  # fmt: skip
    for name, command in commands.items():
        shutil.rmtree(out, ignore_errors=True)
        (out / name).parent.mkdir(parents=True)
        (out / name).write_text("years of work")
        code, text, err = call("-q", *command, "--overwrite")
        assert (code, text, err.count("\n")) == (1, "", 1) and f"{out / name}: " in err, (name, err)
        assert "not written by snn-tool" in err or "hence not replaced" in err, err
        left = [path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()]
        assert left == [name] and (out / name).read_text() == "years of work", name


@pytest.mark.slow
def test_what_a_command_wrote_it_replaces_until_it_is_changed(
    call: Run, pipeline: Path, photographs: Path, tmp_path: Path
) -> None:
    """Also beside files of the user; a rerun into another folder gives the same bytes, ledger included."""
    restore = ("-q", "restore", photographs, "--student", pipeline / "student/student.int.safetensors")
    out, again = tmp_path / "out", tmp_path / "again"
    assert call(*restore, "--out", out)[0] == call(*restore, "--out", again)[0] == 0
    files = sorted(path.name for path in out.iterdir())
    assert files == [".snn-tool.jsonl", "00.png", "01.png", "10.png", "11.png"]
    assert all((out / name).read_bytes() == (again / name).read_bytes() for name in files)
    (out / "album.txt").write_text("mine")
    (out / "01.png").unlink()
    assert call(*restore, "--out", out, "--overwrite")[0] == 0
    assert all((out / name).read_bytes() == (again / name).read_bytes() for name in files)
    Image.open(out / "11.png").rotate(90).save(out / "11.png")
    changed = (out / "11.png").read_bytes()
    code, _, err = call(*restore, "--out", out, "--overwrite")
    assert code == 1 and f"{out}/11.png: not written by snn-tool, or changed since" in err
    assert (out / "11.png").read_bytes() == changed and (out / "album.txt").read_text() == "mine"
    code, _, err = call(*restore, "--out", photographs, "--overwrite")
    assert code == 1 and f"{photographs}/00.png" in err and "and 1 more: not written" in err


@pytest.mark.slow
def test_a_run_replaces_a_run(call: Run, pipeline: Path, photographs: Path, tmp_path: Path) -> None:
    """One of this version by its ledger, one of an older by what its files are; never a changed one."""
    out = tmp_path / "student"
    distill = ("-q", "distill", "--data", photographs, "--out", out, "--width", 4, "--overwrite", *SMALL)
    for ledgers in (True, False):
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(pipeline / "student", out)
        (out / "thesis.tex").write_text("years")
        if not ledgers:
            for ledger in out.rglob(".snn-tool.jsonl"):
                ledger.unlink()
        code, _, err = call(*distill)
        assert code == 0, err
        assert (out / "thesis.tex").read_text() == "years"
        assert (out / "student.int.safetensors").exists(), "quantize wrote it; it is not in the way"
        with (out / "metrics.csv").open("a") as stream:
            stream.write("my own line\n")
        code, _, err = call(*distill)
        assert code == 1 and f"{out}/metrics.csv: not written by snn-tool, or changed since" in err
