"""Finding and provisioning Lava's interpreter, with interpreters that are small shell scripts."""

import json
import os
import stat
import sys
import threading
import time
from pathlib import Path

import pytest
from snn_tool.errors import BackendUnavailableError
from snn_tool.exporters.contract import process as process_group
from snn_tool.exporters.contract.process import run_group
from snn_tool.exporters.lava import environment as lava_environment
from snn_tool.exporters.lava.environment import (
    RUNNER,
    VARIABLE,
    clean_variables,
    find_lava,
    lava_folder,
    probe,
)
from snn_tool.exporters.lava.installation import pip_steps, provision_lava

ANSWER = {
    "lava": "0.10.0",
    "python": "3.10.99",
    "numpy": "1.26.4",
    "shimmed": False,
    "lava_dl": "0.6.0",
    "netx_fault": "",
}
WORKS = f"echo '{json.dumps(ANSWER)}'"
WITHOUT_NETX = f"echo '{json.dumps({**ANSWER, 'lava_dl': '', 'netx_fault': 'lava-dl is not installed'})}'"


def script(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{body}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def complete_python(path: Path, journal: Path) -> Path:
    """Makes environments that are copies of itself, 'installs', and answers a probe only after that."""
    body = f"""
case "$*" in
  *version_info*) echo True ;;
  *"-m venv"*) echo venv >> {journal}; for f; do :; done; mkdir -p "$f/bin"; cp "$0" "$f/bin/python" ;;
  *"-m pip install"*) sleep 0.3; echo "$*" >> {journal}; : > "$(dirname "$0")/installed" ;;
  *--probe*) [ -e "$(dirname "$0")/installed" ] && {WORKS} ;;
esac"""
    return script(path, body)


@pytest.fixture(autouse=True)
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home, a cache and a PATH in which there is nothing; short time limits."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(lava_environment, "PROBE_S", 1.0)
    monkeypatch.setattr(process_group, "TERMINATE_S", 0.5)
    monkeypatch.setattr(sys, "executable", str(script(tmp_path / "running", "echo no venv here >&2; exit 1")))


def test_nothing_is_found_where_nothing_is() -> None:
    assert find_lava() is None


def test_the_variable_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path / "bin" / "python3.10", WORKS)
    found = find_lava()
    assert found is not None and found.origin == "python3.10 on PATH"
    chosen = script(tmp_path / "chosen", WORKS.replace("3.10.99", "3.10.1"))
    monkeypatch.setenv(VARIABLE, str(chosen))
    found = find_lava()
    assert found is not None
    assert (found.python, found.origin, found.python_version) == (chosen, VARIABLE, "3.10.1")
    assert (found.version, found.shimmed) == ("0.10.0", False)


def test_a_broken_variable_is_an_error_not_a_fallback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path / "bin" / "python3.10", WORKS)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "missing"))
    with pytest.raises(BackendUnavailableError, match=f"{VARIABLE}=.*does not start.*unset it"):
        find_lava()
    with pytest.raises(BackendUnavailableError, match=VARIABLE):
        provision_lava(print)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("echo 'ModuleNotFoundError: lava' >&2; exit 3", "exit code 3: ModuleNotFoundError: lava"),
        ("kill -9 $$", "exit code -9"),
        ("sleep 60 & sleep 60", "did not finish within 1 s"),
        ("echo Python 3.10 welcomes you", "does not answer as a Python with Lava"),
        ("echo '[1, 2]'", "does not answer as a Python with Lava"),
        ("", "does not answer as a Python with Lava"),
    ],
)
def test_what_fails_to_answer_is_refused(tmp_path: Path, body: str, complaint: str) -> None:
    python = script(tmp_path / "bin" / "python3.10", body)
    with pytest.raises(BackendUnavailableError, match=complaint) as caught:
        probe(python, "test")
    assert "\n" not in str(caught.value)
    assert find_lava() is None


def test_pyenv_versions_are_tried_newest_first(tmp_path: Path) -> None:
    for version, body in (("3.10.4", WORKS), ("3.10.9", "exit 1"), ("3.11.2", WORKS)):
        script(tmp_path / "home" / ".pyenv" / "versions" / version / "bin" / "python", body)
    found = find_lava()
    assert found is not None and found.origin == "pyenv 3.10.4"


@pytest.mark.slow
def test_provisioning_installs_once_for_calls_that_overlap(tmp_path: Path) -> None:
    complete_python(tmp_path / "bin" / "python3.10", tmp_path / "journal")
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(provision_lava(lambda _: None))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal = (tmp_path / "journal").read_text().splitlines()
    assert len([line for line in journal if line == "venv"]) == 1
    assert [line.split("install ")[1] for line in journal if line != "venv"] == [
        "--disable-pip-version-check --no-input lava-nc==0.10.0 numpy<2 h5py",
        "--disable-pip-version-check --no-input --ignore-requires-python --no-deps lava-dl==0.6.0",
    ]
    assert [environment.python for environment in found] == [lava_folder() / "bin" / "python"] * 3
    assert sorted(path.name for path in lava_folder().parent.iterdir()) == ["lava", "lava.lock"]
    again = find_lava()
    assert again is not None and again.origin == "cached environment"


@pytest.mark.slow
def test_a_damaged_cache_is_replaced(tmp_path: Path) -> None:
    complete_python(tmp_path / "bin" / "python3.10", tmp_path / "journal")
    script(lava_folder() / "bin" / "python", "exit 1")
    (lava_folder() / "old").touch()
    assert provision_lava(lambda _: None).python == lava_folder() / "bin" / "python"
    assert not (lava_folder() / "old").exists()


@pytest.mark.slow
def test_the_running_python_is_the_last_resort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = complete_python(tmp_path / "running", tmp_path / "journal")
    monkeypatch.setattr(sys, "executable", str(running))
    lines: list[str] = []
    assert "unsupported Python, shimmed" in provision_lava(lines.append).origin
    assert len(lines) == 2 and "unsupported Python, shimmed" in lines[0]
    assert lines[1] == "adding lava-dl==0.6.0 for .net files"
    assert "--ignore-requires-python --no-deps lava-nc==0.10.0" in (tmp_path / "journal").read_text()


def cached_python(journal: Path, pip: str) -> Path:
    """A cached environment with Lava that 'installs' lava-dl by `pip`, and answers for it only after that."""
    body = f"""
case "$*" in
  *"-m pip install"*) sleep 0.3; echo "$*" >> {journal}; {pip} || exit 1; : > "$(dirname "$0")/lava-dl" ;;
  *--probe*) if [ -e "$(dirname "$0")/lava-dl" ]; then {WORKS}; else {WITHOUT_NETX}; fi ;;
esac"""
    return script(lava_folder() / "bin" / "python", body)


@pytest.mark.slow
def test_an_older_cached_environment_is_completed_once(tmp_path: Path) -> None:
    """By calls that overlap; Lava itself is not installed again."""
    python = cached_python(tmp_path / "journal", "true")
    before = find_lava()
    assert before is not None and (before.lava_dl, before.netx_fault) == ("", "lava-dl is not installed")
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(provision_lava(lambda _: None))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(one.python, one.lava_dl, one.netx_fault) for one in found] == [(python, "0.6.0", "")] * 3
    assert (tmp_path / "journal").read_text().splitlines() == [
        "-m pip install --disable-pip-version-check --no-input "
        "--ignore-requires-python --no-deps lava-dl==0.6.0"
    ]


@pytest.mark.slow
def test_without_lava_dl_lava_goes_on(tmp_path: Path) -> None:
    python = cached_python(tmp_path / "journal", "{ echo no network >&2; false; }")
    lines: list[str] = []
    found = provision_lava(lines.append)
    assert (found.python, found.version, found.lava_dl) == (python, "0.10.0", "")
    assert lines[-1] == "without lava-dl==0.6.0: pip install: exit code 1: no network"


def test_a_python_that_is_not_ours_is_left_as_it_is(tmp_path: Path) -> None:
    script(tmp_path / "bin" / "python3.10", f'case "$*" in *--probe*) {WITHOUT_NETX} ;; *) exit 9 ;; esac')
    lines: list[str] = []
    assert provision_lava(lines.append).origin == "python3.10 on PATH"
    assert lines == []


@pytest.mark.slow
def test_failure_names_every_attempt_and_the_remedy(tmp_path: Path) -> None:
    failing = (
        'case "$*" in *version_info*) echo True; exit 0 ;; '
        '*pip*) echo "no matching distribution" >&2; exit 1 ;; esac'
    )
    script(
        tmp_path / "bin" / "python3.10",
        failing + '\nfor f; do :; done; mkdir -p "$f/bin"; cp "$0" "$f/bin/python"',
    )
    script(tmp_path / "bin" / "uv", "echo no network >&2; exit 2")
    with pytest.raises(BackendUnavailableError) as caught:
        provision_lava(lambda _: None)
    message = str(caught.value)
    for part in (
        "python3.10 on PATH: pip install: exit code 1: no matching distribution",
        "uv with Python 3.10: ",
        "exit code 2: no network",
        "shimmed): ",
        "no venv here",
        "snn-tool backend install lava",
        VARIABLE,
    ):
        assert part in message
    assert "\n" not in message
    assert [path.name for path in lava_folder().parent.iterdir()] == ["lava.lock"]


def test_python_variables_do_not_cross_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    variables = clean_variables()
    assert "PYTHONPATH" not in variables
    assert variables["OMP_NUM_THREADS"] == "1"


def test_the_runner_is_shipped_alone() -> None:
    """Lava's compiler executes every .py file beside a process: none of them may belong to this package."""
    names = {path.name for path in RUNNER.parent.glob("*.py")}
    assert names == {
        "run.py",
        "copies.py",
        "processes.py",
        "deployment.py",
        "fast_conv.py",
        "shim.py",
        "netx_deployment.py",
    }
    for path in RUNNER.parent.glob("*.py"):
        assert "snn_tool" not in path.read_text(encoding="utf-8")


def process_is_gone(pid: int) -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.slow
@pytest.mark.parametrize("trap", ["", "trap '' TERM; "])
def test_grandchildren_end_with_the_time_limit(tmp_path: Path, trap: str) -> None:
    """Also those that ignore SIGTERM."""
    body = f"({trap}/bin/sleep 60; /bin/sleep 60) & echo $! > {tmp_path}/pid; wait"
    finished = run_group([script(tmp_path / "parent", body)], timeout_s=0.5)
    assert finished.code is None
    assert process_is_gone(int((tmp_path / "pid").read_text()))


@pytest.mark.slow
def test_lines_are_passed_on_while_the_program_runs(tmp_path: Path) -> None:
    lines: list[str] = []
    body = "echo one >&2; sleep 0.2; echo two >&2; echo three; exit 7"
    finished = run_group([script(tmp_path / "talker", body)], timeout_s=10, on_line=lines.append)
    assert (lines, finished.code, finished.stdout) == (["one", "two"], 7, "three\n")
    assert finished.last_words == "one | two"


def test_an_installation_says_what_pip_does(tmp_path: Path) -> None:
    """One line for each package that is fetched or installed; nothing of what else pip prints."""
    said: list[str] = []
    body = """
echo "Collecting numpy<2 (from somewhere)"; echo "  Using cached numpy.whl"; echo "Collecting numpy<2"
echo "Downloading h5py-3.11-cp310.whl (5.0 MB)"; echo "WARNING: old" >&2
echo "Installing collected packages: a, b"
"""
    run_group((script(tmp_path / "pip", body),), timeout_s=20, on_output=pip_steps(said.append))
    assert said == [
        "pip: Collecting numpy<2",
        "pip: Downloading h5py-3.11-cp310.whl",
        "pip: Installing collected packages: a, b",
    ]
