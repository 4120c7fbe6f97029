"""Where Lava lives: an interpreter of its own, because lava-nc demands Python 3.10 and numpy 1.

An interpreter counts only after it was executed and imported Lava. In order of preference:

1. `$SNN_TOOL_LAVA_PYTHON`; if it is set, nothing else is tried.
2. The environment that `provision_lava` made, $XDG_CACHE_HOME/snn-tool/lava (default ~/.cache).
3. `python3.10` on PATH; many are launchers of a version that is not there.
4. ~/.pyenv/versions/3.10.*
5. `uv venv --python 3.10`, where uv has or fetches that version.
6. The running Python, newer than Lava declares, with the shim of `lava_runner`.

`find_lava` takes 1 to 4 as they are. `provision_lava` makes 2 from the first of 3 to 6 that works.

lava-dl, whose netx loads `.net` files, is installed beside Lava in 2, without its dependencies: it declares
torch, which netx does not need. Where it cannot be had, Lava works without it and the environment says so.
"""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from snn_tool.errors import BackendUnavailableError
from snn_tool.exporters.process_group import Finished, run_group

VARIABLE = "SNN_TOOL_LAVA_PYTHON"
REMEDY = "snn-tool backend install lava"
RUNNER = Path(__file__).parent / "lava_runner" / "run.py"
"""The program that runs in Lava's interpreter; it imports nothing of this package."""

LAVA = "lava-nc==0.10.0"
LAVA_DL = "lava-dl==0.6.0"
LAVA_DL_ALONE = ("--ignore-requires-python", "--no-deps", LAVA_DL)
"""netx runs on what Lava brings; torch, torchvision, OpenCV and others that lava-dl declares stay away."""

CACHED = "cached environment"
SUPPORTED = (LAVA, "numpy<2", "h5py")
UNDECLARED_PYTHON = ("scipy", "networkx", "asteval", "scikit-learn", "cloudpickle", "joblib", "h5py")
"""What lava-nc needs at run time, named one by one because its own metadata refuses Python above 3.10."""

CHECK_S, PROBE_S, VENV_S, INSTALL_S = 30.0, 120.0, 300.0, 1800.0
LOCK_S = 3600.0


@dataclass(frozen=True, slots=True)
class LavaEnvironment:
    """An interpreter that was seen to import Lava.

    Attributes:
        python: path of the interpreter.
        version: of lava-nc.
        python_version: of the interpreter.
        shimmed: the Python is newer than Lava supports; a shim makes it importable.
        origin: where it was found.
        lava_dl: version of lava-dl if its netx loads there, and otherwise empty.
        netx_fault: why netx does not load, in one line; empty if it does.
    """

    python: Path
    version: str
    python_version: str
    shimmed: bool
    origin: str
    lava_dl: str = ""
    netx_fault: str = "lava-dl was not looked for"

    @property
    def netx_remedy(self) -> str:
        """The command that brings lava-dl into this interpreter."""
        if self.origin.startswith(CACHED):
            return REMEDY
        return f"{self.python} -m pip install {' '.join(LAVA_DL_ALONE)}"


@dataclass(frozen=True, slots=True)
class _Recipe:
    """How to make an environment.

    Attributes:
        origin: for the log and for messages.
        create: command that makes a virtual environment at the path appended to it.
        requirements: arguments of `pip install`, one call for each.
    """

    origin: str
    create: tuple[str, ...]
    requirements: tuple[tuple[str, ...], ...]


def find_lava() -> LavaEnvironment | None:
    """The first interpreter that has Lava; None if there is none. Nothing is installed, no network is used.

    Raises:
        BackendUnavailableError: `SNN_TOOL_LAVA_PYTHON` is set but names no interpreter that imports Lava.
    """
    asked = os.environ.get(VARIABLE)
    if asked:
        return _asked_for(asked)
    if cached := _cached():
        return cached
    for python, origin in _python310():
        with suppress(BackendUnavailableError):
            return probe(python, origin)
    return None


def provision_lava(log: Callable[[str], None]) -> LavaEnvironment:
    """Find Lava, or install it into the cache folder; calls that overlap install it once.

    A cached environment without lava-dl is completed; interpreters that are not ours are left as they are.

    Args:
        log: receives one line for each thing tried.

    Raises:
        BackendUnavailableError: no way worked; the message names each and what pip said last.
    """
    found = find_lava()
    if found and (found.lava_dl or found.origin != CACHED):
        return found
    home = cache_folder()
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(home.parent / "lava.lock", timeout=LOCK_S):
            return _complete(log) or _install(home, log)
    except Timeout as error:
        raise BackendUnavailableError(
            f"{error.lock_file}: another process has been installing Lava for an hour; end it"
        ) from error
    except OSError as error:
        raise BackendUnavailableError(
            f"{home}: cannot be written ({error.strerror or error}); set XDG_CACHE_HOME"
        ) from error


def probe(python: Path, origin: str) -> LavaEnvironment:
    """Execute an interpreter, let it import Lava, and take down what it says.

    Raises:
        BackendUnavailableError: it does not start, hangs, dies, has no Lava, or answers something else.
    """
    finished = run_group(
        (python, "-B", RUNNER, "--probe", "--lifeline"), timeout_s=PROBE_S, environment=clean_variables()
    )
    _demand(finished, f"{python}", PROBE_S)
    try:
        answer = json.loads(finished.stdout)
        return LavaEnvironment(
            python,
            str(answer["lava"]),
            str(answer["python"]),
            bool(answer["shimmed"]),
            origin,
            str(answer["lava_dl"]),
            str(answer["netx_fault"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise BackendUnavailableError(
            f"{python}: does not answer as a Python with Lava does; run `{REMEDY}`"
        ) from error


def cache_folder() -> Path:
    """The folder of the environment that `provision_lava` makes."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "snn-tool" / "lava"


def clean_variables() -> dict[str, str]:
    """The environment variables but for those that steer Python (PYTHONPATH would mix two interpreters).

    BLAS gets one thread, because Lava starts an operating-system process for each of its processes. Warnings
    are off, so that the last lines of an error output are the error's.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return {
        **kept,
        "PYTHONWARNINGS": "ignore",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }


def _asked_for(value: str) -> LavaEnvironment:
    try:
        return probe(Path(value).expanduser(), VARIABLE)
    except BackendUnavailableError as error:
        raise BackendUnavailableError(
            f"{VARIABLE}={value}: {error}; unset it or point it to a Python with {LAVA}"
        ) from error


def _demand(finished: Finished, what: str, limit_s: float) -> None:
    if finished.code is None:
        raise BackendUnavailableError(f"{what}: did not finish within {limit_s:.0f} s")
    if finished.code != 0:
        raise BackendUnavailableError(f"{what}: exit code {finished.code}: {finished.last_words}")


def _cached() -> LavaEnvironment | None:
    python = cache_folder() / "bin" / "python"
    if not python.exists():
        return None
    with suppress(BackendUnavailableError):
        return probe(python, CACHED)
    return None


def _complete(log: Callable[[str], None]) -> LavaEnvironment | None:
    """The cached environment, with lava-dl if it can be had; None if there is no environment."""
    found = _cached()
    if found is None or found.lava_dl:
        return found
    _add_lava_dl(found.python, log)
    return _cached()


def _python310() -> Iterator[tuple[Path, str]]:
    """Interpreters of Python 3.10 that may or may not run."""
    if on_path := shutil.which("python3.10"):
        yield Path(on_path), "python3.10 on PATH"
    for folder in sorted((Path.home() / ".pyenv" / "versions").glob("3.10.*"), reverse=True):
        yield folder / "bin" / "python", f"pyenv {folder.name}"


def _recipes() -> Iterator[_Recipe]:
    """Ways to make an environment, best first; interpreters are executed before they are offered."""
    for python, origin in _python310():
        question = (python, "-c", "import sys; print(sys.version_info[:2] == (3, 10))")
        with suppress(BackendUnavailableError):
            if run_group(question, timeout_s=CHECK_S, environment=clean_variables()).stdout.strip() == "True":
                yield _Recipe(origin, (str(python), "-m", "venv"), (SUPPORTED,))
    if uv := shutil.which("uv"):
        yield _Recipe("uv with Python 3.10", (uv, "venv", "--seed", "--python", "3.10"), (SUPPORTED,))
    numpy = "numpy<2" if sys.version_info < (3, 13) else "numpy"
    forced = ("--ignore-requires-python", "--no-deps", LAVA)
    yield _Recipe(
        f"Python {sys.version_info.major}.{sys.version_info.minor} (unsupported Python, shimmed)",
        (sys.executable, "-m", "venv"),
        (forced, (numpy, *UNDECLARED_PYTHON)),
    )


def _install(home: Path, log: Callable[[str], None]) -> LavaEnvironment:
    failures = []
    for recipe in _recipes():
        log(f"installing {LAVA} with {recipe.origin}")
        stage = Path(tempfile.mkdtemp(prefix=".lava.", dir=home.parent))
        try:
            _make(recipe, stage, log)
            if home.exists():
                shutil.rmtree(home)
            os.replace(stage, home)
            return probe(home / "bin" / "python", f"{CACHED}, {recipe.origin}")
        except BackendUnavailableError as error:
            failures.append(f"{recipe.origin}: {error}")
            log(failures[-1])
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    raise BackendUnavailableError(
        f"Lava cannot be installed; tried {'; '.join(failures)}; run `{REMEDY}` where packages can be "
        f"fetched, or set {VARIABLE} to a Python 3.10 that has {LAVA}"
    )


def _make(recipe: _Recipe, stage: Path, log: Callable[[str], None]) -> None:
    """Create the environment in an empty folder, install into it, and see it import Lava."""
    created = run_group((*recipe.create, stage), timeout_s=VENV_S, environment=clean_variables())
    _demand(created, recipe.create[0], VENV_S)
    python = stage / "bin" / "python"
    for requirements in recipe.requirements:
        _pip_install(python, requirements)
    _add_lava_dl(python, log)
    probe(python, recipe.origin)


def _add_lava_dl(python: Path, log: Callable[[str], None]) -> None:
    """Install lava-dl alone; a failure is said and no more, because Lava works without it."""
    log(f"adding {LAVA_DL} for .net files")
    try:
        _pip_install(python, LAVA_DL_ALONE)
    except BackendUnavailableError as error:
        log(f"without {LAVA_DL}: {error}")


def _pip_install(python: Path, requirements: tuple[str, ...]) -> None:
    command: tuple[str | Path, ...] = (
        python,
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-input",
        *requirements,
    )
    finished = run_group(command, timeout_s=INSTALL_S, environment=clean_variables())
    _demand(finished, "pip install", INSTALL_S)
