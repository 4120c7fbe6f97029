"""Making the environment that SANA-FE lives in; `sanafe_environment` finds it."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import Timeout
from snn_tool.errors import BackendUnavailableError
from snn_tool.exporters.lava.environment import CACHED, clean_variables, demand
from snn_tool.exporters.lava.installation import installing, sweep_stages
from snn_tool.exporters.contract.process import run_group
from snn_tool.exporters.sanafe.environment import (
    REMEDY,
    SANAFE,
    VARIABLE,
    SanafeEnvironment,
    cache_folder,
    find_sanafe,
    probe,
)

REQUIREMENTS = ("--no-deps", "--only-binary=:all:", SANAFE, "numpy>=2")
"""SANA-FE needs nothing; files are exchanged through numpy. Building its source would need CMake."""

VENV_S, INSTALL_S, LOCK_S = 300.0, 900.0, 1800.0


def provision_sanafe(log: Callable[[str], None]) -> SanafeEnvironment:
    """Find SANA-FE, or install it into the cache folder; calls that overlap install it once.

    Args:
        log: receives one line for each thing tried.

    Raises:
        BackendUnavailableError: it cannot be installed; the message says what pip said last.
    """
    home = cache_folder()
    if found := find_sanafe():
        sweep_stages(home)
        return found
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        with installing(home, LOCK_S):
            return find_sanafe() or _install(home, log)
    except Timeout as error:
        raise BackendUnavailableError(
            f"{error.lock_file}: another process has been installing SANA-FE for half an hour; end it"
        ) from error
    except OSError as error:
        raise BackendUnavailableError(
            f"{home}: cannot be written ({error.strerror or error}); set XDG_CACHE_HOME"
        ) from error


def _install(home: Path, log: Callable[[str], None]) -> SanafeEnvironment:
    """Make the environment beside its place, see it import SANA-FE, and move it there."""
    log(f"installing {SANAFE} with {sys.executable}")
    stage = Path(tempfile.mkdtemp(prefix=".sanafe.", dir=home.parent))
    pip = ("-m", "pip", "install", "--disable-pip-version-check", "--no-input")
    try:
        _run("venv", (sys.executable, "-m", "venv", stage), VENV_S)
        _run("pip install", (stage / "bin" / "python", *pip, *REQUIREMENTS), INSTALL_S)
        probe(stage / "bin" / "python", CACHED)
        shutil.rmtree(home, ignore_errors=True)
        os.replace(stage, home)
        return probe(home / "bin" / "python", CACHED)
    except BackendUnavailableError as error:
        raise BackendUnavailableError(
            f"SANA-FE cannot be installed: {error}; run `{REMEDY}` where packages can be fetched, or set "
            f"{VARIABLE} to a Python that has {SANAFE} and numpy"
        ) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _run(what: str, command: tuple[str | Path, ...], limit_s: float) -> None:
    demand(run_group(command, timeout_s=limit_s, environment=clean_variables()), what, limit_s)
