"""Where SANA-FE lives: an interpreter of its own, so that its GPL code never meets this package's process.

In order of preference: `$SNN_TOOL_SANAFE_PYTHON`, beside which nothing else is tried; and what
`snn-tool backend install sanafe` made, $XDG_CACHE_HOME/snn-tool/sanafe (default ~/.cache). An interpreter
counts only after it was executed and imported SANA-FE. `docs/decisions/0010-sanafe.md` says why it is not an
extra of this package.
"""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import Timeout
from snn_tool.errors import BackendUnavailableError
from snn_tool.exporters.contract.process import run_group
from snn_tool.exporters.lava.environment import CACHED, PROBE_S, clean_variables, demand, lava_folder
from snn_tool.exporters.lava.installation import installing, pip_steps, sweep_stages

VARIABLE = "SNN_TOOL_SANAFE_PYTHON"
REMEDY = "snn-tool backend install sanafe"
RUNNER = Path(__file__).parent / "runner" / "run.py"
"""The program that runs in SANA-FE's interpreter; it imports nothing of this package."""

SANAFE = "sanafe==2.2.9"
REQUIREMENTS = ("--no-deps", "--only-binary=:all:", SANAFE, "numpy>=2")
"""SANA-FE needs nothing; files are exchanged through numpy. Building its source would need CMake."""

VENV_S, INSTALL_S, LOCK_S = 300.0, 900.0, 1800.0


@dataclass(frozen=True, slots=True)
class SanafeEnvironment:
    """An interpreter that was seen to import SANA-FE.

    Attributes:
        python: path of the interpreter.
        version: of SANA-FE.
        python_version: of the interpreter.
        architecture: name of the file in SANA-FE's package that describes the chip.
        architecture_sha256: of that file.
        origin: where it was found.
    """

    python: Path
    version: str
    python_version: str
    architecture: str
    architecture_sha256: str
    origin: str


def find_sanafe() -> SanafeEnvironment | None:
    """The interpreter that has SANA-FE; None if there is none. Nothing is installed, no network is used.

    Raises:
        BackendUnavailableError: `SNN_TOOL_SANAFE_PYTHON` is set but names none that imports SANA-FE.
    """
    if asked := os.environ.get(VARIABLE):
        try:
            return probe(Path(asked).expanduser(), VARIABLE)
        except BackendUnavailableError as error:
            raise BackendUnavailableError(
                f"{VARIABLE}={asked}: {error}; unset it or point it to a Python with {SANAFE} and numpy"
            ) from error
    python = cache_folder() / "bin" / "python"
    with suppress(BackendUnavailableError):
        return probe(python, CACHED) if python.exists() else None
    return None


def probe(python: Path, origin: str) -> SanafeEnvironment:
    """Execute an interpreter, let it import SANA-FE, and take down what it says.

    Raises:
        BackendUnavailableError: it does not start, hangs, dies, has no SANA-FE, or answers something else.
    """
    finished = run_group((python, "-B", RUNNER, "--probe"), timeout_s=PROBE_S, environment=clean_variables())
    demand(finished, f"{python}", PROBE_S)
    try:
        answer = json.loads(finished.stdout)
        names = ("sanafe", "python", "architecture", "architecture_sha256")
        version, python_version, architecture, sha256 = (str(answer[name]) for name in names)
    except (ValueError, KeyError, TypeError) as error:
        raise BackendUnavailableError(
            f"{python}: does not answer as a Python with SANA-FE does; run `{REMEDY}`"
        ) from error
    return SanafeEnvironment(python, version, python_version, architecture, sha256, origin)


def cache_folder() -> Path:
    """The folder of the environment that `provision_sanafe` makes."""
    return lava_folder().with_name("sanafe")


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
        _run("venv", (sys.executable, "-m", "venv", stage), VENV_S, log)
        _run("pip install", (stage / "bin" / "python", *pip, *REQUIREMENTS), INSTALL_S, log)
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


def _run(what: str, command: tuple[str | Path, ...], limit_s: float, log: Callable[[str], None]) -> None:
    finished = run_group(command, timeout_s=limit_s, environment=clean_variables(), on_output=pip_steps(log))
    demand(finished, what, limit_s)
