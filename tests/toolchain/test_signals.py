"""Real processes meet real signals, at moments that matter: what they leave, and what outlives them."""

import contextlib
import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from snn_tool.exporters.contract.process import run_group
from snn_tool.files.ownership import LEDGER
from snn_tool.files.temporaries import PARTS, temporary_folder
from snn_tool.signals import Stopped, stoppable

WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}
STOPPING = tuple(WORDS)
ALL = (*STOPPING, signal.SIGKILL)
ANSWER = {
    "lava": "0.10.0",
    "python": "3.10.99",
    "numpy": "1.26.4",
    "shimmed": False,
    "lava_dl": "0.6.0",
    "netx_fault": "",
}


def script(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{body}\n")
    path.chmod(0o755)
    return path


def slow(journal: Path) -> str:
    """Shell lines that note their process and a child's, and then take a minute that ignores SIGHUP."""
    noted = f"echo $! $$ > {journal}.part; mv {journal}.part {journal}"
    return f"trap '' HUP; (trap '' TERM; sleep 60) & {noted}; sleep 60"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A cache, a home and a place for temporary files that are empty."""
    (tmp_path / "tmp").mkdir()
    places = {"TMPDIR": "tmp", "XDG_CACHE_HOME": "cache", "HOME": "home"}
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SNN_TOOL")}
    return {**kept, "OMP_NUM_THREADS": "1", **{key: str(tmp_path / name) for key, name in places.items()}}


def start(environment: dict[str, str], *arguments: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "snn_tool", *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def wait_for(found: Callable[[], object], process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 90
    while not found():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "it does not get there"
        time.sleep(0.02)


def ended(process: "subprocess.Popen[str]", number: signal.Signals) -> str:
    """Send a signal, check how the process ends, and return its stderr."""
    process.send_signal(number)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number), stderr
    if number != signal.SIGKILL:
        assert stderr.startswith(WORDS[number]) and stderr.count("\n") == 1, stderr
    return stderr


def assert_gone(journal: Path) -> None:
    deadline = time.monotonic() + 8
    for pid in map(int, journal.read_text().split()):
        while Path(f"/proc/{pid}").exists() if sys.platform == "linux" else _runs(pid):
            assert time.monotonic() < deadline, f"process {pid} outlives its starter"
            time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough images that a run over them is met in its middle."""
    folder = tmp_path_factory.mktemp("many")
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for index in range(400):
        Image.fromarray(np.roll(pixels, index, 0)).save(folder / f"{index:03}.png")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("number", ALL)
def test_restore(environment: dict[str, str], many: Path, tmp_path: Path, number: signal.Signals) -> None:
    """What is finished stays and is whole; what is unfinished goes, at the latest at the next start."""
    out = tmp_path / "out"
    process = start(environment, "-q", "restore", many, "--out", out)
    wait_for(lambda: len(list(out.glob("*.png"))) > 2, process)
    ended(process, number)
    done = {path.name for path in out.iterdir()} - {LEDGER}
    finished = {name for name in done if name.endswith(".png")}
    assert 2 < len(finished) < 400
    if number != signal.SIGKILL:
        assert done == finished
        return
    (out / ".snn-tool-deadbeef.part").mkdir()
    one = next(iter(finished))
    code, _, err = run_to_end(environment, "-q", "restore", many / one, "--out", out, "--overwrite")
    assert code == 0, err
    assert not [path for path in out.iterdir() if PARTS.fullmatch(path.name)]
    assert {path.name for path in out.iterdir()} == {*finished, LEDGER}


def run_to_end(environment: dict[str, str], *arguments: object) -> tuple[int, str, str]:
    process = start(environment, *arguments)
    out, err = process.communicate(timeout=90)
    return process.returncode, out, err


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("number", ALL[1:])
def test_export_while_lava_runs(environment: dict[str, str], tmp_path: Path, number: signal.Signals) -> None:
    journal = tmp_path / "journal"
    body = f"case \"$*\" in *--probe*) echo '{json.dumps(ANSWER)}' ;; *) {slow(journal)} ;; esac"
    environment["SNN_TOOL_LAVA_PYTHON"] = str(script(tmp_path / "bin" / "python", body))
    export = ("-q", "export", "denoise-25", "--target", "loihi", "--out", tmp_path / "out", "--size", 16)
    process = start(environment, *export, "--tiles", 1)
    wait_for(journal.exists, process)
    ended(process, number)
    assert_gone(journal)
    left = [path.name for path in (tmp_path / "tmp").glob("snn-tool-*")]
    kinds = {name.rpartition("-")[0] for name in left}
    assert len(kinds) == len(left) and kinds <= {"snn-tool-lava", "snn-tool-export"}, left
    assert ("snn-tool-lava" in kinds) == (number == signal.SIGKILL), left
    assert kinds == set() or number == signal.SIGKILL, left
    assert not list(tmp_path.glob(".snn-tool-*"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", environment["TMPDIR"])
        with temporary_folder("other") as mine:
            assert [path.name for path in (tmp_path / "tmp").glob("snn-tool-*")] == [mine.name]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(
    ("moment", "number"), [*(("-m pip", number) for number in ALL), ("-m venv", signal.SIGTERM)]
)
def test_backend_install(
    environment: dict[str, str], tmp_path: Path, moment: str, number: signal.Signals
) -> None:
    """No pip and no stage is left, after SIGKILL when the next installation starts."""
    journal, cache = tmp_path / "journal", tmp_path / "cache" / "snn-tool"
    environment["PATH"] = str(tmp_path / "bin")
    body = f"""
case "$*" in
  *version_info*) echo True ;;
  *"{moment}"*) {slow(journal)} ;;
  *"-m venv"*) for f; do :; done; mkdir -p "$f/bin"; cp "$0" "$f/bin/python" ;;
  *) exit 1 ;;
esac"""
    script(tmp_path / "bin" / "python3.10", body)
    process = start(environment, "backend", "install", "lava")
    wait_for(journal.exists, process)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number), stderr
    assert number == signal.SIGKILL or stderr.splitlines()[-1] == WORDS[number]
    assert_gone(journal)
    names = sorted(path.name for path in cache.iterdir())
    if number != signal.SIGKILL:
        assert names == ["lava.lock"]
        return
    assert len(names) == 2 and names[0].startswith(".lava.")
    environment["SNN_TOOL_LAVA_PYTHON"] = str(script(tmp_path / "own", f"echo '{json.dumps(ANSWER)}'"))
    code, _, err = run_to_end(environment, "backend", "install", "lava")
    assert code == 0, err
    assert [path.name for path in cache.iterdir()] == ["lava.lock"]


@pytest.mark.slow
def test_a_closed_terminal(environment: dict[str, str], many: Path, tmp_path: Path) -> None:
    """Nothing can be written any more, and still the end is in order."""
    out = tmp_path / "out"
    command = [sys.executable, "-m", "snn_tool", "restore", str(many), "--out", str(out)]
    master, terminal = pty.openpty()
    process = subprocess.Popen(
        command, env=environment, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(terminal)
    deadline = time.monotonic() + 90
    while len(list(out.glob("*.png"))) < 3:
        assert process.poll() is None and time.monotonic() < deadline
        os.set_blocking(master, False)
        with contextlib.suppress(BlockingIOError):
            os.read(master, 1 << 16)
        time.sleep(0.02)
    os.close(master)
    assert process.wait(timeout=30) == 129
    assert {path.suffix for path in out.iterdir()} == {".png", ".jsonl"}


@pytest.mark.slow
def test_under_nohup_a_closed_terminal_ends_nothing(
    environment: dict[str, str], many: Path, tmp_path: Path
) -> None:
    out, inputs = tmp_path / "out", sorted(many.iterdir())[:60]
    command = ["nohup", sys.executable, "-m", "snn_tool", "-q", "restore", *inputs, "--out", out]
    process = subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE)
    wait_for(lambda: list(out.glob("*.png")), process)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=90)
    assert process.returncode == 0 and len(list(out.glob("*.png"))) == 60


STOPPED_ONCE = """
import os, shutil, sys
from pathlib import Path
from snn_tool.files.artifacts import write_text
from snn_tool.signals import Stopped
module, name, late = {"os": os, "shutil": shutil}[sys.argv[2]], sys.argv[3], sys.argv[4] == "late"
real = getattr(module, name)
def stop(*given, **options):
    if name == "mkdir" and ".snn-tool-" not in str(given[0]):
        return real(*given, **options)
    setattr(module, name, real)
    if late:
        real(*given, **options)
    raise Stopped(15)
setattr(module, name, stop)
try:
    write_text(Path(sys.argv[1]) / "x.txt", "x")
except Stopped:
    sys.exit(143)
"""


@pytest.mark.parametrize(
    ("module", "name"), [("os", "mkdir"), ("os", "open"), ("shutil", "rmtree"), ("os", "replace")]
)
@pytest.mark.parametrize("when", ["early", "late"])
def test_an_exception_at_any_moment_leaves_no_part(tmp_path: Path, module: str, name: str, when: str) -> None:
    """A signal raises wherever the program is, between a folder's making and its `try`, too."""
    arguments = (sys.executable, "-c", STOPPED_ONCE, tmp_path, module, name, when)
    assert subprocess.run(arguments).returncode == 143
    assert {path.name for path in tmp_path.iterdir()} <= {"x.txt"}


def test_signals_that_follow_do_not_disturb_the_end() -> None:
    """A closed terminal sends several. The handlers before are there again afterwards."""
    before = [signal.getsignal(number) for number in STOPPING]
    cleaned = False
    with pytest.raises(Stopped) as caught, stoppable():
        try:
            signal.raise_signal(signal.SIGHUP)
        finally:
            for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGHUP):
                signal.raise_signal(number)
            cleaned = True
    assert cleaned and (caught.value.code, str(caught.value)) == (129, "hung up")
    assert [signal.getsignal(number) for number in STOPPING] == before


@pytest.mark.parametrize("times", [1, 3])
def test_a_signal_that_comes_in_a_destructor_is_not_lost(
    times: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """Python drops what a destructor raises; the signal comes once more when that is over."""

    class Interrupted:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGHUP)

    before = sys.unraisablehook
    with pytest.raises(Stopped, match="hung up"), stoppable():
        things = [Interrupted() for _ in range(times)]
        while things:
            things.pop()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            pass
        pytest.fail("it is lost")
    assert sys.unraisablehook is before and "ignored" not in capfd.readouterr().err


@pytest.mark.slow
def test_a_signal_that_a_library_swallowed_counts_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snn_tool.signals.PATIENCE_S", 0.1)
    with pytest.raises(Stopped), stoppable():
        try:
            signal.raise_signal(signal.SIGTERM)
        except Stopped:
            time.sleep(0.2)
        signal.raise_signal(signal.SIGTERM)
        pytest.fail("it is lost for ever")


@pytest.mark.slow
def test_a_second_interrupt_ends_at_once(environment: dict[str, str]) -> None:
    body = (
        "import os, signal, time\nfrom snn_tool.signals import stoppable\n"
        "with stoppable():\n"
        "    try:\n        signal.raise_signal(signal.SIGINT)\n"
        "    finally:\n        signal.raise_signal(signal.SIGINT)\n        time.sleep(30)"
    )
    done = subprocess.run([sys.executable, "-c", body], env=environment, timeout=20, capture_output=True)
    assert done.returncode == -signal.SIGINT


@pytest.fixture
def starter(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that runs a program which takes a minute, in a group that has a child of its own."""
    program = script(tmp_path / "program", slow(tmp_path / "journal"))
    body = (
        "import sys; from snn_tool.exporters.contract.process import run_group; "
        "run_group([sys.argv[1]], timeout_s=60)"
    )
    process = subprocess.Popen([sys.executable, "-c", body, program], text=True)
    wait_for((tmp_path / "journal").exists, process)
    yield process
    process.kill()
    process.wait()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_program_that_watches_nothing_ends_with_its_starter(
    tmp_path: Path, starter: "subprocess.Popen[str]"
) -> None:
    starter.kill()
    assert_gone(tmp_path / "journal")


@pytest.mark.slow
def test_a_program_ends_as_it_would_alone(tmp_path: Path) -> None:
    """Exit codes and signals pass through; stdin is empty; SIGTERM is not ignored by what is started."""
    for body, code in (("exit 7", 7), ("kill -9 $$", -9), ("kill -TERM $$; sleep 5", -15), ("exit 127", 127)):
        assert run_group([script(tmp_path / "program", body)], timeout_s=10).code == code
    assert run_group([script(tmp_path / "program", "cat; echo end")], timeout_s=10).stdout == "end\n"
