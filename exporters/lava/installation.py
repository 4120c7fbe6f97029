"""Making the environment that Lava lives in; `environment` finds it and says in which order.

lava-dl, whose netx loads `.net` files, is installed beside Lava without its dependencies: it declares torch,
which netx does not need. Where it cannot be had, Lava works without it and the environment says so.
"""

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from snn_tool.errors import BackendUnavailableError
from snn_tool.exporters.contract.process import run_group
from snn_tool.exporters.lava.environment import (
    CACHED,
    LAVA,
    LAVA_DL,
    LAVA_DL_ALONE,
    REMEDY,
    VARIABLE,
    LavaEnvironment,
    cached,
    clean_variables,
    demand,
    find_lava,
    interpreters_310,
    lava_folder,
    probe,
)

PIP_STEP = re.compile(r"(Collecting|Downloading|Building wheel for) \S+|Installing collected packages: .*")
"""What is passed on of a line of pip."""
CHECK_S, VENV_S, INSTALL_S, LOCK_S = 30.0, 300.0, 1800.0, 3600.0

SUPPORTED = (LAVA, "numpy<2", "h5py")
UNDECLARED_PYTHON = ("scipy", "networkx", "asteval", "scikit-learn", "cloudpickle", "joblib", "h5py")
"""What lava-nc needs at run time, named one by one because its own metadata refuses Python above 3.10."""


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


def provision_lava(log: Callable[[str], None]) -> LavaEnvironment:
    """Find Lava, or install it into the cache folder; calls that overlap install it once.

    A cached environment without lava-dl is completed; interpreters that are not ours are left as they are.

    Args:
        log: receives one line for each thing tried.

    Raises:
        BackendUnavailableError: no way worked; the message names each and what pip said last.
    """
    found = find_lava()
    home = lava_folder()
    if found and (found.lava_dl or found.origin != CACHED):
        sweep_stages(home)
        return found
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        with installing(home, LOCK_S):
            return _complete(log) or _install(home, log)
    except Timeout as error:
        raise BackendUnavailableError(
            f"{error.lock_file}: another process has been installing Lava for an hour; end it"
        ) from error
    except OSError as error:
        raise BackendUnavailableError(
            f"{home}: cannot be written ({error.strerror or error}); set XDG_CACHE_HOME"
        ) from error


@contextmanager
def installing(home: Path, patience_s: float) -> Iterator[None]:
    """Hold the lock of an environment's place, and remove what a killed installation left beside it.

    Raises:
        Timeout: another process holds it.
    """
    with FileLock(home.with_suffix(".lock"), timeout=patience_s):
        for stage in home.parent.glob(f".{home.name}.*"):  # whoever makes one holds the lock
            shutil.rmtree(stage, ignore_errors=True)
        yield


def sweep_stages(home: Path) -> None:
    """Remove what killed installations left, unless one is running."""
    if any(home.parent.glob(f".{home.name}.*")):
        with suppress(Timeout, OSError), installing(home, 0):
            pass


def _complete(log: Callable[[str], None]) -> LavaEnvironment | None:
    """The cached environment, with lava-dl if it can be had; None if there is no environment."""
    found = cached()
    if found is None or found.lava_dl:
        return found
    _add_lava_dl(found.python, log)
    return cached()


def _recipes() -> Iterator[_Recipe]:
    """Ways to make an environment, best first; interpreters are executed before they are offered."""
    for python, origin in interpreters_310():
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
    demand(created, recipe.create[0], VENV_S)
    python = stage / "bin" / "python"
    for requirements in recipe.requirements:
        _pip_install(python, requirements, log)
    _add_lava_dl(python, log)
    probe(python, recipe.origin)


def _add_lava_dl(python: Path, log: Callable[[str], None]) -> None:
    """Install lava-dl alone; a failure is said and no more, because Lava works without it."""
    log(f"adding {LAVA_DL} for .net files")
    try:
        _pip_install(python, LAVA_DL_ALONE, log)
    except BackendUnavailableError as error:
        log(f"without {LAVA_DL}: {error}")


def pip_steps(log: Callable[[str], None]) -> Callable[[str], None]:
    """Passes on what pip says of each package that it fetches and installs, and nothing else."""
    seen: set[str] = set()

    def on_output(line: str) -> None:
        if (found := PIP_STEP.match(line)) and found[0] not in seen:
            seen.add(found[0])
            log(f"pip: {found[0]}")

    return on_output


def _pip_install(python: Path, requirements: tuple[str, ...], log: Callable[[str], None]) -> None:
    command: tuple[str | Path, ...] = (
        python,
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-input",
        *requirements,
    )
    finished = run_group(
        command, timeout_s=INSTALL_S, environment=clean_variables(), on_output=pip_steps(log)
    )
    demand(finished, "pip install", INSTALL_S)
