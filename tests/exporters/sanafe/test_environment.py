"""Finding and provisioning SANA-FE's interpreter, with interpreters that are small shell scripts."""

import json
import os
import sys
import threading
from pathlib import Path

import pytest
from snn_tool.cli import doctor
from snn_tool.cli.app import run
from snn_tool.errors import BackendUnavailableError
from snn_tool.exporters.lava import isolated
from snn_tool.exporters.sanafe.environment import VARIABLE, cache_folder, find_sanafe, probe, provision_sanafe

ANSWER = {
    "sanafe": "2.2.9",
    "python": "3.11.99",
    "architecture": "loihi.yaml",
    "architecture_sha256": "a" * 64,
}
WORKS = f"echo '{json.dumps(ANSWER)}'"
REAL_PYTHON = sys.executable


def script(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def complete_python(path: Path, journal: Path) -> Path:
    """Makes environments that are copies of itself, 'installs', and answers a probe only after that."""
    body = f"""
case "$*" in
  *"-m venv"*) echo venv >> {journal}; for f; do :; done; mkdir -p "$f/bin"; cp "$0" "$f/bin/python" ;;
  *"-m pip install"*) sleep 0.3; echo "$*" >> {journal}; : > "$(dirname "$0")/installed" ;;
  *--probe*) [ -e "$(dirname "$0")/installed" ] && {WORKS} ;;
esac"""
    return script(path, body)


@pytest.fixture(autouse=True)
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache in which there is nothing, and a running Python that makes no environment."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(isolated, "PROBE_S", 1.0)
    monkeypatch.setattr(sys, "executable", str(script(tmp_path / "running", "echo no venv here >&2; exit 1")))


def test_nothing_is_found_where_nothing_is() -> None:
    assert find_sanafe() is None


def test_the_variable_wins_and_is_no_fallback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(cache_folder() / "bin" / "python", WORKS)
    found = find_sanafe()
    assert found is not None and found.origin == "cached environment"
    chosen = script(tmp_path / "chosen", WORKS.replace("3.11.99", "3.12.1"))
    monkeypatch.setenv(VARIABLE, str(chosen))
    found = find_sanafe()
    assert found is not None and (found.python, found.origin) == (chosen, VARIABLE)
    assert (found.version, found.python_version, found.architecture_sha256) == ("2.2.9", "3.12.1", "a" * 64)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "missing"))
    with pytest.raises(BackendUnavailableError, match=f"{VARIABLE}=.*does not start.*unset it"):
        provision_sanafe(print)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("echo 'SANA-FE does not import' >&2; exit 3", "exit code 3: SANA-FE does not import"),
        ("kill -9 $$", "exit code -9"),
        ("sleep 60 & sleep 60", "did not finish within 1 s"),
        ("echo '[1, 2]'", "does not answer as a Python with SANA-FE"),
        ("", "does not answer as a Python with SANA-FE"),
    ],
)
def test_what_fails_to_answer_is_refused(body: str, complaint: str) -> None:
    python = script(cache_folder() / "bin" / "python", body)
    with pytest.raises(BackendUnavailableError, match=complaint) as caught:
        probe(python, "test")
    assert "\n" not in str(caught.value) and find_sanafe() is None


def test_this_packages_own_python_has_no_sanafe(monkeypatch: pytest.MonkeyPatch) -> None:
    """GPL code is not installed beside this package; the real runner says so."""
    monkeypatch.setattr(isolated, "PROBE_S", 60.0)
    with pytest.raises(
        BackendUnavailableError, match="exit code 3: SANA-FE does not import: No module named"
    ):
        probe(Path(REAL_PYTHON), "test")


@pytest.mark.slow
def test_provisioning_installs_once_for_calls_that_overlap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(complete_python(tmp_path / "new", tmp_path / "journal")))
    script(cache_folder() / "bin" / "python", "exit 1")
    (cache_folder() / "damaged").touch()
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(provision_sanafe(lambda _: None))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "journal").read_text().splitlines() == [
        "venv",
        "-m pip install --disable-pip-version-check --no-input --no-deps --only-binary=:all: "
        "sanafe==2.2.9 numpy>=2",
    ]
    assert [environment.python for environment in found] == [cache_folder() / "bin" / "python"] * 3
    assert sorted(os.listdir(cache_folder().parent)) == ["sanafe", "sanafe.lock"]
    assert not (cache_folder() / "damaged").exists()


def test_what_cannot_be_installed_leaves_nothing_and_names_the_remedy(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["-q", "backend", "install", "sanafe"]) == 1
    message = capsys.readouterr().err
    assert "venv: exit code 1: no venv here" in message and "snn-tool backend install sanafe" in message
    assert message.count("\n") == 1 and os.listdir(cache_folder().parent) == ["sanafe.lock"]
    assert run(["backend", "install", "brian"]) == 1
    assert "backend brian is unknown; lava, sanafe and zigzag" in capsys.readouterr().err


def test_the_command_says_what_it_found(capsys: pytest.CaptureFixture[str]) -> None:
    python = script(cache_folder() / "bin" / "python", WORKS)
    assert run(["-q", "--json", "backend", "install", "sanafe"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["python"], found["version"], found["architecture"]) == (str(python), "2.2.9", "loihi.yaml")


def test_the_doctor_knows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remedy = "snn-tool backend install sanafe"
    assert doctor._sanafe() == doctor.Finding("backend sanafe", None, "not installed", remedy)
    script(cache_folder() / "bin" / "python", WORKS)
    there = doctor._sanafe()
    assert (there.works, there.remedy) == (True, "")
    assert there.detail == "sanafe 2.2.9, Python 3.11.99 (cached environment)"
    monkeypatch.setenv(VARIABLE, str(tmp_path / "missing"))
    broken = doctor._sanafe()
    assert broken.works is False and VARIABLE in broken.detail and broken.remedy == remedy
