"""Finding and provisioning ZigZag's interpreter; what it shares with SANA-FE's is tried there."""

import json
import sys
from pathlib import Path

import pytest
from snn_tool.cli import doctor
from snn_tool.cli.app import run
from snn_tool.errors import BackendUnavailableError
from snn_tool.exporters.zigzag.environment import ISOLATED, VARIABLE, find_zigzag, provision_zigzag

WORKS = "echo '" + json.dumps({"zigzag": "3.9.1", "python": "3.11.99"}) + "'"
REMEDY = "snn-tool backend install zigzag"


def script(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_it_is_found_where_it_was_installed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert find_zigzag() is None
    python = script(ISOLATED.home / "bin" / "python", WORKS)
    assert ISOLATED.home == tmp_path / "cache" / "snn-tool" / "zigzag"
    found = find_zigzag()
    assert found is not None and (found.python, found.version, found.python_version) == (
        python,
        "3.9.1",
        "3.11.99",
    )
    assert run(["-q", "--json", "backend", "install", "zigzag"]) == 0
    assert json.loads(capsys.readouterr().out)["version"] == "3.9.1"


def test_pip_is_asked_for_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """six is imported by ZigZag and declared by none of its packages."""
    journal = tmp_path / "journal"
    body = f"""
case "$*" in
  *"-m venv"*) for f; do :; done; mkdir -p "$f/bin"; cp "$0" "$f/bin/python" ;;
  *"-m pip install"*) echo "$*" > {journal} ;;
  *--probe*) {WORKS} ;;
esac"""
    monkeypatch.setattr(sys, "executable", str(script(tmp_path / "new", body)))
    said: list[str] = []
    assert provision_zigzag(said.append).version == "3.9.1"
    assert journal.read_text().split()[-2:] == ["zigzag-dse==3.9.1", "six"] and len(said) == 1


def test_the_doctor_knows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor._zigzag() == doctor.Finding("backend zigzag", None, "not installed", REMEDY)
    script(ISOLATED.home / "bin" / "python", WORKS)
    assert doctor._zigzag().detail == "zigzag-dse 3.9.1, Python 3.11.99 (cached environment)"
    monkeypatch.setenv(VARIABLE, str(tmp_path / "missing"))
    broken = doctor._zigzag()
    assert broken.works is False and VARIABLE in broken.detail and broken.remedy == REMEDY


@pytest.mark.slow
def test_this_packages_own_python_has_no_zigzag() -> None:
    with pytest.raises(BackendUnavailableError, match="exit code 3: ZigZag does not import: No module named"):
        ISOLATED.probe(Path(sys.executable), "test")
